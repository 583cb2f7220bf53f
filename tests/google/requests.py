"""Requests as tests write them: a line, and a body in JSON."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.google.fake import FakeGoogle
from tests.google.serviceusage import CATALOGUE

AUTHORIZED = {"Authorization": "Bearer a-token", "X-Goog-User-Project": "p-yurt"}


class Told(NamedTuple):
    """An answer. json: None when it is none."""

    status: int
    json: Any

    @property
    def error(self) -> str:
        """The canonical code and the message."""
        error = self.json["error"]
        return f"{error.get('status', '')}: {error['message']}"

    @property
    def reason(self) -> str:
        """Of `google.rpc.ErrorInfo`, or of the older list of errors."""
        details = [*self.json["error"].get("details", ()), *self.json["error"].get("errors", ())]
        return next((detail["reason"] for detail in details if "reason" in detail), "")


def ask(
    fake: FakeGoogle,
    line: str,
    body: Any = None,
    headers: Mapping[str, str] = AUTHORIZED,
) -> Told:
    """line: `METHOD service/path?query`, e.g. `GET iam/v1/projects/p-yurt/serviceAccounts`."""
    method, _, rest = line.partition(" ")
    service, _, path = rest.partition("/")
    sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    answer = fake.answer(method, f"https://{service}.googleapis.com/{path}", headers, sent)
    kind = answer.headers.get("Content-Type", "")
    return Told(
        answer.status, json.loads(answer.body) if kind.startswith("application/json") else None
    )


def opened(**settings: Any) -> FakeGoogle:
    """A project where every service is on."""
    fake = FakeGoogle(**settings)
    fake.enable(*CATALOGUE)
    return fake


def finished(fake: FakeGoogle, service: str, begun: Told) -> Any:
    """The operation, once it is done."""
    assert begun.status == 200, begun
    version = {"cloudfunctions": "v2"}.get(service, "v1")
    told = begun.json
    while not told.get("done"):
        told = ask(fake, f"GET {service}/{version}/{told['name']}").json
    return told
