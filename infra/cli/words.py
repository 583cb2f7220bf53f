"""How facts are said in a terminal: ages, lengths, times, tables."""

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from infra.cli.commands import COMMANDS

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from infra.cli.session import Session

_UNITS = ((31_536_000, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_METRES_PER_FOOT = 0.3048
_METRES_PER_MILE = 1609.344


def span_text(seconds: float) -> str:
    """`3 hours 20 minutes`, to the two units that matter."""
    rest = int(seconds)
    parts: list[str] = []
    for size, name in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
        if parts and (len(parts) == 2 or not count):
            break
    return " ".join(parts) or "0 seconds"


def took_text(seconds: float) -> str:
    return span_text(seconds) if seconds >= 1 else "less than a second"


def age_text(seconds: float) -> str:
    if seconds < 0:
        return f"{span_text(-seconds)} ahead"
    return "just now" if seconds < 1 else f"{span_text(seconds)} ago"


def length_text(metres: float, units: str) -> str:
    if units == "imperial":
        if metres >= _METRES_PER_MILE:
            return f"{metres / _METRES_PER_MILE:,.1f} mi"
        return f"{metres / _METRES_PER_FOOT:,.0f} ft"
    return f"{metres / 1000:,.1f} km" if metres >= 1000 else f"{metres:,.0f} m"


def time_text(instant: datetime, zone: "ZoneInfo") -> str:
    """`Friday 20 November 2026 at 12:00:05 GMT`."""
    local = instant.astimezone(zone)
    day = f"{local:%A} {local.day} {local:%B %Y}"
    name = local.tzname() or ""
    # Zones without an abbreviation of their own give their offset, as in `+03`.
    return f"{day} at {local:%H:%M:%S} {name if name.isalpha() else f'UTC{name}'}"


def when_text(instant: datetime, zone: "ZoneInfo") -> str:
    """`2026-11-20 12:00`, for columns."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"


def percent(level: float | None) -> str:
    return f"{level:.0%}" if level is not None else "-"


_SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))

_KINDS = {
    "fix": ("position", "positions"),
    "status": ("sign of life", "signs of life"),
    "message": ("message", "messages"),
    "media": ("photo or movie", "photos and movies"),
    "note": ("description of a photo", "descriptions of photos"),
    "visit": ("visit", "visits"),
    "event": ("event", "events"),
    "person": ("person", "people"),
    "place": ("place", "places"),
    "reject": ("reject", "rejects"),
}


def size_text(size: float) -> str:
    """`1.2 GB`, in powers of ten as disks are sold."""
    for unit, name in _SIZES:
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return "1 byte" if size == 1 else f"{size:.0f} bytes"


def records_text(counts: Mapping[str, int]) -> str:
    """`300 positions, 1 message`: what there is most of first."""
    return _counts_text(counts, _KINDS)


def _counts_text(counts: Mapping[str, int], names: Mapping[str, tuple[str, str]]) -> str:
    most = sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))
    named = ((count, names.get(kind, (kind, kind))) for kind, count in most if count)
    return ", ".join(
        f"{count:,} {one if count == 1 else several}" for count, (one, several) in named
    )


_FILES = {
    "eml": ("mail", "mails"),
    "maildir": ("mail of a Maildir", "mails of a Maildir"),
    "mbox": ("mailbox", "mailboxes"),
    "photo": ("photo", "photos"),
    "movie": ("movie", "movies"),
    "google_photos": ("description of a photo", "descriptions of photos"),
    "google_records": ("location history", "location histories"),
    "google_semantic": ("month of visits and trips", "months of visits and trips"),
    "google_timeline": ("timeline of a phone", "timelines of phones"),
    "google_ios": ("timeline of an iPhone", "timelines of iPhones"),
    "google_edits": ("file of timeline edits", "files of timeline edits"),
}


def files_text(counts: Mapping[str, int]) -> str:
    """`2 photos, 1 mailbox`: files, by the source that reads them."""
    return _counts_text(counts, _FILES)


def counted_text(counts: Mapping[str, int]) -> str:
    """`12 .html, 1 .pdf`"""
    most = sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))
    return ", ".join(f"{count:,} {shown(kind)}" for kind, count in most)


def shown(text: str) -> str:
    """A text from outside, without what would command a terminal."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what is in them."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (headings, *rows)
    ]
    return "\n".join(lines)


def in_shell(word: str) -> str:
    """A word as it has to be typed."""
    return shlex.quote(word)


def as_typed(session: "Session", text: str) -> str:
    """A text with our commands as they can be typed where this one was called.

    Each `yurt COMMAND` in it gets the program as it was called, and the data that was named.
    """
    data = f" --data {in_shell(str(session.data))}" if session.data is not None else ""
    called = rf"(?<![\w./-])yurt (?=(?:{'|'.join(COMMANDS)})\b)"
    return re.sub(called, lambda _: f"{session.program}{data} ", text)
