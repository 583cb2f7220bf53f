"""Functions: what a deployment needs, what it leaves, and how it fails."""

from typing import Any

import pytest

from tests.google.fake import FakeGoogle
from tests.google.requests import ask, finished, opened
from tests.google.scenes import (
    MAIN,
    ON_PROJECT,
    RUNS_AS,
    SOURCE,
    L,
    bind,
    deploy,
    function,
    prepare,
    trigger,
    upload,
    zipped,
)

FUNCTIONS = f"cloudfunctions/v2/{L}/functions"
SECRET = {"key": "KEY", "projectId": "p-yurt", "secret": "key", "version": "1"}


@pytest.fixture
def fake() -> FakeGoogle:
    fake = opened()
    prepare(fake)
    return fake


def test_a_function_is_deployed(fake: FakeGoogle) -> None:
    seen: list[dict[str, Any]] = []
    fake.on_deployed = seen.append
    fake.origin = "http://127.0.0.1:8080"
    assert "error" not in deploy(fake)
    told = ask(fake, f"GET {FUNCTIONS}/ingest").json
    assert (told["state"], told["environment"]) == ("ACTIVE", "GEN_2")
    assert told["url"] == "http://127.0.0.1:8080/ingest"
    assert told["serviceConfig"]["service"] == f"{L}/services/ingest"
    assert told["serviceConfig"]["environmentVariables"] == {"LOG_EXECUTION_ID": "true"}
    assert told["serviceConfig"]["revision"] == "ingest-00001-abc"
    assert [one["name"] for one in seen] == [f"{L}/functions/ingest"]
    assert fake.uploaded("ingest") == zipped(SOURCE)
    assert fake.publicly_invocable() == set()
    bind_public(fake)
    assert fake.publicly_invocable() == {"ingest"}


def bind_public(fake: FakeGoogle) -> None:
    policy = {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
    assert (
        ask(fake, f"POST run/v2/{L}/services/ingest:setIamPolicy", {"policy": policy}).status == 200
    )


def test_it_is_there_from_the_start_and_busy_until_the_end(fake: FakeGoogle) -> None:
    body = function(upload(fake, SOURCE))
    begun = ask(fake, f"POST {FUNCTIONS}?functionId=ingest", body)
    assert ask(fake, f"GET {FUNCTIONS}/ingest").json["state"] == "DEPLOYING"
    assert ask(fake, f"POST {FUNCTIONS}?functionId=ingest", body).status == 409
    told = ask(fake, f"PATCH {FUNCTIONS}/ingest?updateMask=labels", {"labels": {}})
    assert told.error.startswith("ABORTED: An operation on function ingest in region us-central1")
    finished(fake, "cloudfunctions", begun)
    assert ask(fake, f"GET {FUNCTIONS}/ingest").json["state"] == "ACTIVE"


def test_an_update_changes_what_its_mask_names(fake: FakeGoogle) -> None:
    deploy(fake)
    body = {
        "labels": {"source": "new"},
        "serviceConfig": {"timeoutSeconds": 90, "availableCpu": "2"},
    }
    begun = ask(
        fake, f"PATCH {FUNCTIONS}/ingest?updateMask=labels,service_config.timeout_seconds", body
    )
    told = finished(fake, "cloudfunctions", begun)["response"]
    assert (told["labels"], told["serviceConfig"]["timeoutSeconds"]) == ({"source": "new"}, 90)
    assert told["serviceConfig"]["availableCpu"] == "1"
    assert told["serviceConfig"]["revision"] == "ingest-00002-abc"
    assert ask(fake, f"PATCH {FUNCTIONS}/ingest?updateMask=colour", body).status == 400


def test_a_deleted_function_leaves_no_service(fake: FakeGoogle) -> None:
    before = fake.state()
    deploy(fake)
    bind_public(fake)
    finished(fake, "cloudfunctions", ask(fake, f"DELETE {FUNCTIONS}/ingest"))
    assert ask(fake, f"GET {FUNCTIONS}/ingest").status == 404
    assert ask(fake, f"GET run/v2/{L}/services/ingest").status == 404
    after = fake.state()
    # The platform's own buckets stay, and nothing else.
    left = {
        name: b
        for name, b in after["storage.googleapis.com"].items()
        if not name.startswith("gcf-")
    }
    assert left == before["storage.googleapis.com"]
    assert after["cloudfunctions.googleapis.com"] == before["cloudfunctions.googleapis.com"]


def test_two_deployments_of_the_same_are_equal() -> None:
    states = []
    for extra in (0, 3):
        fake = opened()
        prepare(fake)
        for _ in range(extra):
            upload(fake, SOURCE)
        deploy(fake)
        states.append(fake.state())
    assert states[0] == states[1]


# What of the body is changed, and what is said at once.
REFUSED = [
    ({"labels": {"Source": "x"}}, "Label 'Source'"),
    ({"buildConfig": {"runtime": "python27"}}, "Runtime python27"),
    ({"buildConfig": {"entryPoint": ""}}, "Entry point"),
    ({"buildConfig": {"dockerRepository": f"{L}/repositories/none"}}, "Docker repository"),
    ({"buildConfig": {"serviceAccount": "x@y"}}, "projects/{projectId}/serviceAccounts"),
    ({"buildConfig": {"source": {"storageSource": {"bucket": "b", "object": "o"}}}}, "Source code was not found"),
    ({"serviceConfig": {"timeoutSeconds": 3601}}, "between 1 and 3600"),
    ({"serviceConfig": {"minInstanceCount": 200}}, "Min instances"),
    ({"serviceConfig": {"environmentVariables": {"1A": "x"}}}, "'1A' is not valid"),
    ({"serviceConfig": {"environmentVariables": {"K_SERVICE": "x"}}}, "reserved"),
    ({"serviceConfig": {"environmentVariables": {"KEY": "x"}}}, "set twice"),
    ({"serviceConfig": {"serviceAccountEmail": "no@p-yurt.iam.gserviceaccount.com"}}, "iam.serviceaccounts.actAs"),
    ({"serviceConfig": {"memory": "1Gi"}}, "Unknown name \"memory\" at 'function.service_config'"),
    ({"serviceConfig": {"timeoutSeconds": "soon"}}, "(TYPE_INT32)"),
    ({"serviceConfig": {"timeoutSeconds": 600}, "eventTrigger": trigger()}, "between 1 and 540"),
]  # fmt: skip

# What only shows when the operation ends.
FAILED = [
    ({"serviceConfig": {"availableCpu": "0.5"}}, "Total cpu < 1 is not supported with concurrency > 1"),
    ({"serviceConfig": {"availableMemory": "2Gi", "availableCpu": "0.5", "maxInstanceRequestConcurrency": 1}}, "at least 1 cpu"),
    ({"serviceConfig": {"availableMemory": "1Gi", "availableCpu": "0.3", "maxInstanceRequestConcurrency": 1}}, "at least 0.5 cpu"),
    ({"serviceConfig": {"availableCpu": "3"}}, "one of 2, 4, 6, 8"),
    ({"serviceConfig": {"secretEnvironmentVariables": [{**SECRET, "version": "2"}]}}, "was not found"),
    ({"serviceConfig": {"secretEnvironmentVariables": [{**SECRET, "secret": "none"}]}}, "was not found"),
    ({"buildConfig": {"entryPoint": "other"}}, "Container Healthcheck failed"),
    ({"eventTrigger": trigger("none")}, 'Bucket "none" not found'),
    ({"eventTrigger": {**trigger(), "triggerRegion": "us-east1"}}, "must be the same"),
]  # fmt: skip


def changed(body: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(body)
    for key, value in change.items():
        both = isinstance(value, dict) and key in merged and key != "labels"
        merged[key] = {**merged[key], **value} if both else value
    return merged


@pytest.mark.parametrize(("change", "text"), REFUSED)
def test_a_function_is_refused_at_once(fake: FakeGoogle, change: dict[str, Any], text: str) -> None:
    body = changed(function(upload(fake, SOURCE)), change)
    told = ask(fake, f"POST {FUNCTIONS}?functionId=ingest", body)
    assert told.status in (400, 403)
    assert text in told.error
    assert ask(fake, f"GET {FUNCTIONS}/ingest").status == 404


@pytest.mark.parametrize(("change", "text"), FAILED)
def test_a_deployment_fails(fake: FakeGoogle, change: dict[str, Any], text: str) -> None:
    body = changed(function(upload(fake, SOURCE)), change)
    begun = ask(fake, f"POST {FUNCTIONS}?functionId=ingest", body)
    check_failed(fake, finished(fake, "cloudfunctions", begun), text)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"main.py": MAIN}, "missing requirements.txt"),
        ({"requirements.txt": ""}, "missing main.py and GOOGLE_FUNCTION_SOURCE not specified"),
        ({**SOURCE, "shared/bad.py": "def"}, "compileall"),
    ],
)
def test_a_build_fails(fake: FakeGoogle, files: dict[str, str], text: str) -> None:
    body = function(upload(fake, files))
    begun = ask(fake, f"POST {FUNCTIONS}?functionId=ingest", body)
    check_failed(fake, finished(fake, "cloudfunctions", begun), text)


@pytest.mark.parametrize(("role", "account"), ON_PROJECT)
def test_a_role_is_missing(role: str, account: str) -> None:
    fake = opened()
    prepare(fake, tuple(granted for granted in ON_PROJECT if granted[0] != role))
    body = {**function(upload(fake, SOURCE)), "eventTrigger": trigger()}
    begun = ask(fake, f"POST {FUNCTIONS}?functionId=ingest", body)
    told = finished(fake, "cloudfunctions", begun)
    missing = {"roles/pubsub.publisher": role, "roles/eventarc.eventReceiver": "receiveEvent"}
    check_failed(fake, told, missing.get(role, role))


@pytest.mark.parametrize(
    ("resource", "role"),
    [
        ("secretmanager/v1/projects/p-yurt/secrets/key", "roles/secretmanager.viewer"),
        (f"artifactregistry/v1/{L}/repositories/yurt", "roles/artifactregistry.reader"),
    ],
)
def test_a_role_is_too_small(fake: FakeGoogle, resource: str, role: str) -> None:
    bind(fake, resource, role, RUNS_AS)
    check_failed(fake, deploy(fake), role.partition(".")[0].removeprefix("roles/"))


def check_failed(fake: FakeGoogle, operation: Any, text: str) -> None:
    assert text in operation["error"]["message"]
    told = ask(fake, f"GET {FUNCTIONS}/ingest").json
    assert told["state"] == "FAILED"
    assert text in told["stateMessages"][0]["message"]


def test_a_function_with_a_trigger_has_one(fake: FakeGoogle) -> None:
    body = {**function(upload(fake, SOURCE)), "eventTrigger": trigger()}
    finished(fake, "cloudfunctions", ask(fake, f"POST {FUNCTIONS}?functionId=ingest", body))
    name = ask(fake, f"GET {FUNCTIONS}/ingest").json["eventTrigger"]["trigger"]
    (listed,) = ask(fake, f"GET eventarc/v1/{L}/triggers").json["triggers"]
    assert listed["name"] == name
    assert ask(fake, f"GET eventarc/v1/{name}").json["destination"] == {
        "cloudFunction": f"{L}/functions/ingest"
    }
