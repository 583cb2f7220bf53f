"""Instants: UTC with microseconds, as `datetime` in records and as whole microseconds in keys."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta

Instant = Annotated[datetime, Meta(tz=True)]
"""A moment as records hold it. A text without an offset from UTC is not read as one."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant (exact: no float in between)."""
    return (instant - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """The instant `micros` microseconds after 1970; `OverflowError` outside years 1 to 9999."""
    return EPOCH + timedelta(microseconds=micros)


def from_epoch(seconds: float) -> datetime:
    """The instant `seconds` after 1970; `ValueError` where a calendar has no such day."""
    try:
        return EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError) as error:
        raise ValueError(f"{seconds!r} seconds since 1970 is no date") from error


def parse_rfc3339(text: str) -> tuple[datetime, int | None]:
    """The UTC instant of an RFC 3339 text, and its offset in minutes east of UTC.

    `Z` says "UTC" and not "local time was UTC" (RFC 3339 section 4.3), so it gives no offset.
    Basic offsets (`-0700`) are accepted: phones send them. `ValueError` for anything else,
    a time without any offset included.
    """
    text = text.upper()
    parsed = datetime.fromisoformat(text)
    offset = parsed.utcoffset()
    if offset is None:
        raise ValueError(f"{text!r} does not say its offset from UTC; end it with Z or +hh:mm")
    if text.endswith("Z"):
        return parsed, None
    try:
        return parsed.astimezone(UTC), round(offset.total_seconds() / 60)
    except OverflowError as error:
        raise ValueError(f"{text!r} is no date in UTC") from error


def format_rfc3339(instant: datetime) -> str:
    """RFC 3339 in UTC with `Z`; fractions of a second only where there are some."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
