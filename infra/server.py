"""The home node's HTTP server: granian, in this one process, with answers that may come later.

A report is answered after it is on the disk. A handler that waited for the disk would hold a thread
for it; here it returns a `Later`, its thread is free, and whoever syncs the disk sends the answer.
With 64 phones at once that is more than twice as fast (see `tests/bench/README.md`).

granian offers neither one process nor late answers for WSGI. This module uses three of its
internals for them, so its version is pinned exactly and `tests/system/test_home.py` runs it.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from granian.constants import HTTPModes, Interfaces
from granian.server import mt
from werkzeug.wrappers import Request, Response

from shared.http.errors import Problem
from shared.http.later import Later

App = Callable[[Request], Response | Later]

THREADS = 16
"""Handlers that run at the same time. A phone that sends its body slowly holds one."""

_CONNECTIONS = 1024
_GRACE = 20  # seconds that requests already begun may take after a signal to stop
_WSGI: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}
_log = logging.getLogger(__name__)


def serve(app: App, host: str, port: int, started: Callable[[], None]) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what was begun.

    started: called just before the port opens. The port must be free: granian would share a taken
    one silently.
    """
    setattr(mt, "_wsgi_call_wrap", lambda *_: _runner(app))  # noqa: B010 - not for others to set
    server = _OneProcess(
        target=__name__,  # for its messages only
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=1,
        blocking_threads=THREADS,
        backlog=_CONNECTIONS,
        workers_kill_timeout=_GRACE,
        log_enabled=False,
        log_access=False,  # a URL may hold a token
    )
    server.on_startup(started)
    server.serve(target_loader=lambda: app, wrap_loader=False)


class _OneProcess(mt.MTServer):
    """granian's server that keeps its workers in threads of this process.

    It offers that only to Python builds without a global lock, where one process can use all
    cores. We have one worker, want one process, and need no such build.
    """

    def _check_gil(self) -> None:
        pass


class _Connection(Protocol):
    """granian's side of one request. A second answer to it is ignored."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...

    def response_iter(
        self, status: int, headers: list[tuple[str, str]], body: Iterator[bytes]
    ) -> None: ...


class _Wire(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: Iterable[bytes]

    def send(self, connection: _Connection) -> None:
        if isinstance(self.body, list | tuple):
            connection.response_bytes(self.status, self.headers, b"".join(self.body))
        else:
            connection.response_iter(self.status, self.headers, _Closing(self.body))


class _Closing:
    """An iterator that granian can close when the client has gone."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self._items = iter(body)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._items)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def _runner(app: App) -> Callable[[_Connection, dict[str, Any]], int]:
    def run(connection: _Connection, environ: dict[str, Any]) -> int:
        environ |= _WSGI
        try:
            answer = app(Request(environ))
            if isinstance(answer, Later):
                _send_later(answer, connection, environ)
            else:
                _wire(answer, environ).send(connection)
        except Exception as error:  # noqa: BLE001 - the last line of defence: an answer, always
            # Without the error's own text, which may quote what was sent.
            _log.error("a request ended in %s", type(error).__name__, exc_info=False)
            _wire(_FAULT.response(), environ).send(connection)
        return 0

    return run


def _send_later(later: Later, connection: _Connection, environ: dict[str, Any]) -> None:
    done, failed = _wire(later.done, environ), later.failed

    def settle(error: Exception | None) -> None:
        (done if error is None else _wire(failed(error), environ)).send(connection)

    try:
        later.begin(settle)
    except Exception as error:  # noqa: BLE001 - it did not start, so nothing else will answer
        settle(error)


def _wire(response: Response, environ: dict[str, Any]) -> _Wire:
    if isinstance(response.response, list) and environ["REQUEST_METHOD"] == "POST":
        # The common case, without werkzeug's care for HEAD, ranges and the like.
        data = b"".join(response.response)
        response.headers["Content-Length"] = str(len(data))
        return _Wire(response.status_code, response.headers.to_wsgi_list(), [data])
    body, status, headers = response.get_wsgi_response(environ)
    return _Wire(int(status[:3]), list(headers), body)


_FAULT = Problem(500, "this is a fault of Yurt; the node's log says more")
