"""A deployment on a strict fake of Google's APIs: what comes of it, again and after anything."""

import base64
import itertools
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra.cloud.api import Response, Unreachable
from infra.cloud.database import wanted_indexes
from infra.cloud.executor import StepFailed
from infra.cloud.functions import VERSION_LABEL
from infra.cloud.preflight import preflight
from infra.cloud.steps import Blocked
from infra.declarations import BadDeclaration, declarations
from infra.emulators import RULES
from tests.google.fake import FakeGoogle
from tests.google.requests import ask
from tests.infra.cloud.gcloud import InProcessGcloud
from tests.infra.cloud.project import NOW, Killed, Project, checkout, lasting

FUNCTIONS = ["ingest", "media", "monitor", "query", "tick", "upload", "work"]

BUCKET, QUEUE = "buckets/p-yurt-yurt", "projects/p-yurt/locations/us-central1/queues/yurt"
CALLER = "yurt-caller@p-yurt.iam.gserviceaccount.com"
STORAGE_AGENT = "service-123456789012@gs-project-accounts.iam.gserviceaccount.com"
ACTING = {f"projects/p-yurt/serviceAccounts/{CALLER}": {"roles/iam.serviceAccountUser"}}
WRITING = {
    "projects/p-yurt": {"roles/datastore.user"},
    BUCKET: {"roles/storage.objectUser"},
}
SERVICES = "projects/p-yurt/locations/us-central1/services"

OPENING = {"projects/p-yurt/secrets/yurt-master-key": {"roles/secretmanager.secretAccessor"}}

ROLES: dict[str, dict[str, set[str]]] = {
    "yurt-fn-ingest": {**WRITING, **OPENING},
    "yurt-fn-monitor": {
        "projects/p-yurt": {"roles/datastore.user", "roles/monitoring.viewer"},
        **ACTING,
        **OPENING,
        QUEUE: {"roles/cloudtasks.enqueuer", "roles/cloudtasks.viewer"},
    },
    "yurt-fn-query": {
        "projects/p-yurt": {"roles/datastore.user"},
        BUCKET: {"roles/storage.objectViewer"},
    },
    "yurt-fn-tick": {
        "projects/p-yurt": {"roles/datastore.user"},
        **ACTING,
        QUEUE: {"roles/cloudtasks.enqueuer"},
    },
    "yurt-fn-upload": {**WRITING, **ACTING, QUEUE: {"roles/cloudtasks.enqueuer"}},
    "yurt-fn-media": {**WRITING, **ACTING, QUEUE: {"roles/cloudtasks.enqueuer"}},
    "yurt-fn-work": {
        **WRITING,
        **ACTING,
        **OPENING,
        QUEUE: {"roles/cloudtasks.enqueuer", "roles/cloudtasks.viewer"},
    },
    "yurt-caller": {
        "projects/p-yurt": {"roles/eventarc.eventReceiver"},
        f"{SERVICES}/media": {"roles/run.invoker"},
        f"{SERVICES}/monitor": {"roles/run.invoker"},
        f"{SERVICES}/tick": {"roles/run.invoker"},
        f"{SERVICES}/work": {"roles/run.invoker"},
    },
    "yurt-build": {
        "projects/p-yurt": {"roles/logging.logWriter", "roles/storage.objectViewer"},
        "projects/p-yurt/locations/us-central1/repositories/yurt": {
            "roles/artifactregistry.writer"
        },
    },
}
"""All that each account may do. A role more is a mistake, or has its reason in the commit."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("deployed"))


@pytest.fixture(scope="module")
def complete(root: Path) -> dict[str, Any]:
    """The state that every deployment ends in, whatever came between."""
    project = Project(root)
    project.deploy()
    return lasting(project.fake)


@pytest.fixture
def project(root: Path) -> Project:
    return Project(root)


def roles(fake: FakeGoogle) -> dict[str, dict[str, set[str]]]:
    accounts = [member for member in fake.state()["iam.googleapis.com"] if "yurt-" in member]
    emails = [account.rpartition("/")[2] for account in accounts]
    return {email.partition("@")[0]: fake.roles_of(f"serviceAccount:{email}") for email in emails}


# What is there


def test_each_account_has_exactly_its_roles(project: Project) -> None:
    project.deploy()
    assert roles(project.fake) == ROLES
    assert project.fake.roles_of(f"serviceAccount:{STORAGE_AGENT}") == {
        "projects/p-yurt": {"roles/pubsub.publisher"}
    }


def test_nothing_is_public_but_what_is_declared_so(project: Project) -> None:
    project.deploy()
    public = {name for name, d in declarations().items() if d.exposure == "public"}
    assert project.fake.publicly_invocable() == public == {"ingest", "query", "upload"}
    everybody = {
        **project.fake.roles_of("allUsers"),
        **project.fake.roles_of("allAuthenticatedUsers"),
    }
    assert everybody.keys() == {f"{SERVICES}/{name}" for name in public}


def test_what_builds_reads_nothing_of_the_owners(project: Project) -> None:
    project.deploy()
    policy = project.fake.state()["policies"]["projects/p-yurt"]
    assert [name for name in policy if "objectViewer" in name] != ["roles/storage.objectViewer"]


def test_reports_reach_only_their_own_part_of_the_bucket(project: Project) -> None:
    project.deploy()
    policy = ask(
        project.fake, "GET storage/storage/v1/b/p-yurt-yurt/iam?optionsRequestedPolicyVersion=3"
    ).json
    ingest = "serviceAccount:yurt-fn-ingest@p-yurt.iam.gserviceaccount.com"
    (binding,) = (b for b in policy["bindings"] if ingest in b["members"])
    assert binding["members"] == [ingest]
    assert binding["condition"]["expression"] == (
        'resource.name.startsWith("projects/_/buckets/p-yurt-yurt/objects/raw/")'
    )


def function(fake: FakeGoogle, name: str) -> dict[str, Any]:
    found = fake.functions.functions[f"projects/p-yurt/locations/us-central1/functions/{name}"]
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def test_functions_run_as_declared(project: Project) -> None:
    project.deploy()
    ingest, work, media = (function(project.fake, n) for n in ("ingest", "work", "media"))
    service = ingest["serviceConfig"]
    assert service["environmentVariables"] == {
        "LOG_EXECUTION_ID": "true",
        "THREADS": "40",
        "YURT_BUCKET": "p-yurt-yurt",
        "YURT_PROJECT": "p-yurt",
        "YURT_PUBLIC_BASE": "https://us-central1-p-yurt.cloudfunctions.net",
        "YURT_STORE": "firestore",
    }
    assert service["secretEnvironmentVariables"] == [
        {
            "key": "YURT_MASTER_KEY",
            "projectId": "123456789012",
            "secret": "yurt-master-key",
            "version": "1",
        }
    ]
    assert (service["maxInstanceRequestConcurrency"], service["maxInstanceCount"]) == (40, 5)
    variables = work["serviceConfig"]["environmentVariables"]
    (opened,) = work["serviceConfig"]["secretEnvironmentVariables"]
    assert opened["secret"] == "yurt-master-key"
    assert variables["YURT_TASKS_QUEUE"] == QUEUE
    assert variables["YURT_TASKS_TARGET"] == "https://{work}-123456789012.us-central1.run.app"
    assert variables["YURT_TASKS_ACCOUNT"] == CALLER
    assert not media["serviceConfig"].get("secretEnvironmentVariables")
    trigger = media["eventTrigger"]
    assert trigger["eventType"] == "google.cloud.storage.object.v1.finalized"
    assert trigger["eventFilters"] == [{"attribute": "bucket", "value": "p-yurt-yurt"}]
    assert (trigger["serviceAccountEmail"], trigger["retryPolicy"]) == (
        CALLER,
        "RETRY_POLICY_RETRY",
    )


def test_the_clock_posts_to_private_functions_as_the_caller(project: Project) -> None:
    project.deploy()
    jobs = project.fake.state()["cloudscheduler.googleapis.com"]
    assert [name.rpartition("/")[2] for name in jobs] == ["yurt-monitor", "yurt-tick"]
    job = next(job for name, job in jobs.items() if name.endswith("monitor"))
    assert job["schedule"] == "*/10 * * * *"
    target = job["httpTarget"]
    assert target["uri"] == "https://monitor-123456789012.us-central1.run.app/"
    assert target["oidcToken"] == {
        "serviceAccountEmail": CALLER,
        "audience": "https://monitor-123456789012.us-central1.run.app",
    }


def test_the_key_is_made_once(project: Project) -> None:
    project.deploy()
    project.deploy()
    assert project.fake.secrets.has_version("yurt-master-key", "1")
    assert not project.fake.secrets.has_version("yurt-master-key", "2")


def test_nothing_is_asked_of_indexes_that_are_not_built(project: Project) -> None:
    project.deploy()
    path = "firestore/v1/projects/p-yurt/databases/(default)/collectionGroups/-/indexes"
    states = [index["state"] for index in ask(project.fake, f"GET {path}").json["indexes"]]
    assert states == ["READY"] * 7


def test_what_costs_is_bounded(project: Project) -> None:
    project.deploy()
    state = project.fake.state()
    (queue,) = state["cloudtasks.googleapis.com"].values()
    assert queue["rateLimits"]["maxConcurrentDispatches"] == 2
    assert queue["retryConfig"]["maxAttempts"] == 100
    (repository,) = state["artifactregistry.googleapis.com"].values()
    kept = repository["cleanupPolicies"]["keep-newest"]
    assert (kept["action"], kept["mostRecentVersions"]) == ("KEEP", {"keepCount": 2})
    (rule,) = state["storage.googleapis.com"]["p-yurt-yurt"]["lifecycle"]["rule"]
    assert rule["condition"] == {"age": 60, "matchesPrefix": ["JOINING/", "keeping/", "spool/"]}
    for name in FUNCTIONS:
        assert function(project.fake, name)["serviceConfig"]["maxInstanceCount"] <= 5
        assert not function(project.fake, name)["serviceConfig"].get("minInstanceCount")


# Again


def test_a_second_run_changes_nothing(project: Project, complete: dict[str, Any]) -> None:
    project.deploy()
    before, deployed = len(project.fake.requests), list(project.gcloud.deployed)
    again = project.deploy()
    assert again.changes == {}
    assert [seen for seen in project.fake.requests[before:] if seen.mutating] == []
    assert project.gcloud.deployed == deployed == FUNCTIONS
    assert lasting(project.fake) == complete


def test_functions_may_be_deployed_side_by_side(project: Project, complete: dict[str, Any]) -> None:
    project.deploy(at_once=5)
    assert lasting(project.fake) == complete


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_request_the_next_run_ends_the_same(
    after: bool, root: Path, complete: dict[str, Any]
) -> None:
    for number in itertools.count(1):
        project = Project(root)
        project.killed_at, project.after = number, after
        try:
            project.deploy()
        except Killed:
            project.killed_at = None
            project.deploy()
            assert lasting(project.fake) == complete, f"killed at request {number}"
        else:
            assert number > 100
            return


@pytest.mark.parametrize("kind", ["lost before", "lost after", "refused", "quota"])
def test_what_passes_is_waited_for(kind: Any, root: Path, complete: dict[str, Any]) -> None:
    for number in itertools.count(1):
        project = Project(root)
        requests = project.fake.requests
        node = project.node()
        looked = len(requests)
        project.fake.faults.after(looked + number, kind)
        try:
            project.deploy()
        except StepFailed as failure:
            raise AssertionError(f"request {number}: {failure.cause}") from failure
        assert lasting(project.fake) == complete, f"request {number}"
        if number > len(requests) - 2 * looked:
            assert number > 100
            assert node.number == "123456789012"
            return


def test_denied_at_any_change_it_says_so_and_goes_on_later(
    root: Path, complete: dict[str, Any]
) -> None:
    for number in itertools.count(1):
        project = Project(root)
        project.fake.faults.after(number, "denied", mutating=True)
        try:
            teller = project.deploy()
        except StepFailed as failure:
            said = str(failure.cause)
        else:
            if not teller.left:
                assert number > 50
                return
            said = teller.left["budget alert"]
        assert "The caller does not have permission" in said
        project.deploy()
        assert lasting(project.fake) == complete, f"change {number}"


def test_slow_accounts_are_waited_for(project: Project, complete: dict[str, Any]) -> None:
    project.fake.slow_accounts = 1
    teller = project.deploy()
    assert any("does not exist" in told for told in teller.waited)
    assert project.waited > 0
    assert lasting(project.fake) == complete


# Something changed


def test_only_a_changed_function_is_built(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    project = Project(root)
    project.deploy()
    before = function(project.fake, "ingest")
    main = root / "functions/query/main.py"
    main.write_text(main.read_text() + "\n# Changed.\n")
    again = project.deploy()
    assert again.changes == {"function query": ["build and deploy: it changed"]}
    assert project.gcloud.deployed == [*FUNCTIONS, "query"]
    assert function(project.fake, "ingest") == before


def test_phones_are_let_in_all_the_time_while_their_function_is_updated(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    project = Project(root)
    project.deploy()
    main = root / "functions/ingest/main.py"
    main.write_text(main.read_text() + "\n# Changed.\n")
    seen: set[bool] = set()
    send = project.send

    def watched(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        answer = send(method, url, headers, body)
        seen.add("ingest" in project.fake.publicly_invocable())
        return answer

    project.run = InProcessGcloud(project.fake, watched)
    again = project.deploy()
    assert list(again.changes) == ["function ingest"]
    assert seen == {True}


def test_a_private_function_is_public_at_no_moment(project: Project) -> None:
    public: set[str] = set()
    send = project.send

    def watched(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        answer = send(method, url, headers, body)
        public.update(project.fake.publicly_invocable())
        return answer

    project.run = InProcessGcloud(project.fake, watched)
    project.deploy()
    assert public == {"ingest", "query", "upload"}


def test_what_another_gave_to_others_meanwhile_is_not_lost(project: Project) -> None:
    """Of two who change a policy at once one is refused, and looks again."""
    friend, done = "user:friend@example.org", False
    answer = project.fake.answer

    def disturbed(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Any:
        nonlocal done
        if url.endswith("projects/p-yurt:setIamPolicy") and not done:
            done = True
            path = "cloudresourcemanager/v1/projects/p-yurt"
            policy = ask(project.fake, f"POST {path}:getIamPolicy", VERSION_3).json
            policy["bindings"].append({"role": "roles/viewer", "members": [friend]})
            assert ask(project.fake, f"POST {path}:setIamPolicy", {"policy": policy}).status == 200
        return answer(method, url, headers, body)

    project.fake.answer = disturbed  # type: ignore[method-assign]
    teller = project.deploy()
    assert any("concurrent policy changes" in told for told in teller.waited)
    assert project.fake.roles_of(friend) == {"projects/p-yurt": {"roles/viewer"}}
    assert roles(project.fake) == ROLES


def test_a_new_function_needs_no_change_here(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    project = Project(root)
    project.deploy()
    drain = root / "functions/drain"
    drain.mkdir()
    (drain / "main.py").write_text("def drain(request):\n    return 'done'\n")
    (drain / "requirements.txt").write_text("functions-framework\n")
    (drain / "function.toml").write_text(
        'exposure = "private"\nmemory = "256Mi"\nconcurrency = 1\nmax_instances = 1\n'
        'timeout = 60\n[roles]\nproject = ["roles/datastore.viewer"]\n'
        '[[schedule]]\nname = "drain"\ncron = "*/10 * * * *"\n'
    )
    project.deploy()
    assert roles(project.fake) == {
        **ROLES,
        "yurt-fn-drain": {"projects/p-yurt": {"roles/datastore.viewer"}},
        "yurt-caller": {**ROLES["yurt-caller"], f"{SERVICES}/drain": {"roles/run.invoker"}},
    }
    jobs = project.fake.state()["cloudscheduler.googleapis.com"]
    assert [name.rpartition("/")[2] for name in jobs] == ["yurt-drain", "yurt-monitor", "yurt-tick"]

    for path in drain.iterdir():
        path.unlink()
    drain.rmdir()
    gone = project.deploy()
    assert gone.changes["functions of earlier versions"] == ["delete the function drain"]
    assert gone.changes["scheduler jobs"] == ["delete yurt-drain"]
    assert (
        project.fake.roles_of("serviceAccount:yurt-fn-drain@p-yurt.iam.gserviceaccount.com") == {}
    )


def add_xmpp(root: Path, secrets: str) -> None:
    folder = root / "functions/xmpp"
    folder.mkdir(exist_ok=True)
    (folder / "main.py").write_text("def xmpp(request):\n    return 'done'\n")
    (folder / "requirements.txt").write_text("functions-framework\n")
    (folder / "function.toml").write_text(
        'exposure = "public"\nmemory = "256Mi"\nconcurrency = 1\nmax_instances = 1\n'
        f"timeout = 60\n{secrets}\n"
    )


def test_secrets_of_a_new_function_need_no_change_here(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    project = Project(root)
    project.deploy()
    add_xmpp(root, 'secrets = ["YURT_SESSION_KEY", "YURT_MASTER_KEY"]')
    again = project.deploy()
    assert again.changes["secret yurt-session-key"] == ["create", "make one at random"]
    assert roles(project.fake)["yurt-fn-xmpp"] == {
        "projects/p-yurt/secrets/yurt-session-key": {"roles/secretmanager.secretAccessor"},
        "projects/p-yurt/secrets/yurt-master-key": {"roles/secretmanager.secretAccessor"},
    }
    given = function(project.fake, "xmpp")["serviceConfig"]["secretEnvironmentVariables"]
    assert {(secret["key"], secret["secret"], secret["version"]) for secret in given} == {
        ("YURT_MASTER_KEY", "yurt-master-key", "1"),
        ("YURT_SESSION_KEY", "yurt-session-key", "1"),
    }
    assert project.deploy().changes == {}


def test_a_secret_that_is_not_declared_any_more_is_read_by_nobody(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    path = root / "functions/work/function.toml"
    declared = path.read_text()
    path.write_text(declared.replace('["YURT_MASTER_KEY"]', '["YURT_MASTER_KEY", "YURT_OTHER"]'))
    project = Project(root)
    project.deploy()
    assert "projects/p-yurt/secrets/yurt-other" in roles(project.fake)["yurt-fn-work"]
    path.write_text(declared)
    assert project.deploy().changes["secrets of earlier versions"] == [
        "take secretmanager.secretAccessor from yurt-fn-work on yurt-other"
    ]
    assert roles(project.fake) == ROLES


def test_a_secret_that_its_owner_alone_knows_is_asked_for(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    add_xmpp(root, 'given_secrets = ["YURT_XMPP_PASSWORD"]')
    project = Project(root)
    said = refused(project)
    assert "gcloud secrets create yurt-xmpp-password --replication-policy=automatic" in said
    secrets = "secretmanager/v1/projects/p-yurt/secrets"
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    asked(project, f"POST {secrets}?secretId=yurt-xmpp-password", body)
    assert "gcloud secrets versions add yurt-xmpp-password --data-file=-" in refused(project)
    payload = {"payload": {"data": "cGFzc3dvcmQ="}}
    asked(project, f"POST {secrets}/yurt-xmpp-password:addVersion", payload)
    changes = project.deploy().changes
    assert changes["secret yurt-xmpp-password"] == ["keep destroyed versions for a week"]
    (given,) = function(project.fake, "xmpp")["serviceConfig"]["secretEnvironmentVariables"]
    assert (given["key"], given["version"]) == ("YURT_XMPP_PASSWORD", "1")
    assert project.deploy().changes == {}


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ('given_secrets = ["YURT_MASTER_KEY"]', "YURT_MASTER_KEY is declared as made at random"),
        ('[[schedule]]\nname = "tick"\ncron = "* * * * *"', "both declare a schedule tick"),
        ('secrets = ["PATH"]', "function.toml: Expected `str` matching regex"),
    ],
)
def test_declarations_that_do_not_go_together(declared: str, said: str, tmp_path: Path) -> None:
    root = checkout(tmp_path)
    add_xmpp(root, declared)
    path = root / "functions/xmpp/function.toml"
    path.write_text(path.read_text().replace('"public"', '"private"'))
    with pytest.raises(BadDeclaration, match=re.escape(said)):
        declarations(root)


def test_as_many_tasks_at_once_as_are_answered(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    path = root / "functions/work/function.toml"
    path.write_text(path.read_text().replace("max_instances = 2", "max_instances = 3"))
    project = Project(root)
    project.deploy()
    (queue,) = project.fake.state()["cloudtasks.googleapis.com"].values()
    assert queue["rateLimits"]["maxConcurrentDispatches"] == 3


VERSION_3 = {"options": {"requestedPolicyVersion": 3}}


def asked(project: Project, line: str, body: object = None) -> Any:
    told = ask(project.fake, line, body)
    assert told.status == 200, told
    return told.json


def let_everybody_into_work(project: Project) -> None:
    path = f"run/v2/{SERVICES}/work"
    policy = asked(project, f"GET {path}:getIamPolicy")
    policy["bindings"].append({"role": "roles/run.invoker", "members": ["allUsers"]})
    asked(project, f"POST {path}:setIamPolicy", {"policy": policy})


def make_query_an_owner(project: Project) -> None:
    path = "cloudresourcemanager/v1/projects/p-yurt"
    policy = asked(project, f"POST {path}:getIamPolicy", VERSION_3)
    query = "serviceAccount:yurt-fn-query@p-yurt.iam.gserviceaccount.com"
    policy["bindings"].append({"role": "roles/editor", "members": [query]})
    asked(project, f"POST {path}:setIamPolicy", {"policy": policy})


def pause_the_queue(project: Project) -> None:
    asked(project, f"POST cloudtasks/v2/{QUEUE}:pause", {})


def hurry_the_queue(project: Project) -> None:
    asked(
        project,
        f"PATCH cloudtasks/v2/{QUEUE}?updateMask=rateLimits.maxConcurrentDispatches",
        {"rateLimits": {"maxConcurrentDispatches": 900}},
    )


def let_deleted_bytes_cost(project: Project) -> None:
    asked(
        project,
        "PATCH storage/storage/v1/b/p-yurt-yurt",
        {"softDeletePolicy": {"retentionDurationSeconds": "604800"}},
    )


def open_the_rules(project: Project) -> None:
    path = "firebaserules/v1/projects/p-yurt"
    source = {"files": [{"name": "r", "content": RULES.read_text().replace("false", "true")}]}
    made = asked(project, f"POST {path}/rulesets", {"source": source})
    release = {"name": "projects/p-yurt/releases/cloud.firestore", "rulesetName": made["name"]}
    asked(project, f"PATCH {path}/releases/cloud.firestore", {"release": release})


def pause_the_job(project: Project) -> None:
    job = "projects/p-yurt/locations/us-central1/jobs/yurt-tick"
    asked(project, f"POST cloudscheduler/v1/{job}:pause", {})


def drop_the_clean_up(project: Project) -> None:
    repository = "projects/p-yurt/locations/us-central1/repositories/yurt"
    asked(
        project,
        f"PATCH artifactregistry/v1/{repository}?updateMask=cleanupPolicies",
        {"cleanupPolicies": {}},
    )


def let_an_older_revision_answer(fake: dict[str, Any]) -> None:
    fake["serviceConfig"]["allTrafficOnLatestRevision"] = False


def close_the_network(fake: dict[str, Any]) -> None:
    fake["serviceConfig"]["ingressSettings"] = "ALLOW_INTERNAL_ONLY"


def build_as_somebody_else(fake: dict[str, Any]) -> None:
    fake["buildConfig"]["serviceAccount"] = "projects/p-yurt/serviceAccounts/mighty@example.org"


def give_events_up(fake: dict[str, Any]) -> None:
    fake["eventTrigger"]["retryPolicy"] = "RETRY_POLICY_DO_NOT_RETRY"


def listen_to_another_bucket(fake: dict[str, Any]) -> None:
    fake["eventTrigger"]["eventFilters"][0]["value"] = "another"


def fail_in_an_update(fake: dict[str, Any]) -> None:
    fake["stateMessages"] = [{"severity": "ERROR", "type": "T", "message": "it did not start"}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (let_an_older_revision_answer, "an older revision answers"),
        (close_the_network, "ingress"),
        (build_as_somebody_else, "build"),
        (give_events_up, "trigger"),
        (listen_to_another_bucket, "trigger"),
        (fail_in_an_update, "it is not running"),
    ],
)
def test_a_function_that_was_changed_by_hand_is_set_right(
    change: Callable[[dict[str, Any]], None],
    said: str,
    project: Project,
    complete: dict[str, Any],
) -> None:
    project.deploy()
    name = "projects/p-yurt/locations/us-central1/functions/media"
    change(project.fake.functions.functions[name])
    assert project.deploy().changes == {"function media": [f"build and deploy: {said}"]}
    assert lasting(project.fake) == complete


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (let_everybody_into_work, "who may call work"),
        (make_query_an_owner, "roles in the project"),
        (pause_the_queue, "task queue yurt"),
        (hurry_the_queue, "task queue yurt"),
        (let_deleted_bytes_cost, "bucket p-yurt-yurt"),
        (open_the_rules, "Firestore rules"),
        (pause_the_job, "scheduler jobs"),
        (drop_the_clean_up, "image repository yurt"),
    ],
)
def test_what_was_changed_by_hand_is_set_right(
    change: Callable[[Project], None], step: str, project: Project, complete: dict[str, Any]
) -> None:
    project.deploy()
    change(project)
    again = project.deploy()
    assert list(again.changes) == [step]
    assert lasting(project.fake) == complete


def test_what_others_have_in_the_project_is_left_alone(project: Project) -> None:
    project.deploy()
    location = "projects/p-yurt/locations/us-central1"
    account = {"accountId": "yurt-others", "serviceAccount": {}}
    asked(project, "POST iam/v1/projects/p-yurt/serviceAccounts", account)
    members = [
        "user:friend@example.org",
        "serviceAccount:yurt-others@p-yurt.iam.gserviceaccount.com",
    ]
    path = "cloudresourcemanager/v1/projects/p-yurt"
    policy = asked(project, f"POST {path}:getIamPolicy", VERSION_3)
    policy["bindings"].append({"role": "roles/viewer", "members": members})
    asked(project, f"POST {path}:setIamPolicy", {"policy": policy})
    job = {
        "name": f"{location}/jobs/others",
        "schedule": "0 0 * * *",
        "httpTarget": {"uri": "https://example.org/"},
    }
    asked(project, f"POST cloudscheduler/v1/{location}/jobs", job)
    alike = {**job, "name": f"{location}/jobs/yurt-felt"}  # its owner makes felt, not nodes
    asked(project, f"POST cloudscheduler/v1/{location}/jobs", alike)
    theirs = function(project.fake, "query")
    del theirs["labels"][VERSION_LABEL]
    theirs["name"] = f"{location}/functions/others"
    project.fake.functions.functions[theirs["name"]] = theirs

    assert project.deploy().changes == {}
    project.remove()
    for member in members:
        assert project.fake.roles_of(member) == {"projects/p-yurt": {"roles/viewer"}}
    assert list(project.fake.functions.functions) == [theirs["name"]]
    jobs = asked(project, f"GET cloudscheduler/v1/{location}/jobs")["jobs"]
    assert [job["name"].rpartition("/")[2] for job in jobs] == ["others", "yurt-felt"]
    accounts = asked(project, "GET iam/v1/projects/p-yurt/serviceAccounts")["accounts"]
    assert "yurt-others" in [account["email"].partition("@")[0] for account in accounts]


def test_an_older_key_is_destroyed_once_the_newer_is_used(project: Project) -> None:
    project.deploy()
    secret = "secretmanager/v1/projects/p-yurt/secrets/yurt-master-key"
    asked(project, f"POST {secret}:addVersion", {"payload": {"data": OTHER_KEY}})
    again = project.deploy()
    assert list(again.changes) == [
        "function ingest",
        "function monitor",
        "function work",
        "old versions of yurt-master-key",
    ]
    (said,) = again.changes["old versions of yurt-master-key"]
    assert "phones that encrypt have to be paired again" in said
    back = "--secret=yurt-master-key --project=p-yurt"
    assert f"versions enable 1 {back} && gcloud secrets versions disable 2 {back}" in said
    (used,) = function(project.fake, "ingest")["serviceConfig"]["secretEnvironmentVariables"]
    assert used["version"] == "2"
    versions = asked(project, f"GET {secret}/versions")["versions"]
    assert {v["name"].rpartition("/")[2]: v["state"] for v in versions} == {
        "1": "DISABLED",  # which it is for a week
        "2": "ENABLED",
    }
    assert project.deploy().changes == {}

    asked(project, f"POST {secret}/versions/1:enable", {})
    asked(project, f"POST {secret}/versions/2:disable", {})
    assert list(project.deploy().changes) == [
        "function ingest",
        "function monitor",
        "function work",
    ]
    (used,) = function(project.fake, "ingest")["serviceConfig"]["secretEnvironmentVariables"]
    assert used["version"] == "1"


OTHER_KEY = base64.b64encode(b"a7" * 32).decode()


def test_a_key_that_is_none_is_refused_and_the_good_one_kept(project: Project) -> None:
    project.deploy()
    secret = "secretmanager/v1/projects/p-yurt/secrets/yurt-master-key"
    asked(project, f"POST {secret}:addVersion", {"payload": {"data": "b29wcwo="}})
    said = refused(project)
    assert "version 2 of the secret yurt-master-key is no key" in said
    assert "gcloud secrets versions disable 2 --secret=yurt-master-key" in said
    versions = asked(project, f"GET {secret}/versions")["versions"]
    assert [version["state"] for version in versions] == ["ENABLED", "ENABLED"]


def test_a_given_secret_that_is_renewed_says_what_becomes_of_the_old_one(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    add_xmpp(root, 'given_secrets = ["YURT_XMPP_PASSWORD"]')
    project = Project(root)
    assert "gcloud secrets create yurt-xmpp-password" in refused(project)
    secrets = "secretmanager/v1/projects/p-yurt/secrets"
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    asked(project, f"POST {secrets}?secretId=yurt-xmpp-password", body)
    for _ in range(2):
        payload = {"payload": {"data": "cGFzc3dvcmQ="}}
        asked(project, f"POST {secrets}/yurt-xmpp-password:addVersion", payload)
    (said,) = project.deploy().changes["old versions of yurt-xmpp-password"]
    assert said.startswith("destroy version 1, since version 2 is used now (to go back to it")


@pytest.mark.parametrize("act", ["disable", "destroy"])
def test_a_key_that_was_switched_off_is_not_replaced(act: str, project: Project) -> None:
    project.deploy()
    secret = "secretmanager/v1/projects/p-yurt/secrets/yurt-master-key"
    asked(project, f"POST {secret}/versions/1:{act}", {})
    with pytest.raises(StepFailed) as failure:
        project.deploy()
    assert "gcloud secrets versions enable 1" in str(failure.value.cause)
    versions = asked(project, f"GET {secret}/versions")["versions"]
    assert [version["state"] for version in versions] == ["DISABLED"]
    asked(project, f"POST {secret}/versions/1:enable", {})
    assert project.deploy().changes == {}


# Taken down


def test_it_is_taken_down_and_what_was_collected_stays(
    project: Project, complete: dict[str, Any]
) -> None:
    project.deploy()
    project.remove()
    state = project.fake.state()
    gone = ("cloudfunctions", "run", "cloudscheduler", "billingbudgets", "eventarc")
    assert [name for name in gone if any(state[f"{name}.googleapis.com"].values())] == []
    assert roles(project.fake) == {}
    assert "serviceAccount:yurt-" not in json.dumps(state["policies"])
    for kept in ("firestore", "secretmanager", "firebaserules"):
        assert state[f"{kept}.googleapis.com"] == complete[f"{kept}.googleapis.com"]
    assert "p-yurt-yurt" in json.dumps(state["storage.googleapis.com"])
    assert project.remove().changes == {}

    project.deploy()
    assert lasting(project.fake) == complete


def test_killed_while_it_is_taken_down_the_next_run_ends_the_same(root: Path) -> None:
    whole = Project(root)
    whole.deploy()
    whole.remove()
    down = lasting(whole.fake)
    for number in itertools.count(1, 3):
        project = Project(root)
        project.deploy()
        project.killed_at, project.after = number, number % 2 == 0
        try:
            project.remove()
        except Killed:
            project.killed_at = None
            project.remove()
            assert lasting(project.fake) == down, f"killed at request {number}"
        else:
            return


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_where_it_is_holds_for_good(after: bool, root: Path) -> None:
    """Also of one that was killed on its way up or down, and after it was taken down."""
    whole = Project(root)
    whole.deploy(region="us-east1", bucket="p-yurt-mine")
    there = lasting(whole.fake)
    whole.remove()
    down = lasting(whole.fake)
    whole.deploy()
    assert lasting(whole.fake) == there
    assert "us-central1" not in json.dumps([there, down])
    for number in itertools.count(1, 4):
        project = Project(root)
        deploy = partial(project.deploy, region="us-east1", bucket="p-yurt-mine")
        up = killed(project, number, after, deploy)
        if "p-yurt-mine" not in project.fake.storage.buckets:
            deploy()
        else:
            project.deploy()  # where it was is known from then on
        assert lasting(project.fake) == there, f"killed at request {number}"
        if not killed(project, number, after, project.remove) and not up:
            assert number > 100
            return
        project.remove()
        assert lasting(project.fake) == down, f"killed at request {number}"


def killed(project: Project, number: int, after: bool, act: Callable[[], object]) -> bool:
    """Whether it was, at its request of that number."""
    project.killed_at, project.after = number, after
    try:
        act()
    except Killed:
        return True
    finally:
        project.killed_at = None
    return False


def test_without_its_bucket_the_functions_tell_where_it_is(project: Project) -> None:
    project.deploy(region="us-east1", bucket="p-yurt-mine")
    del project.fake.storage.buckets["p-yurt-mine"]
    assert project.node().deployment.region == "us-east1"
    project.remove()
    assert project.fake.functions.functions == {}


def test_a_place_that_the_platform_cannot_look_at_is_not_taken_for_empty(
    project: Project,
) -> None:
    project.deploy(region="us-east1", bucket="p-yurt-mine")
    del project.fake.storage.buckets["p-yurt-mine"]
    project.fake.functions.unreachable.append("us-east1")
    with pytest.raises(Unreachable, match="cannot look at us-east1 now"):
        project.node()


def test_two_buckets_that_say_that_they_are_the_nodes(project: Project) -> None:
    project.deploy()
    body = {"name": "a-copy", "location": "US-EAST1", "labels": {"yurt": "node"}}
    asked(project, "POST storage/storage/v1/b?project=p-yurt", body)
    said = refused(project)
    assert "p-yurt has more than one bucket with the label yurt=node: a-copy, p-yurt-yurt" in said
    assert "gcloud storage buckets update gs://NAME --remove-labels=yurt" in said


def test_who_may_make_nothing_may_still_take_it_down(project: Project) -> None:
    project.deploy()
    project.fake.denied.update(("serviceusage.services.enable", "storage.buckets.create"))
    project.remove()
    assert project.fake.functions.functions == {}
    unpaid = replace(project.node(down=True), billing_account=None)
    assert "budget alert" not in [step.title for step in unpaid.steps()]


# What stands in the way


def refused(project: Project, **options: str) -> str:
    before = [seen for seen in project.fake.requests if seen.mutating]
    with pytest.raises((Blocked, StepFailed)) as failure:
        project.deploy(**options)  # type: ignore[arg-type]
    cause = failure.value.cause if isinstance(failure.value, StepFailed) else failure.value
    assert isinstance(cause, Blocked)
    if isinstance(failure.value, Blocked):
        assert [seen for seen in project.fake.requests if seen.mutating] == before
    return str(cause)


def test_a_project_that_is_not_there(project: Project) -> None:
    api = replace(project.doors().api, project="p-other")
    with pytest.raises(Blocked, match="there is no project p-other that you may see"):
        preflight(api)


def test_no_billing_account(root: Path) -> None:
    project = Project(root, FakeGoogle(billing=False, clock=lambda: NOW))
    said = refused(project)
    assert "has no billing account" in said
    assert "gcloud billing projects link p-yurt" in said


def test_no_permission(project: Project) -> None:
    project.fake.denied.update(("datastore.databases.create", "iam.serviceAccounts.create"))
    said = refused(project)
    assert said.endswith("roles/owner, or for roles/datastore.owner, roles/iam.serviceAccountAdmin")


def test_nobody_is_signed_in(project: Project) -> None:
    project.gcloud.signed_in = False
    assert "run `gcloud auth login`" in refused(project)


@pytest.mark.parametrize("version", ["480.9.9", "400.0.0"])
def test_gcloud_is_too_old(version: str, project: Project) -> None:
    project.gcloud.version = version
    assert "run `gcloud components update`" in refused(project)


def database(project: Project, type: str, location: str, **more: str) -> None:
    project.fake.enable("firestore.googleapis.com")
    path = "firestore/v1/projects/p-yurt/databases?databaseId=(default)"
    asked(project, f"POST {path}", {"type": type, "locationId": location, **more})
    project.fake.settle()


@pytest.mark.parametrize(
    ("type", "location", "said"),
    [
        ("DATASTORE_MODE", "us-central1", "is in Datastore mode, which Yurt cannot use"),
        ("FIRESTORE_NATIVE", "europe-west1", "deploy to a project of its own"),
        ("FIRESTORE_NATIVE", "us-east1", "or with --region us-east1"),
    ],
)
def test_a_database_that_does_not_fit(
    type: str, location: str, said: str, project: Project
) -> None:
    database(project, type, location)
    assert said in refused(project)


def test_a_database_of_another_edition(project: Project) -> None:
    database(project, "FIRESTORE_NATIVE", "us-central1", databaseEdition="ENTERPRISE")
    assert "is of the enterprise edition" in refused(project)


def test_an_index_for_other_queries_does_not_count(project: Project) -> None:
    database(project, "FIRESTORE_NATIVE", "us-central1")
    collection, fields = wanted_indexes()[0]
    path = f"firestore/v1/projects/p-yurt/databases/(default)/collectionGroups/{collection}/indexes"
    listed = [{"fieldPath": field, "order": order} for field, order in fields]
    asked(project, f"POST {path}", {"queryScope": "COLLECTION_GROUP", "fields": listed})
    assert len(project.deploy().changes["Firestore indexes"]) == 7


def test_a_database_that_was_there(project: Project) -> None:
    database(project, "FIRESTORE_NATIVE", "nam5")
    changes = project.deploy().changes
    assert changes["Firestore database (default)"] == ["protect against deletion"]


def test_a_bucket_that_is_taken(project: Project) -> None:
    project.fake.taken_buckets.add("p-yurt-yurt")
    assert "name another with --bucket" in refused(project)
    project.deploy(bucket="p-yurt-mine")
    assert project.deploy().changes == {}  # which bucket it was is found again


def test_a_bucket_that_others_use(project: Project) -> None:
    project.fake.enable("storage.googleapis.com")
    body = {"name": "p-yurt-yurt", "location": "US-CENTRAL1", "labels": {"team": "films"}}
    asked(project, "POST storage/storage/v1/b?project=p-yurt", body)
    before = project.fake.storage.buckets["p-yurt-yurt"].copy()
    said = refused(project)
    assert "the bucket p-yurt-yurt is there and has no label yurt=node" in said
    assert project.fake.storage.buckets["p-yurt-yurt"] == before
    assert "gcloud storage buckets update gs://p-yurt-yurt --update-labels=yurt=node" in said
    labels = {"labels": {"yurt": "node"}}
    asked(project, "PATCH storage/storage/v1/b/p-yurt-yurt", labels)
    project.deploy()
    assert project.fake.storage.buckets["p-yurt-yurt"]["labels"] == {
        "team": "films",
        "yurt": "node",
    }
    assert project.deploy().changes == {}


LOCATION = "projects/p-yurt/locations/us-central1"


def own_repository(project: Project) -> None:
    project.fake.enable("artifactregistry.googleapis.com")
    path = f"artifactregistry/v1/{LOCATION}/repositories?repositoryId=yurt"
    asked(project, f"POST {path}", {"format": "DOCKER", "description": "my own images"})
    project.fake.settle()


def own_queue(project: Project) -> None:
    project.fake.enable("cloudtasks.googleapis.com")
    body = {"name": QUEUE, "rateLimits": {"maxDispatchesPerSecond": 100}}
    asked(project, f"POST cloudtasks/v2/{LOCATION}/queues", body)


def own_account(project: Project) -> None:
    project.fake.enable("iam.googleapis.com")
    account = {"accountId": "yurt-build", "serviceAccount": {"displayName": "mine"}}
    asked(project, "POST iam/v1/projects/p-yurt/serviceAccounts", account)


def own_rules(project: Project) -> None:
    database(project, "FIRESTORE_NATIVE", "us-central1")
    project.fake.enable("firebaserules.googleapis.com")
    path = "firebaserules/v1/projects/p-yurt"
    text = "service cloud.firestore { match /databases/{d}/documents/{x=**} { allow read; } }"
    source = {"files": [{"name": "r", "content": text}]}
    made = asked(project, f"POST {path}/rulesets", {"source": source})
    release = {"name": "projects/p-yurt/releases/cloud.firestore", "rulesetName": made["name"]}
    asked(project, f"POST {path}/releases", release)


def own_service(project: Project) -> None:
    project.fake.enable("run.googleapis.com")
    project.fake.run.make(f"{SERVICES}/query")


@pytest.mark.parametrize(
    ("make", "host", "said"),
    [
        (own_repository, "artifactregistry", "an image repository yurt is there in us-central1"),
        (own_queue, "cloudtasks", "a task queue yurt is there in us-central1 that Yurt did not"),
        (own_account, "iam", "a service account yurt-build@p-yurt.iam.gserviceaccount.com is"),
        (own_rules, "firebaserules", "has Firestore rules that Yurt did not make"),
        (own_service, "run", "a Cloud Run service query is there that is no function"),
    ],
)
def test_what_its_owner_has_by_that_name_is_neither_changed_nor_taken_down(
    make: Callable[[Project], None], host: str, said: str, project: Project
) -> None:
    make(project)
    before = project.fake.state()[f"{host}.googleapis.com"]
    policies = {k: v for k, v in project.fake.state()["policies"].items() if "query" in k}
    assert said in refused(project)
    project.remove()
    after = project.fake.state()[f"{host}.googleapis.com"]
    assert {name: after[name] for name in before} == before
    assert {k: v for k, v in project.fake.state()["policies"].items() if "query" in k} == policies


def test_a_marked_bucket_where_nothing_is_free_is_named(project: Project) -> None:
    project.fake.enable("storage.googleapis.com")
    body = {"name": "b-of-mine", "location": "EU", "labels": {"yurt": "node"}}
    asked(project, "POST storage/storage/v1/b?project=p-yurt", body)
    said = refused(project)
    assert "the bucket b-of-mine has the label yurt=node" in said
    assert "gcloud storage buckets update gs://b-of-mine --remove-labels=yurt" in said


def test_the_account_of_a_function_that_is_no_more_goes_with_it(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    add_xmpp(root, "")
    project = Project(root)
    project.deploy()
    shutil.rmtree(root / "functions/xmpp")
    assert project.deploy().changes["service accounts"] == ["delete yurt-fn-xmpp"]
    assert roles(project.fake) == ROLES


def test_a_scheduler_job_of_that_name_that_is_not_ours(project: Project) -> None:
    project.deploy()
    job = "projects/p-yurt/locations/us-central1/jobs/yurt-tick"
    path = f"cloudscheduler/v1/{job}?updateMask=description"
    asked(project, f"PATCH {path}", {"description": "mine"})
    said = refused(project)
    assert "a scheduler job yurt-tick is there that Yurt did not make" in said
    assert "gcloud scheduler jobs delete yurt-tick --location=us-central1" in said


def test_services_that_looking_takes_of_a_service_account(root: Path) -> None:
    account = "serviceAccount:123456789012-compute@developer.gserviceaccount.com"
    project = Project(root, FakeGoogle(caller=account, clock=lambda: NOW))
    project.fake.project.policies.know(account.partition(":")[2])
    needed = ("serviceusage", "cloudresourcemanager", "cloudbilling")
    names = [f"{service}.googleapis.com" for service in needed]
    assert f"gcloud services enable {' '.join(names)} --project=p-yurt" in refused(project)
    for name in names:
        project.fake.enable(name)
    project.deploy()
    assert project.deploy().changes == {}


def test_a_function_of_that_name_that_is_not_ours(project: Project) -> None:
    project.deploy()
    del project.fake.functions.functions["projects/p-yurt/locations/us-central1/functions/ingest"][
        "labels"
    ][VERSION_LABEL]
    assert "a function ingest is there that Yurt did not deploy" in refused(project)


def test_a_build_that_fails_is_told_and_not_tried_again_until_it_is_mended(
    tmp_path: Path, complete: dict[str, Any]
) -> None:
    project = Project(checkout(tmp_path))
    main = project.root / "functions/media/main.py"
    right = main.read_text()
    main.write_text("def media(event:\n")
    with pytest.raises(StepFailed) as failure:
        project.deploy()
    assert failure.value.step.title == "function media"
    assert "Build failed with status: FAILURE" in str(failure.value.cause)
    uploads = [s.path for s in project.fake.requests if s.path.endswith(":generateUploadUrl")]
    assert len(uploads) == 2  # that of `ingest`, and this one
    assert function(project.fake, "media")["state"] == "FAILED"
    main.write_text(right)
    project.deploy()
    assert lasting(project.fake) == complete


def test_a_budget_that_is_not_allowed_is_left_out(project: Project) -> None:
    project.fake.denied.add("billing.budgets.create")
    assert list(project.deploy().left) == ["budget alert"]
