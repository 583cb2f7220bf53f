"""`work`: a task runs a chunk, a sweep looks after the rest."""

import json
import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Request

from shared.http.work import work
from shared.queue.protocol import QueueUnavailable
from shared.store.protocol import StoreUnavailable
from shared.work.engine import Engine
from shared.work.jobs import every_job
from shared.workshop import collecting_of
from tests.http.asking import NOON, asker
from tests.http.uploads import EML, Sender

SWEEP = {"sweep": 1_795_608_000_000_000}


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    with asker(tmp_path) as asked:
        yield Sender(asked.node)


def call(sender: Sender, path: str = "/", body: Any = None, method: str = "POST") -> TestResponse:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return work(sender.node, lambda _: sender.engine, collecting_of, Request(environ))(
            environ, start_response
        )

    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client(app).open(path, method=method, data=data)


def begun(sender: Sender) -> dict[str, str | int]:
    """An import that was begun: the body of its task."""
    sender.send(EML)
    job = sender.offer(EML)["job"]
    return {"job": job, "token": sender.engine.job(job).token}


@pytest.mark.parametrize("path", ["/", "/work", "/work/"])
def test_a_task_runs_a_chunk(sender: Sender, path: str) -> None:
    task = begun(sender)
    answer = call(sender, path, task)
    assert (answer.status_code, answer.get_json()) == (200, {"outcome": "done"})
    again = call(sender, path, task)
    assert (again.status_code, again.get_json()) == (200, {"outcome": "stopped"})


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", "unreadable"),
        (b"{}", "unreadable"),
        (b"[" * 5000, "unreadable"),
        (b" " * 20_000, "unreadable"),
        (b'{"job": 7, "token": "x"}', "unreadable"),
        (b'{"job": "import-1", "token": 1}', "gone"),
    ],
)
def test_a_call_that_would_be_wrong_again_is_settled(
    sender: Sender, body: bytes, outcome: str
) -> None:
    answer = call(sender, body=body)
    assert (answer.status_code, answer.get_json()) == (200, {"outcome": outcome})


def test_what_is_not_answered(sender: Sender) -> None:
    assert call(sender, method="GET").status_code == 405
    assert call(sender, "/elsewhere").status_code == 404
    assert call(sender, "/sweep", SWEEP).status_code == 404


@pytest.mark.parametrize("sweeps", [False, True])
def test_while_the_store_is_away_the_call_shall_be_made_again(
    sender: Sender, sweeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("no answer")

    task = begun(sender)
    store = type(sender.node.store)
    monkeypatch.setattr(store, "control", away)
    monkeypatch.setattr(store, "due", away)
    assert call(sender, body=SWEEP if sweeps else task).status_code == 503


def test_one_chunk_runs_at_a_time(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    task = begun(sender)
    entered, leave = threading.Event(), threading.Event()
    run = Engine.run

    def slow(*asked: Any) -> Any:
        entered.set()
        assert leave.wait(30)
        return run(*asked)

    monkeypatch.setattr(Engine, "run", slow)
    statuses: list[int] = []
    first = threading.Thread(target=lambda: statuses.append(call(sender, "/", task).status_code))
    first.start()
    assert entered.wait(30)
    assert call(sender, "/", task).status_code == 503
    leave.set()
    first.join()
    assert statuses == [200]
    assert call(sender, "/", task).status_code == 200


# The sweep


def test_a_sweep_revives_what_nobody_moves(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise QueueUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(type(sender.node.queue), "add", full)
        job = begun(sender)["job"]
    assert sender.work() == []
    later(sender, timedelta(hours=2))
    assert call(sender, body=SWEEP).get_json()["revived"] == [job]
    assert "done" in sender.work()


def test_a_sweep_seals_once_a_week_and_leaves_a_paused_job_alone(sender: Sender) -> None:
    for _ in range(3):
        assert call(sender, body=SWEEP).status_code == 200
    assert [found.id for found in every_job(sender.engine.store)] == ["seal"]
    sender.engine.pause("seal")
    later(sender, timedelta(days=7))
    call(sender, "/work", SWEEP)
    assert sender.engine.job("seal").state == "paused"
    sender.engine.resume("seal")
    assert "done" in sender.work()
    for days in (8, 14):
        later(sender, timedelta(days=days))
        call(sender, body=SWEEP)
        sender.work()
    assert sender.engine.job("seal").created == NOON + timedelta(days=8)
    assert [found.id for found in every_job(sender.engine.store)] == ["seal"]


def later(sender: Sender, after: timedelta) -> None:
    sender.node.clock = sender.engine.clock = lambda: NOON + after
    sender.node.__dict__.pop("queue")  # it has a clock of its own
    sender.engine.queue = sender.node.queue
