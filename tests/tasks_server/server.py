"""The server: the part of the Cloud Tasks REST API that matters here, and the calls it makes."""

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from google.cloud import tasks_v2
from google.protobuf import json_format

from tests.tasks_server.book import Book, Call, Retry
from tests.tasks_server.calls import made
from tests.tasks_server.creation import Refusal, Wire, parsed
from tests.tasks_server.door import Answer, Door
from tests.tasks_server.faults import Fault, Faults

HOST = "127.0.0.1"
QUEUE = "projects/demo-yurt/locations/us-central1/queues/work"
INVOKER = "invoker@demo-yurt.iam.gserviceaccount.com"

_HANGS = 60.0  # seconds
_PAGE_SIZE = 1000
_NO_QUEUE = (
    "Queue does not exist. If you just created the queue, wait at least a minute for the queue to "
    "initialize."
)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Made(NamedTuple):
    """A call that was made. status: what was heard; None if nothing."""

    id: str
    attempt: int
    status: int | None
    extra: bool


class TasksServer:
    """One queue, which exists while the server runs; every other name is that of no queue.

    routes: the URL of each function by its name. The server's `target` leads to them through the
    door. scale: what pauses, deadlines and lateness are multiplied with, where time is real.
    dispatching: calls are made as soon as they are due, at most `concurrent` at once, by threads of
    the server; without it only `deliver` makes them, in the caller's thread, one after the other.
    accounts: whom a task may be called as. invokers: who may call the functions.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        routes: Mapping[str, str] | None = None,
        queue: str = QUEUE,
        clock: Callable[[], datetime] = utc_now,
        faults: Faults | None = None,
        retry: Retry | None = None,
        scale: float = 1.0,
        dispatching: bool = True,
        concurrent: int = 8,
        accounts: Collection[str] = (INVOKER,),
        invokers: Collection[str] = (INVOKER,),
    ) -> None:
        self.queue = queue
        self.faults = faults or Faults()
        self.made: list[Made] = []
        self._clock = clock
        self._scale = scale
        self._accounts = frozenset(accounts)
        self._door = Door(routes or {}, frozenset(invokers))
        self._book = Book(queue, retry or Retry(), self.faults, scale)
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(concurrent, "tasks-call")
        self._http = _Http((HOST, port), _handler(self))
        self._threads = [threading.Thread(target=self._http.serve_forever, args=(0.02,))]
        if dispatching:
            self._threads.append(threading.Thread(target=self._dispatch))

    # For tests

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self._http.server_port}"

    @property
    def target(self) -> str:
        """Where tasks are to be called, with `{work}` for the function's name."""
        return f"{self.endpoint}/functions/{{work}}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment that makes a node use this queue."""
        return {
            "YURT_TASKS_QUEUE": self.queue,
            "YURT_TASKS_TARGET": self.target,
            "YURT_TASKS_ACCOUNT": INVOKER,
            "YURT_TASKS_ENDPOINT": self.endpoint,
        }

    def start(self) -> "TasksServer":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Calls that are being made are finished; the tasks are gone."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        self._http.shutdown()
        for thread in self._threads:
            thread.join()
        self._pool.shutdown()
        self._http.server_close()

    def __enter__(self) -> "TasksServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def script(self, *faults: Fault) -> None:
        """What the next requests to the API meet."""
        self.faults.script.extend(faults)

    def pause(self) -> None:
        """Tasks are taken, but not called."""
        with self._changed:
            self._book.paused = True

    def resume(self) -> None:
        with self._changed:
            self._book.paused = False
            self._changed.notify_all()

    def ids(self) -> list[str]:
        """Of the tasks that are not done."""
        with self._changed:
            return self._book.ids

    def next_due(self) -> datetime | None:
        with self._changed:
            return self._book.next_due()

    def deliver(self) -> int:
        """Makes the calls that are due by the clock; how many there were."""
        with self._changed:
            calls = list(self._book.begin(self._clock()))
        for call in calls:
            self._call(call)
        return len(calls)

    def wait_until_idle(self, within: float = 30) -> None:
        """Returns when no task is left, and none is being called. Fails after that many seconds."""
        until = time.monotonic() + within
        with self._changed:
            while not self._book.is_empty:
                left = until - time.monotonic()
                assert left > 0, f"still there: {self._book.ids}"
                self._changed.wait(min(left, 0.5))

    # How calls are made

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            with self._changed:
                calls = list(self._book.begin(self._clock()))
                if not calls:
                    self._changed.wait(self._until_due())
            for call in calls:
                self._pool.submit(self._call, call)

    def _until_due(self) -> float:
        """Seconds to sleep: a clock of the test's own may jump meanwhile."""
        due = self._book.next_due()
        if due is None:
            return 0.5
        return min(0.5, max(0.001, (due - self._clock()).total_seconds()))

    def _call(self, call: Call) -> None:
        status = made(call, self.queue, self._clock(), self._scale)
        with self._changed:
            if self.faults.leaves_unheard():
                status = None
            self.made.append(Made(call.id, call.attempt, status, call.extra))
            self._book.end(call, status, self._clock())
            self._changed.notify_all()

    # How requests are answered

    def answered(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """To any HTTP request, by its path."""
        if url.startswith("/functions/"):
            work, slash, rest = url.removeprefix("/functions/").partition("/")
            audience = self.target.replace("{work}", work)
            return self._door.answer(
                method, work, slash + rest or "/", audience, headers, body, self._clock()
            )
        try:
            with self._changed:
                reply = self._reply(method, url, body)
                self._changed.notify_all()
        except Refusal as refusal:
            error = {"code": refusal.code, "message": str(refusal), "status": refusal.status}
            return Answer(refusal.code, _json({"error": error}), "application/json")
        return Answer(200, _json(reply), "application/json")

    def hang(self) -> None:
        self._stopping.wait(_HANGS)

    def _reply(self, method: str, url: str, body: bytes) -> Any:
        parts = urlsplit(url)
        queue, slash, rest = parts.path.removeprefix("/v2/").partition("/tasks")
        if queue != self.queue:
            raise Refusal("NOT_FOUND", _NO_QUEUE)
        if not slash:
            raise Refusal("INVALID_ARGUMENT", f"{method} {parts.path} is not served here")
        id, now = rest.removeprefix("/"), self._clock()
        match (method, bool(id)):
            case ("POST", False):
                task = parsed(body, queue, self._accounts, now)
                return _seen(self._book.create(task, now), full=False)
            case ("GET", False):
                return self._page(parse_qs(parts.query))
            case ("GET", True):
                return _seen(self._book.get(id), full=False)
            case ("DELETE", True):
                self._book.delete(id, now)
                return {}
        raise Refusal("INVALID_ARGUMENT", f"{method} {parts.path} is not served here")

    def _page(self, query: Mapping[str, list[str]]) -> Any:
        (size,) = query.get("pageSize", ["0"])
        (token,) = query.get("pageToken", [""])
        (view,) = query.get("responseView", ["0"])
        limit = int(size) or _PAGE_SIZE
        if not 0 < limit <= _PAGE_SIZE:
            raise Refusal("INVALID_ARGUMENT", f"pageSize must be at most {_PAGE_SIZE}")
        tasks = self._book.after(token, limit)
        page = {"tasks": [_seen(task, full=view in ("2", "FULL")) for task in tasks]}
        more = len(tasks) == limit
        return {**page, "nextPageToken": tasks[-1].name.rpartition("/")[2]} if more else page


def _seen(task: Wire, *, full: bool) -> Any:
    """A task as it is shown: its body only to those who ask for all."""
    shown = json_format.MessageToDict(tasks_v2.Task.pb(task))
    if not full:
        shown["httpRequest"].pop("body", None)
    return {**shown, "view": "FULL" if full else "BASIC"}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


class _Http(ThreadingHTTPServer):
    daemon_threads = True  # kept connections of clients that are still there do not hold us up
    block_on_close = False
    request_queue_size = 64


def _handler(server: TasksServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = server.faults.of_request() if self.path.startswith("/v2/") else None
            answer = _FAULTY.get(fault) if fault is not None else None
            if answer is None:
                answer = server.answered(self.command, self.path, dict(self.headers.items()), body)
            if fault == "hung":
                server.hang()
            if fault in ("lost", "hung"):
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _error(status: str, message: str) -> Answer:
    code = Refusal.CODES[status]
    error = {"code": code, "message": message, "status": status}
    return Answer(code, _json({"error": error}), "application/json")


_FAULTY: Mapping[Fault, Answer] = {
    "refused": _error("UNAVAILABLE", "The service is currently unavailable."),
    "aborted": _error("ABORTED", "The operation was aborted."),
    "exhausted": _error("RESOURCE_EXHAUSTED", "Quota exceeded."),
}
