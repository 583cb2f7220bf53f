"""A node on SQLite with a clock that stands still, and the phones that report to it."""

import base64
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any

from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Request, Response

from shared.http.ingest import ingest, ingest_soon
from shared.model.access import ACCESS, Access, Device, token_hash
from shared.node import Node
from shared.settings import Settings
from shared.store.protocol import Store, StoreError
from shared.store.sqlite import SqliteStore

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TOKEN = "me-4f3c2b1a0d9e8f7c"
OWNTRACKS = b'{"_type":"location","lat":51.5,"lon":-0.12,"tst":1700000000,"acc":8,"tid":"me"}'


def a_device(**fields: Any) -> Device:
    given: dict[str, Any] = {
        "id": "phone1",
        "name": "Phone",
        "app": "owntracks",
        "created": NOW,
        "current": token_hash(TOKEN),
    }
    return Device(**{**given, **fields})


@contextmanager
def a_node(folder: Path, *devices: Device, store: Store | None = None) -> Iterator[Node]:
    store = store or SqliteStore(folder / "yurt.db")
    access = Access(devices={device.id: device for device in devices or [a_device()]})
    store.write(ACCESS, access, over=None)
    node = Node(Settings(data=folder), store, lambda: NOW)
    try:
        yield node
    finally:
        node.close()


def client(node: Node) -> Client:
    """What the platform does: a WSGI request, answered by the handler."""

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        return answer(node, Request(environ))(environ, start_response)

    return Client(application)


answer = ingest


def answer_soon(node: Node, request: Request) -> Response:
    """`ingest` as a home node serves it: the answer goes out when the store settles."""
    answer = ingest_soon(node, request)
    if isinstance(answer, Response):
        return answer
    settled: Queue[Exception | None] = Queue()
    try:
        answer.begin(settled.put)
    except StoreError as error:
        return answer.failed(error)
    wrong = settled.get(timeout=10)
    return answer.done if wrong is None else answer.failed(wrong)


def basic(user: str, password: str) -> dict[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def deliver(node: Node, body: bytes, path: str = "/pub", **options: Any) -> TestResponse:
    options.setdefault("headers", basic("me", TOKEN))
    return client(node).post(path, data=body, **options)
