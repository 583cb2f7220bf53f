"""`tick` over HTTP, as Cloud Scheduler calls it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Request

from shared.ha.collectors import COLLECTORS, Collector, Collectors
from shared.http.tick import tick
from shared.meter import metered
from shared.node import Node, open_node
from shared.settings import FirestoreDatabase, Settings
from shared.store.changing import current
from shared.store.protocol import StoreUnavailable
from tests.inline_queue import InlineQueue

NOW = datetime(2026, 11, 25, 12, 0, 30, tzinfo=UTC)
SLOT = 1_795_608_000_000_000


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = open_node(Settings(data=tmp_path), lambda: NOW)
    created = NOW - timedelta(days=1)
    due = Collector(service="imap", schedule="0 12 * * *", created=created)
    later = Collector(service="imap", schedule="5 12 * * *", created=created)
    paused = Collector(service="imap", schedule="0 12 * * *", created=created, paused=True)
    written = Collectors(collectors={"due": due, "later": later, "paused": paused})
    node.store.write(COLLECTORS, written, over=None)
    yield node
    node.close()


def called(node: Node, path: str = "/", method: str = "POST") -> TestResponse:
    return Client(Request.application(lambda request: tick(node, request))).open(
        path, method=method
    )


@pytest.mark.parametrize("path", ["/", "/tick", "/tick/"])
def test_what_is_due_becomes_a_task_once(node: Node, path: str) -> None:
    answer = called(node, path)
    assert (answer.status_code, answer.json) == (200, {"added": [f"collector-due-{SLOT}"]})
    assert called(node, path).json == {"added": []}
    assert [task.name for task in node.slots_queue.waiting()] == [f"collector-due-{SLOT}"]


def test_after_an_absence_it_looks_back_to_the_last_mark(node: Node) -> None:
    held = node.store.read(Collectors, COLLECTORS)
    assert held is not None
    ticked = NOW - timedelta(minutes=15)
    daily = replace(held.document.collectors["due"], schedule="50 11 * * *")
    earlier = replace(daily, schedule="44 11 * * *")
    there = {"daily": daily, "earlier": earlier, "paused": replace(daily, paused=True)}
    written = Collectors(collectors=there, ticked=ticked)
    node.store.write(COLLECTORS, written, over=held.version)
    assert called(node).json == {"added": [f"collector-daily-{SLOT - 600_000_000}"]}
    assert current(node.store, COLLECTORS, Collectors()).ticked == NOW


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 405), ("/x", "POST", 404)])
def test_what_is_not_answered(node: Node, path: str, method: str, status: int) -> None:
    assert called(node, path, method).status_code == status


def test_while_the_store_is_away_it_shall_be_called_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("the store cannot be reached")

    monkeypatch.setattr(node.store, "read", away)
    assert called(node).status_code == 503
    assert list(node.slots_queue.waiting()) == []


def test_in_the_cloud_every_other_tick_reads_what_is_configured(firestore_project: str) -> None:
    now = NOW
    node = open_node(
        Settings(firestore=FirestoreDatabase(firestore_project, "(default)")), lambda: now
    )
    node.__dict__["slots_queue"] = InlineQueue()
    late = Collector(service="imap", schedule="0 11 * * *", created=NOW - timedelta(days=1))
    costs = list[tuple[int, int]]()
    with closing(node):
        node.store.write(COLLECTORS, Collectors(collectors={"late": late}), over=None)
        for _ in range(11):
            with metered() as meter:
                called(node)
            costs.append((meter.reads, meter.writes))
            now += timedelta(minutes=1)
    # The mark is made of what is there, and the copy after it does not know of it yet.
    marked, unknown, read, copied = (2, 1), (1, 0), (1, 0), (0, 0)
    assert costs == [marked, unknown, read, copied, *([read, copied] * 3), marked]
