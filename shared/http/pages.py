"""Pages of tracks and records: as much as one answer may hold, and where the next one begins."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from shared.formats.table import TrackFormat
from shared.http.credentials import URL_PARAMETERS
from shared.http.errors import Problem
from shared.http.responses import path_within
from shared.model.records import Fix, NamedRecord, canonical
from shared.model.time import from_micros, to_micros
from shared.settings import Settings
from shared.store import cursors
from shared.store.protocol import Store

PAGE_BYTES = 6_000_000
"""A page ends with the item that reaches it. With the largest item it stays below 8 MB, and so
below what a cloud function can send (10 MB when streamed, 32 MB otherwise)."""

PAGE_READS = 200_000
"""Fixes that are read for one page at most: of ten years by the hour most are read to be left out,
and an answer must come before anybody's patience ends."""

Address = Callable[[str], str]
"""The URL of the page that begins at a cursor."""

R = TypeVar("R", bound=NamedRecord)


@dataclass(frozen=True, slots=True)
class Track:
    """A question for fixes: of these devices, start <= time < end.

    every: seconds; of each such interval, counted from 1970, only the first fix. limit: fixes.
    """

    devices: Sequence[str]
    start: datetime
    end: datetime
    every: int | None = None
    limit: int | None = None


class TrackPage:
    """Takes fixes from a cursor on until the page is full.

    A cursor is the time and device of the last fix that was read for a page. All fixes of its
    interval are done with then, so what follows does not depend on where pages end.
    """

    def __init__(self, store: Store, track: Track, cursor: str | None) -> None:
        self._store = store
        self._track = track
        self._last = _place(cursor) if cursor is not None else None
        self._end: Fix | None = None
        self._size = 0

    def write(
        self, format: TrackFormat, names: Mapping[str, str], address: Address
    ) -> tuple[bytes, str | None]:
        """The page as a document of the format, and the URL of the next one if there is one."""
        written: list[bytes] = []

        def following() -> str | None:
            if self._end is None:
                return None
            return address(cursors.encode(to_micros(self._end.time), self._end.device))

        for piece in format.write(self._fixes(), names, following):
            written.append(piece)
            self._size += len(piece)
        return b"".join(written), following()

    def _fixes(self) -> Iterator[Fix]:
        limit, given = self._track.limit, 0
        last: Fix | None = None
        interval: tuple[str, int] | None = None
        for read, fix in enumerate(self._stored()):
            if read == PAGE_READS:
                self._end = last
                return
            this = self._interval(fix)
            if this is None or this != interval:
                if given and (given == limit or self._size >= PAGE_BYTES):
                    self._end = last
                    return
                given += 1
                yield fix
            last, interval = fix, this

    def _interval(self, fix: Fix) -> tuple[str, int] | None:
        every = self._track.every
        return (fix.device, to_micros(fix.time) // (every * 1_000_000)) if every else None

    def _stored(self) -> Iterator[Fix]:
        track, start = self._track, self._track.start
        for device in sorted(track.devices):
            if self._last is not None:
                time, at = self._last
                if device < at:
                    continue
                start = max(track.start, self._after(time)) if device == at else track.start
            if start < track.end:
                yield from self._store.track(device, start, track.end)

    def _after(self, time: datetime) -> datetime:
        interval = (self._track.every or 0) * 1_000_000
        micros = to_micros(time)
        after = (micros // interval + 1) * interval if interval else micros + 1
        return from_micros(min(after, to_micros(self._track.end)))


def record_page(
    store: Store,
    kind: type[R],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    newest_first: bool = False,
    limit: int,
    cursor: str | None,
) -> tuple[list[R], str | None]:
    """As `Store.page`, but it also ends where the records together would be too long to send."""
    if cursor is not None:
        _place(cursor)
    page = store.page(
        kind, start=start, end=end, newest_first=newest_first, limit=limit, cursor=cursor
    )
    size = 0
    for index, record in enumerate(page.records):
        size += len(canonical(record))
        if size >= PAGE_BYTES and index + 1 < len(page.records) and record.time is not None:
            place = cursors.encode(to_micros(record.time), record.id)
            return page.records[: index + 1], place
    return page.records, page.cursor


def address(settings: Settings, request: Request) -> Address:
    """URLs of the same question from other places on. They hold no credential.

    They are absolute, or relative to the question's own URL where nobody says what host it has.
    """
    base = request.base_url if "HTTP_HOST" in request.environ and request.host else ""
    if settings.public_base is not None:
        base = f"{settings.public_base}/query{path_within(request, 'query')}"
    sent = [
        (name, text)
        for name, text in request.args.items(multi=True)
        if name not in (*URL_PARAMETERS, "cursor")
    ]
    return lambda cursor: f"{base}?{urlencode([*sent, ('cursor', cursor)])}"


def link(settings: Settings, request: Request, cursor: str | None) -> str | None:
    """The URL of the page that begins at the cursor, if there is one."""
    return None if cursor is None else address(settings, request)(cursor)


def linked(response: Response, following: str | None) -> Response:
    """The response with the next page in its header (RFC 8288), if there is one."""
    if following is not None:
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response


def _place(cursor: str) -> tuple[datetime, str]:
    try:
        micros, id = cursors.decode(cursor)
        return from_micros(micros), id
    except (ValueError, OverflowError) as error:
        raise Problem(
            400,
            f"the parameter cursor is {cursor[:200]!r}, which is none that this node gave; "
            "leave it out to begin with the first page",
        ) from error
