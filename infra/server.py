"""The home node's HTTP server: uvicorn, in this one process, serving synchronous handlers.

Bodies are read and answers are sent by the event loop, so a phone that sends slowly, or stops in
the middle, holds no thread. A handler is a plain function of a Werkzeug request, as in the cloud.
It runs in a thread; but what a phone delivers is small and waits for nothing except the disk, so
`App.at_once` may answer it in the loop with a `Later`, which is sent when the disk is synced.
"""

import asyncio
import io
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import uvicorn
from werkzeug.wrappers import Request, Response

from shared.http.errors import Problem, places, unavailable
from shared.http.later import Later

THREADS = 16
"""Handlers that run at the same time: those that look something up or wait for the disk."""

SMALL = 128 * 1024
"""Bytes of a body that is quick to decode: a batch of 200 fixes takes two milliseconds. What is
larger must not keep the loop from others."""

LARGEST = 64 * 1024 * 1024
"""Bytes of a body that are read, though not kept, if its credential is good: a client that is still
sending does not hear its answer, and would send the same again for ever."""

LARGE = 6 * 1024 * 1024
"""Bytes. Where a handler takes more than these, bodies are read of a few requests at a time: each
is in memory until it is answered."""

LARGE_AT_ONCE = 4

BODY_WITHIN = 60.0
"""Seconds in which a body must have come."""

ANSWER_WITHIN = 7.0
"""Seconds after which a phone is told to come again, though the disk may still answer: apps give
up after eight, and the same report twice changes nothing."""

_CONNECTIONS = 1024
_GRACE = 20  # seconds that requests already begun may take after a signal to stop

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)


class App(Protocol):
    def takes(self, path: str) -> int:
        """How many bytes of a body that is sent there the handler is given: one more than it can
        use, so that it knows. Called in the event loop, before the body has come."""
        ...

    def turned_away(self, request: Request) -> Response | None:
        """The answer to who may not send a large body there, before it has come. Called in a
        thread, with a request that has none."""
        ...

    def at_once(self, request: Request) -> Response | Later | None:
        """The answer, if finding it cannot keep the caller waiting. Called in the event loop."""
        ...

    def __call__(self, request: Request) -> Response | Later:
        """The answer. Called in a thread, where it may wait."""
        ...


def serve(app: App, host: str, port: int, started: Callable[[int], None]) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what was begun.

    host: a name or an address. port 0: any free one. started: called with the port once requests
    are answered, in the event loop's thread. `OSError` when it cannot listen there. Further such
    signals are ignored from then on, so that nothing interrupts what the caller has to close.
    """
    # uvicorn raises the signals that stopped it once more when it has finished.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        _Asgi(app),
        host=host,
        port=port,
        interface="asgi3",
        lifespan="off",
        ws="none",
        access_log=False,  # a URL may hold a token
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=_CONNECTIONS,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE,
    )
    with _listening(host, port) as bound:
        _Server(config, started, bound.getsockname()[1]).run(sockets=[bound])


def _listening(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family, backlog=_CONNECTIONS)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, begun: Callable[[int], None], port: int) -> None:
        super().__init__(config)
        self._begun = begun
        self._port = port

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self._begun(self._port)


class _Asgi:
    """The ASGI application around a synchronous one."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(THREADS, "handler")
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            kept = self._app.takes(scope["path"])
            if kept <= LARGE:
                wire = await self._heard(scope, receive, kept)
            else:
                wire = await self._heard_in_turn(scope, receive, kept)
        except _Broken:
            return  # nobody is there to hear an answer; what was not acknowledged comes again
        except TimeoutError:
            wire = _wire(_TOO_SLOW.response(), scope)
        except Exception as error:  # noqa: BLE001 - the last line of defence: an answer, always
            _log.error("a request ended in %s", places(error))
            wire = _wire(_FAULT.response(), scope)
        await self._send(wire, send)

    async def _heard_in_turn(self, scope: Scope, receive: Receive, kept: int) -> "_Wire":
        loop = asyncio.get_running_loop()
        asked = Request(_environ(scope, b""))
        refusal = await loop.run_in_executor(self._threads, self._app.turned_away, asked)
        if refusal is not None:
            return _wire(refusal, scope)
        async with asyncio.timeout(BODY_WITHIN):
            await self._large.acquire()
        try:
            return await self._heard(scope, receive, kept)
        finally:
            self._large.release()

    async def _heard(self, scope: Scope, receive: Receive, kept: int) -> "_Wire":
        async with asyncio.timeout(BODY_WITHIN):
            body, more = await _body(receive, kept)
        wire = await self._answer(scope, Request(_environ(scope, body)))
        if more and wire.status < 400:
            async with asyncio.timeout(BODY_WITHIN):
                await _drained(receive, kept)
        return wire

    async def _answer(self, scope: Scope, request: Request) -> "_Wire":
        answer: Response | Later | None = None
        loop = asyncio.get_running_loop()
        if len(request.environ["wsgi.input"].getbuffer()) <= SMALL:
            answer = self._app.at_once(request)
        if answer is None:
            answer = await loop.run_in_executor(self._threads, self._app, request)
        if isinstance(answer, Later):
            answer = await _settled(answer, loop)
        return _wire(answer, scope)

    async def _send(self, wire: "_Wire", send: Send) -> None:
        await send({"type": "http.response.start", "status": wire.status, "headers": wire.headers})
        if wire.streamed:
            loop, parts = asyncio.get_running_loop(), iter(wire.body)
            while part := await loop.run_in_executor(self._threads, next, parts, b""):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        else:
            await send({"type": "http.response.body", "body": b"".join(wire.body)})


class _Broken(Exception):
    """The client went away before the end of its body."""


async def _body(receive: Receive, kept: int) -> tuple[bytes, bool]:
    """The body, as far as its handler is given it, and whether there is more."""
    part, more = await _part(receive)
    if not more:
        return part, False
    parts, size = [part], len(part)
    while more and size < kept:
        part, more = await _part(receive)
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:kept], more


async def _drained(receive: Receive, kept: int) -> None:
    size, more = kept, True
    while more and size < LARGEST:
        part, more = await _part(receive)
        size += len(part)


async def _part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _Broken
    return message.get("body", b""), message.get("more_body", False)


async def _settled(later: Later, loop: asyncio.AbstractEventLoop) -> Response:
    future: asyncio.Future[Exception | None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        loop.call_soon_threadsafe(_resolve, future, error)

    try:
        later.begin(settle)
        async with asyncio.timeout(ANSWER_WITHIN):
            error = await future
    except Exception as fault:  # noqa: BLE001 - it did not start, or takes too long
        error = fault
    return later.done if error is None else later.failed(error)


def _resolve(future: "asyncio.Future[Exception | None]", error: Exception | None) -> None:
    if not future.done():
        future.set_result(error)


def _environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) that Werkzeug's request is made from."""
    server = scope.get("server") or ("", 0)
    client = scope.get("client") or ("", 0)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = _header_key(name)
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


_KEYS: dict[bytes, str] = {}


def _header_key(name: bytes) -> str:
    key = _KEYS.get(name)
    if key is None:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        if len(_KEYS) < 256:
            _KEYS[name] = key
    return key


class _Wire(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: Iterable[bytes]
    streamed: bool = False


def _wire(response: Response, scope: Scope) -> _Wire:
    if scope["method"] == "POST" and isinstance(response.response, list):
        # The common case, without werkzeug's care for HEAD, ranges and the like.
        response.headers["Content-Length"] = str(sum(map(len, response.response)))
        return _Wire(response.status_code, _encoded(response.headers), response.response)
    body, status, headers = response.get_wsgi_response({"REQUEST_METHOD": scope["method"]})
    return _Wire(int(status[:3]), _encoded(headers), body, response.is_streamed)


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


_TOO_SLOW = unavailable(f"the body did not come within {BODY_WITHIN:.0f} seconds; send it again")
_FAULT = Problem(500, "this is a fault of Yurt; the node's log says more")
