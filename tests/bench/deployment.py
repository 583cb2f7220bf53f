"""What a deployment asks of Google: requests of our own and of the real gcloud, counted on the fake."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.cloud.gcloud import Commands, Ran
from infra.staging import ROOT
from tests.bench.table import print_table
from tests.google.fake import FakeGoogle
from tests.google.listener import Listener
from tests.infra.cloud.project import Project


def main() -> None:
    if shutil.which("gcloud") is None:
        raise SystemExit("gcloud is not on PATH: https://cloud.google.com/sdk/docs/install")
    with tempfile.TemporaryDirectory() as folder:
        counted = _Counted()
        with Listener(counted.fake) as listener:
            counted.run = Commands(listener.environ(Path(folder)))
            rows = [
                counted.row("a first deployment", Project.deploy),
                counted.row("the same again", Project.deploy),
                counted.row("taking it down", Project.remove),
            ]
    columns = ["", "our requests", "changes, of both", "runs of gcloud", "its requests"]
    print_table("Requests of a deployment", columns, rows)


class _Counted:
    """`Run` that counts, in front of the real one."""

    def __init__(self) -> None:
        self.fake = FakeGoogle()
        self.run: Callable[..., Ran] | None = None
        self._gcloud = Counter[str]()

    def __call__(self, command: Sequence[str], within: float) -> Ran:
        assert self.run is not None
        before = len(self.fake.requests)
        ran = self.run(command, within)
        self._gcloud["runs"] += 1
        self._gcloud["requests"] += len(self.fake.requests) - before
        return ran

    def row(self, name: str, act: Callable[[Project], object]) -> list[str]:
        before, self._gcloud = len(self.fake.requests), Counter()
        project = Project(ROOT, self.fake)
        project.run = self
        act(project)
        seen = self.fake.requests[before:]
        ours = len(seen) - self._gcloud["requests"]
        changing = sum(request.mutating for request in seen)
        return [
            name,
            f"{ours}",
            f"{changing}",
            *(f"{self._gcloud[k]}" for k in ("runs", "requests")),
        ]
