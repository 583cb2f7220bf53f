"""CSV (RFC 4180): a header line, then one line a fix. Units are those of records."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from shared.model.records import Fix
from shared.model.time import format_rfc3339

MEDIA_TYPE = "text/csv"
EXTENSION = "csv"

COLUMNS = (
    "device",
    "name",
    "time",
    "lat",
    "lon",
    "accuracy",
    "altitude",
    "altitude_accuracy",
    "speed",
    "speed_accuracy",
    "course",
    "course_accuracy",
    "battery",
    "power",
    "network",
    "wifi",
    "pressure",
    "motion",
    "trigger",
    "offset",
    "source",
)

# A spreadsheet runs a cell that begins so as a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Line:
    """A file for `csv.writer`, whose `writerow` returns what the file's `write` returns."""

    def write(self, text: str) -> str:
        return text


def write(
    fixes: Iterable[Fix],
    names: Mapping[str, str],
    following: Callable[[], str | None] | None = None,  # noqa: ARG001 - a table has no place for it
) -> Iterator[bytes]:
    """Lines in UTF-8. Words from outside that a spreadsheet would run get a `'` in front."""
    line = csv.writer(_Line()).writerow
    yield str(line(COLUMNS)).encode()
    for fix in fixes:
        yield str(line(_cells(fix, names.get(fix.device, fix.device)))).encode()


def _cells(fix: Fix, name: str) -> tuple[object, ...]:
    return (
        _word(fix.device),
        _word(name),
        format_rfc3339(fix.time),
        fix.lat,
        fix.lon,
        fix.accuracy,
        fix.altitude,
        fix.altitude_accuracy,
        fix.speed,
        fix.speed_accuracy,
        fix.course,
        fix.course_accuracy,
        fix.battery,
        fix.power,
        fix.network,
        _word(fix.wifi),
        fix.pressure,
        _word(" ".join(fix.motion)) if fix.motion else None,
        _word(fix.trigger),
        fix.offset,
        fix.source,
    )


@lru_cache(maxsize=256)
def _word(text: str | None) -> str | None:
    return f"'{text}" if text and text.startswith(_FORMULA) else text
