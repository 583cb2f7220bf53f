"""How facts are said in a terminal: ages, lengths, times, tables."""

import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from infra.cli.commands import COMMANDS

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from infra.cli.session import Session

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
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


def percent(level: float | None) -> str:
    return f"{level:.0%}" if level is not None else "-"


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
