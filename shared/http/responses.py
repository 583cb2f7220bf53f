"""Answers and bodies, within limits."""

import re
from typing import Any

import msgspec
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from shared.http.errors import Problem

JSON = "application/json"


def json_response(value: Any, status: int = 200) -> Response:
    """`value` as JSON; bytes are taken as JSON already."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Response(body, status=status, content_type=JSON)


def read_body(request: Request, limit: int) -> tuple[bytes, bool]:
    """The body, and whether there was more of it than `limit` bytes (the rest is not read).

    `Problem` when the client went away before its end: it will send the whole again.
    """
    # A server that ends the input where the body ends is read at once, without werkzeug's care.
    ended = request.environ.get("wsgi.input_terminated")
    stream = request.environ["wsgi.input"] if ended else request.stream
    try:
        body: bytes = stream.read(limit + 1)
        while len(body) <= limit and len(body) != request.content_length:
            more = stream.read(limit + 1 - len(body))
            if not more:
                break
            body += more
    except (HTTPException, OSError) as error:
        raise Problem(400, "the request ended before its body did; send it again") from error
    return body[:limit], len(body) > limit


def check_posted(request: Request, function: str) -> None:
    """`Problem` for anything but a `POST` to the function itself."""
    path = path_within(request, function)
    if request.method != "POST":
        raise Problem(405, "only POST is answered here", headers={"Allow": "POST"})
    if path != "/":
        raise Problem(404, f"there is nothing at {path}; there is /")


def path_within(request: Request, function: str) -> str:
    """The path below the function's own name, with single slashes and none at its end.

    The cloud's shared host and a home node strip the name; a request to the function's own host
    may still carry it.
    """
    path = re.sub("//+", "/", request.path)
    mounted = f"/{function}"
    if path == mounted or path.startswith(mounted + "/"):
        path = path[len(mounted) :]
    return path.rstrip("/") or "/"
