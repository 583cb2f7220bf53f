"""The home node: every public function in one server on one machine, without any account.

It is a single process, so however it ends it leaves neither a port nor a lock nor a child behind.
"""

import contextlib
import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from werkzeug.wrappers import Request, Response

from infra.server import serve
from shared.http.errors import Problem, unavailable
from shared.http.ingest import SOURCES, ingest_soon
from shared.http.later import Later
from shared.http.query import query
from shared.node import Node, open_node
from shared.settings import Settings
from shared.store.protocol import StoreError

Handler = Callable[[Node, Request], Response | Later]

PUBLIC: dict[str, Handler] = {"ingest": ingest_soon, "query": query}

_STOPPING = unavailable("this node is stopping; try again when it runs")
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what it means, no binding


class CannotStart(Exception):
    """The node cannot run here; the text says what to do about it."""


class Running(msgspec.Struct, frozen=True):
    """What a running node says of itself in `node.json` in its data folder."""

    pid: int
    host: str
    port: int


def run(settings: Settings, host: str, port: int, ready: Callable[[Running], None]) -> None:
    """Serves until SIGTERM or SIGINT, finishing what was begun.

    ready: called, from another thread, once the node answers. `CannotStart` when the data or the
    port are not to be had. port 0: any free one.
    """
    with _data_of_our_own(settings.data):
        port = _free_port(host, port)
        node = _opened(settings)
        home = Home(node)
        running = Running(os.getpid(), host, port)
        try:
            serve(home, host, port, lambda: _announce_when_listening(settings.data, running, ready))
        finally:
            home.finish()
            node.close()


class Home:
    """What is served: public functions below their names, phones' paths also at the root."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._changed = threading.Condition()
        self._busy = 0
        self._finished = False

    def __call__(self, request: Request) -> Response | Later:
        with self._changed:
            if self._finished:
                return _STOPPING.response()
            self._busy += 1
        try:
            return self._answer(request)
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def finish(self, within: float = 10.0) -> None:
        """Turns new requests away and waits for those begun, `within` seconds at most."""
        with self._changed:
            self._finished = True
            self._changed.wait_for(lambda: self._busy == 0, timeout=within)

    def _answer(self, request: Request) -> Response | Later:
        environ = request.environ
        path = environ["PATH_INFO"]
        if path in SOURCES or path.rstrip("/") in SOURCES:
            return ingest_soon(self._node, request)
        name, _, rest = path.removeprefix("/").partition("/")
        handler = PUBLIC.get(name)
        if handler is None:
            return _outside(path)
        mounted = {**environ, "SCRIPT_NAME": f"/{name}", "PATH_INFO": f"/{rest}"}
        return handler(self._node, Request(mounted))


def _outside(path: str) -> Response:
    if path == "/":
        return Response(
            "This is a Yurt home node.\n\n"
            "Pair a phone:       yurt pair NAME --app owntracks\n"
            "Where was I:        yurt where\n"
            "Ask over HTTP:      yurt token NAME, then GET /query/loc with it\n"
            "What can be asked:  /query/openapi.json\n",
            content_type="text/plain; charset=utf-8",
        )
    return Problem(404, f"there is nothing at {path}; see / for what there is").response()


def running_node(data: Path) -> Running | None:
    """The node that serves this data folder now, if one does."""
    try:
        with (data / "node.lock").open("rb") as file:
            if _lock(file.fileno()):
                return None  # nobody holds it: what node.json says is of a node that died
        return msgspec.json.decode((data / "node.json").read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None


@contextlib.contextmanager
def _data_of_our_own(data: Path) -> Iterator[None]:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (data / "node.lock").open("ab")
    except OSError as error:
        raise CannotStart(
            f"the data folder {data} cannot be used: {error.strerror}; choose another with --data"
        ) from error
    with file:
        if not _lock(file.fileno(), patience=0.5):
            other = running_node(data)
            where = f" at http://{other.host}:{other.port} (process {other.pid})" if other else ""
            raise CannotStart(
                f"a node runs on {data} already{where}; stop it first, or choose other data "
                "with --data"
            )
        try:
            yield
        finally:
            (data / "node.json").unlink(missing_ok=True)


def _lock(handle: int, patience: float = 0.0) -> bool:
    # Whoever asks whether a node runs holds the lock for a moment: a node that starts waits for it.
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True


def _free_port(host: str, port: int) -> int:
    # granian binds with SO_REUSEPORT, which would share a taken port silently: look first.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CannotStart(
                f"cannot listen on {host} port {port}: {reason}; choose another with --port or "
                "--host"
            ) from error
        return int(probe.getsockname()[1])


def _opened(settings: Settings) -> Node:
    try:
        return open_node(settings)
    except StoreError as error:
        raise CannotStart(str(error)) from error


def _announce_when_listening(
    data: Path, running: Running, ready: Callable[[Running], None]
) -> None:
    def announce() -> None:
        reachable = _ANY_ADDRESS.get(running.host, running.host)
        while not _accepts(reachable, running.port):
            time.sleep(0.01)
        draft = data / "node.json.new"
        draft.write_bytes(msgspec.json.encode(running))
        draft.replace(data / "node.json")
        ready(running)

    threading.Thread(target=announce, name="announce", daemon=True).start()


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
