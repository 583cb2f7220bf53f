"""`yurt deploy`, `yurt undeploy` and `yurt doctor --project` as their user meets them."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.cli.commands import COMMANDS
from infra.cli.main import main
from infra.cli.session import Session
from infra.cloud.doors import Doors
from infra.cloud.plan import cloud_node
from tests.google.fake import FakeGoogle
from tests.google.requests import ask
from tests.infra.cloud.project import NOW, Project, checkout

Yurt = Callable[..., Result]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("deployed"))


@pytest.fixture(autouse=True)
def small(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is deployed is small, since the fake reads all of it each time."""
    of_root = partial(cloud_node, root=root, build=root.parent / "build")
    monkeypatch.setattr("infra.cloud.plan.cloud_node", of_root)


@pytest.fixture
def project(root: Path) -> Project:
    """A project to which this checkout is deployed."""
    project = Project(root)
    project.deploy()
    return project


def yurt(
    project: Project | None, *arguments: str, answer: str | None = None, home: str = "/nowhere"
) -> Result:
    """project: None where the cloud is not to be asked at all."""

    def open_doors(name: str, environ: Mapping[str, str]) -> Doors:
        assert project is not None
        return project.doors()

    session = Session(environ={"TZ": "UTC", "HOME": home}, clock=lambda: NOW, open_doors=open_doors)
    if answer is not None:
        session.is_asked_for = lambda: True  # type: ignore[method-assign]
    return CliRunner().invoke(main, list(arguments), obj=session, input=answer)


# The plan


def test_a_dry_run_asks_nothing_of_the_cloud_and_shows_what_will_be_there() -> None:
    shown = yurt(None, "deploy", "my-project", "--dry-run")
    assert shown.exit_code == 0
    for words in (
        "In the project my-project, region us-central1, a new node will be made of:",
        "function ingest: public, 512Mi, 1 CPU, up to 5 x 40 requests at once",
        "bucket my-project-yurt: in us-central1, closed to the public",
        "who may call work: run.invoker to yurt-caller",
        "2 of 3 jobs of Cloud Scheduler",
    ):
        assert words in " ".join(shown.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("My_Project",), "'My_Project' is no id of a project"),
        (("my-project", "--region", "europe-west1"), "europe-west1 is outside the free tier"),
        (("my-project", "--bucket", "No"), "'No' cannot be the name of a bucket"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything(
    arguments: tuple[str, ...], said: str
) -> None:
    refused = yurt(None, "deploy", *arguments)
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert said in refused.stderr


def test_the_plan_of_a_bridge_says_what_may_be_charged_and_that_there_is_none_yet() -> None:
    shown = yurt(None, "deploy", "my-project", "--bridge", "vm", "--dry-run")
    words = " ".join(shown.stdout.split())
    assert "machine yurt-bridge: an e2-micro in us-central1-b, of which one is free" in words
    assert "Its external address may be charged" in words
    assert shown.exit_code == 2
    assert "this version of Yurt has no XMPP bridge yet" in shown.stderr


def test_a_bridge_here_becomes_a_service_once_there_is_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(COMMANDS, "bridge", "bridge")
    monkeypatch.setattr("infra.cli.deploy._try_out", lambda *_: None)
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/called\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    done = yurt(project, "deploy", "p-yurt", "--bridge", "here", home=str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "The XMPP bridge runs here as yurt-bridge.service." in done.stdout
    unit = (tmp_path / ".config/systemd/user/yurt-bridge.service").read_text()
    assert "bin/yurt bridge\n" in unit
    assert "Environment=YURT_PUBLIC_BASE=https://us-central1-p-yurt.cloudfunctions.net\n" in unit
    assert "--user enable --now yurt-bridge.service" in (tmp_path / "called").read_text()


# What stands in the way


def test_what_stands_in_the_way_is_one_sentence_and_what_to_do(project: Project) -> None:
    project.fake.denied.add("cloudscheduler.jobs.create")
    refused = yurt(project, "deploy", "p-yurt")
    assert refused.exit_code == 1
    assert refused.stderr == (
        "Error: you may not do all that deploying to p-yurt takes; ask its owner for roles/owner, "
        "or for roles/cloudscheduler.admin\n"
    )


def test_a_step_that_fails_tells_how_far_it_came_and_how_to_go_on(root: Path) -> None:
    project = Project(root)
    project.fake.denied.add("storage.buckets.setIamPolicy")
    failed = yurt(project, "deploy", "p-yurt")
    assert failed.exit_code == 1
    said = " ".join(failed.stderr.split())
    assert said.startswith("Error: roles on the bucket: storage said: ")
    assert "ask the owner of the project for roles/owner" in said
    assert (
        "12 of 38 steps are done; not done: roles on the bucket, roles on the task queue," in said
    )
    assert said.endswith("The same command goes on where it was.")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--region", "us-west1"),
            (
                "the node of p-yurt is in us-east1 and cannot be moved, since its database and its "
                "bucket stay where they are; leave --region out, or deploy to another project"
            ),
        ),
        (
            ("--bucket", "p-yurt-other"),
            (
                "the node of p-yurt has the bucket p-yurt-mine, where its photos and attachments "
                "are; leave --bucket out"
            ),
        ),
    ],
)
@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
def test_a_node_stays_where_it_is(
    options: tuple[str, str], said: str, down: bool, root: Path
) -> None:
    project = Project(root)
    project.deploy(region="us-east1", bucket="p-yurt-mine")
    if down:
        project.remove()
    before = len(project.fake.requests)
    refused = yurt(project, "deploy", "p-yurt", *options)
    assert refused.stderr == f"Error: {said}\n"
    assert refused.exit_code == 1
    assert [seen for seen in project.fake.requests[before:] if seen.mutating] == []


def test_who_has_a_database_elsewhere_may_go_there(root: Path) -> None:
    project = Project(root)
    project.fake.enable("firestore.googleapis.com")
    databases = "firestore/v1/projects/p-yurt/databases?databaseId=(default)"
    body = {"type": "FIRESTORE_NATIVE", "locationId": "us-east1"}
    ask(project.fake, f"POST {databases}", body)
    project.fake.settle()
    refused = yurt(project, "deploy", "p-yurt")
    assert "or with --region us-east1" in refused.stderr
    project.fake.denied.add("storage.buckets.setIamPolicy")  # as far as that it is to come
    gone_on = yurt(project, "deploy", "p-yurt", "--region", "us-east1")
    assert "bucket p-yurt-yurt: create in us-east1" in gone_on.stdout


def test_the_plan_is_of_the_node_that_is_there(root: Path) -> None:
    project = Project(root)
    project.deploy(region="us-east1", bucket="p-yurt-mine")
    project.fake.denied.add("billing.budgets.create")
    shown = " ".join(yurt(project, "deploy", "p-yurt").stdout.split())
    assert "In the project p-yurt, region us-east1, there will be: " in shown
    assert "bucket p-yurt-mine: in us-east1" in shown


def test_the_network_is_lost_in_the_middle(root: Path) -> None:
    project = Project(root)
    for number in range(60, 90):
        project.fake.faults.after(number, "lost before")
    failed = yurt(project, "deploy", "p-yurt")
    said = " ".join(failed.stderr.split())
    assert failed.exit_code == 1
    assert "check the network. " in said
    assert "trying again soon" in failed.stdout


# Drift


def test_all_is_as_deployed(project: Project) -> None:
    found = yurt(project, "doctor", "--project", "p-yurt")
    assert found.exit_code == 0, found.output
    assert found.stdout.rstrip().endswith("All is well.")


def test_what_was_changed_by_hand_is_found_and_not_touched(project: Project) -> None:
    queue = "cloudtasks/v2/projects/p-yurt/locations/us-central1/queues/yurt"
    ask(project.fake, f"POST {queue}:pause", {})
    before = len(project.fake.requests)
    found = yurt(project, "doctor", "--project", "p-yurt", "--json")
    assert found.exit_code == 1
    wrong = [check for check in json.loads(found.stdout) if check["status"] != "ok"]
    assert wrong == [
        {
            "check": "task queue yurt",
            "status": "fail",
            "detail": "to do: resume",
            "fix": "do it: yurt deploy p-yurt",
        }
    ]
    assert [seen for seen in project.fake.requests[before:] if seen.mutating] == []


def test_what_only_others_may_see_is_no_fault(project: Project) -> None:
    budgets = "billingbudgets.googleapis.com"
    project.fake.project.enabled.discard(budgets)
    found = yurt(project, "doctor", "--project", "p-yurt", "--json")
    states = {check["check"]: check["status"] for check in json.loads(found.stdout)}
    assert states["budget alert"] == "warn"


# What it costs


def test_what_was_used_is_shown_beside_what_is_free(project: Project) -> None:
    written = "firestore.googleapis.com/document/write_ops_count"
    project.fake.monitoring.series = {written: 5_000}
    shown = yurt(project, "deploy", "p-yurt", "--cost")
    assert shown.exit_code == 0, shown.output
    row = next(line for line in shown.stdout.splitlines() if "firestore.writes" in line)
    assert "5,000" in row
    assert "20,000" in row
    assert "25" in row
    values = json.loads(yurt(project, "deploy", "p-yurt", "--cost", "--json").stdout)
    (writes,) = (r for r in values["rows"] if r["name"] == "firestore.writes")
    assert writes["used"] == 5_000


# Taking it down


def test_it_asks_before_it_takes_anything_down(project: Project) -> None:
    before = len(project.fake.requests)
    refused = yurt(project, "undeploy", "p-yurt", answer="n\n")
    assert refused.exit_code == 1
    assert "This stays:" in refused.stdout
    assert "Stop the apps on your phones first" in refused.stdout
    assert "gcloud storage rm --recursive gs://p-yurt-yurt" in refused.stdout
    assert [seen for seen in project.fake.requests[before:] if seen.mutating] == []


def test_where_nobody_can_be_asked_it_must_be_said(project: Project) -> None:
    refused = yurt(project, "undeploy", "p-yurt")
    assert refused.exit_code == 2
    assert "say --yes if you mean it" in refused.stderr


@pytest.mark.parametrize(("options", "answer"), [(["--yes"], None), ([], "y\n")])
def test_it_says_what_stays(options: list[str], answer: str | None, project: Project) -> None:
    done = yurt(project, "undeploy", "p-yurt", *options, answer=answer)
    assert done.exit_code == 0, done.output
    assert "The node in p-yurt is down. What stays, by your leave:" in done.stdout
    assert "the master key stays, in Secret Manager" in done.stdout
    assert project.fake.functions.functions == {}


def test_where_no_node_is_nothing_is_taken_down(root: Path) -> None:
    project = Project(root, FakeGoogle(clock=lambda: NOW))
    project.fake.enable("cloudfunctions.googleapis.com")
    refused = yurt(project, "undeploy", "p-yurt", "--yes")
    assert refused.exit_code == 1
    assert "there is no node of Yurt in p-yurt: neither its bucket nor a function" in refused.stderr
    assert [seen for seen in project.fake.requests if seen.mutating] == []
    done = yurt(project, "undeploy", "p-yurt", "--yes", "--region", "us-central1")
    assert done.exit_code == 0, done.output
