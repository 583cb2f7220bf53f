"""A Takeout in three parts, through the home node and through functions as they are deployed: the
same records are there at the end."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from google.cloud import storage

from infra.staging import stage
from infra.uploading import Uploader
from shared.http.media import FINALIZED
from shared.model.access import ACCESS, Access
from shared.model.records import AnyRecord, Media, Message, Note, Reject, canonical
from shared.node import Node, open_node
from shared.settings import read_settings
from shared.store.changing import current
from tests.emulators import Emulator, Server, new_project
from tests.eventually import eventually
from tests.system.test_staged import OWNER, ask, let_in, server
from tests.takeout import parts
from tests.tasks_server.faults import Faults
from tests.tasks_server.server import TasksServer

FUNCTIONS = ("upload", "media", "work")
YURT = Path(sys.executable).with_name("yurt")


@dataclass
class Cloud:
    """Staged functions on emulators; the test sees what they keep through `node`."""

    node: Node
    servers: dict[str, Server]
    tasks: TasksServer

    def tells(self, sha256: str, size: int) -> None:
        """The event that an object is whole, as the platform delivers it."""
        event = {
            "Content-Type": "application/json",
            "ce-id": sha256[:8],
            "ce-source": f"//storage.googleapis.com/projects/_/buckets/{self.node.settings.bucket}",
            "ce-specversion": "1.0",
            "ce-type": FINALIZED,
        }
        about = {
            "bucket": self.node.settings.bucket,
            "name": f"upload/{sha256}",
            "size": str(size),
        }
        body = json.dumps(about).encode()
        assert ask(self.servers["media"].url, "nobody", body, headers=event)[0] == 200


@pytest.fixture
def cloud(
    firestore_emulator: Emulator,
    storage_emulator: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cloud]:
    project = new_project()
    with contextlib.ExitStack() as stack:
        # Where tasks lead is known once the functions have their ports.
        routes = {"work": ""}
        tasks = TasksServer(
            routes=routes,
            faults=Faults(seed=3, duplicated=0.3, shuffled=True),
            scale=0.1,
        )
        settings = {
            "YURT_STORE": "firestore",
            "YURT_PROJECT": project,
            "YURT_BUCKET": f"{project}-bytes",
            "STORAGE_EMULATOR_HOST": storage_emulator,
            **firestore_emulator.env,
            **tasks.variables,
        }
        for name in (firestore_emulator.kind.variable, "STORAGE_EMULATOR_HOST"):
            monkeypatch.setenv(name, settings[name])  # for our own clients
        with contextlib.closing(storage.Client(project)) as client:
            client.create_bucket(settings["YURT_BUCKET"])
        node = stack.enter_context(contextlib.closing(open_node(read_settings(settings))))
        let_in(node)
        servers = {
            name: server(stage(name, tmp_path / "build"), settings, tmp_path) for name in FUNCTIONS
        }
        for name, running in servers.items():
            stack.enter_context(running)
            routes[name] = running.url
        stack.enter_context(tasks)
        yield Cloud(node, servers, tasks)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name, data in parts().items():
        (folder / name).write_bytes(data)
    return sorted(folder.iterdir())


def test_both_kinds_of_node_keep_the_same(cloud: Cloud, files: list[Path], tmp_path: Path) -> None:
    into_the_cloud(cloud, files)
    with at_home(tmp_path, files) as home:
        found = kept(home)
        assert found == kept(cloud.node)
        counts = {kind: len(found[kind]) for kind in ("fixes", "messages", "media", "rejects")}
        assert counts == {"fixes": 300, "messages": 41, "media": 3, "rejects": 0}
    for running in cloud.servers.values():
        assert "Traceback" not in running.log.read_text(), running


def into_the_cloud(cloud: Cloud, files: list[Path]) -> None:
    """The last part first, each event twice, and tasks as they come."""
    with Uploader(cloud.servers["upload"].url, OWNER) as uploader:
        for file in reversed(files):
            sent = uploader.send(file)
            assert sent.moved == file.stat().st_size
            for _ in range(2):
                cloud.tells(sent.sha256, sent.moved)
        cloud.tasks.wait_until_idle(60)
        for file in files:
            again = uploader.send(file)
            assert (again.state.state, again.moved) == ("done", 0)
    assert list(cloud.node.objects.names("upload/")) == []
    assert list(cloud.node.objects.names("spool/")) == []


@contextlib.contextmanager
def at_home(folder: Path, files: list[Path]) -> Iterator[Node]:
    data = folder / "home"
    with Server(
        lambda port: [str(YURT), "up", "--port", str(port), "--data", str(data)],
        log=folder / "home.log",
        env={"PATH": "/usr/bin:/bin", "TZ": "UTC"},
        cwd=folder,
    ) as running:
        settings = read_settings({"YURT_DATA": str(data)})
        with contextlib.closing(open_node(settings)) as node:
            let_in(node)
            with Uploader(running.url, OWNER) as uploader:
                hashes = [uploader.send(file).sha256 for file in files]
                for sha256 in hashes:
                    eventually(partial(is_done, uploader, sha256))
            yield node


def is_done(uploader: Uploader, sha256: str) -> bool:
    return uploader.state(sha256).state == "done"


def kept(node: Node) -> dict[str, list[bytes]]:
    """Everything that an import keeps, by kind, in an order of its own."""
    store = node.store
    since, until = datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
    devices = sorted(current(store, ACCESS, Access()).devices)
    found: dict[str, Sequence[AnyRecord]] = {
        "fixes": [fix for device in devices for fix in store.track(device, since, until)],
        "messages": store.page(Message, limit=1000).records,
        "media": store.page(Media, limit=1000).records,
        "notes": store.page(Note, limit=1000).records,
        "rejects": store.page(Reject, limit=1000).records,
    }
    records = {kind: sorted(map(canonical, of_kind)) for kind, of_kind in found.items()}
    return {**records, "blobs": [name.encode() for name in node.objects.names("kept/")]}
