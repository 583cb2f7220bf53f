"""The smoke test against handlers in this process: what it sees, and what it leaves."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response as Answer

from infra.cloud.api import Response
from infra.cloud.smoke import DEVICE, SmokeTestFailed, smoke_test
from shared.commands.access import access_of
from shared.http.ingest import ingest
from shared.http.query import query
from shared.node import Node, open_node
from shared.settings import Settings

BASE = "https://us-central1-my-project.cloudfunctions.net"
Handler = Callable[[Node, Request], Answer]


class Cloud:
    """Functions of a node at `BASE`. not_yet: requests that the platform still refuses."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.functions: dict[str, Handler] = {"ingest": ingest, "query": query}
        self.not_yet = 0
        self.waited: list[float] = []

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        name, _, rest = url.removeprefix(f"{BASE}/").partition("/")
        self.not_yet -= 1
        if self.not_yet >= 0 or name.partition("?")[0] not in self.functions:
            return Response(403, b"<html>Forbidden</html>")
        handler = self.functions[name]
        app = Request.application(lambda request: handler(self.node, request))
        answer = Client(app).open(f"/{rest}", method=method, headers=dict(headers), data=body)
        return Response(answer.status_code, answer.data)

    def test(self) -> None:
        smoke_test(self.node, BASE, ["work"], self.send, self.waited.append)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    node = open_node(Settings(data=tmp_path))
    yield Cloud(node)
    node.close()


def left(node: Node) -> list[object]:
    access = access_of(node)
    latest = node.store.latest(DEVICE)
    return [*access.devices, *access.tokens, *filter(None, [latest.fix, latest.status])]


def test_a_fix_goes_in_and_out_and_nothing_is_left(cloud: Cloud) -> None:
    cloud.test()
    cloud.test()
    assert left(cloud.node) == []
    assert cloud.waited == []


def test_what_was_deployed_a_moment_ago_may_take_a_while(cloud: Cloud) -> None:
    cloud.not_yet = 4
    cloud.test()
    assert len(cloud.waited) == 4


def test_who_may_call_a_private_function_may_be_set_a_moment_ago(cloud: Cloud) -> None:
    open_for = 3

    def closes(node: Node, request: Request) -> Answer:
        nonlocal open_for
        open_for -= 1
        return Answer("let in", status=200 if open_for >= 0 else 403)

    cloud.functions["work"] = closes
    cloud.test()
    assert len(cloud.waited) == 3


def kept_nowhere(node: Node, request: Request) -> Answer:
    return Answer("{}", content_type="application/json")


def broken(node: Node, request: Request) -> Answer:
    return Answer("the store is unavailable", status=503)


def refuses(node: Node, request: Request) -> Answer:
    return Answer("no such thing", status=400)


@pytest.mark.parametrize(
    ("name", "handler", "said"),
    [
        ("ingest", kept_nowhere, "took a report that"),
        ("ingest", broken, f"{BASE}/ingest/report answers 503 the store is unavailable"),
        ("query", refuses, f"{BASE}/query/loc answers 400 no such thing"),
        ("query", kept_nowhere, "does not give back"),
        ("work", kept_nowhere, f"{BASE}/work is private, but answers 200"),
    ],
)
def test_what_does_not_work_is_said_and_nothing_is_left(
    name: str, handler: Handler, said: str, cloud: Cloud
) -> None:
    cloud.functions[name] = handler
    with pytest.raises(SmokeTestFailed) as failure:
        cloud.test()
    assert said in str(failure.value)
    assert "run the same command again" in str(failure.value)
    assert left(cloud.node) == []


def test_a_killed_one_is_cleared_away_by_the_next(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: object) -> Answer:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(cloud.node.store, "erase", dies)  # so that nothing after it runs, either
        patch.setitem(cloud.functions, "query", dies)
        with pytest.raises(Killed):
            cloud.test()
    assert left(cloud.node) != []
    cloud.test()
    assert access_of(cloud.node).devices == {}
    assert access_of(cloud.node).tokens == {}
