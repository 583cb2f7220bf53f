"""Whose credentials the libraries get on a machine where `gcloud` is signed in."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.cloud.doors import Stopped, doors, signed_in


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """With a gcloud that is signed in, and nothing else."""
    gcloud = tmp_path / "bin" / "gcloud"
    gcloud.parent.mkdir()
    gcloud.write_text('#!/bin/sh\n[ "$*" = "auth print-access-token" ] && echo a-token\n')
    gcloud.chmod(0o755)
    path = f"{gcloud.parent}:/usr/bin:/bin"
    return {"PATH": path, "CLOUDSDK_CONFIG": str(tmp_path / "config")}


def test_who_is_signed_in_to_gcloud_need_not_sign_in_again(environ: dict[str, str]) -> None:
    credentials = signed_in("my-project", environ)
    assert credentials is not None
    assert credentials.token == "a-token"
    assert credentials.quota_project_id == "my-project"


def test_credentials_of_the_environment_go_first(environ: dict[str, str]) -> None:
    assert signed_in("p", {**environ, "GOOGLE_APPLICATION_CREDENTIALS": "/key.json"}) is None
    folder = Path(environ["CLOUDSDK_CONFIG"])
    folder.mkdir()
    (folder / "application_default_credentials.json").write_text("{}")
    assert signed_in("my-project", environ) is None


def test_an_emulator_wants_none(environ: dict[str, str]) -> None:
    assert signed_in("p", {**environ, "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}) is None


def test_nobody_is_signed_in(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bin" / "gcloud").write_text("#!/bin/sh\nexit 1\n")
    assert signed_in("my-project", environ) is None
    (tmp_path / "bin" / "gcloud").unlink()
    assert signed_in("my-project", {**environ, "PATH": str(tmp_path)}) is None


def test_who_waits_in_another_thread_is_stopped_at_once(environ: dict[str, str]) -> None:
    opened = doors("my-project", environ)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(wait, 100.0) for wait in (opened.wait, opened.api.wait)]
        opened.gcloud.stop()
        for wait in waiting:
            assert isinstance(wait.exception(timeout=20), Stopped)


def test_who_waits_otherwise_waits_to_the_end(environ: dict[str, str]) -> None:
    doors("my-project", environ).wait(0)
