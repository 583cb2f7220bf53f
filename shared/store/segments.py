"""Tracks packed into segment documents: where an entry goes, and what segments say together.

Firestore counts documents, so the reports of a device share one document a day, an hour or a
minute, as their density asks for; only what fits nowhere gets a document of its own. Which window
took an entry does not matter to the reader, who unites all of them.
"""

import base64
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from shared.model import packing
from shared.model.records import Fix, Report
from shared.model.time import from_micros, to_micros
from shared.store.documents import document_id
from shared.store.limits import packed_report

SHAPE = 1

Kind = Literal["fixes", "statuses", "erased"]
"""The maps of a segment. Those of reports hold packed bytes; `erased` holds tombstones."""

Stamped = tuple[int, bytes | None]
"""Microseconds, and the packed report or a tombstone (None) or nothing at all (`NO_REPORT`)."""

NO_REPORT = b""

_SECOND = 1_000_000
_HASH = 11
_ROOM = 900_000
_KEY_SIZE = 20


class Span(NamedTuple):
    """A size of windows. All in microseconds; windows begin at multiples of `length`.

    gap: reports that come closer than this on average go to the next finer span.
    burst: the least time that a batch counts as, so that a few reports at once look no denser
    than they will turn out to be.
    """

    name: str
    length: int
    digits: int
    gap: int
    burst: int


DAY = Span("day", 86_400 * _SECOND, 10, 30 * _SECOND, 600 * _SECOND)
HOUR = Span("hour", 3_600 * _SECOND, 13, 0, 60 * _SECOND)
MINUTE = Span("minute", 60 * _SECOND, 16, 0, 60 * _SECOND)
ENTRY = Span("entry", 1, 26, 0, 1)
SPANS = (DAY, HOUR, MINUTE, ENTRY)


class Entry(NamedTuple):
    """A report, or the tombstone of an instant (no hash, no bytes)."""

    time: int
    kind: Kind
    hash: str
    packed: bytes

    @property
    def size(self) -> int:
        return len(self.packed) + _KEY_SIZE


class Window(NamedTuple):
    """One segment document. entry: which one, where an entry is alone in it."""

    device: str
    span: Span
    start: int
    entry: str = ""

    @property
    def id(self) -> str:
        """As `phone.h2026-11-22T13`: the device, the span's first letter, the beginning."""
        start = from_micros(self.start).isoformat(timespec="microseconds")
        name = f"{document_id(self.device)}.{self.span.name[0]}{start[: self.span.digits]}"
        return f"{name}.{self.entry}" if self.entry else name


@dataclass(slots=True)
class Change:
    """What one write does to a segment: entries to add, keys of entries whose bytes go."""

    window: Window
    entries: list[Entry] = field(default_factory=list)
    dropped: list[tuple[Kind, str]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """About how many bytes the request takes: each key also stands in the mask."""
        keys = _KEY_SIZE * (len(self.entries) + len(self.dropped))
        return 400 + 2 * keys + sum(entry.size for entry in self.entries)


class Segment(NamedTuple):
    """What a segment document holds. written: its update time."""

    start: int
    maps: Mapping[Kind, Mapping[str, Any]]
    written: Any = None

    @property
    def size(self) -> int:
        return sum(
            len(key) + (len(value) if isinstance(value, bytes) else 1)
            for entries in self.maps.values()
            for key, value in entries.items()
        )


def entry_of(report: Report) -> Entry:
    """`ValueError` for a report that is larger than a document can be."""
    packed = packed_report(report)
    short = base64.urlsafe_b64encode(packing.content_hash(packed)).decode()[:_HASH]
    kind: Kind = "fixes" if isinstance(report, Fix) else "statuses"
    return Entry(to_micros(report.time), kind, short, packed)


def tombstone(time: int) -> Entry:
    return Entry(time, "erased", "", b"")


def placed(
    device: str, entries: Iterable[Entry], is_full: Callable[[Window], bool]
) -> dict[Window, list[Entry]]:
    """Entries by the window they shall be written to: the widest that will hold their like.

    is_full: windows that are known to take no more.
    """
    places: dict[Window, list[Entry]] = {}
    _place(device, sorted(set(entries)), SPANS, is_full, places)
    return places


def _place(
    device: str,
    entries: list[Entry],
    spans: tuple[Span, ...],
    is_full: Callable[[Window], bool],
    places: dict[Window, list[Entry]],
) -> None:
    span = spans[0]
    if span is ENTRY:
        for entry in entries:
            places[Window(device, ENTRY, entry.time, f"{entry.kind}{entry.hash}")] = [entry]
        return
    for start, group in groupby(entries, key=lambda entry: entry.time - entry.time % span.length):
        window, inside = Window(device, span, start), list(group)
        if is_full(window) or _too_dense(span, inside):
            _place(device, inside, spans[1:], is_full, places)
        else:
            places[window] = inside


def _too_dense(span: Span, entries: list[Entry]) -> bool:
    size = sum(entry.size for entry in entries)
    lasted = max(entries[-1].time - entries[0].time, span.burst)
    return size * span.length > _ROOM * lasted or len(entries) * span.gap > lasted


def key_in(window: Window, entry: Entry) -> str:
    """Its key in the map: the hash of its content, and the offset in the window.

    Two reports of one instant differ in the hash, so neither overwrites the other. The offset is
    in seconds, and after a point microseconds, in hexadecimal digits.
    """
    seconds, micros = divmod(entry.time - window.start, _SECOND)
    return f"{entry.hash}{seconds:x}.{micros:x}" if micros else f"{entry.hash}{seconds:x}"


def time_of(start: int, kind: Kind, key: str) -> int:
    """When an entry of the segment that begins at `start` was, from its key."""
    seconds, _, micros = (key if kind == "erased" else key[_HASH:]).partition(".")
    return start + int(seconds, 16) * _SECOND + int(micros or "0", 16)


def keys_at(segment: Segment, times: Container[int]) -> list[tuple[Kind, str]]:
    """Which reports of the segment were made at these instants."""
    kinds: tuple[Kind, ...] = ("fixes", "statuses")
    return [
        (kind, key)
        for kind in kinds
        for key in segment.maps.get(kind, {})
        if time_of(segment.start, kind, key) in times
    ]


def erased_in(segment: Segment) -> set[int]:
    """The instants that the segment has tombstones of."""
    return {time_of(segment.start, "erased", key) for key in segment.maps.get("erased", {})}


def own_window(device: str, start: int, kind: Kind, key: str) -> Window:
    """The document of an entry that is alone in it, from its key there."""
    return Window(device, ENTRY, start, f"{kind}{key[:_HASH]}")


def stamped(segment: Segment, kind: Kind, *, newest_first: bool = False) -> list[Stamped]:
    """The reports of one kind and the tombstones of a segment, by time."""
    found: list[Stamped] = [
        (time_of(segment.start, kind, key), packed)
        for key, packed in segment.maps.get(kind, {}).items()
    ]
    found += [
        (time_of(segment.start, "erased", key), None) for key in segment.maps.get("erased", {})
    ]
    found.sort(key=itemgetter(0), reverse=newest_first)
    return found


def united(
    streams: Iterable[Iterable[Stamped]], *, newest_first: bool = False
) -> Iterator[tuple[int, list[bytes]]]:
    """The instants that were not erased, with all reports of each.

    streams: each by time, in the direction that comes out. They are read as they are needed, so
    no more is in memory than each of them holds.
    """
    merged = merge(*streams, key=itemgetter(0), reverse=newest_first)
    for time, group in groupby(merged, key=itemgetter(0)):
        variants = [packed for _, packed in group]
        reports = [packed for packed in variants if packed]
        if reports and None not in variants:
            yield time, reports
