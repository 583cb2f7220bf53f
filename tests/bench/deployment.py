"""What a deployment asks of Google: requests of our own and of the real gcloud, counted on the fake."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from infra.cloud.gcloud import Ran, runs
from infra.staging import ROOT
from tests.bench.table import print_table
from tests.google.fake import FakeGoogle
from tests.google.listener import Listener
from tests.infra.cloud.project import Project


def main() -> None:
    if shutil.which("gcloud") is None:
        raise SystemExit("gcloud is not on PATH: https://cloud.google.com/sdk/docs/install")
    with tempfile.TemporaryDirectory() as folder:
        counted = _Counted(Path(folder))
        with Listener(counted.project.fake) as listener:
            counted.run = runs(listener.environ(Path(folder)))
            rows = [
                counted.row("a first deployment", counted.project.deploy),
                counted.row("the same again", counted.project.deploy),
                counted.row("taking it down", counted.project.remove),
            ]
    columns = ["", "our requests", "changes, of both", "runs of gcloud", "its requests"]
    print_table("Requests of a deployment", columns, rows)


class _Counted:
    """`Run` that counts, in front of the real one."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(ROOT, FakeGoogle())
        self.project.gcloud = self  # type: ignore[assignment]
        self.run: Callable[..., Ran] | None = None
        self._gcloud = Counter[str]()

    def __call__(self, command: list[str], within: float) -> Ran:
        assert self.run is not None
        before = len(self.project.fake.requests)
        ran = self.run(command, within)
        self._gcloud["runs"] += 1
        self._gcloud["requests"] += len(self.project.fake.requests) - before
        return ran

    def row(self, name: str, act: Callable[[], object]) -> list[str]:
        before, self._gcloud = len(self.project.fake.requests), Counter()
        act()
        seen = self.project.fake.requests[before:]
        ours = len(seen) - self._gcloud["requests"]
        changing = sum(request.mutating for request in seen)
        return [
            name,
            f"{ours}",
            f"{changing}",
            *(f"{self._gcloud[k]}" for k in ("runs", "requests")),
        ]
