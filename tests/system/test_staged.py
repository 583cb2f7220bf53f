"""Every function as it will run: staged, in an environment of exactly its packages, started by the
bare script from another folder, with nothing of our environment."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from google.cloud import storage

from infra.runtime import command, environment, variables
from infra.staging import Staged, functions, stage
from shared.ha.collectors import COLLECTORS, Collector, Collectors
from shared.ha.ledger import LEDGER, Ledger
from shared.http.media import FINALIZED
from shared.imports.beginning import begin_upload, upload_job
from shared.model.access import Device, OwnerToken, token_hash
from shared.model.profile import Profile
from shared.model.records import Message
from shared.node import Node, open_node
from shared.settings import read_settings
from shared.workshop import engine_of
from tests.emulators import Emulator, Server, new_project
from tests.google.fake import FakeGoogle
from tests.google.listener import Listener
from tests.tasks_server.server import TasksServer

DEVICE, OWNER = "a-device-token-of-a-test", "an-owner-token-of-a-test"
NOON = 1_767_268_800  # 2026-01-01T12:00:00Z
ANSWER_WITHIN = 8.0  # seconds, before the apps give up


def ask(
    url: str,
    token: str,
    body: bytes | None = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """As owner or device. method: POST where there is a body, otherwise GET."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {"Authorization": f"Bearer {token}", **(headers or {})}
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def report(at: int) -> bytes:
    """What OwnTracks sends; `at` in seconds since 1970."""
    return json.dumps(
        {"_type": "location", "tid": "me", "lat": 51.5007, "lon": -0.1246, "tst": at}
    ).encode()


def let_in(node: Node) -> None:
    device = Device(
        id="phone",
        name="phone",
        app="owntracks",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        current=token_hash(DEVICE),
    )
    owner = OwnerToken(
        name="laptop", hash=token_hash(OWNER), created=datetime(2026, 1, 1, tzinfo=UTC)
    )
    node.keyring.change(lambda access: access.with_device(device).with_token(owner))


def has(node: Node, at: int) -> bool:
    """Whether the store has it."""
    start = datetime.fromtimestamp(at, UTC)
    end = datetime.fromtimestamp(at + 1, UTC)
    return [fix.time for fix in node.store.track("phone", start, end)] == [start]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Staged]:
    out = tmp_path_factory.mktemp("build")
    return {function: stage(function, out) for function in functions()}


def server(staged: Staged, settings: dict[str, str], folder: Path) -> Server:
    return Server(
        lambda port: command(staged, environment(staged.function), port),
        log=folder / f"{staged.function}.log",
        env=variables(staged.function, settings),
        cwd=folder,
    )


def counting(project: str) -> FakeGoogle:
    google = FakeGoogle(project=project)
    google.enable("monitoring.googleapis.com")
    google.monitoring.open = True
    google.monitoring.series = {"firestore.googleapis.com/document/read_ops_count": 1_234}
    return google


@dataclass
class Cloud:
    """All functions on one store, which the test sees through `node`. google: what counts in the
    cloud."""

    node: Node
    servers: dict[str, Server]
    google: FakeGoogle | None


@pytest.fixture(scope="module", params=["sqlite", "firestore"])
def cloud(
    request: pytest.FixtureRequest,
    staged: dict[str, Staged],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp(request.param)
    settings = {"YURT_STORE": request.param, "YURT_DATA": str(folder / "data")}
    google = None
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        if request.param == "firestore":
            emulator: Emulator = request.getfixturevalue("firestore_emulator")
            project = new_project()
            google = counting(project)
            counters = stack.enter_context(Listener(google)).address
            settings |= {
                "YURT_PROJECT": project,
                "YURT_MONITORING_ENDPOINT": f"{counters}/monitoring",
                "YURT_BUCKET": f"{project}-bytes",
                "STORAGE_EMULATOR_HOST": request.getfixturevalue("storage_emulator"),
                **emulator.env,
                **stack.enter_context(TasksServer(dispatching=False)).variables,
            }
            for name in (emulator.kind.variable, "STORAGE_EMULATOR_HOST"):
                patch.setenv(name, settings[name])  # for our own clients
            with contextlib.closing(storage.Client(project)) as client:
                client.create_bucket(settings["YURT_BUCKET"])
        node = open_node(read_settings(settings))
        stack.callback(node.close)
        let_in(node)
        servers = {name: server(staged[name], settings, folder) for name in staged}
        for running in servers.values():
            stack.enter_context(running)
        yield Cloud(node, servers, google)


def ingest_keeps_a_report(cloud: Cloud, url: str, at: int) -> None:
    assert ask(f"{url}/pub", DEVICE, report(at)) == (200, b"[]")
    assert has(cloud.node, at)
    assert ask(f"{url}/pub", "wrong", report(at))[0] == 401
    # What cannot be read is kept too, beside the records where it is much.
    noise = random.Random(at).randbytes(600_000)
    assert ask(f"{url}/pub", DEVICE, noise)[0] == 200
    assert cloud.node.store.raw(hashlib.sha256(noise).hexdigest()) == noise


def query_gives_a_report_back(cloud: Cloud, url: str, at: int) -> None:
    assert ask(f"{cloud.servers['ingest'].url}/pub", DEVICE, report(at)) == (200, b"[]")
    status, body = ask(f"{url}/loc?from={at}&to={at + 1}&format=csv", OWNER)
    assert status == 200
    assert len(body.splitlines()) == 2
    assert b"51.5007" in body
    assert ask(f"{url}/loc", DEVICE)[0] == 403
    photo = b"a photo of %d" % at
    sha256 = cloud.node.kept.put(photo)
    assert ask(f"{url}/blob/{sha256}", OWNER) == (200, photo)


def mail(at: int) -> tuple[bytes, str]:
    """A mail of its own, and its hash."""
    data = (
        f"Message-ID: <{at}@example.org>\r\nDate: Thu, 01 Jan 2026 12:00:00 +0000\r\n"
        f"From: ada@example.org\r\nSubject: walk {at}\r\n\r\nHello.\r\n"
    ).encode()
    return data, hashlib.sha256(data).hexdigest()


def upload_brings_a_file_to_its_import(cloud: Cloud, url: str, at: int) -> None:
    data, sha256 = mail(at)
    offered = json.dumps({"name": "mail.eml", "size": len(data), "sha256": sha256}).encode()
    assert ask(f"{url}/", "wrong", offered)[0] == 401
    assert ask(f"{url}/", DEVICE, offered)[0] == 403
    status, body = ask(f"{url}/", OWNER, offered)
    assert status == 200, body
    said = json.loads(body)
    assert said["state"] == "send"
    assert ask(f"{url}/{sha256}/sent", OWNER, b"")[0] == 409
    session = urljoin(f"{cloud.servers['upload'].url}/upload", said["url"])
    pieces = {"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
    assert ask(session, "nobody", data, method="PUT", headers=pieces)[0] == 200
    status, body = ask(f"{url}/{sha256}/sent", OWNER, b"")
    assert (status, json.loads(body)["state"]) == (200, "importing")
    assert ask(f"{url}/{sha256}", OWNER)[0] == 200


def media_begins_an_import(cloud: Cloud, url: str, at: int) -> None:
    data, sha256 = mail(at)
    cloud.node.objects.put(f"upload/{sha256}", data)
    event = {
        "Content-Type": "application/json",
        "ce-id": str(at),
        "ce-source": "//storage.googleapis.com/projects/_/buckets/a-bucket",
        "ce-specversion": "1.0",
        "ce-type": FINALIZED,
    }
    bucket = cloud.node.settings.bucket
    about = json.dumps({"bucket": bucket, "name": f"upload/{sha256}", "size": str(len(data))})
    assert ask(url, "nobody", about.encode(), headers=event)[0] == 200
    assert engine_of(cloud.node).job(upload_job(sha256)).state == "ready"
    elsewhere = json.dumps({"bucket": bucket, "name": "kept/00/00"})
    assert ask(url, "nobody", elsewhere.encode(), headers=event)[0] == 200


def work_runs_a_chunk_and_sweeps(cloud: Cloud, url: str, at: int) -> None:
    data, sha256 = mail(at)
    cloud.node.objects.put(f"upload/{sha256}", data)
    engine, now = engine_of(cloud.node), cloud.node.clock()
    begun = begin_upload(engine, sha256, "mail.eml", len(data), now, Profile())
    task = json.dumps({"job": begun.id, "token": begun.job.token}).encode()
    assert ask(url, "nobody", task) == (200, b'{"outcome":"done"}')
    held = cloud.node.store.page(Message, limit=1000).records
    assert f"walk {at}" in [message.subject for message in held]
    swept = ask(url, "nobody", b'{"sweep":1795608000000000}')
    assert (swept[0], json.loads(swept[1]).keys()) == (200, {"revived", "begun"})


def monitor_sweeps_and_tells_work_to(cloud: Cloud, url: str, at: int) -> None:
    status, answer = ask(url, "nobody", b"")
    assert status == 200, answer
    said = json.loads(answer)
    assert said["looked"]["failed"] == []
    if cloud.google is not None:
        ledger = cloud.node.store.read(Ledger, LEDGER)
        assert ledger is not None
        assert ledger.document.unknown == {}
        assert ledger.document.used["firestore.reads"] == 1_234
        assert {seen.service for seen in cloud.google.requests} == {"monitoring.googleapis.com"}
    names = {*said["added"], *(task.name for task in cloud.node.queue.waiting())}
    assert [name for name in names if name.startswith("sweep-")]


def tick_makes_what_is_due_a_task(cloud: Cloud, url: str, at: int) -> None:
    if cloud.node.store.read(Collectors, COLLECTORS) is None:
        created = cloud.node.clock() - timedelta(days=1)
        due = Collector(service="imap", schedule="* * * * *", created=created)
        cloud.node.store.write(COLLECTORS, Collectors(collectors={"mail": due}), over=None)
    status, answer = ask(url, "nobody", b"")
    assert status == 200
    added = json.loads(answer)["added"]
    names = {*added, *(task.name for task in cloud.node.slots_queue.waiting())}
    assert [name for name in names if name.startswith("collector-mail-")]


TALKS: dict[str, Callable[[Cloud, str, int], None]] = {
    "ingest": ingest_keeps_a_report,
    "media": media_begins_an_import,
    "monitor": monitor_sweeps_and_tells_work_to,
    "query": query_gives_a_report_back,
    "tick": tick_makes_what_is_due_a_task,
    "upload": upload_brings_a_file_to_its_import,
    "work": work_runs_a_chunk_and_sweeps,
}
"""What is said to each function; a new one is talked to as well, or the test fails."""


@pytest.mark.parametrize(("mount", "seconds"), [("", 0), ("/{}", 1)], ids=["stripped", "mounted"])
@pytest.mark.parametrize(("function", "hours"), [(name, at) for at, name in enumerate(functions())])
def test_a_staged_function_does_its_work(
    function: str, hours: int, mount: str, seconds: int, cloud: Cloud
) -> None:
    url = cloud.servers[function].url + mount.format(function)
    TALKS[function](cloud, url, NOON + hours * 3600 + seconds)


@pytest.mark.parametrize("function", functions())
def test_sigterm_ends_a_function_cleanly(function: str, cloud: Cloud) -> None:
    running = cloud.servers[function]
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while running.status is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running.status == 0
    log = running.log.read_text()
    assert "Traceback" not in log
    assert DEVICE not in log
    assert OWNER not in log


# The store is down


def test_a_phone_keeps_its_report_while_the_store_is_away(
    staged: dict[str, Staged], disposable_firestore_emulator: Emulator, tmp_path: Path
) -> None:
    emulator = disposable_firestore_emulator
    assert emulator.process
    settings = {"YURT_STORE": "firestore", "YURT_PROJECT": new_project(), **emulator.env}
    with contextlib.closing(open_node(read_settings(settings))) as node:
        let_in(node)
        with server(staged["ingest"], settings, tmp_path) as ingest:
            phone = Phone(f"{ingest.url}/pub")
            phone.delivers()

            emulator.process.pause()  # silence: connections are taken, nothing is answered
            phone.keeps()
            emulator.process.resume()
            phone.delivers()
            assert has(node, phone.time)

            with phone.delivering():
                emulator.stop()
            emulator.start()  # empty, but for who may come in
            let_in(node)
            phone.delivers()
            assert has(node, phone.time)
            assert "Traceback" not in ingest.tail(1000)


class Phone:
    """Delivers one report after the other; one that was not taken is sent again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.time = NOON

    def delivers(self, within: float = 30) -> None:
        """The report is taken, if not at once then soon."""
        deadline = time.monotonic() + within
        while (status := self._send()) != 200 and time.monotonic() < deadline:
            assert status == 503
        assert status == 200

    def keeps(self) -> None:
        """The next report is not taken."""
        self.time += 1
        assert self._send() == 503

    @contextlib.contextmanager
    def delivering(self) -> Iterator[None]:
        """Goes on without a pause, meanwhile, until a report is not taken."""
        statuses: list[int] = []

        def deliver() -> None:
            while not statuses or statuses[-1] == 200:
                self.time += 1
                statuses.append(self._send())

        thread = threading.Thread(target=deliver)
        thread.start()
        yield
        thread.join(30)
        assert set(statuses[:-1]) <= {200}
        assert statuses[-1] == 503

    def _send(self) -> int:
        began = time.monotonic()
        status, body = ask(self._url, DEVICE, report(self.time))
        assert time.monotonic() - began < ANSWER_WITHIN
        assert status != 200 or body == b"[]"
        return status
