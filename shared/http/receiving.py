"""Bytes that are sent to the node itself, in pieces, with the protocol of resumable uploads.

Only a home node is sent any. A piece is in memory while it is written, so it has a limit; of a
longer one the beginning is taken, and the sender told to go on from there.
"""

import re

from werkzeug.wrappers import Request, Response

from shared.blobs.protocol import PART
from shared.blobs.sessions import BadPiece, Progress
from shared.http.errors import Problem
from shared.http.responses import read_body
from shared.imports.beginning import UPLOADS
from shared.imports.uploads import NotThere, Receives, Uploads

_PATH = re.compile(r"/session/([0-9a-f]{32})")
_RANGE = re.compile(r"bytes (?:\*|(\d{1,18})-(\d{1,18}))/(\*|\d{1,18})", re.ASCII)


def session_in(path: str) -> str | None:
    """The id of the session that a path below `upload` names."""
    found = _PATH.fullmatch(path)
    return found[1] if found else None


def unknown_session(objects: Receives, path: str) -> Response | None:
    """The answer to who sends where there is no such session: known before a body is read."""
    id = session_in(path)
    if id is None or objects.upload_progress(id) is None:
        return _nothing_there().response()
    return None


def received(uploads: Uploads, path: str, request: Request) -> Response:
    """Takes a piece, or says how far the session is. What is whole is imported at once."""
    if request.method != "PUT":
        raise Problem(405, "bytes are sent with PUT", headers={"Allow": "PUT"})
    id, objects = session_in(path), uploads.objects
    if id is None or not isinstance(objects, Receives):
        raise _nothing_there()
    progress = _taken(objects, id, request)
    if progress is None:
        raise _nothing_there()
    if progress.complete:
        _begin(uploads, progress.name)
        return Response(status=200)
    reached = {"Range": f"bytes=0-{progress.have - 1}"} if progress.have else {}
    return Response(status=308, headers=reached)


def _taken(objects: Receives, id: str, request: Request) -> Progress | None:
    if objects.upload_progress(id) is None:
        return None
    body, longer = read_body(request, PART)
    first, last, size = _meant(request, len(body))
    if first is None or last is None:
        return objects.upload_progress(id)
    expected = last - first + 1
    if len(body) != (PART if longer else expected) or expected < len(body):
        raise Problem(400, f"the body has not the {expected} bytes that Content-Range says")
    try:
        return objects.append_upload(id, first, size, [body])
    except BadPiece as error:
        raise Problem(400, str(error)) from error


def _meant(request: Request, length: int) -> tuple[int | None, int | None, int]:
    """First and last byte of the piece (None: it is a question), and the size of the whole."""
    header = request.headers.get("Content-Range")
    if header is None:
        return 0, length - 1, length  # all of it in one piece
    found = _RANGE.fullmatch(header.strip())
    if found is None or (found[1] is not None and found[3] == "*"):
        raise Problem(
            400,
            "the header Content-Range cannot be meant; it is `bytes FIRST-LAST/SIZE`, or "
            "`bytes */SIZE` to ask how far the session is",
        )
    if found[1] is None:
        return None, None, 0
    return int(found[1]), int(found[2]), int(found[3])


def _begin(uploads: Uploads, name: str) -> None:
    try:
        uploads.sent(name.removeprefix(UPLOADS))
    except NotThere:
        return  # it was imported since, or deleted: who asks for the file hears it


def _nothing_there() -> Problem:
    return Problem(404, "there is no such session any more; POST /upload opens another")
