"""What was recorded besides positions, and what could not be read: `/record` and `/reject`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field
from werkzeug.wrappers import Request, Response

from shared.http import pages
from shared.http.errors import Problem
from shared.http.parameters import Cursor, From, To, in_order
from shared.http.responses import json_response
from shared.model.records import Event, Media, Person, Place, Reject, Visit
from shared.node import Node

Limit = Annotated[
    int, Meta(ge=1, le=1000, description="how many a page has at most, 1 to 1000; 100 without it")
]
Listed = Event | Media | Person | Place | Visit
Kind = Literal["event", "media", "person", "place", "visit"]
KINDS: Mapping[Kind, type[Listed]] = MappingProxyType(
    {"event": Event, "media": Media, "person": Person, "place": Place, "visit": Visit}
)


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
    kind: Annotated[Kind, Meta(description="one of event, media, person, place, visit")]
    start: From | UnsetType = field(name="from", default=UNSET)
    end: To | UnsetType = field(name="to", default=UNSET)
    limit: Limit = 100
    cursor: Cursor | UnsetType = UNSET


class RecordPage(Struct, frozen=True, kw_only=True):
    """Records of one kind that have a time, oldest first. next: URL of the next page, or null."""

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
