"""The adapter for Cloud Tasks beyond the port: what it sends, lost answers, the service's errors."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared.queue import cloudtasks
from shared.queue.cloudtasks import CloudTasksQueue, task_id
from shared.queue.protocol import QueueError, QueueUnavailable, Task
from tests.queue.clock import NOON, Clock
from tests.tasks_server.faults import Fault
from tests.tasks_server.listener import Listener
from tests.tasks_server.server import INVOKER, TasksServer
from tests.tasks_server.tokens import REMOVED

TASK = Task("job-1-abc", "work", {"job": "j", "token": 1})


@pytest.fixture
def function() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture
def server(function: Listener) -> Iterator[TasksServer]:
    with TasksServer(
        routes={"work": function.url}, clock=Clock(), dispatching=False, invokers=[INVOKER]
    ) as server:
        yield server


def opened(server: TasksServer, **other: str) -> CloudTasksQueue:
    settings = {"target": server.target, "account": INVOKER, "audience": server.target}
    settings |= {"endpoint": server.endpoint, **other}
    return CloudTasksQueue(settings.pop("name", server.queue), clock=Clock(), **settings)


@pytest.fixture
def queue(server: TasksServer) -> Iterator[CloudTasksQueue]:
    queue = opened(server)
    yield queue
    queue.close()


def test_what_the_function_gets(
    server: TasksServer, queue: CloudTasksQueue, function: Listener
) -> None:
    queue.add(TASK._replace(after=NOON - timedelta(days=1)))
    server.deliver()
    (received,) = function.received
    assert (received.method, received.path) == ("POST", "/")
    assert received.body == b'{"job":"j","token":1}'
    headers = received.headers
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "Google-Cloud-Tasks"
    assert headers["x-cloudtasks-queuename"] == "work"
    assert headers["x-cloudtasks-taskname"] == task_id("job-1-abc")
    assert headers["x-cloudtasks-tasketa"] == f"{NOON.timestamp():.6f}"
    assert headers["authorization"].endswith(f".{REMOVED}")


def test_names_that_begin_alike_are_sent_far_apart() -> None:
    ids = [task_id(f"job-{number}") for number in range(100)]
    assert len({id[:2] for id in ids}) > 50
    assert all(id.endswith(f"-job-{number}") for number, id in enumerate(ids))


@pytest.mark.parametrize("first", ["lost", "refused", "aborted"])
def test_what_can_be_tried_again_is(
    server: TasksServer, queue: CloudTasksQueue, first: Fault
) -> None:
    server.script(first, first)
    assert queue.add(TASK)
    assert server.ids() == [task_id(TASK.name)]
    server.script(first)
    assert len(list(queue.waiting())) == 1


def test_after_a_lost_answer_a_used_name_counts_as_ours(
    server: TasksServer, queue: CloudTasksQueue
) -> None:
    queue.add(TASK)
    assert not queue.add(TASK)
    server.script("aborted")  # nothing happened, and that is known
    assert not queue.add(TASK)
    server.script("lost")
    assert queue.add(TASK)
    assert len(server.ids()) == 1


@pytest.mark.parametrize("fault", ["hung", "refused"])
def test_nobody_waits_for_long(
    server: TasksServer, queue: CloudTasksQueue, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr(cloudtasks, "WITHIN", 0.6)
    server.script(*[fault] * 50)
    began = time.monotonic()
    with pytest.raises(QueueUnavailable, match="gives no answer"):
        queue.add(TASK)
    assert time.monotonic() - began < 1


def test_a_server_that_is_away_is_unavailable(
    server: TasksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudtasks, "WITHIN", 0.6)
    with pytest.raises(QueueUnavailable, match="ConnectionError"):
        opened(server, endpoint="http://127.0.0.1:1").add(TASK)


def test_a_quota_is_not_insisted_on(server: TasksServer, queue: CloudTasksQueue) -> None:
    server.script("exhausted")
    with pytest.raises(QueueUnavailable, match=r"quota .* is used up \(Quota exceeded.\)"):
        queue.add(TASK)
    assert queue.add(TASK)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (
            {"name": "projects/p/locations/l/queues/q"},
            "gcloud tasks queues create q --project=p --location=l",
        ),
        ({"account": "stranger@example.com"}, "roles/iam.serviceAccountUser on stranger@"),
        ({"target": "ftp://example.com/{work}"}, "refused a request .HttpRequest.url must begin"),
    ],
    ids=["no queue", "not ours to use", "no URL"],
)
def test_what_the_owner_has_to_do_is_said(
    server: TasksServer, other: dict[str, str], says: str
) -> None:
    queue = opened(server, **other)
    with pytest.raises(QueueError, match=says) as raised:
        queue.add(TASK)
    assert not isinstance(raised.value, QueueUnavailable)
    queue.close()


def test_listing_a_queue_that_is_not_there_says_so(server: TasksServer) -> None:
    with pytest.raises(QueueError, match="does not exist"):
        list(opened(server, name="projects/p/locations/l/queues/q").waiting())


def test_tasks_of_others_are_not_listed(server: TasksServer, queue: CloudTasksQueue) -> None:
    queue.add(TASK)
    client = queue._opened()
    url = {"http_request": {"url": "http://127.0.0.1:1/"}}
    for id in ("by-hand", "00000000-job-1-abc", ""):
        name = {"name": f"{server.queue}/tasks/{id}"} if id else {}
        client.create_task({"parent": server.queue, "task": {**url, **name}})
    assert len(server.ids()) == 4
    assert [waiting.name for waiting in queue.waiting()] == [TASK.name]


def test_a_wrong_audience_does_not_reach_the_function(
    server: TasksServer, function: Listener
) -> None:
    queue = opened(server, audience="https://elsewhere.example/{work}")
    queue.add(TASK)
    server.deliver()
    assert [made.status for made in server.made] == [401]
    assert function.received == []
    queue.close()
