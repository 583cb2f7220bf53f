"""The home node: every public function in one server on one machine, without any account.

It is a single process, so however it ends it leaves neither a port nor a lock nor a child behind.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from werkzeug.wrappers import Request, Response

from infra.running import CannotStart, Running, data_of_our_own
from infra.server import serve
from shared.http.errors import Problem
from shared.http.ingest import SOURCES, ingest_soon
from shared.http.later import Later
from shared.http.query import query
from shared.node import Node, open_node
from shared.settings import Settings
from shared.store.protocol import StoreError

Handler = Callable[[Node, Request], Response | Later]

PUBLIC: dict[str, Handler] = {"ingest": ingest_soon, "query": query}

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what it means, no binding


def run(settings: Settings, host: str, port: int, ready: Callable[[Running], None]) -> None:
    """Serves until SIGTERM or SIGINT, finishing what was begun.

    ready: called, from another thread, once the node answers. `CannotStart` when the data or the
    port are not to be had. port 0: any free one.
    """
    with data_of_our_own(settings.data):
        port = _free_port(host, port)
        node = _opened(settings)
        running = Running(os.getpid(), host, port)
        try:
            serve(
                Home(node),
                host,
                port,
                lambda: _announce_when_listening(settings.data, running, ready),
            )
        finally:
            node.close()


class Home:
    """What is served: public functions below their names, phones' paths also at the root."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __call__(self, request: Request) -> Response | Later:
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
