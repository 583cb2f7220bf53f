"""The owner's way to send files to a node."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Request

from shared.http.upload import upload
from shared.node import Node
from shared.queue.protocol import Workable
from shared.work.engine import Engine
from shared.workshop import engine_of
from tests.http.asking import AUTH

EML = (
    b"Message-ID: <1@example.org>\r\nDate: Thu, 4 Jul 2019 10:00:00 +0100\r\n"
    b"From: ada@example.org\r\nSubject: hi\r\n\r\nHello.\r\n"
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Sender:
    node: Node
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = engine_of(self.node)

    def __call__(self, method: str, url: str, **options: Any) -> TestResponse:
        """Asks as the owner, below /upload unless the URL says otherwise."""
        options.setdefault("headers", AUTH)
        return Client(self.app).open(url, method=method, **options)

    def app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return upload(self.node, lambda _: self.engine, Request(environ))(environ, start_response)

    def offer(self, data: bytes, **more: Any) -> dict[str, Any]:
        """What the node says to a file of this content."""
        offered = {"name": "mail.eml", "size": len(data), "sha256": sha256(data), **more}
        answer = self("POST", "/", json=offered)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.get_json()
        return said

    def put(self, url: str, data: bytes, range: str | None) -> TestResponse:
        """Sends a piece to a session, as somebody who has nothing but its URL."""
        headers = {"Content-Range": range} if range is not None else {}
        path = urljoin("http://localhost/upload", url).removeprefix("http://localhost")
        return self("PUT", path, data=data, headers=headers)

    def send(self, data: bytes, **more: Any) -> dict[str, Any]:
        """Offers a file and sends it whole; what the offer said."""
        said = self.offer(data, **more)
        if said["state"] == "send":
            answer = self.put(said["url"], data, f"bytes 0-{len(data) - 1}/{len(data)}")
            assert answer.status_code == 200, answer.text
        return said

    def sent(self, data: bytes) -> TestResponse:
        return self("POST", f"/{sha256(data)}/sent")

    def work(self) -> list[str]:
        """Runs every task that waits; what came of each."""
        outcomes: list[str] = []
        queue = self.node.queue
        assert isinstance(queue, Workable)
        while (taken := queue.take()) is not None:
            body = taken.task.body
            outcomes.append(self.engine.run(str(body["job"]), int(body["token"])))
            queue.done(taken)
        return outcomes
