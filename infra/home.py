"""The home node: every public function in one server on one machine, without any account.

It is a single process, so however it ends it leaves neither a port nor a lock nor a child behind.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from functools import cached_property

import msgspec
from werkzeug.wrappers import Request, Response

from infra.crew import Crew
from infra.running import CannotStart, Running, data_of_our_own
from infra.server import serve
from shared.blobs.protocol import PART, BlobsError
from shared.http.credentials import tokens_in
from shared.http.errors import Problem
from shared.http.ingest import BODY_LIMIT, SOURCES, ingest_soon
from shared.http.later import Later
from shared.http.query import query
from shared.http.receiving import session_in, unknown_session
from shared.http.upload import upload
from shared.imports.uploads import Receives
from shared.node import Node, open_node
from shared.queue.protocol import QueueError, Workable
from shared.settings import Settings
from shared.store.protocol import StoreError
from shared.work.engine import Engine
from shared.workshop import collecting_of, engine_of

Handler = Callable[[Node, Request], Response | Later]


def run(settings: Settings, host: str, port: int, ready: Callable[[Running], None]) -> None:
    """Serves until SIGTERM or SIGINT, finishing what was begun; a job goes on at the next start.

    ready: called once the node answers. `CannotStart` when the data or the port are not to be had.
    port 0: any free one.
    """
    with data_of_our_own(settings.data), contextlib.closing(_opened(settings)) as node:
        home = Home(node)
        crew = _crew(home)
        try:
            with crew:
                serve(home, host, port, lambda found: _announce(settings, host, found, ready))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CannotStart(
                f"cannot listen on {host} port {port}: {reason}; choose another with --port or "
                "--host"
            ) from error


class Home:
    """What is served: public functions below their names, phones' paths also at the root."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stopping = threading.Event()
        self._public: dict[str, Handler] = {
            "ingest": ingest_soon,
            "query": query,
            "upload": self._upload,
        }

    @cached_property
    def engine(self) -> Engine:
        """What runs jobs. `QueueError` or `BlobsError` when it cannot be had."""
        return engine_of(self._node, stopping=self._stopping.is_set)

    def crew_at_work(self) -> contextlib.AbstractContextManager[None]:
        """Jobs go on within, if they are this machine's: those of a cloud node are called there."""
        node = self._node
        if node.settings.firestore is not None:
            return contextlib.nullcontext()
        queue, slots = node.queue, node.slots_queue
        if not (isinstance(queue, Workable) and isinstance(slots, Workable)):
            return contextlib.nullcontext()
        collecting = collecting_of(node, self._stopping.is_set)
        return Crew(node, self.engine, collecting, queue, slots, self._stopping).at_work()

    def takes(self, path: str) -> int:
        return (PART if session_in(path.removeprefix("/upload")) else BODY_LIMIT) + 1

    def turned_away(self, request: Request) -> Response | None:
        objects = self._node.objects
        path = request.environ["PATH_INFO"].removeprefix("/upload")
        return unknown_session(objects, path) if isinstance(objects, Receives) else None

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
        handler = self._public.get(name)
        if handler is None:
            return _outside(path)
        mounted = {**environ, "SCRIPT_NAME": f"/{name}", "PATH_INFO": f"/{rest}"}
        return handler(self._node, Request(mounted))

    def _upload(self, node: Node, request: Request) -> Response:
        return upload(node, lambda _: self.engine, request)


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


def _crew(home: Home) -> contextlib.AbstractContextManager[None]:
    try:
        return home.crew_at_work()
    except (QueueError, BlobsError) as error:
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
