"""Which queue a node opens, by its settings."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from shared.node import Node, open_node
from shared.queue.protocol import QueueError, Task, Workable
from shared.settings import BadSettings, TasksQueue, read_settings
from tests.queue.clock import Clock
from tests.tasks_server.listener import Listener
from tests.tasks_server.server import TasksServer

TASKS = {
    "YURT_STORE": "firestore",
    "YURT_PROJECT": "demo-yurt",
    "YURT_TASKS_QUEUE": "projects/demo-yurt/locations/us-central1/queues/work",
    "YURT_TASKS_TARGET": "https://us-central1-demo-yurt.cloudfunctions.net/{work}",
    "YURT_TASKS_ACCOUNT": "invoker@demo-yurt.iam.gserviceaccount.com",
}


def test_a_cloud_node_says_which() -> None:
    assert read_settings(TASKS).tasks == TasksQueue(
        name=TASKS["YURT_TASKS_QUEUE"],
        target=TASKS["YURT_TASKS_TARGET"],
        account=TASKS["YURT_TASKS_ACCOUNT"],
        audience=TASKS["YURT_TASKS_TARGET"],
    )
    more = {"YURT_TASKS_AUDIENCE": "https://a.example", "YURT_TASKS_ENDPOINT": "http://b"}
    tasks = read_settings({**TASKS, **more}).tasks
    assert tasks is not None
    assert (tasks.audience, tasks.endpoint) == ("https://a.example", "http://b")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"YURT_TASKS_QUEUE": "work"}, "whole name, projects/PROJECT"),
        ({"YURT_TASKS_QUEUE": "projects/p/locations/l/queues/a_b"}, "whole name"),
        ({"YURT_TASKS_TARGET": ""}, "set YURT_TASKS_TARGET"),
        ({"YURT_TASKS_TARGET": "https://example.com/work"}, "{work} for the function's name"),
        ({"YURT_TASKS_TARGET": "example.com/{work}"}, "set YURT_TASKS_TARGET"),
        ({"YURT_TASKS_ACCOUNT": ""}, "set YURT_TASKS_ACCOUNT"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, str], says: str) -> None:
    with pytest.raises(BadSettings) as raised:
        read_settings({**TASKS, **wrong})
    assert says in str(raised.value)


def opened(variables: dict[str, str]) -> Node:
    return open_node(read_settings(variables), Clock())


def test_a_home_nodes_queue_is_in_its_folder(tmp_path: Path) -> None:
    with closing(opened({"YURT_DATA": str(tmp_path)})) as node:
        assert not (tmp_path / "queue.db").exists()  # who needs none makes none
        assert isinstance(node.queue, Workable)
        node.queue.add(Task("a", "work", {}))
    with closing(opened({"YURT_DATA": str(tmp_path)})) as node:
        assert [waiting.name for waiting in node.queue.waiting()] == ["a"]


def test_a_cloud_nodes_queue_is_the_services(tmp_path: Path) -> None:
    with closing(opened({**TASKS, "FIRESTORE_EMULATOR_HOST": "x"})) as node:
        assert not isinstance(node.queue, Workable)


def test_a_node_can_use_the_server_that_stands_in() -> None:
    with Listener() as function, TasksServer(routes={"work": function.url}) as server:
        cloud = {"YURT_STORE": "firestore", "YURT_PROJECT": "demo-yurt", **server.variables}
        node = open_node(read_settings(cloud))
        assert node.queue.add(Task("a", "work", {}))
        server.wait_until_idle()
        node.queue.close()
    assert [received.path for received in function.received] == ["/"]


def test_a_cloud_node_without_a_queue_says_so() -> None:
    node = opened({"YURT_STORE": "firestore", "YURT_PROJECT": "demo-yurt"})
    with pytest.raises(QueueError, match="set YURT_TASKS_QUEUE"):
        node.queue  # noqa: B018 - opening it is what is tested


def test_a_home_node_never_loads_the_services_library() -> None:
    loads = "import sys, shared.node, shared.queue.local, shared.queue.worker"
    program = f"{loads}; sys.exit('google.api_core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
