"""`monitor` over HTTP, as Cloud Scheduler calls it."""

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Request

from infra.staging import ROOT
from shared.collecting.periods import IN_CLOUD_EACH
from shared.collecting.slots import enrolled, slot_task
from shared.ha.collectors import COLLECTORS, Collector, Collectors
from shared.http.monitor import monitor
from shared.node import Node, open_node
from shared.queue.protocol import QueueUnavailable, Workable
from shared.settings import Settings
from shared.store.protocol import StoreUnavailable
from shared.workshop import lone_monitor_of

NOW = datetime(2026, 11, 25, 12, 0, 30, tzinfo=UTC)
SLOT = 1_795_608_000_000_000
WELL = {
    "late": [],
    "failed": [],
    "restarted": [],
    "quiet": [],
    "armed": True,
    "told": 0,
}


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def node(tmp_path: Path, clock: Clock) -> Iterator[Node]:
    node = open_node(Settings(data=tmp_path), clock)
    yield node
    node.close()


def told(node: Node) -> Any:
    return called(node).get_json()


def called(node: Node, path: str = "/", method: str = "POST") -> TestResponse:
    def app(request: Request) -> object:
        return monitor(node, lambda: lone_monitor_of(node), request)

    return Client(Request.application(app)).open(path, method=method)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/", "/monitor", "/monitor/"])
def test_it_sweeps_and_adds_one_task_each_ten_minutes(node: Node, clock: Clock, path: str) -> None:
    answer = called(node, path)
    assert (answer.status_code, answer.json) == (200, {"looked": WELL, "added": [f"sweep-{SLOT}"]})
    clock.now = NOW + timedelta(minutes=9, seconds=29)
    assert called(node, path).json == {"looked": WELL, "added": []}
    clock.now = NOW + timedelta(minutes=9, seconds=30)
    next_slot = SLOT + 600_000_000
    assert called(node, path).json == {"looked": WELL, "added": [f"sweep-{next_slot}"]}
    waiting = {task.name for task in node.queue.waiting()}
    assert waiting == {f"sweep-{SLOT}", f"sweep-{next_slot}"}


def test_the_task_lets_work_sweep(node: Node) -> None:
    called(node)
    queue = node.queue
    assert isinstance(queue, Workable)
    taken = queue.take()
    assert taken is not None
    assert (taken.task.work, taken.task.body) == ("work", {"sweep": SLOT})


def test_what_came_of_collectors_is_answered(
    node: Node, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    mail = Collector(service="imap", schedule="2 12 * * *", created=NOW)
    node.store.write(
        COLLECTORS, Collectors(collectors={"mail": mail}, ticked=NOW + IN_CLOUD_EACH), over=None
    )
    job = enrolled("mail", mail, None, NOW)
    node.store.commit("collector", "mail", None, lambda _: job)
    well = {**WELL, "armed": False}  # no run has acknowledged the plan
    assert told(node)["looked"] == well
    node.slots_queue.add(slot_task("mail", NOW + timedelta(seconds=90)))
    queue = node.slots_queue
    assert isinstance(queue, Workable)
    lost = queue.take()
    assert lost is not None
    queue.done(lost)
    looked = []
    for _ in range(2):
        clock.now += IN_CLOUD_EACH
        looked.append(told(node)["looked"])
    late = {**well, "late": ["mail"], "restarted": ["mail"], "told": 1}
    assert looked == [well, late]
    assert "mail" in caplog.text
    assert [task.name.partition("-")[0] for task in node.slots_queue.waiting()] == ["collector"]


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 405), ("/x", "POST", 404)])
def test_what_is_not_answered(node: Node, path: str, method: str, status: int) -> None:
    assert called(node, path, method).status_code == status
    assert list(node.queue.waiting()) == []


def test_while_the_store_is_away_it_shall_be_called_again_and_the_other_sweep_is_made(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the store cannot be reached")

    with monkeypatch.context() as patch:
        patch.setattr(node.store, "due", away)
        assert called(node).status_code == 503
    assert [task.name for task in node.queue.waiting()] == [f"sweep-{SLOT}"]
    assert told(node) == {"looked": WELL, "added": []}


def test_while_the_queue_is_away_it_shall_be_called_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise QueueUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(node.queue, "add", full)
        answer = called(node)
        assert (answer.status_code, "no answer" in answer.text) == (503, True)
    assert told(node)["added"] == [f"sweep-{SLOT}"]


def test_it_is_called_as_often_as_it_says() -> None:
    declared = tomllib.loads((ROOT / "functions/monitor/function.toml").read_text())
    assert [job["cron"] for job in declared["schedule"]] == ["*/10 * * * *"]
    assert IN_CLOUD_EACH.total_seconds() == 600
