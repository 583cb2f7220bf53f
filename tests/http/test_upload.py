"""`upload`: who may send, what need not be sent, how bytes come, when the import begins."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.blobs.protocol import PART, BlobsUnavailable
from shared.imports.uploads import FAMILY, LOOKED_FOR_EACH, SESSION_LIVES, Upload, Uploads
from shared.model.records import Message
from shared.upkeep.sweeping import sweep
from tests.http.asking import AUTH, NOON, PHONE, asker
from tests.http.uploads import EML, Sender, sha256

STEP = 256 * 1024
OFFERED = {"name": "mail.eml", "size": len(EML), "sha256": sha256(EML)}


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    with asker(tmp_path) as asked:
        yield Sender(asked.node)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    """One node for all tests that leave nothing behind."""
    with asker(tmp_path_factory.mktemp("node")) as asked:
        yield Sender(asked.node)


def messages(sender: Sender) -> list[str]:
    return [message.id for message in sender.node.store.page(Message).records]


def at(sender: Sender, after: timedelta) -> None:
    """Sets the node's clock to so long after noon."""
    sender.node.clock = lambda: NOON + after
    sender.engine.clock = sender.node.clock


# Who may send


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Bearer {PHONE}"}, 403),
        (AUTH, 200),
    ],
)
@pytest.mark.parametrize("path", ["/", "/upload", "/upload/"])
def test_only_the_owner_may_send(
    refusing: Sender, headers: dict[str, str], status: int, path: str
) -> None:
    answer = refusing("POST", path, json=OFFERED, headers=headers)
    assert answer.status_code == status
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("url", ["/session/0", f"/session/{'0' * 32}", "/session/../x"])
def test_a_session_is_not_to_be_guessed(sender: Sender, url: str) -> None:
    assert sender.offer(EML)["state"] == "send"
    assert sender("PUT", url, data=EML, headers={}).status_code in (401, 404)


# What is offered


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "name is the file's name"),
        ({"name": "a/b"}, "name is the file's name"),
        ({"name": "a\nb"}, "name is the file's name"),
        ({"name": "x" * 256}, "name is the file's name"),
        ({"name": None}, "name is the file's name"),
        ({"name": ...}, "name is the file's name"),
        ({"size": 0}, "size is the number of its bytes"),
        ({"size": -1}, "size is the number of its bytes"),
        ({"size": 1.5}, "size is the number of its bytes"),
        ({"size": "7"}, "size is the number of its bytes"),
        ({"size": 6 * 1024**4}, "size is the number of its bytes"),
        ({"size": 10**30}, "size is the number of its bytes"),
        ({"sha256": "A" * 64}, "sha256 is the SHA-256"),
        ({"sha256": "0" * 63}, "sha256 is the SHA-256"),
        ({"sha256": "0" * 64 + "\n"}, "sha256 is the SHA-256"),
        ({"modified": 10**18}, "modified is when"),
        ({"modified": "now"}, "modified is when"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_meant_is_explained(
    refusing: Sender, changes: dict[str, Any], said: str
) -> None:
    offered = {k: v for k, v in {**OFFERED, **changes}.items() if v is not ...}
    answer = refusing("POST", "/", json=offered)
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert said in answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/", b"", 400),
        ("POST", "/", b"[" * 5000, 400),
        ("POST", "/", b'{"name": "\xff"}', 400),
        ("POST", "/", b'{"name": "\\ud800", "size": 1, "sha256": "' + b"0" * 64 + b'"}', 400),
        ("POST", "/", b" " * 10_001, 413),
        ("GET", "/", b"", 405),
        ("DELETE", f"/{sha256(EML)}", b"", 405),
        ("GET", f"/{sha256(EML)}/sent", b"", 405),
        ("GET", "/short", b"", 400),
        ("POST", "/short/sent", b"", 400),
        ("GET", f"/{sha256(b'')}", b"", 404),
        ("POST", f"/{sha256(b'')}/sent", b"", 409),
        ("POST", "/a/b/c", b"", 404),
    ],
)
def test_what_is_refused(
    refusing: Sender, method: str, path: str, body: bytes, status: int
) -> None:
    answer = refusing(method, path, data=body)
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"


# From the offer to the records


def test_a_file_is_sent_once_and_imported(sender: Sender) -> None:
    said = sender.offer(EML)
    assert said["state"] == "send"
    assert sender("GET", f"/{sha256(EML)}").get_json() == said
    sender.send(EML)
    begun = sender("GET", f"/{sha256(EML)}").get_json()
    assert begun["state"] == "importing"
    assert sender.offer(EML)["job"] == begun["job"], "the import goes on; nothing is to be sent"
    assert sender.sent(EML).get_json()["job"] == begun["job"]
    assert sender.work() == ["done"]
    assert len(messages(sender)) == 1
    done = sender.offer(EML)
    assert (done["state"], done["job"]) == ("done", begun["job"])
    assert done["progress"]["new"]["message"] == 1
    assert sender.sent(EML).get_json()["state"] == "done", "who says it late hears that it is done"
    assert sender.work() == []
    assert list(sender.node.objects.names("upload/")) == []


def test_what_is_done_is_imported_again_if_asked(sender: Sender) -> None:
    sender.send(EML)
    sender.work()
    assert sender.send(EML, again=True)["state"] == "send"
    for _ in range(3):
        assert sender.sent(EML).status_code == 200
    assert sender.work() == ["done"], "again, but once"
    for _ in range(3):
        assert sender.sent(EML).get_json()["state"] == "done"
    assert sender.work() == []
    assert sender.offer(EML)["state"] == "done"


def test_it_is_done_over_once_though_who_noted_that_died(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.send(EML)
    sender.work()
    monkeypatch.setattr(Uploads, "_close", lambda *_: None)
    sender.send(EML, again=True)
    assert sender.work() == ["done"]
    sender.node.objects.put(f"upload/{sha256(EML)}", EML)
    assert sender.sent(EML).get_json()["state"] == "done"
    assert sender.work() == []


def test_what_another_version_imported_is_sent_again(sender: Sender) -> None:
    sender.send(EML)
    sender.work()
    work = sender.engine.works["import"]
    newer = {name: version + 1 for name, version in work.versions().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(work), "versions", lambda _: newer)
        assert sender.send(EML)["state"] == "send"
        assert sender.work() == ["done"]
        assert sender.offer(EML)["state"] == "done"


def test_a_stopped_import_goes_on_when_its_file_is_offered(sender: Sender) -> None:
    sender.send(EML)
    job = sender.offer(EML)["job"]
    sender.engine.pause(job)
    assert sender("GET", f"/{sha256(EML)}").get_json()["state"] == "stopped"
    assert sender.offer(EML)["state"] == "importing"
    assert "done" in sender.work()


def test_a_cancelled_import_begins_anew_with_the_file(sender: Sender) -> None:
    sender.send(EML)
    sender.engine.cancel(sender.offer(EML)["job"])
    assert sender.send(EML)["state"] == "send"
    assert "done" in sender.work()
    assert len(messages(sender)) == 1


def test_a_wrong_size_is_told(sender: Sender) -> None:
    sender.send(EML)
    answer = sender("POST", "/", json={**OFFERED, "size": len(EML) + 1})
    assert answer.status_code == 409
    assert f"{len(EML)} bytes are here" in answer.get_json()["detail"]


# Sessions


def test_an_open_session_is_handed_out_again(sender: Sender) -> None:
    first = sender.offer(EML)["url"]
    assert sender.offer(EML, name="other.eml", modified=5)["url"] == first
    held = sender.node.store.control(Upload, FAMILY, sha256(EML))
    assert held is not None
    assert (held.document.name, held.document.modified) == ("other.eml", 5)
    assert sender.offer(EML, lost=first)["url"] != first
    second = sender.offer(EML)["url"]
    assert second != first
    assert sender.offer(EML, lost=first)["url"] == second, "it is another's that is lost"
    at(sender, SESSION_LIVES + timedelta(hours=1))
    assert sender.offer(EML)["url"] != second


def test_a_session_is_for_the_browser_it_was_opened_for(sender: Sender) -> None:
    def opened(origin: str | None) -> str:
        headers = {**AUTH, **({"Origin": origin} if origin else {})}
        answer = sender("POST", "/", json=OFFERED, headers=headers)
        assert answer.headers.get("Access-Control-Allow-Origin") == ("*" if origin else None)
        return str(answer.get_json()["url"])

    web = opened("https://yurt.example")
    assert opened(None) == web
    assert opened("https://yurt.example") == web
    assert opened("https://other.example") != web


def test_browsers_are_told_what_they_may_ask(sender: Sender) -> None:
    headers = {"Origin": "https://yurt.example", "Access-Control-Request-Method": "PUT"}
    answer = sender("OPTIONS", "/session/x", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert sender("POST", "/", json=OFFERED, headers=headers).status_code == 401


def test_a_file_comes_in_pieces(sender: Sender) -> None:
    data = EML + b"x" * (3 * STEP)
    url, size = sender.offer(data)["url"], len(data)

    def reached(body: bytes, range: str) -> tuple[int, str | None]:
        answer = sender.put(url, body, range)
        return answer.status_code, answer.headers.get("Range")

    one, two = f"bytes=0-{STEP - 1}", f"bytes=0-{2 * STEP - 1}"
    assert reached(b"", f"bytes */{size}") == (308, None)
    assert reached(data[:STEP], f"bytes 0-{STEP - 1}/{size}") == (308, one)
    assert reached(b"", "bytes */*") == (308, one)
    assert sender.sent(data).status_code == 409
    far = f"bytes {2 * STEP}-{3 * STEP - 1}/{size}"
    assert reached(data[2 * STEP : 3 * STEP], far) == (308, one), "a gap is not taken"
    assert reached(data[: 2 * STEP], f"bytes 0-{2 * STEP - 1}/{size}") == (308, two)
    assert reached(data[2 * STEP :], f"bytes {2 * STEP}-{size - 1}/{size}") == (200, None)
    assert reached(b"", f"bytes */{size}") == (200, None)
    assert sender.node.objects.read(f"upload/{sha256(data)}", 0, size) == data
    assert sender.work() == ["done"]


def test_a_piece_that_is_too_long_is_taken_in_part(sender: Sender) -> None:
    data = EML + b"x" * PART
    url, size = sender.offer(data)["url"], len(data)
    answer = sender.put(url, data, f"bytes 0-{size - 1}/{size}")
    assert (answer.status_code, answer.headers["Range"]) == (308, f"bytes=0-{PART - 1}")
    assert sender.put(url, data[PART:], f"bytes {PART}-{size - 1}/{size}").status_code == 200


@pytest.mark.parametrize(
    ("body", "range"),
    [
        (b"x", "bytes 0-1/100"),
        (b"xx", "bytes 0-0/100"),
        (b"x", "bytes 0-0/7"),
        (b"x", f"bytes 1-0/{len(EML)}"),
        (b"x" * len(EML) + b"x", None),
        (b"x", "bytes 0-0/*"),
        (b"x", "pages 0-0/1"),
        (b"x", ""),
        (b"x", f"bytes 0-0/{10**30}"),
    ],
)
def test_a_piece_that_does_not_fit_is_refused(
    refusing: Sender, body: bytes, range: str | None
) -> None:
    answer = refusing.put(refusing.offer(EML)["url"], body, range)
    assert answer.status_code == 400, answer.text
    assert answer.content_type == "application/problem+json"


def test_a_whole_file_may_come_in_one_piece_without_a_range(sender: Sender) -> None:
    assert sender.put(sender.offer(EML)["url"], EML, None).status_code == 200
    assert sender.work() == ["done"]


# What goes wrong


def test_what_came_without_a_word_is_imported_by_the_sweep(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.http.receiving._begin", lambda uploads, name: None)
    sender.send(EML)
    assert sender("GET", f"/{sha256(EML)}").get_json()["state"] == "send"
    assert sweep(sender.node, sender.engine).begun == []
    at(sender, LOOKED_FOR_EACH + timedelta(hours=2))
    (job,) = sweep(sender.node, sender.engine).begun
    assert sender.offer(EML)["job"] == job
    assert "done" in sender.work()


def test_an_upload_that_was_left_is_given_up_by_the_sweep(sender: Sender) -> None:
    url = sender.offer(EML)["url"]
    for hours in (1, 7, 20, 100, 140, 1400):
        at(sender, timedelta(hours=hours))
        assert sweep(sender.node, sender.engine).begun == []
    held = sender.node.store.control(Upload, FAMILY, sha256(EML))
    assert held is not None
    assert (held.document.url, held.document.due) == (None, None)
    assert sender.put(url, EML, None).status_code == 404
    assert sender("GET", f"/{sha256(EML)}").status_code == 404


def test_a_file_that_came_twice_leaves_nothing_behind(sender: Sender) -> None:
    """Two sessions of one file, of which the second ends when all is imported."""
    first = sender.offer(EML)["url"]
    second = sender.offer(EML, lost=first)["url"]
    assert sender.put(first, EML, None).status_code == 200
    assert sender.work() == ["done"]
    assert sender.put(second, EML, None).status_code == 200
    assert list(sender.node.objects.names("upload/")) == []
    assert sender.work() == []


def test_when_the_objects_are_away_the_owner_is_told_to_come_again(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise BlobsUnavailable("no answer")

    monkeypatch.setattr(type(sender.node.objects), "size", away)
    answer = sender("POST", "/", json=OFFERED)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
