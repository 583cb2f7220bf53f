"""`./infra/deploy` and `cloudbuild.yaml`: the same command, from a checkout alone."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.staging import ROOT


def ran(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "infra/deploy"), *arguments],
        env={**os.environ, "HOME": str(cwd)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_does_what_the_command_does_from_any_folder(tmp_path: Path) -> None:
    done = ran("my-project", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "In the project my-project, region us-central1, a new node will be made of:"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_script_explains_itself(tmp_path: Path) -> None:
    done = ran(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ")


@pytest.fixture(scope="module")
def steps() -> list[dict[str, Any]]:
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text("utf-8"))
    return list(build["steps"])


def test_a_push_is_tested_and_then_deployed_as_by_hand(steps: list[dict[str, Any]]) -> None:
    test, deploy = steps
    assert "CI=true bash .ci/run" in test["args"][-1]
    assert os.access(ROOT / deploy["entrypoint"], os.X_OK)
    assert (deploy["entrypoint"], deploy["args"]) == ("./infra/deploy", ["$PROJECT_ID"])


def test_the_commands_of_a_push_are_ones_that_a_shell_reads(steps: list[dict[str, Any]]) -> None:
    checked = subprocess.run(["bash", "-n", "-c", steps[0]["args"][-1]], check=False)
    assert checked.returncode == 0
