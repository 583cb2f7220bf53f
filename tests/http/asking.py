"""A node with an owner and two devices, and the owner's way to ask it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Request

from shared.http.query import query
from shared.model.access import Access, Device, OwnerToken, token_hash
from shared.model.records import AnyRecord, Fix
from shared.node import Node
from shared.settings import Settings
from shared.store.sqlite import SqliteStore

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
OWNER = "owner-0123456789abcdef"
PHONE = "phone-0123456789abcdef"
AUTH = {"Authorization": f"Bearer {OWNER}"}

MADE: dict[str, Any] = {"source": "plain", "source_version": 1}
"""What every record must say of itself."""


def fix(seconds: float, *, device: str = "p1", lat: float = 51.5, **more: Any) -> Fix:
    """A fix some seconds after noon."""
    time = NOON + timedelta(seconds=seconds)
    return Fix(device=device, time=time, lat=lat, lon=-0.125, **MADE, **more)


@dataclass
class Asker:
    node: Node

    def __call__(self, url: str, **options: Any) -> TestResponse:
        """Asks as the owner, below /query unless the URL says otherwise."""
        options.setdefault("headers", AUTH)
        method = options.pop("method", "GET")
        return Client(self.app).open(url, method=method, **options)

    def app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return query(self.node, Request(environ))(environ, start_response)

    def pages(self, url: str) -> Iterator[TestResponse]:
        """The answer and all that follow it."""
        for _ in range(200):
            page = self(url)
            assert page.status_code == 200, page.text
            yield page
            following = page.headers.get("Link")
            if following is None:
                return
            assert following.endswith('>; rel="next"')
            address = urlsplit(following[1 : following.index(">")])
            url = f"{address.path}?{address.query}"
        raise AssertionError("the pages do not end")

    def put(self, *records: AnyRecord, raws: dict[str, bytes] | None = None) -> None:
        self.node.store.put(records, raws or {})


@contextmanager
def asker(folder: Path, settings: Settings | None = None) -> Iterator[Asker]:
    node = Node(
        settings or Settings(data=folder),
        SqliteStore(folder / "yurt.db"),
        clock=lambda: NOON + timedelta(hours=1),
    )
    node.keyring.change(lambda _: _access())
    try:
        yield Asker(node)
    finally:
        node.close()


def _access() -> Access:
    access = Access().with_token(OwnerToken(name="me", hash=token_hash(OWNER), created=NOON))
    for id, name in (("p1", "Phone"), ("t1", "Tablet")):
        device = Device(id=id, name=name, app="other", created=NOON)
        access = access.with_device(device)
    phone = Device(id="p1", name="Phone", app="other", created=NOON, current=token_hash(PHONE))
    return access.with_device(phone)
