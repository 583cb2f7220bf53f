"""Uploads: the owner's files, of any size, on their way into an import.

A file is offered by its name, size and SHA-256 before a byte of it is sent. If it must be sent, the
answer names a session, to which the bytes go with the protocol of resumable uploads
(`blobs.protocol.Upload`): in the cloud straight to the bucket, so that no function carries them; at
home to the node itself (`receiving`). `ACTS` is the table of what can be done.

Every request needs the owner's credential, but for the bytes: a session's URL is a secret of its
own.
"""

import logging
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from werkzeug.wrappers import Request, Response

from shared.blobs.protocol import BlobsError, BlobsUnavailable
from shared.http.credentials import check_owner
from shared.http.errors import Problem, unavailable
from shared.http.receiving import received, session_in
from shared.http.responses import json_response, path_within, read_body
from shared.http.routes import ERRORS, Act, matched
from shared.imports.uploads import Known, NotThere, Offer, OtherSize, Receives, Uploads
from shared.node import Node
from shared.queue.protocol import QueueError, QueueUnavailable
from shared.store.protocol import NewerData, StoreError, StoreUnavailable
from shared.work.engine import Engine
from shared.work.jobs import Progress

BODY_LIMIT = 10_000
"""Bytes of what is said about a file."""

LARGEST = 5 * 1024**4
"""Bytes: an object of Cloud Storage cannot be larger."""

_log = logging.getLogger(__name__)
S = TypeVar("S", bound=Struct)

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=r"^[^/\x00-\x1f\x7f]*$",
        description="the file's name, without folders; it helps to know what the file is",
    ),
]
Sha256 = Annotated[
    str,
    Meta(pattern=r"^[0-9a-f]{64}\Z", description="the SHA-256 of the file's bytes, in lower case"),
]
Size = Annotated[int, Meta(ge=1, le=LARGEST, description="of the file, in bytes")]
Modified = Annotated[
    int,
    Meta(
        ge=-62_135_596_800_000_000,
        le=253_402_300_799_999_999,
        description="when the file was last changed, in microseconds since 1970",
    ),
]
Lost = Annotated[
    str,
    Meta(max_length=4096, description="a session that leads nowhere any more: give me another"),
]


class Offered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that could be sent. again: import it though that was done before."""

    name: Name
    size: Size
    sha256: Sha256
    modified: Modified | None = None
    again: bool = False
    lost: Lost | None = None


class UploadState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a file is.

    state: `send` it to `url`, which is relative to this answer's own where it has no scheme, from
    where that says it is; or the import `job` goes on, has `stopped` (`error` may say why), or is
    `done`.
    """

    state: Literal["send", "importing", "stopped", "done"]
    url: str | None = None
    job: str | None = None
    progress: Progress | None = None
    error: str | None = None


def upload(node: Node, engine_of: Callable[[Node], Engine], request: Request) -> Response:
    """Answers one request of the owner, or of the owner's browser about what it may ask.

    engine_of: what runs the node's jobs. It is asked for only if it is needed.
    """
    if request.method == "OPTIONS":
        return _shared_with_browsers(Response(status=204), request)
    try:
        response = _answer(node, engine_of, request)
    except Problem as problem:
        response = problem.response()
    except (StoreError, BlobsError, QueueError) as error:
        _log.error("an upload cannot be seen to: %s", error)
        response = _cannot_be_used(error).response()
    response.headers["Cache-Control"] = "no-store"
    return _shared_with_browsers(response, request)


def _answer(node: Node, engine_of: Callable[[Node], Engine], request: Request) -> Response:
    path = path_within(request, "upload")
    to_session = session_in(path) is not None and isinstance(node.objects, Receives)
    if not to_session:
        check_owner(node, request, "upload")
    uploads = Uploads(node.store, node.objects, engine_of(node))
    if to_session:
        return received(uploads, path, request)
    here = [(act, parts) for act in ACTS if (parts := matched(act.path, path)) is not None]
    if not here:
        there = ", ".join(f"{act.method} {act.path}" for act in ACTS)
        raise Problem(404, f"there is nothing at {path}; there is {there}")
    for act, parts in here:
        if act.method == request.method:
            return json_response(_HANDLERS[act.name](uploads, request, **parts))
    methods = ", ".join(act.method for act, _ in here)
    raise Problem(405, f"only {methods} is answered here", headers={"Allow": methods})


def _offer(uploads: Uploads, request: Request) -> UploadState:
    offered = _body(request, Offered)
    offer = Offer(
        name=offered.name,
        size=offered.size,
        modified=offered.modified,
        again=offered.again,
        lost=offered.lost,
        origin=_origin(request),
    )
    try:
        return _state(uploads.offered(offered.sha256, offer))
    except OtherSize as error:
        raise _other_size(error) from error


def _sent(uploads: Uploads, _request: Request, sha256: str) -> UploadState:
    try:
        return _state(uploads.sent(_checked(sha256)))
    except NotThere:
        raise Problem(
            409,
            "not all of it is here; ask its session how much is there, and send the rest",
        ) from None
    except OtherSize as error:
        raise _other_size(error) from error


def _look(uploads: Uploads, _request: Request, sha256: str) -> UploadState:
    known = uploads.known(_checked(sha256))
    if known is None:
        raise Problem(404, "nobody offered a file of this hash; POST /upload does")
    return _state(known)


_PARTS = {"sha256": "the SHA-256 that the file was offered with"}

ACTS = (
    Act(
        name="offer_upload",
        method="POST",
        path="/",
        summary="Offers a file: it is known already, or is to be sent",
        body=Offered,
        answer=UploadState,
        errors=(*ERRORS, 409, 413),
    ),
    Act(
        name="begin_import",
        method="POST",
        path="/{sha256}/sent",
        summary="Says that all of a file was sent: its import begins",
        parts=_PARTS,
        answer=UploadState,
        errors=(*ERRORS, 409),
    ),
    Act(
        name="upload_state",
        method="GET",
        path="/{sha256}",
        summary="How far a file is",
        parts=_PARTS,
        answer=UploadState,
        errors=(*ERRORS, 404),
    ),
)
"""What can be done."""

_HANDLERS: dict[str, Callable[..., UploadState]] = {
    "offer_upload": _offer,
    "begin_import": _sent,
    "upload_state": _look,
}


def _state(known: Known) -> UploadState:
    job = known.job
    return UploadState(
        state=known.state,
        url=known.url,
        job=known.id,
        progress=job.progress if job is not None else None,
        error=job.last_error if job is not None else None,
    )


def _body(request: Request, kind: type[S]) -> S:
    body, truncated = read_body(request, BODY_LIMIT)
    if truncated:
        raise Problem(413, "the body is too long: only what is said about the file goes here")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Problem(400, f"the body cannot be meant: {_said(error)}") from error


def _said(error: Exception) -> str:
    text = str(error)
    for name, hint in _HINTS.items():
        if f"$.{name}`" in text or f"field `{name}`" in text:
            return f"{text}; {name} is {hint}"
    return text


_HINTS = {
    "name": "the file's name, without folders, of 1 to 255 characters",
    "size": f"the number of its bytes, 1 to {LARGEST}",
    "sha256": "the SHA-256 of its bytes, as 64 hexadecimal digits in lower case",
    "modified": "when it was last changed, in microseconds since 1970",
}


def _checked(sha256: str) -> str:
    if len(sha256) == 64 and set(sha256) <= set("0123456789abcdef"):
        return sha256
    raise Problem(400, f"the path names no hash; it is {_HINTS['sha256']}")


def _other_size(error: OtherSize) -> Problem:
    return Problem(409, f"{error}; one of them, or the hash, is wrong")


def _cannot_be_used(error: StoreError | BlobsError | QueueError) -> Problem:
    if isinstance(error, StoreUnavailable | BlobsUnavailable | QueueUnavailable):
        return unavailable("the node is unavailable; ask again later")
    if isinstance(error, NewerData):
        return Problem(503, f"the store cannot be read: {error}")
    return Problem(500, str(error))


def _origin(request: Request) -> str | None:
    return request.environ.get("HTTP_ORIGIN") or None


def _shared_with_browsers(response: Response, request: Request) -> Response:
    """Any page may ask: what lets it in is the credential it sends itself, never a cookie."""
    if _origin(request) is not None:
        response.headers.update(_CORS)
    return response


_CORS: dict[str, Any] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT",
    "Access-Control-Allow-Headers": "Authorization, Content-Range, Content-Type",
    "Access-Control-Expose-Headers": "Range, WWW-Authenticate",
    "Access-Control-Max-Age": "3600",
}
