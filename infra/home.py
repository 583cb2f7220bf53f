"""The home node: every public function in one server on one machine, without any account.

It is a single process, so however it ends it leaves neither a port nor a lock nor a child behind.
"""

import os
from collections.abc import Callable

import msgspec
from werkzeug.wrappers import Request, Response

from infra.running import CannotStart, Running, data_of_our_own
from infra.server import serve
from shared.http.credentials import tokens_in
from shared.http.errors import Problem
from shared.http.ingest import SOURCES, ingest_soon
from shared.http.later import Later
from shared.http.query import query
from shared.node import Node, open_node
from shared.settings import Settings
from shared.store.protocol import StoreError

Handler = Callable[[Node, Request], Response | Later]

PUBLIC: dict[str, Handler] = {"ingest": ingest_soon, "query": query}


def run(settings: Settings, host: str, port: int, ready: Callable[[Running], None]) -> None:
    """Serves until SIGTERM or SIGINT, finishing what was begun.

    ready: called once the node answers. `CannotStart` when the data or the port are not to be had.
    port 0: any free one.
    """
    with data_of_our_own(settings.data):
        node = _opened(settings)
        try:
            serve(Home(node), host, port, lambda found: _announce(settings, host, found, ready))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CannotStart(
                f"cannot listen on {host} port {port}: {reason}; choose another with --port or "
                "--host"
            ) from error
        finally:
            node.close()


class Home:
    """What is served: public functions below their names, phones' paths also at the root."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def at_once(self, request: Request) -> Response | Later | None:
        if not _is_delivery(request):
            return None
        token = next(tokens_in(request), None)
        device = self._node.keyring.device_at_hand(token) if token is not None else None
        if device is None or device.sees or device.commands:
            return None
        return ingest_soon(self._node, request)

    def __call__(self, request: Request) -> Response | Later:
        if _is_delivery(request):
            return ingest_soon(self._node, request)
        environ = request.environ
        path = environ["PATH_INFO"]
        name, _, rest = path.removeprefix("/").partition("/")
        handler = PUBLIC.get(name)
        if handler is None:
            return _outside(path)
        mounted = {**environ, "SCRIPT_NAME": f"/{name}", "PATH_INFO": f"/{rest}"}
        return handler(self._node, Request(mounted))


def _is_delivery(request: Request) -> bool:
    """Whether an app delivers: at the root too, and whatever it sends to the bare address."""
    path = "/" + "/".join(filter(None, request.environ["PATH_INFO"].split("/")))
    reading = request.method in ("GET", "HEAD")
    return path.startswith("/ingest/") or path in SOURCES or (path == "/" and not reading)


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


def _opened(settings: Settings) -> Node:
    try:
        return open_node(settings)
    except StoreError as error:
        raise CannotStart(str(error)) from error


def _announce(settings: Settings, host: str, port: int, ready: Callable[[Running], None]) -> None:
    running = Running(os.getpid(), host, port)
    draft = settings.data / "node.json.new"
    try:
        draft.write_bytes(msgspec.json.encode(running))
        draft.replace(settings.data / "node.json")
    except OSError as error:
        raise CannotStart(
            f"{settings.data} cannot be written: {error.strerror}; make room or choose other data "
            "with --data"
        ) from error
    ready(running)
