"""The sealed part of tracks in Firestore: reading slices, and moving old segments into them.

Of each device there is one document with its directory. Whoever replaces a slice writes the new
one and the directory in one batch, under the directory's last update time; so of two who seal at
once one is refused and looks again. An open segment is deleted after all that it held is sealed,
under its own last update time: what came into it meanwhile stays, and is sealed another time.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from shared.model.time import from_micros, to_micros
from shared.store import sealed
from shared.store.batches import segment_of, version_of
from shared.store.documents import document_id
from shared.store.gateway import Changed, Gateway, Patience, Reference
from shared.store.indexes import SEGMENTS_OLDEST_FIRST
from shared.store.protocol import StoreError
from shared.store.sealed import Item, Slice, Unsealable, place_of
from shared.store.segments import (
    DAY,
    HOUR,
    MINUTE,
    NO_REPORT,
    Kind,
    Segment,
    Span,
    Stamped,
    Window,
)
from shared.store.shapes import refuse_newer

_SPANS = (DAY, HOUR, MINUTE)
"""What shares no document with others has nothing to gain."""

# What one call of `seal` takes on, so that it ends in time, in the memory of a small function and
# in a request of 4 MiB: segments, of which a page may be large before that is known; their bytes;
# slices that they belong to.
_FIRST_PAGE, _SEGMENTS, _BYTES, _SLICES = 5, 300, 2_000_000, 4


class Moment(NamedTuple):
    """A device's directory. at: the time it was read, at which to read the rest, too.

    written: its update time, None while there is no directory.
    """

    slices: Sequence[Slice]
    at: Any
    written: Any


class History:
    """The slices of one database."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def look(self, device: str, patience: Patience) -> Moment:
        found = self._gateway.look(self._directory(device), patience)
        if not found.exists:
            return Moment((), found.read_time, None)
        refuse_newer("directory of a track", found.get("shape"), sealed.SHAPE)
        slices = sealed.decode_directory(found.get("slices"))
        return Moment(slices, found.read_time, found.update_time)

    def oldest_first(
        self, device: str, moment: Moment, kind: Kind, first: int, last: int
    ) -> Iterator[Stamped]:
        """What is sealed of the times from `first` and before `last`."""
        for one in moment.slices:
            if one.concerns(kind) and one.first < last and first <= one.last:
                data = self._present(device, one, Patience(), moment.at)
                for time, packed in sealed.stamped(data, kind):
                    if first <= time < last:
                        yield time, packed

    def newest_first(
        self, device: str, moment: Moment, kind: Kind, end: int | None, patience: Patience
    ) -> Iterator[Stamped]:
        for one in reversed(moment.slices):
            if not one.concerns(kind) or (end is not None and one.first >= end):
                continue
            # Says how new the newest can be, without a read of the slice.
            yield (one.last if end is None else min(one.last, end - 1)), NO_REPORT
            data = self._present(device, one, patience, moment.at)
            for time, packed in sealed.stamped(data, kind, newest_first=True):
                if end is None or time < end:
                    yield time, packed

    # Sealing

    def seal(self, device: str, before: datetime, cursor: str | None) -> str | None:
        """The store's call: one stretch of the segments that are open and end before then."""
        patience = Patience()
        number, after = _decoded(cursor) if cursor is not None else (0, None)
        for span in _SPANS[number:]:
            old = self._old(device, span, after, to_micros(before), patience)
            if old:
                moment = self.look(device, patience)
                stretch = old[: _few(moment.slices, old)]
                self._move(device, span, moment, stretch, patience)
                return f"{span.name}:{stretch[-1].start}"
            after = None
        return None

    def _old(
        self, device: str, span: Span, after: int | None, before: int, patience: Patience
    ) -> list[Segment]:
        old: list[Segment] = []
        limit, size = _FIRST_PAGE, 0
        while True:
            page = self._gateway.query(
                SEGMENTS_OLDEST_FIRST,
                {"device": document_id(device), "span": span.name},
                patience,
                end=from_micros(before - span.length + 1),
                after={"start": from_micros(after)} if after is not None else None,
                limit=limit,
            )
            found = [segment_of(snapshot) for snapshot in page]
            old += found
            size += sum(segment.size for segment in found)
            mean = size // len(old) + 1 if old else 1
            room = min(_SEGMENTS - len(old), (_BYTES - size) // mean)
            if len(page) < limit or room <= 0:
                return old
            after, limit = old[-1].start, min(2 * limit, room)

    def _move(
        self,
        device: str,
        span: Span,
        moment: Moment,
        stretch: Sequence[Segment],
        patience: Patience,
    ) -> None:
        items = [sealed.items_of(segment) for segment in stretch]
        moved = list(range(len(stretch)))
        while moved:
            try:
                self._add(device, moment, [item for n in moved for item in items[n]], patience)
                break
            except Unsealable as error:  # what holds too much of that instant stays open
                moved = [n for n in moved if all(time != error.time for time, _, _ in items[n])]
                moment = self.look(device, patience)
        self._delete(device, span, [stretch[n] for n in moved], patience)

    def _add(self, device: str, moment: Moment, items: Sequence[Item], patience: Patience) -> None:
        left = sealed.united(items)
        while left:
            place = place_of(moment.slices, left[0][0])
            later = moment.slices[place + 1 : place + 2]
            inside = [item for item in left if not later or item[0] < later[0].first]
            replaced = self._replaced(device, moment, place, inside, patience)
            if replaced is None:
                patience.pause()
                moment = self.look(device, patience)
            else:
                moment, left = replaced, left[len(inside) :]

    def _replaced(
        self,
        device: str,
        moment: Moment,
        place: int,
        items: Sequence[Item],
        patience: Patience,
    ) -> Moment | None:
        """The directory with a slice that holds these items, too; None if it has changed."""
        old = moment.slices[place : place + 1]
        there = [self._bytes(device, one, patience) for one in old]
        if None in there:
            return None
        held = [item for data in there if data is not None for item in sealed.items_in(data)]
        grows = place + 1 >= len(moment.slices)
        new = sealed.cut(sealed.united([*held, *items]), grows=grows)
        names = [one for one, _ in new]
        if names == list(old):
            return moment
        slices = [*moment.slices[:place], *names, *moment.slices[place + 1 :]]
        try:
            return self._written(device, moment, slices, new, patience)
        except Changed:
            return None

    def _written(
        self,
        device: str,
        moment: Moment,
        slices: Sequence[Slice],
        new: Sequence[tuple[Slice, bytes]],
        patience: Patience,
    ) -> Moment:
        batch = self._gateway.batch()
        for one, data in new:
            batch.set(self._slice(device, one), {"shape": sealed.SHAPE, "data": data})
        gone = {one.name for one in moment.slices} - {one.name for one in slices}
        for one in moment.slices:
            if one.name in gone:
                batch.delete(self._slice(device, one))
        # As the last, since the gateway tells the time of a batch's last write.
        encoded = sealed.encode_directory(slices)
        directory = {"shape": sealed.SHAPE, "slices": encoded}
        if moment.written is None:
            batch.create(self._directory(device), directory)
        else:
            over = self._gateway.over(moment.written)
            batch.update(self._directory(device), directory, option=over)
        sent = len(encoded) + sum(len(data) for _, data in new)
        time = self._gateway.commit(batch, patience, deletes=len(gone), sent=sent)
        return Moment(slices, moment.at, time)

    def _delete(
        self, device: str, span: Span, stretch: Sequence[Segment], patience: Patience
    ) -> None:
        """Those that have not changed since they were read."""
        left = {Window(device, span, segment.start).id: segment.written for segment in stretch}
        while left:
            batch = self._gateway.batch()
            for id, written in left.items():
                reference = self._gateway.reference("segment", id)
                batch.delete(reference, option=self._gateway.over(written))
            try:
                self._gateway.commit(batch, patience, deletes=len(left))
                return
            except Changed:
                patience.pause()
            references = [self._gateway.reference("segment", id) for id in left]
            found = self._gateway.get(references, patience)
            left = {
                id: written
                for id, written in left.items()
                if id in found and version_of(found[id].update_time) == version_of(written)
            }

    # Documents

    def _present(self, device: str, one: Slice, patience: Patience, at: Any) -> bytes:
        data = self._bytes(device, one, patience, at)
        if data is None:
            raise StoreError(f"a slice of the track of {device!r} is missing: {one.name}")
        return data

    def _bytes(self, device: str, one: Slice, patience: Patience, at: Any = None) -> bytes | None:
        reference = self._slice(device, one)
        for snapshot in self._gateway.get([reference], patience, at=at).values():
            refuse_newer("slice of a track", snapshot.get("shape"), sealed.SHAPE)
            data: bytes = snapshot.get("data")
            return data
        return None

    def _directory(self, device: str) -> Reference:
        return self._gateway.reference("sealed", document_id(device))

    def _slice(self, device: str, one: Slice) -> Reference:
        return self._gateway.reference("sealed", f"{document_id(device)}.{one.name}")


def _few(slices: Sequence[Slice], stretch: Sequence[Segment]) -> int:
    """How many of the segments belong to few slices; one at least."""
    places: set[int] = set()
    for number, segment in enumerate(stretch):
        places |= {place_of(slices, time) for time, _, _ in sealed.items_of(segment)}
        if len(places) > _SLICES and number:
            return number
    return len(stretch)


def _decoded(cursor: str) -> tuple[int, int]:
    """Which of the spans, and the beginning of its last segment that is done."""
    name, _, start = cursor.partition(":")
    try:
        return [span.name for span in _SPANS].index(name), int(start)
    except ValueError as error:
        raise ValueError(f"{cursor!r} is not a cursor that sealing gave") from error
