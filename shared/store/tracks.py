"""Tracks in Firestore: a device's reports in open segments and sealed slices, united at reading.

A track is read as it was at one moment, since what is being sealed moves from the ones to the
others.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from shared.model.records import Fix
from shared.model.time import from_micros, to_micros
from shared.store import segments
from shared.store.batches import Batches, SegmentDelete, SegmentWrite, Write, segment_of
from shared.store.documents import document_id
from shared.store.gateway import Gateway, Patience, Snapshot
from shared.store.history import History, Moment
from shared.store.indexes import (
    FIXES_NEWEST_FIRST,
    SEGMENTS_OLDEST_FIRST,
    STATUSES_NEWEST_FIRST,
    Index,
)
from shared.store.protocol import Latest
from shared.store.reports import fix_of, status_of
from shared.store.segments import DAY, SPANS, Change, Kind, Segment, Span, Stamped, Window

# What a page of segments, of up to 1 MiB each, may take of a small function's memory. The 24 hours
# of a day are two pages.
_FIRST_PAGE, _LARGEST_PAGE, _PAGE_SIZE = 10, 300, 8_000_000


class Tracks:
    """The store's calls on tracks, on one database."""

    def __init__(self, gateway: Gateway, batches: Batches) -> None:
        self._gateway = gateway
        self._batches = batches
        self._history = History(gateway)

    def track(self, device: str, start: datetime, end: datetime) -> Iterator[Fix]:
        first, last = to_micros(start), to_micros(end)
        if first >= last:
            return

        moment = self._history.look(device, Patience())

        def stream(span: Span) -> Iterator[Stamped]:
            for segment in self._segments(device, span, first, last, at=moment.at):
                for time, packed in segments.stamped(segment, "fixes"):
                    if first <= time < last:
                        yield time, packed

        sealed = self._history.oldest_first(device, moment, "fixes", first, last)
        for time, variants in segments.united([*map(stream, SPANS), sealed]):
            yield fix_of(device, time, variants)

    def latest(self, device: str, before: datetime | None = None) -> Latest:
        patience = Patience()
        moment = self._history.look(device, patience)
        fix = self._newest(device, "fixes", before, moment, patience)
        status = self._newest(device, "statuses", before, moment, patience)
        return Latest(
            fix_of(device, *fix) if fix else None, status_of(device, *status) if status else None
        )

    def erase(self, device: str, times: Sequence[datetime]) -> None:
        patience = Patience()
        instants = sorted({to_micros(time) for time in times})
        for _, day in groupby(instants, key=lambda time: time // DAY.length):
            self._erase(device, list(day), patience)

    def seal(self, device: str, before: datetime, cursor: str | None) -> str | None:
        return self._history.seal(device, before, cursor)

    def _erase(self, device: str, times: list[int], patience: Patience) -> None:
        """Instants of one day. A tombstone goes where bytes are deleted, if it can."""
        changes: dict[Window, Change] = {}
        deletes: list[Write] = []
        instants, missing = set(times), set(times)
        for span in SPANS:
            for segment in self._segments(device, span, times[0], times[-1] + 1, patience):
                missing -= segments.erased_in(segment)
                dropped = segments.keys_at(segment, instants)
                if span is SPANS[-1]:
                    deletes += [
                        SegmentDelete(segments.own_window(device, segment.start, kind, key))
                        for kind, key in dropped
                    ]
                elif dropped:
                    window = Window(device, span, segment.start)
                    gone = {segments.time_of(segment.start, kind, key) for kind, key in dropped}
                    buried = [segments.tombstone(time) for time in sorted(gone & missing)]
                    changes[window] = Change(window, buried, dropped)
                    missing -= gone
        for window, entries in self._batches.placed(
            device, map(segments.tombstone, missing)
        ).items():
            changes.setdefault(window, Change(window)).entries += entries
        # All tombstones are there before anything is deleted without one beside it.
        ordered = sorted(changes.values(), key=lambda change: not change.entries)
        self._batches.write([*map(SegmentWrite, ordered), *deletes], patience)

    def _segments(
        self,
        device: str,
        span: Span,
        start: int,
        end: int,
        patience: Patience | None = None,
        at: Any = None,
    ) -> Iterator[Segment]:
        """The segments of a span that may hold something from `start` and before `end`."""
        return self._pages(
            SEGMENTS_OLDEST_FIRST,
            {"device": document_id(device), "span": span.name},
            start=from_micros(start - start % span.length),
            end=from_micros(end),
            limit=_FIRST_PAGE,
            patience=patience,
            at=at,
        )

    def _newest(
        self,
        device: str,
        kind: Kind,
        before: datetime | None,
        moment: Moment,
        patience: Patience,
    ) -> tuple[int, list[bytes]] | None:
        flag = f"has_{kind}"
        index = FIXES_NEWEST_FIRST if kind == "fixes" else STATUSES_NEWEST_FIRST
        end = to_micros(before) if before is not None else None

        def stream(span: Span) -> Iterator[Stamped]:
            equal = {"device": document_id(device), "span": span.name, flag: True}
            pages = self._pages(index, equal, end=before, limit=1, patience=patience, at=moment.at)
            for segment in pages:
                for time, packed in segments.stamped(segment, kind, newest_first=True):
                    if end is None or time < end:
                        yield time, packed
                if span is not SPANS[-1]:  # there more than one segment has the same start
                    # Says that all others are older, without a read of the next one.
                    yield segment.start - 1, segments.NO_REPORT

        sealed = self._history.newest_first(device, moment, kind, end, patience)
        streams = [*map(stream, SPANS), sealed]
        return next(segments.united(streams, newest_first=True), None)

    def _pages(
        self,
        index: Index,
        equal: Mapping[str, Any],
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int,
        patience: Patience | None,
        at: Any = None,
    ) -> Iterator[Segment]:
        """Segments, asked for as they are needed, in pages that stay small in memory."""
        last: Snapshot | None = None
        while True:
            page = self._gateway.query(
                index,
                equal,
                patience or Patience(),
                start=start,
                end=end,
                after=last,
                limit=limit,
                at=at,
            )
            found = [segment_of(snapshot) for snapshot in page]
            yield from found
            if len(page) < limit:
                return
            last = page[-1]
            mean = sum(segment.size for segment in found) // len(found) + 1
            limit = max(1, min(2 * limit, _LARGEST_PAGE, _PAGE_SIZE // mean))
            del page, found  # before the next is in memory
