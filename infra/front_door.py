"""One origin for many functions, as `REGION-PROJECT.cloudfunctions.net` is in the cloud.

A request to `/<function>/<path>` goes to that function as `/<path>`; headers and bodies pass as
they are, in both directions, while they come. Nothing is logged: a URL may hold a token.
"""

import contextlib
import socket
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, InvalidURL
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.datastructures import EnvironHeaders
from werkzeug.exceptions import ClientDisconnected
from werkzeug.http import is_hop_by_hop_header
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wsgi import get_input_stream

from infra.emulators import HOST
from shared.http.errors import Problem, unavailable

WITHIN = 60.0
"""Seconds a function may be silent: what the cloud gives a request when nothing else is said."""

_PIECE = 64 * 1024
# This server writes its own.
_OF_THE_SERVER = {"date", "server"}


class FrontDoor:
    """A WSGI application that knows at which port of this machine each function answers.

    It needs RAW_URI, the URL as the client wrote it, because PATH_INFO is unescaped.
    """

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        name, url = _stripped(environ["RAW_URI"])
        port = self._ports.get(name)
        try:
            if port is None:
                there = ", ".join(f"/{name}/" for name in self._ports)
                raise Problem(404, f"there is no function of that name; there is: {there}")
            connection = HTTPConnection(HOST, port, timeout=WITHIN)
            response = _asked(connection, environ, url)
        except Problem as problem:
            return problem.response()(environ, start_response)
        start_response(f"{response.status} {response.reason}", _headers_of(response))
        return _pieces(connection, response)


def door(listener: socket.socket, ports: Mapping[str, int]) -> BaseWSGIServer:
    """A server for the front door on a socket that listens: `serve_forever`, `shutdown`."""
    host = listener.getsockname()[0]
    return make_server(
        host,
        0,
        FrontDoor(ports),
        threaded=True,
        request_handler=_Silent,
        fd=listener.fileno(),
    )


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def _stripped(url: str) -> tuple[str, str]:
    """The function's name, and the URL that the function gets."""
    path, question, query = url.partition("?")
    name, _, rest = path.removeprefix("/").partition("/")
    return name, f"/{rest}{question}{query}"


def _asked(connection: HTTPConnection, environ: WSGIEnvironment, url: str) -> HTTPResponse:
    """The function's answer, its body still to be read. `Problem` when there is none."""
    try:
        _send(connection, environ, url)
        return connection.getresponse()
    except (InvalidURL, UnicodeError) as error:
        raise Problem(400, "the URL holds characters that must be escaped") from error
    except ClientDisconnected as error:
        connection.close()
        raise Problem(400, "the request ended before its body did; send it again") from error
    except (OSError, HTTPException) as error:
        connection.close()
        raise unavailable("the function does not answer; ask again later") from error


def _send(connection: HTTPConnection, environ: WSGIEnvironment, url: str) -> None:
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    body: Iterable[bytes] | None = None
    headers = _headers_for(environ)
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    if chunked or environ.get("CONTENT_LENGTH"):
        stream = get_input_stream(environ)
        body = iter(lambda: stream.read(_PIECE), b"")
    # A function may answer without reading to the end.
    with contextlib.suppress(BrokenPipeError):
        connection.request(
            environ["REQUEST_METHOD"], url, body, headers=headers, encode_chunked=chunked
        )


def _headers_for(environ: WSGIEnvironment) -> dict[str, str]:
    headers = {
        name: value
        for name, value in EnvironHeaders(environ)
        if not is_hop_by_hop_header(name) and name != "Expect"
    }
    before = headers.get("X-Forwarded-For")
    client = str(environ["REMOTE_ADDR"])
    headers["X-Forwarded-For"] = f"{before}, {client}" if before else client
    headers["X-Forwarded-Proto"] = environ["wsgi.url_scheme"]
    return headers


def _headers_of(response: HTTPResponse) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in response.getheaders()
        if not is_hop_by_hop_header(name) and name.lower() not in _OF_THE_SERVER
    ]


def _pieces(connection: HTTPConnection, response: HTTPResponse) -> Iterator[bytes]:
    """The body as it comes: `read1` does not wait until a piece is full."""
    try:
        while piece := response.read1(_PIECE):
            yield piece
    finally:
        connection.close()
