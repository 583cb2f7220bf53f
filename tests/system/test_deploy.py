"""`yurt deploy` with the real gcloud against a strict fake of Google's APIs; what gcloud uploaded is
then started as the cloud starts it, on the Firestore emulator, and passes the smoke test."""

import contextlib
import hashlib
import io
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.front_door import door
from infra.runtime import command, environment, variables
from infra.staging import MANIFEST, ROOT, Staged
from shared.commands.access import access_of
from shared.model.records import Fix
from shared.node import open_node
from shared.settings import read_settings
from tests.emulators import Emulator, Server, new_project
from tests.google.fake import FakeGoogle
from tests.google.listener import HOST, Listener
from tests.infra.cloud.project import KEY, Project, lasting

YURT = Path(sys.executable).with_name("yurt")
FUNCTIONS = ["ingest", "media", "query", "upload", "work"]

pytestmark = pytest.mark.skipif(
    shutil.which("gcloud") is None,
    reason="gcloud is not on PATH: install it as https://cloud.google.com/sdk/docs/install says",
)


class Instances(Mapping[str, int]):
    """The ports of functions that everybody may call; each is started when it is first asked.

    It runs from the zip that was uploaded, with the environment and the secrets it was deployed
    with, and nothing else.
    """

    def __init__(self, fake: FakeGoogle, folder: Path, outside: Mapping[str, str]) -> None:
        self._fake = fake
        self._folder = folder
        self._outside = outside
        self._lock = threading.Lock()
        self.servers: dict[str, Server] = {}

    def __getitem__(self, name: str) -> int:
        if name not in self._fake.publicly_invocable():
            raise KeyError(name)
        with self._lock:
            if name not in self.servers:
                self.servers[name] = self._started(name)
            return self.servers[name].port

    def __iter__(self) -> Iterator[str]:
        return iter(self._fake.publicly_invocable())

    def __len__(self) -> int:
        return len(self._fake.publicly_invocable())

    def end(self) -> None:
        for server in self.servers.values():
            server.end()

    def _started(self, name: str) -> Server:
        folder = self._folder / name
        with zipfile.ZipFile(io.BytesIO(self._fake.uploaded(name))) as archive:
            archive.extractall(folder)
        service = deployed(self._fake, name)["serviceConfig"]
        secrets = {
            secret["key"]: self._secret(secret["secret"], secret["version"])
            for secret in service.get("secretEnvironmentVariables", ())
        }
        settings = {**service["environmentVariables"], **secrets, **self._outside}
        staged = Staged(name, folder, "", ())
        server = Server(
            lambda port: command(staged, environment(name), port),
            log=self._folder / f"{name}.log",
            env=variables(name, settings),
            cwd=self._folder,
        )
        server.start()
        return server

    def _secret(self, name: str, version: str) -> str:
        import base64

        path = f"projects/{self._fake.project.id}/secrets/{name}/versions/{version}:access"
        url = f"https://secretmanager.googleapis.com/v1/{path}"
        answer = self._fake.answer("GET", url, {"Authorization": "Bearer a-token"}, b"")
        return base64.b64decode(json.loads(answer.body)["payload"]["data"]).decode()


@dataclass
class Cloud:
    fake: FakeGoogle
    environ: dict[str, str]
    folder: Path
    instances: Instances
    emulator: Emulator
    ran: list[str] = field(default_factory=list)

    def yurt(self, *arguments: str, within: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(YURT), *arguments],
            env=self.environ,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )

    @property
    def project(self) -> str:
        return self.fake.project.id


def deployed(fake: FakeGoogle, name: str) -> Any:
    place = f"projects/{fake.project.id}/locations/us-central1/functions"
    return fake.functions.functions[f"{place}/{name}"]


@pytest.fixture(scope="module")
def cloud(
    firestore_emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("cloud")
    # What takes a while is waited for in tests/infra/cloud, where waiting takes no time.
    fake = FakeGoogle(project=new_project(), polls=0)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(Listener(fake))
        outside = socket.create_server((HOST, 0), backlog=128)
        stack.callback(outside.close)
        instances = Instances(fake, folder, firestore_emulator.env)
        stack.callback(instances.end)
        front = door(outside, instances)
        stack.callback(front.shutdown)
        threading.Thread(target=front.serve_forever, args=(0.02,), daemon=True).start()
        fake.origin = f"http://{HOST}:{outside.getsockname()[1]}"
        environ = {**listener.environ(folder), **firestore_emulator.env, "TZ": "UTC"}
        yield Cloud(fake, environ, folder, instances, firestore_emulator)


@pytest.fixture(scope="module")
def first(cloud: Cloud) -> subprocess.CompletedProcess[str]:
    """A first deployment."""
    return cloud.yurt("deploy", cloud.project)


def test_a_first_deployment_ends_with_a_fix_that_came_out_again(
    cloud: Cloud, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0, first.stderr + first.stdout
    assert "A report went in and came out; nobody gets into the private functions." in first.stdout
    assert f"YURT_PROJECT={cloud.project}" in first.stdout
    # It is a log: no credential is shown.
    assert "Password" not in first.stdout
    assert "No phone is paired yet" in first.stdout


def test_the_zips_are_what_was_staged(
    cloud: Cloud, first: subprocess.CompletedProcess[str]
) -> None:
    for name in FUNCTIONS:
        with zipfile.ZipFile(io.BytesIO(cloud.fake.uploaded(name))) as archive:
            hashes = {
                path: hashlib.sha256(archive.read(path)).hexdigest()
                for path in archive.namelist()
                if not path.endswith("/")
            }
            manifest = archive.read(MANIFEST).decode()
        del hashes[MANIFEST]
        listed = {path: sha256 for sha256, _, path in map(_parts, manifest.splitlines())}
        assert hashes == listed
        assert {"main.py", "requirements.txt", "shared/node.py"} <= hashes.keys()


def _parts(line: str) -> tuple[str, str, str]:
    return line.partition("  ")


def test_the_real_gcloud_leaves_what_the_one_of_the_other_tests_does(
    cloud: Cloud, first: subprocess.CompletedProcess[str]
) -> None:
    other = Project(ROOT, FakeGoogle(project=cloud.project))
    other.fake.origin = cloud.fake.origin
    other.deploy()
    assert lasting(cloud.fake) == lasting(other.fake)
    assert cloud.fake.publicly_invocable() == {"ingest", "query", "upload"}


def test_the_smoke_test_leaves_nothing_but_what_it_found(
    cloud: Cloud, first: subprocess.CompletedProcess[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud.emulator.env.items():
        monkeypatch.setenv(name, value)
    settings = {"YURT_STORE": "firestore", "YURT_PROJECT": cloud.project}
    with contextlib.closing(open_node(read_settings(settings))) as node:
        access = access_of(node)
        assert access.devices == {}
        assert access.tokens == {}
        latest = node.store.latest("deployment-test")
        assert latest.fix is None
        assert not isinstance(latest.status, Fix)
    log = cloud.instances.servers["ingest"].log.read_text()
    assert "Traceback" not in log
    assert KEY not in log


def test_a_deployment_without_a_change_asks_much_and_changes_nothing(
    cloud: Cloud, first: subprocess.CompletedProcess[str]
) -> None:
    before, state = len(cloud.fake.requests), lasting(cloud.fake)
    again = cloud.yurt("deploy", cloud.project)
    assert again.returncode == 0, again.stderr + again.stdout
    assert [seen for seen in cloud.fake.requests[before:] if seen.mutating] == []
    assert "done" not in re.findall(r"(?m)^(\w+) +\[", again.stdout)
    assert lasting(cloud.fake) == state


def test_somebody_who_looks_is_shown_the_code_to_pair_a_phone(
    cloud: Cloud, first: subprocess.CompletedProcess[str]
) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [str(YURT), "deploy", cloud.project],
        env={**cloud.environ, "TERM": "xterm", "COLUMNS": "200"},
        cwd=cloud.folder,
        stdin=follower,
        stdout=follower,
        stderr=subprocess.STDOUT,
    )
    os.close(follower)
    seen = b""
    with contextlib.suppress(OSError):  # how a terminal says that its program has ended
        while piece := os.read(leader, 65536):
            seen += piece
    assert process.wait(60) == 0, seen.decode()
    assert b'"phone" is paired with OwnTracks' in seen
    assert b"owntracks:///config?inline=" in seen
    assert "\u2580".encode() in seen
    told = cloud.yurt("deploy", cloud.project).stdout
    assert "Paired: phone." in told


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("batchEnable", "Stopped: 0 of 38 steps are done; not done: services, "),
        (":generateUploadUrl", "Stopped: 18 of 38 steps are done; not done: function ingest, "),
    ],
)
def test_interrupted_it_says_how_far_it_came_and_leaves_nobody_behind(
    when: str, said: str, cloud: Cloud, tmp_path: Path
) -> None:
    endless = 1_000_000 if when == "batchEnable" else 0
    fake = FakeGoogle(project=new_project(), polls=endless)
    with Listener(fake) as listener:
        process = subprocess.Popen(
            [str(YURT), "deploy", fake.project.id],
            env={**cloud.environ, **listener.environ(tmp_path)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + 90
        while not any(when in seen.path for seen in fake.requests):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)  # to it alone: its children are its own to end
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, output + errors
    assert said in errors
    assert "The same command goes on where it was." in errors
    assert "Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_gcloud_takes_the_build_of_a_push(cloud: Cloud) -> None:
    before = len(cloud.fake.requests)
    options = ["--no-source", "--async", f"--config={ROOT / 'cloudbuild.yaml'}"]
    ran = subprocess.run(
        ["gcloud", "builds", "submit", *options],
        env=cloud.environ,
        cwd=cloud.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    begun = [seen for seen in cloud.fake.requests[before:] if seen.path.endswith("/builds")]
    assert [seen.method for seen in begun] == ["POST"], ran.stderr
    assert [step["id"] for step in begun[0].body["steps"]] == ["test", "deploy"]
    assert begun[0].body["steps"][1]["args"] == ["$PROJECT_ID"]
    assert begun[0].body["options"]["logging"] == "CLOUD_LOGGING_ONLY"
