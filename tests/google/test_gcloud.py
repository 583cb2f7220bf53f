"""The real gcloud, with the flags that a deployment uses, against the fake.

The oldest version with all of them is 481.0.0 (June 2024), which brought `--build-service-account`;
`--cpu` and `--concurrency` came with 455.0.0, `--docker-repository` for such functions with 435.0.0.
"""

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.google.fake import FakeGoogle
from tests.google.listener import Listener
from tests.google.requests import opened
from tests.google.scenes import BUILDS_AS, RUNS_AS, SOURCE, L, P, prepare

Gcloud = Callable[..., str]


@pytest.fixture
def fake() -> FakeGoogle:
    return opened()


@pytest.fixture
def gcloud(fake: FakeGoogle, tmp_path: Path) -> Iterator[Gcloud]:
    """Runs gcloud with these arguments; what it printed."""
    if shutil.which("gcloud") is None:
        pytest.skip("no gcloud: install it from https://cloud.google.com/sdk/docs/install")
    with Listener(fake) as listener:
        environ = listener.environ(tmp_path)

        def run(*arguments: str) -> str:
            done = subprocess.run(
                ["gcloud", *arguments],
                env=environ,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        yield run


def test_a_token_is_printed(gcloud: Gcloud) -> None:
    assert gcloud("auth", "print-access-token").strip() == "a-token"


def deploying(folder: Path, name: str, *more: str) -> list[str]:
    source = folder / name
    source.mkdir(exist_ok=True)
    for file, text in SOURCE.items():
        (source / file).write_text(text, "utf-8")
    (folder / "env.json").write_text(json.dumps({"YURT_STORE": "firestore"}), "utf-8")
    return [
        "functions",
        "deploy",
        name,
        "--gen2",
        "--runtime=python313",
        "--region=us-central1",
        f"--source={source}",
        "--entry-point=ingest",
        f"--service-account={RUNS_AS}",
        "--memory=512Mi",
        "--cpu=1",
        "--concurrency=40",
        "--timeout=60",
        "--max-instances=3",
        "--min-instances=0",
        f"--env-vars-file={folder / 'env.json'}",
        "--set-secrets=YURT_MASTER_KEY=key:1",
        "--ingress-settings=all",
        f"--docker-repository={L}/repositories/yurt",
        f"--build-service-account={P}/serviceAccounts/{BUILDS_AS}",
        "--format=json",
        *more,
    ]


def test_a_function_is_deployed_and_updated(
    gcloud: Gcloud, fake: FakeGoogle, tmp_path: Path
) -> None:
    prepare(fake)
    http = ("--trigger-http", "--no-allow-unauthenticated")
    told = json.loads(gcloud(*deploying(tmp_path, "ingest", *http, "--update-labels=source=one")))
    assert told["state"] == "ACTIVE"
    assert told["labels"] == {"deployment-tool": "cli-gcloud", "source": "one"}
    assert told["serviceConfig"]["maxInstanceRequestConcurrency"] == 40
    with zipfile.ZipFile(io.BytesIO(fake.uploaded("ingest"))) as archive:
        assert sorted(archive.namelist()) == sorted(SOURCE)
    told = json.loads(gcloud(*deploying(tmp_path, "ingest", *http, "--update-labels=source=two")))
    assert told["labels"]["source"] == "two"
    assert told["serviceConfig"]["revision"] == "ingest-00002-abc"
    assert fake.publicly_invocable() == set()


def test_a_function_with_a_trigger_is_deployed(
    gcloud: Gcloud, fake: FakeGoogle, tmp_path: Path
) -> None:
    prepare(fake)
    told = json.loads(
        gcloud(
            *deploying(
                tmp_path,
                "work",
                "--trigger-event-filters=type=google.cloud.storage.object.v1.finalized",
                "--trigger-event-filters=bucket=yurt-b",
                "--trigger-location=us-central1",
                "--retry",
                f"--trigger-service-account={RUNS_AS}",
            )
        )
    )
    assert told["eventTrigger"]["retryPolicy"] == "RETRY_POLICY_RETRY"
    assert told["eventTrigger"]["trigger"].startswith(f"{L}/triggers/work-")


def test_who_may_call_is_said(gcloud: Gcloud, fake: FakeGoogle, tmp_path: Path) -> None:
    prepare(fake)
    gcloud(*deploying(tmp_path, "ingest", "--trigger-http", "--no-allow-unauthenticated"))
    member = f"--member=serviceAccount:{RUNS_AS}"
    gcloud("functions", "add-invoker-policy-binding", "ingest", "--region=us-central1", member)
    assert fake.roles_of(f"serviceAccount:{RUNS_AS}")[f"{L}/services/ingest"] == {
        "roles/run.invoker"
    }


@pytest.mark.parametrize(
    "command",
    [
        "services enable run.googleapis.com",
        "firestore databases create --location=us-central1 --delete-protection",
        "iam service-accounts create yurt-query --display-name=query",
        "tasks queues create work --location=us-central1 --max-attempts=5 --min-backoff=1s",
        "storage buckets create gs://yurt-c --location=us-central1 --uniform-bucket-level-access",
        "secrets create other --replication-policy=automatic --data-file=token",
    ],
)
def test_other_commands_are_understood(gcloud: Gcloud, fake: FakeGoogle, command: str) -> None:
    gcloud(*command.split())
    assert {seen.status for seen in fake.requests} == {200}
