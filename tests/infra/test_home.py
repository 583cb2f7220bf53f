"""What a home node serves where, in process."""

import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from infra.home import Home
from shared.blobs.protocol import PART
from shared.http.ingest import BODY_LIMIT
from shared.http.later import Later
from shared.node import Node
from tests.http.phones import NOW, TOKEN, a_device, a_node

OWNTRACKS = json.dumps(
    {"_type": "location", "tid": "me", "lat": 51.5, "lon": -0.1, "tst": int(NOW.timestamp())}
)
OVERLAND = json.dumps({"locations": []})


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with a_node(
        tmp_path, a_device(), a_device(id="sees1", name="Other", current="", sees=("x",))
    ) as node:
        yield node


def request(method: str, path: str, body: str = "", token: str | None = TOKEN) -> Request:
    headers = [("Authorization", f"Bearer {token}")] if token is not None else []
    environ = EnvironBuilder(method=method, data=body, headers=headers).get_environ()
    return Request({**environ, "PATH_INFO": path})


def ask(node: Node, method: str, path: str, body: str = "", token: str | None = TOKEN) -> Response:
    answer: Any = Home(node)(request(method, path, body, token))
    if isinstance(answer, Later):
        told: queue.Queue[Exception | None] = queue.Queue()
        answer.begin(told.put)
        assert told.get(timeout=30) is None
        answer = answer.done
    assert isinstance(answer, Response)
    return answer


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", "", 200),
        ("HEAD", "/", "", 200),
        ("POST", "/", OWNTRACKS, 503),
        ("PUT", "/", OWNTRACKS, 503),
        ("POST", "/ingest", OWNTRACKS, 503),
        ("POST", "/pub", OWNTRACKS, 200),
        ("POST", "/pub/", OWNTRACKS, 200),
        ("POST", "//pub", OWNTRACKS, 200),
        ("POST", "/ingest/pub", OWNTRACKS, 200),
        ("POST", "/ingest//pub", OWNTRACKS, 200),
        ("POST", "/api/v1/owntracks/points", OWNTRACKS, 200),
        ("POST", "/api/v1/overland/batches", OVERLAND, 200),
        ("GET", "/api/v1/overland/batches", "", 200),
        ("GET", "/query/loc", "", 403),
        ("POST", "/upload", "{}", 403),
        ("POST", "/upload/", "{}", 403),
        ("PUT", f"/upload/session/{'0' * 32}", "x", 404),
        ("POST", "/work", "{}", 404),
        ("POST", "/monitor", "", 404),
        ("POST", "/media", "{}", 404),
        ("GET", "/nowhere", "", 404),
        ("POST", "/nowhere", "", 404),
    ],
)
def test_paths(node: Node, method: str, path: str, body: str, status: int) -> None:
    assert ask(node, method, path, body).status_code == status


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/pub", BODY_LIMIT),
        ("/upload", BODY_LIMIT),
        (f"/upload/session/{'0' * 32}", PART),
        (f"/upload/session/{'0' * 31}", BODY_LIMIT),
        (f"/pub/session/{'0' * 32}", BODY_LIMIT),
    ],
)
def test_how_long_a_body_may_be(node: Node, path: str, most: int) -> None:
    assert Home(node).takes(path) == most + 1


def test_a_piece_is_read_only_where_a_session_is_open(node: Node) -> None:
    home = Home(node)
    url = node.objects.open_upload("upload/cafe", 3, None).url
    assert home.turned_away(request("PUT", f"/{url}", token=None)) is None
    refused = home.turned_away(request("PUT", f"/upload/session/{'0' * 32}"))
    assert refused is not None
    assert refused.status_code == 404
    answer = home(request("PUT", f"/{url}", "abc", token=None))
    assert isinstance(answer, Response)
    assert answer.status_code == 200
    assert node.objects.size("upload/cafe") == 3


def test_what_is_sent_to_the_bare_address_hears_where_to_send_it(node: Node) -> None:
    answer = ask(node, "POST", "/", OWNTRACKS, token=None)
    assert answer.content_type == "application/problem+json"
    assert "/pub" in answer.get_json()["detail"]


def test_only_what_cannot_wait_is_answered_at_once(node: Node) -> None:
    home = Home(node)
    assert home.at_once(request("POST", "/pub", OWNTRACKS)) is None, "nothing is known yet"
    assert ask(node, "POST", "/pub", OWNTRACKS).status_code == 200
    assert isinstance(home.at_once(request("POST", "/pub", OWNTRACKS)), Later)
    assert home.at_once(request("POST", "/pub", OWNTRACKS, "unknown")) is None
    assert home.at_once(request("POST", "/pub", OWNTRACKS, None)) is None
    assert home.at_once(request("GET", "/query/loc")) is None
    node.keyring.change(lambda access: access.with_device(a_device(sees=("sees1",))))
    home(request("GET", "/pub"))
    assert home.at_once(request("POST", "/pub", OWNTRACKS)) is None, "friends are looked up"
