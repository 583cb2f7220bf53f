"""Old reports of a device, packed tightly: slices of its history, and the directory of them.

Slices follow each other in time and do not overlap; each takes what comes between its first instant
and that of the next one, and is cut in two when it has become too large for a document. So they are
as long as their density allows: years of eight fixes a day, a month of one a minute, half a day of
one a second. A slice is named by its content and never changed, only replaced, together with the
directory that names it.

The reports are sorted and compressed as they are packed: measured with walks and with an archive of
years, that takes 10 to 16 bytes a fix, where an open segment takes 105 to 160. Columns of single
fields would take 8 to 13, and ten times the code and the time.
"""

import hashlib
import lzma
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from shared.store.protocol import StoreError
from shared.store.segments import Kind, Segment, Stamped, time_of

SHAPE = 1

_ROOM = 900_000
_OPENED = 5_000_000  # bytes that a slice may take in memory, before it is made of objects
_OF_AN_ITEM = 8  # bytes, besides the report
_FILLED = 0.9  # of a slice that is left behind, as history grows at its end
_PRESET = 0  # more would save 5 % for twice the time and ten times the memory

Item = tuple[int, Kind, bytes]
"""Microseconds, and the packed report or a tombstone (no bytes)."""

_Columns = dict[Kind, tuple[list[int], list[bytes]]]


class Slice(NamedTuple):
    """What the directory says of a slice. first, last: microseconds. Then: how many of each."""

    name: str
    first: int
    last: int
    fixes: int
    statuses: int
    erased: int

    def concerns(self, kind: Kind) -> bool:
        """Whether it has reports of the kind, or hides some."""
        return bool(self.erased or (self.fixes if kind == "fixes" else self.statuses))


class Unsealable(Exception):
    """So much was reported of one instant that no document holds it. time: microseconds."""

    def __init__(self, time: int) -> None:
        super().__init__(time)
        self.time = time


def encode_directory(slices: Sequence[Slice]) -> bytes:
    return msgspec.msgpack.encode(slices)


def decode_directory(data: bytes) -> list[Slice]:
    try:
        return msgspec.msgpack.decode(data, type=list[Slice])
    except msgspec.DecodeError as error:
        raise StoreError(f"a stored directory of a track is damaged: {error}") from error


def place_of(slices: Sequence[Slice], time: int) -> int:
    """Which of the slices takes what was reported then; 0 if there is none yet."""
    return max(0, bisect_right(slices, time, key=lambda one: one.first) - 1)


def items_of(segment: Segment) -> list[Item]:
    return [
        (time_of(segment.start, kind, key), kind, packed if kind != "erased" else b"")
        for kind, entries in segment.maps.items()
        for key, packed in entries.items()
    ]


def united(items: Iterable[Item]) -> list[Item]:
    """Each once, sorted, without the reports of instants that were erased."""
    all_items = set(items)
    erased = {time for time, kind, _ in all_items if kind == "erased"}
    return sorted(item for item in all_items if item[1] == "erased" or item[0] not in erased)


def cut(items: Sequence[Item], *, grows: bool) -> list[tuple[Slice, bytes]]:
    """Slices that hold the items, sorted as by `united`, each with its bytes.

    grows: whether more is expected after the last item rather than among them. `Unsealable` where
    a slice of one instant is too large.
    """
    packed, share = _packed(items)
    if share <= 1:
        return [(_slice(items, packed), packed)]
    middle = _middle(items, _FILLED / share if grows else 0.5)
    return [*cut(items[:middle], grows=False), *cut(items[middle:], grows=grows)]


def items_in(data: bytes) -> list[Item]:
    """What the bytes of a slice hold; `StoreError` where they are damaged."""
    return [
        (time, kind, packed)
        for kind, (times, reports) in _columns(data).items()
        for time, packed in zip(accumulate(times), reports, strict=True)
    ]


def stamped(data: bytes, kind: Kind, *, newest_first: bool = False) -> list[Stamped]:
    """The reports of one kind and the tombstones of a slice, by time."""
    columns = _columns(data)
    found: list[Stamped] = []
    if kind in columns:
        times, reports = columns[kind]
        found += zip(accumulate(times), reports, strict=True)
    if "erased" in columns:
        found += [(time, None) for time in accumulate(columns["erased"][0])]
    found.sort(key=lambda stamp: stamp[0], reverse=newest_first)
    return found


def _packed(items: Sequence[Item]) -> tuple[bytes, float]:
    """The bytes, and how much of the most that a slice may be they are."""
    opened = sum(len(packed) for _, _, packed in items) + _OF_AN_ITEM * len(items)
    if opened > _OPENED:
        return b"", opened / _OPENED
    packed = lzma.compress(_encoded(items), preset=_PRESET)
    return packed, len(packed) / _ROOM


def _encoded(items: Sequence[Item]) -> bytes:
    columns: dict[Kind, tuple[list[int], list[bytes]]] = {}
    for time, kind, packed in items:
        times, reports = columns.setdefault(kind, ([], []))
        times.append(time)
        reports.append(packed)
    return msgspec.msgpack.encode(
        {kind: (_steps(times), reports) for kind, (times, reports) in columns.items()}
    )


def _steps(times: list[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise([0, *times])]


def _columns(data: bytes) -> Mapping[Kind, tuple[list[int], list[bytes]]]:
    try:
        return msgspec.msgpack.decode(lzma.decompress(data), type=_Columns)
    except (lzma.LZMAError, msgspec.DecodeError) as error:
        raise StoreError(f"a stored slice of a track is damaged: {error}") from error


def _slice(items: Sequence[Item], packed: bytes) -> Slice:
    name = hashlib.sha256(packed).hexdigest()[:40]
    count = Counter(kind for _, kind, _ in items)
    first, last = items[0][0], items[-1][0]
    return Slice(name, first, last, count["fixes"], count["statuses"], count["erased"])


def _middle(items: Sequence[Item], share: float) -> int:
    """About where this share of the bytes ends, never within an instant."""
    sizes = list(accumulate(len(packed) + _OF_AN_ITEM for _, _, packed in items))
    wanted = bisect_right(sizes, sizes[-1] * share)
    between = [n for n in range(1, len(items)) if items[n - 1][0] != items[n][0]]
    if not between:
        raise Unsealable(items[0][0])
    return min(between, key=lambda n: abs(n - wanted))
