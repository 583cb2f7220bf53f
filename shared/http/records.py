"""What was recorded besides positions, and what could not be read: `/record` and `/reject`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field
from werkzeug.wrappers import Request, Response

from shared.commands.search import NOT_HERE
from shared.http import pages
from shared.http.errors import Problem
from shared.http.parameters import Cursor, FoundCursor, From, To, in_order
from shared.http.responses import json_response
from shared.model.records import (
    NAMED_KINDS,
    Event,
    Media,
    Message,
    Note,
    Person,
    Place,
    Reject,
    Visit,
    canonical,
)
from shared.node import Node
from shared.search.protocol import Search

Limit = Annotated[
    int, Meta(ge=1, le=1000, description="how many a page has at most, 1 to 1000; 100 without it")
]
Listed = Event | Media | Message | Note | Person | Place | Visit
Kind = Literal["event", "media", "message", "note", "person", "place", "visit"]
KINDS: Mapping[Kind, type[Listed]] = MappingProxyType(
    {
        "event": Event,
        "media": Media,
        "message": Message,
        "note": Note,
        "person": Person,
        "place": Place,
        "visit": Visit,
    }
)

_AT_ONCE = 10
"""Records that are looked up before it is asked whether they fill the page."""


class RejectParameters(Struct, frozen=True, kw_only=True):
    limit: Limit = 100
    cursor: Cursor | UnsetType = UNSET


class RejectPage(Struct, frozen=True, kw_only=True):
    """Rejects, newest first. next: the URL of the next page, or null."""

    rejects: list[Reject]
    next: str | None


class RawParameters(Struct, frozen=True, kw_only=True):
    id: Annotated[str, Meta(description="the id of the reject")]


class RecordParameters(Struct, frozen=True, kw_only=True):
    kind: Annotated[
        Kind, Meta(description="one of event, media, message, note, person, place, visit")
    ]
    start: From | UnsetType = field(name="from", default=UNSET)
    end: To | UnsetType = field(name="to", default=UNSET)
    limit: Limit = 100
    cursor: Cursor | UnsetType = UNSET


class RecordPage(Struct, frozen=True, kw_only=True):
    """Records of one kind that have a time, oldest first. next: URL of the next page, or null."""

    records: list[Listed]
    next: str | None


class SearchParameters(Struct, frozen=True, kw_only=True):
    words: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1000,
            description="what to search for: words; `insur*` for beginnings, `a OR b`, "
            '`"one after the other"`, `-without`, `from:`, `subject:`, `with:`',
        ),
    ]
    limit: Limit = 100
    cursor: FoundCursor | UnsetType = UNSET


class SearchPage(Struct, frozen=True, kw_only=True):
    """Records of any kind that say the words, newest first. next: URL of the next page, or null."""

    records: list[Listed]
    next: str | None


def rejects(node: Node, request: Request, asked: RejectParameters) -> Response:
    found, following = pages.record_page(
        node.store, Reject, newest_first=True, limit=asked.limit, cursor=asked.cursor or None
    )
    link = pages.link(node.settings, request, following)
    return pages.linked(json_response(RejectPage(rejects=found, next=link)), link)


def raw(node: Node, _request: Request, asked: RawParameters) -> Response:
    reject = node.store.get(Reject, asked.id)
    if reject is None:
        raise Problem(404, f"there is no reject {asked.id!r}; /reject lists those that are there")
    raw = node.store.raw(reject.raw) if reject.raw is not None else None
    if raw is None:
        raise Problem(404, f"the bytes of the reject {asked.id!r} are not kept any more")
    return Response(
        raw,
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="{reject.raw}.bin"',
            # They come from outside, and must not run in the owner's browser.
            "X-Content-Type-Options": "nosniff",
        },
    )


def records(node: Node, request: Request, asked: RecordParameters) -> Response:
    in_order(asked.start or None, asked.end or None)
    found, following = pages.record_page(
        node.store,
        KINDS[asked.kind],
        start=asked.start or None,
        end=asked.end or None,
        limit=asked.limit,
        cursor=asked.cursor or None,
    )
    link = pages.link(node.settings, request, following)
    return pages.linked(json_response(RecordPage(records=found, next=link)), link)


def search(node: Node, request: Request, asked: SearchParameters) -> Response:
    if node.search is None:
        raise Problem(501, NOT_HERE)
    try:
        found, following = _found(node, node.search, asked)
    except ValueError as error:
        raise Problem(400, f"the parameter cursor: {error}; leave it out to begin") from error
    link = pages.link(node.settings, request, following)
    return pages.linked(json_response(SearchPage(records=found, next=link)), link)


def _found(node: Node, search: Search, asked: SearchParameters) -> tuple[list[Listed], str | None]:
    """Some, and where there are more: as many as were asked for, or fit in an answer."""
    found, size, cursor, given = list[Listed](), 0, asked.cursor or None, 0
    while given < asked.limit and size < pages.PAGE_BYTES:
        step = search.find(asked.words, limit=min(_AT_ONCE, asked.limit - given), cursor=cursor)
        for kind, id in step.found:
            record = node.store.get(NAMED_KINDS[kind], id)
            if isinstance(record, Listed):
                found.append(record)
                size += len(canonical(record))
        given, cursor = given + len(step.found), step.cursor
        if cursor is None:
            break
    return found, cursor
