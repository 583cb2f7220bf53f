"""Fixtures that start real servers: emulators of the cloud, and any command that answers HTTP.

`firestore_project` is what most tests want: a database of its own on an emulator that the session
shares. A test that stops or freezes the emulator takes `disposable_firestore_emulator`. `serve`
starts a command (a node, a staged function) on a free port.

Servers end with the fixture, also when the test run is killed, and a failing test shows the last
lines of their logs.
"""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from infra.emulators import (
    FIRESTORE,
    HOST,
    Emulator,
    Missing,
    NotReady,
    Process,
    Startable,
    find_firestore,
    free_port,
    launch,
    wait_until_ready,
)

__all__ = [
    "Emulator",
    "NotReady",
    "Process",
    "Serve",
    "Server",
    "disposable_firestore_emulator",
    "firestore_emulator",
    "firestore_project",
    "free_port",
    "new_project",
    "serve",
    "startable_firestore",
    "storage_bucket",
    "storage_emulator",
    "wait_until_ready",
]


class Server(Process):
    """A command that answers HTTP on a free port of its own, which it keeps over restarts."""

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        super().__init__(command(self.port), log=log, env=env, cwd=cwd)

    def start(self, within: float = 30) -> None:
        """Return when it answers anything to GET /. Raises NotReady, with the tail of its log."""
        super().start()
        try:
            wait_until_ready(f"{self.url}/", within=within, process=self)
        except NotReady:
            self.end()
            raise


class Serve(Protocol):
    """The fixture `serve`: a started `Server` for a command line made from its port.

    `env` is laid over the environment of the test.
    """

    def __call__(
        self,
        command: Callable[[int], Sequence[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        within: float = 30,
    ) -> Server: ...


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(
        command: Callable[[int], Sequence[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        within: float = 30,
    ) -> Server:
        log = tmp_path / f"server-{len(servers)}.log"
        server = Server(command, log=log, env={**os.environ, **(env or {})}, cwd=cwd)
        servers.append(server)
        server.start(within)
        return server

    yield start
    for server in reversed(servers):
        server.end()
        _show_if_failed(server)


def new_project() -> str:
    """A project id that no test used before. `demo-` keeps every tool from asking the cloud."""
    return f"demo-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def firestore_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The session's Firestore emulator: the one of FIRESTORE_EMULATOR_HOST, or our own."""
    found = find_firestore()
    if isinstance(found, Missing):
        pytest.skip(str(found))
    with launch(found, tmp_path_factory.mktemp("firestore")) as emulator:
        _warm(emulator)
        yield emulator


def _warm(emulator: Emulator) -> None:
    """What an emulator does the first time may take longer than a call of the store waits."""
    from google.cloud import firestore

    with pytest.MonkeyPatch.context() as patch:
        for variable, address in emulator.env.items():
            patch.setenv(variable, address)
        client = firestore.Client(project=new_project())
        batch, reference = client.batch(), client.document("warm", "up")
        batch.set(reference, {"at": 1})
        batch.commit(timeout=60)
        batch.update(reference, {"at": firestore.Increment(1)})
        batch.commit(timeout=60)
        query = client.collection("warm").where(filter=firestore.FieldFilter("at", ">", 0))
        list(query.order_by("at").stream(timeout=60))
        list(client.get_all([reference], timeout=60))
        client.close()


@pytest.fixture
def firestore_project(firestore_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of an empty project; FIRESTORE_EMULATOR_HOST is set for the time of the test."""
    for variable, address in firestore_emulator.env.items():
        monkeypatch.setenv(variable, address)
    return new_project()


@pytest.fixture(scope="session")
def storage_emulator() -> Iterator[str]:
    """The URL of the session's emulator of Cloud Storage, which runs in this process."""
    from gcp_storage_emulator.server import create_server

    logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)
    port = free_port()
    server = create_server(HOST, port, in_memory=True)
    server.start()
    yield f"http://{HOST}:{port}"
    server.stop()


@pytest.fixture
def storage_bucket(storage_emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an empty bucket; STORAGE_EMULATOR_HOST is set for the time of the test.

    It is more patient than the real one: it ignores preconditions on generations, refuses a
    repeated piece of an upload, and says of one that has nothing yet that it has a byte.
    """
    import google.cloud.storage as storage

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_emulator)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "demo-storage")
    name = new_project()
    client = storage.Client()
    client.create_bucket(name)
    client.close()
    return name


@pytest.fixture(scope="session")
def startable_firestore() -> Startable:
    """How a Firestore emulator is started here, whether or not one runs already."""
    found = find_firestore({k: v for k, v in os.environ.items() if k != FIRESTORE.variable})
    if not isinstance(found, Startable):
        pytest.skip(str(found))
    return found


@pytest.fixture
def disposable_firestore_emulator(
    startable_firestore: Startable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    """A Firestore emulator for one test, to `stop`, `start` (empty again) and freeze.

    FIRESTORE_EMULATOR_HOST is set to it, which stays its address over restarts. It takes a second
    or two.
    """
    with launch(startable_firestore, tmp_path / "firestore") as emulator:
        for variable, address in emulator.env.items():
            monkeypatch.setenv(variable, address)
        yield emulator
        _show_if_failed(emulator.process)


def _show_if_failed(process: Process | None) -> None:
    """pytest keeps what is written here, and shows it only if the test failed."""
    sys.stdout.write(f"{process}\n")
