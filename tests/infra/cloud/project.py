"""A project on the fake, deployed to in this process, and the small checkout that is deployed."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from infra.cloud.api import Api, Response, Token
from infra.cloud.bridge import Home
from infra.cloud.deployment import deployment
from infra.cloud.doors import Doors
from infra.cloud.executor import Executor, Told
from infra.cloud.gcloud import Gcloud, Ran, Run
from infra.cloud.plan import CloudNode, cloud_node
from infra.cloud.preflight import looked_at, preflight
from infra.cloud.steps import Step
from infra.declarations import Declaration
from infra.staging import ROOT, Staged
from tests.google.fake import FakeGoogle
from tests.infra.cloud.gcloud import InProcessGcloud

NOW = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)
KEY = "5e" * 32


class Killed(BaseException):
    """The process is no more: nobody catches this."""


class Quiet:
    """A teller that remembers."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.waited: list[str] = []

    def begins(self, step: Step) -> None:
        pass

    def does(self, step: Step, changes: Sequence[str]) -> None:
        pass

    def waits(self, step: Step, because: str) -> None:
        self.waited.append(f"{step.title}: {because}")

    def ends(self, told: Told) -> None:
        self.told.append(told)

    @property
    def changes(self) -> dict[str, list[str]]:
        """What was done, by the step's title."""
        return {told.step.title: list(told.done) for told in self.told if told.done}

    @property
    def left(self) -> dict[str, str]:
        """Why steps were left out."""
        return {told.step.title: told.left for told in self.told if told.left is not None}


class Project:
    """root: the checkout that is deployed; what is staged of it goes beside it.

    run: what is called as gcloud; the one in this process, unless it is exchanged. killed_at: the number of the request at which the process dies, counted from now; after: once
    the request had its effect. waited: seconds, all told.
    """

    def __init__(self, root: Path, fake: FakeGoogle | None = None) -> None:
        self.root = root
        self.fake = fake or FakeGoogle(clock=lambda: NOW)
        self.gcloud = InProcessGcloud(self.fake, self.send)
        self.run: Run = self.gcloud
        self.killed_at: int | None = None
        self.after = False
        self.waited = 0.0

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        if self.killed_at is not None:
            self.killed_at -= 1
        if self.killed_at == 0 and not self.after:
            raise Killed
        answer = self.fake.answer(method, url, headers, body)
        if self.killed_at == 0:
            raise Killed
        return Response(answer.status, answer.body)

    def wait(self, seconds: float) -> None:
        self.waited += seconds
        if seconds >= 2:  # otherwise it is the first look after an operation, which is too early
            self.fake.settle()

    @cached_property
    def _doors(self) -> Doors:
        gcloud = Gcloud(self._run_gcloud)
        api = Api(self.fake.project.id, Token(gcloud.token), {}, self.send, self.wait)
        return Doors(api, gcloud, self.send, self.wait, lambda: None)

    def _run_gcloud(self, command: Sequence[str], within: float) -> Ran:
        return self.run(command, within)  # which may have been exchanged meanwhile

    def doors(self) -> Doors:
        return self._doors

    def node(
        self,
        region: str | None = None,
        bucket: str | None = None,
        bridge: Home = "none",
        down: bool = False,
    ) -> CloudNode:
        """As it is deployed or, if down, taken down, once the project was looked at."""
        doors = self.doors()
        doors.gcloud.check()
        found = (looked_at if down else preflight)(doors.api)
        there = found.place
        place = deployment(
            self.fake.project.id,
            region or (there.region if there else "us-central1"),
            bucket or (there.bucket if there else None),
        )
        declared, staged = _staged(self.root, _fingerprint(self.root))
        return CloudNode(
            place, declared, staged, found.number, found.billing_account, bridge, lambda: KEY
        )

    def deploy(
        self,
        at_once: int = 1,
        region: str | None = None,
        bucket: str | None = None,
        bridge: Home = "none",
    ) -> Quiet:
        teller, doors = Quiet(), self.doors()
        steps = self.node(region, bucket, bridge).steps()
        Executor(doors.api, doors.gcloud, teller, at_once).deploy(steps)
        return teller

    def remove(self, bridge: Home = "none") -> Quiet:
        teller, doors = Quiet(), self.doors()
        steps = [step for step in self.node(bridge=bridge, down=True).steps() if step.is_removable]
        Executor(doors.api, doors.gcloud, teller, 1).remove(steps)
        return teller


@cache
def _staged(root: Path, fingerprint: str) -> tuple[Mapping[str, Declaration], Mapping[str, Staged]]:
    """Hundreds of deployments of one checkout need it once."""
    place = deployment("p-yurt", "us-central1")
    node = cloud_node(place, root=root, build=root.parent / fingerprint)
    return node.declared, node.staged


def _fingerprint(root: Path) -> str:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    changed = [(str(path), path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(changed).encode()).hexdigest()


def lasting(fake: FakeGoogle) -> dict[str, Any]:
    """All that lasts, but for what the platform keeps for itself of uploads that were given up."""
    state = fake.state()
    buckets = state["storage.googleapis.com"]
    ours = {name: bucket for name, bucket in buckets.items() if not name.startswith("gcf-v2-")}
    return {**state, "storage.googleapis.com": ours}


def checkout(folder: Path) -> Path:
    """This one's functions with all that is declared of them, without the library: to be deployed
    to a fake, which reads every file of it."""
    root = folder / "checkout"
    shutil.copytree(
        ROOT / "functions", root / "functions", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "requirements.txt", root)
    for name in ("shared", "schemas"):
        (root / name).mkdir()
        (root / name / "placeholder.txt").write_text(f"{name}\n")
    return root
