"""What is refused, and how: literal requests, and the answers of the real services."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.google.fake import FakeGoogle
from tests.google.requests import AUTHORIZED, ask, finished, opened
from tests.google.scenes import RUNS_AS, L, P, grant, prepare

DATABASES = f"firestore/v1/{P}/databases"
DEFAULT = {"type": "FIRESTORE_NATIVE", "locationId": "us-central1"}
QUEUE = {"name": f"{L}/queues/work"}
JOB = {
    "name": f"{L}/jobs/tick",
    "schedule": "*/15 * * * *",
    "httpTarget": {"uri": "https://work.run.app/", "oidcToken": {"serviceAccountEmail": RUNS_AS}},
}
SERIES = f"GET monitoring/v3/{P}/timeSeries"
READS = 'filter=metric.type%3D"run.googleapis.com/request_count"'
INSTANT = "interval.endTime=2026-11-25T10:00:00Z"
BUCKET = {"name": "yurt-1", "location": "us-central1"}
B = "POST storage/storage/v1/b?project=p-yurt"

# A request, its body, the status, and what the message or the reason has in it.
REFUSED: list[tuple[str, Any, int, str]] = [
    (f"GET cloudresourcemanager/v1/{P}x", None, 403, "does not have permission"),
    ("GET firestore/v1/projects/other/databases", None, 403, "does not have permission"),
    (f"GET cloudtasks/v2/{P}/locations/mars/queues", None, 403, "locations/mars"),
    (f"GET iam/v1/{P}/accounts", None, 404, "was not found on this server"),
    (f"PUT iam/v1/{P}/serviceAccounts", {}, 404, "was not found on this server"),
    (f"GET iam/v1/{P}/serviceAccounts?size=3", None, 400, 'Unknown name "size": Cannot bind query'),
    (f"GET iam/v1/{P}/serviceAccounts", {"a": 1}, 400, "must be empty"),
    (f"POST iam/v1/{P}/serviceAccounts", b"{", 400, "Invalid JSON payload"),
    (f"POST iam/v1/{P}/serviceAccounts", {"accountId": "yurt"}, 400, "Service account ID"),
    (f"POST iam/v1/{P}/serviceAccounts", {"accountId": "yurt-a", "x": 1}, 400, 'Unknown name "x": Cannot find field.'),
    (f"DELETE iam/v1/{P}/serviceAccounts/no@p-yurt.iam.gserviceaccount.com", None, 404, "Unknown service account"),
    (f"GET serviceusage/v1/{P}/services:batchGet", None, 400, "between 1 and 30"),
    (f"POST serviceusage/v1/{P}/services:batchEnable", {"serviceIds": ["run.googleapis.com"] * 21}, 400, "Up to 20"),
    (f"POST serviceusage/v1/{P}/services:batchEnable", {"serviceIds": ["no.example.org"]}, 403, "SERVICE_CONFIG_NOT_FOUND"),
    (f"GET {DATABASES}/(default)", None, 404, "does not exist for project p-yurt"),
    (f"POST {DATABASES}?databaseId=(default)", {"locationId": "us-central1"}, 400, "Database type"),
    (f"POST {DATABASES}?databaseId=(default)", {**DEFAULT, "type": "SQL"}, 400, "Invalid value at 'database.type'"),
    (f"POST {DATABASES}?databaseId=x", DEFAULT, 400, "Database ID"),
    (f"POST firebaserules/v1/{P}/rulesets", {"source": {"files": []}}, 400, "at least one file"),
    (f"POST firebaserules/v1/{P}/releases", {"name": f"{P}/releases/cloud.firestore", "rulesetName": "x"}, 404, "not found"),
    (f"PATCH firebaserules/v1/{P}/releases/cloud.firestore", {"name": "x"}, 400, 'Unknown name "name"'),
    (f"POST cloudtasks/v2/{L}/queues", {"name": "work"}, 400, "must be formatted"),
    (f"POST cloudtasks/v2/{L}/queues", {**QUEUE, "rateLimits": {"maxDispatchesPerSecond": 501}}, 400, "(0, 500]"),
    (f"POST cloudtasks/v2/{L}/queues", {**QUEUE, "rateLimits": {"maxDispatches": 5}}, 400, "Unknown name \"maxDispatches\" at 'queue.rate_limits'"),
    (f"POST cloudtasks/v2/{L}/queues", {**QUEUE, "retryConfig": {"minBackoff": "1"}}, 400, "duration"),
    (f"POST cloudtasks/v2/{L}/queues", {**QUEUE, "retryConfig": {"minBackoff": "9s", "maxBackoff": "3.5s"}}, 400, "at most max_backoff"),
    (f"GET cloudtasks/v2/{L}/queues/work", None, 404, "Queue does not exist."),
    (f"POST cloudscheduler/v1/{L}/jobs", JOB, 404, f"Service account {RUNS_AS} does not exist"),
    (f"POST cloudscheduler/v1/{L}/jobs", {**JOB, "schedule": "61 * * * *"}, 400, "Schedule or time zone is invalid"),
    (f"POST cloudscheduler/v1/{L}/jobs", {**JOB, "timeZone": "Mars/Base"}, 400, "Time zone Mars/Base"),
    (f"POST cloudscheduler/v1/{L}/jobs", {**JOB, "attemptDeadline": "14s"}, 400, "between 15 seconds"),
    (f"POST cloudscheduler/v1/{L}/jobs", {**JOB, "retryConfig": {"retryCount": 6}}, 400, "between 0 and 5"),
    (f"POST cloudscheduler/v1/{L}/jobs", {**JOB, "httpTarget": {"uri": "work"}}, 400, "valid URL"),
    ("POST storage/storage/v1/b", BUCKET, 400, "Required parameter: project"),
    (B, {**BUCKET, "name": "Yurt"}, 400, "Invalid bucket name"),
    (B, {**BUCKET, "location": "mars"}, 400, "location constraint"),
    (B, {**BUCKET, "softDeletePolicy": {"retentionDurationSeconds": "60"}}, 400, "between 7 and 90 days"),
    (B, {**BUCKET, "lifecycle": {"rule": [{"action": {"type": "Erase"}, "condition": {"age": 1}}]}}, 400, "lifecycle"),
    (B, {**BUCKET, "iamConfiguration": {"publicAccessPrevention": "yes"}}, 400, "publicAccessPrevention"),
    (B, {**BUCKET, "name": "taken"}, 409, "bucket namespace is shared"),
    ("GET storage/storage/v1/b/taken", None, 403, "storage.buckets.get"),
    ("GET storage/storage/v1/b/none", None, 404, "does not exist"),
    (f"POST secretmanager/v1/{P}/secrets?secretId=key", {}, 400, "replication"),
    (f"POST secretmanager/v1/{P}/secrets?secretId=a.b", {"replication": {"automatic": {}}}, 400, "Secret ID"),
    (f"GET secretmanager/v1/{P}/secrets/key", None, 404, "not found"),
    (f"POST artifactregistry/v1/{L}/repositories?repositoryId=yurt", {}, 400, "format"),
    (f"GET cloudfunctions/v2/{L}/functions/ingest", None, 404, f"Resource '{L}/functions/ingest' was not found"),
    (f"{SERIES}?{INSTANT}", None, 400, "exactly one metric type"),
    (f"{SERIES}?{READS}", None, 400, "interval.end_time"),
    (f"{SERIES}?{READS}&{INSTANT}&aggregation.perSeriesAligner=ALIGN_SUM", None, 400, "at least 60 seconds"),
    (f"POST compute/compute/v1/{P}/zones/us-central1-a/instances", {"name": "relay", "machineType": "zones/us-central1-a/machineTypes/big"}, 400, "machineType"),
    ("POST billingbudgets/v1/billingAccounts/other/budgets", {}, 403, "billing.budgets.create"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "body", "status", "text"), REFUSED)
def test_is_refused(line: str, body: Any, status: int, text: str) -> None:
    fake = opened()
    fake.taken_buckets.add("taken")
    before = fake.state()
    told = ask(fake, line, body)
    assert told.status == status, told
    assert text in f"{told.error} {told.reason}"
    assert fake.state() == before
    assert fake.requests[-1].status == status


def test_a_token_is_wanted() -> None:
    told = ask(opened(), f"GET iam/v1/{P}/serviceAccounts", headers={})
    assert (told.status, told.reason) == (401, "CREDENTIALS_MISSING")


def test_rules_want_to_know_whose_quota_is_used() -> None:
    headers = {"Authorization": AUTHORIZED["Authorization"]}
    told = ask(opened(), f"GET firebaserules/v1/{P}/rulesets", headers=headers)
    assert told.status == 403
    assert "requires a quota project" in told.error
    told = ask(
        opened(), f"GET iam/v1/{P}/serviceAccounts", headers={**headers, "x-goog-user-project": "o"}
    )
    assert told.reason == "USER_PROJECT_DENIED"


@pytest.mark.parametrize(
    "line",
    [
        f"GET {DATABASES}",
        f"GET run/v2/{L}/services",
        f"GET iam/v1/{P}/serviceAccounts",
        "GET storage/storage/v1/b/x",
    ],
)
def test_a_service_must_be_enabled(line: str) -> None:
    told = ask(FakeGoogle(), line)
    assert (told.status, told.reason) == (403, "SERVICE_DISABLED")
    assert "has not been used in project 123456789012 before or it is disabled" in told.error


def test_services_are_enabled_by_an_operation_that_takes_a_while() -> None:
    fake = FakeGoogle()
    names = ["firestore.googleapis.com", "run.googleapis.com"]
    path = f"serviceusage/v1/{P}/services"
    begun = ask(fake, f"POST {path}:batchEnable", {"serviceIds": names})
    states = []
    for _ in range(2):
        states.append(
            ask(fake, f"GET serviceusage/v1/{begun.json['name']}").json.get("done", False)
        )
    assert states == [False, True]
    query = "&".join(f"names={P}/services/{name}" for name in names)
    told = ask(fake, f"GET {path}:batchGet?{query}").json["services"]
    assert [service["state"] for service in told] == ["ENABLED", "ENABLED"]
    again = ask(fake, f"POST {path}:batchEnable", {"serviceIds": names}).json
    assert again["name"] == "operations/noop.DONE_OPERATION"


def test_what_costs_needs_a_billing_account() -> None:
    fake = FakeGoogle(billing=False)
    path = f"POST serviceusage/v1/{P}/services:batchEnable"
    told = ask(fake, path, {"serviceIds": ["firestore.googleapis.com", "run.googleapis.com"]})
    assert (told.status, told.reason) == (400, "UREQ_PROJECT_BILLING_NOT_FOUND")
    assert told.error.startswith(
        "FAILED_PRECONDITION: Billing account for project '123456789012' is not found."
    )
    assert ask(fake, path, {"serviceIds": ["firestore.googleapis.com"]}).status == 200
    fake.enable("storage.googleapis.com")
    assert ask(fake, B, BUCKET).reason == "BILLING_DISABLED"
    assert "billingEnabled" not in ask(fake, f"GET cloudbilling/v1/{P}/billingInfo").json


@pytest.mark.parametrize(
    ("line", "body", "permission"),
    [
        (f"POST {DATABASES}?databaseId=(default)", DEFAULT, "datastore.databases.create"),
        (f"POST iam/v1/{P}/serviceAccounts", {"accountId": "yurt-a"}, "iam.serviceAccounts.create"),
        (B, BUCKET, "storage.buckets.create"),
        (
            "POST billingbudgets/v1/billingAccounts/0A1B2C-3D4E5F-6A7B8C/budgets",
            {},
            "billing.budgets.create",
        ),
    ],
)
def test_a_permission_that_the_caller_lacks(line: str, body: Any, permission: str) -> None:
    fake = opened()
    fake.denied.add(permission)
    told = ask(fake, line, body)
    assert (told.status, told.reason) == (403, "IAM_PERMISSION_DENIED")
    assert f"Permission '{permission}' denied" in told.error
    asked = {"permissions": [permission, "run.services.get"]}
    told = ask(fake, f"POST cloudresourcemanager/v1/{P}:testIamPermissions", asked)
    assert told.json == {"permissions": ["run.services.get"]}


# Policies

POLICY = f"POST cloudresourcemanager/v1/{P}"
OWNED = {"role": "roles/owner", "members": ["user:owner@example.org"]}


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        (
            {"role": "roles/datastore.boss", "members": ["user:a@example.org"]},
            "Role roles/datastore.boss",
        ),
        ({"role": "roles/viewer", "members": ["a@example.org"]}, "is of an unknown type"),
        (
            {"role": "roles/viewer", "members": [f"serviceAccount:{RUNS_AS}"]},
            f"Service account {RUNS_AS} does not exist.",
        ),
        ({"role": "roles/viewer", "members": ["allUsers"]}, "allUsers"),
        (
            {
                "role": "roles/viewer",
                "members": ["user:a@example.org"],
                "condition": {"title": "t", "expression": "true"},
            },
            "must have version 3",
        ),
    ],
)
def test_a_policy_is_refused(binding: dict[str, Any], text: str) -> None:
    fake = opened()
    before = fake.state()
    told = ask(fake, f"{POLICY}:setIamPolicy", {"policy": {"bindings": [OWNED, binding]}})
    assert told.status == 400
    assert text in told.error
    assert fake.state() == before


def test_a_policy_without_owner_is_refused() -> None:
    assert ask(opened(), f"{POLICY}:setIamPolicy", {"policy": {"bindings": []}}).status == 400


def test_a_policy_that_was_changed_meanwhile() -> None:
    fake = opened()
    policy = ask(fake, f"{POLICY}:getIamPolicy").json
    assert ask(fake, f"{POLICY}:setIamPolicy", {"policy": policy}).status == 200
    told = ask(fake, f"{POLICY}:setIamPolicy", {"policy": policy})
    assert told.status == 409
    assert told.error.startswith("ABORTED: There were concurrent policy changes.")


def test_a_condition_shows_to_who_understands_it() -> None:
    fake = opened()
    condition = {"title": "one database", "expression": "resource.name == 'x'"}
    binding = {
        "role": "roles/datastore.user",
        "members": ["user:a@example.org"],
        "condition": condition,
    }
    policy = {"version": 3, "bindings": [OWNED, binding]}
    assert ask(fake, f"{POLICY}:setIamPolicy", {"policy": policy}).status == 200
    old = ask(fake, f"{POLICY}:getIamPolicy").json["bindings"][0]
    new = ask(fake, f"{POLICY}:getIamPolicy", {"options": {"requestedPolicyVersion": 3}}).json
    assert old["role"].startswith("roles/datastore.user_withcond_")
    assert new["version"] == 3
    assert new["bindings"][0]["condition"] == condition


def test_a_new_account_may_be_missing_for_a_while() -> None:
    fake = opened()
    fake.slow_accounts = 2
    ask(fake, f"POST iam/v1/{P}/serviceAccounts", {"accountId": "yurt-ingest"})
    member = f"serviceAccount:{RUNS_AS}"
    policy = {"bindings": [OWNED, {"role": "roles/viewer", "members": [member]}]}
    told = [ask(fake, f"{POLICY}:setIamPolicy", {"policy": policy}).status for _ in range(3)]
    assert told == [400, 400, 200]
    assert fake.roles_of(member) == {P: {"roles/viewer"}}


def test_a_deleted_account_stays_in_policies_without_effect() -> None:
    fake = opened()
    ask(fake, f"POST iam/v1/{P}/serviceAccounts", {"accountId": "yurt-ingest"})
    grant(fake, "roles/viewer", RUNS_AS)
    ask(fake, f"DELETE iam/v1/{P}/serviceAccounts/{RUNS_AS}")
    ask(fake, f"POST iam/v1/{P}/serviceAccounts", {"accountId": "yurt-ingest"})
    assert fake.roles_of(f"serviceAccount:{RUNS_AS}") == {}
    assert f"deleted:serviceAccount:{RUNS_AS}" in fake.state()["policies"][P]["roles/viewer"]


def test_a_public_member_is_kept_out_of_a_closed_bucket() -> None:
    fake = opened()
    ask(fake, B, {**BUCKET, "iamConfiguration": {"publicAccessPrevention": "enforced"}})
    policy = ask(fake, "GET storage/storage/v1/b/yurt-1/iam").json
    policy["bindings"].append({"role": "roles/storage.objectViewer", "members": ["allUsers"]})
    assert ask(fake, "PUT storage/storage/v1/b/yurt-1/iam", policy).reason == "conditionNotMet"


# What a second request meets


def test_a_database_is_made_once_and_keeps_its_place() -> None:
    fake = opened()
    begun = ask(
        fake,
        f"POST {DATABASES}?databaseId=(default)",
        {**DEFAULT, "deleteProtectionState": "DELETE_PROTECTION_ENABLED"},
    )
    made = finished(fake, "firestore", begun)["response"]
    assert (made["freeTier"], made["type"]) == (True, "FIRESTORE_NATIVE")
    one = f"{DATABASES}/(default)"
    assert ask(fake, f"POST {DATABASES}?databaseId=(default)", DEFAULT).status == 409
    assert ask(fake, f"PATCH {one}?updateMask=locationId", {"locationId": "us-east1"}).status == 400
    assert ask(fake, f"DELETE {one}").error.startswith("FAILED_PRECONDITION: Delete protection")
    off = {"deleteProtectionState": "DELETE_PROTECTION_DISABLED"}
    finished(fake, "firestore", ask(fake, f"PATCH {one}?updateMask=deleteProtectionState", off))
    finished(fake, "firestore", ask(fake, f"DELETE {one}"))
    assert ask(fake, f"GET {one}").status == 404


def test_an_index_is_built_once() -> None:
    fake = opened()
    finished(fake, "firestore", ask(fake, f"POST {DATABASES}?databaseId=(default)", DEFAULT))
    group = f"{DATABASES}/(default)/collectionGroups/fix/indexes"
    fields = [
        {"fieldPath": "device", "order": "ASCENDING"},
        {"fieldPath": "time", "order": "DESCENDING"},
    ]
    body = {"queryScope": "COLLECTION", "fields": fields}
    begun = ask(fake, f"POST {group}", body)
    assert ask(fake, f"POST {group}", body).error == "ALREADY_EXISTS: index already exists"
    listed = f"GET {DATABASES}/(default)/collectionGroups/-/indexes"
    (index,) = ask(fake, listed).json["indexes"]
    assert index["state"] == "CREATING"
    finished(fake, "firestore", begun)
    (index,) = ask(fake, listed).json["indexes"]
    assert index["state"] == "READY"
    assert index["fields"][-1] == {"fieldPath": "__name__", "order": "DESCENDING"}
    assert ask(fake, f"POST {group}", {**body, "fields": fields[:1]}).status == 400


def test_a_field_without_indexes_is_listed() -> None:
    fake = opened()
    finished(fake, "firestore", ask(fake, f"POST {DATABASES}?databaseId=(default)", DEFAULT))
    field = f"{DATABASES}/(default)/collectionGroups/raw/fields/payload"
    begun = ask(fake, f"PATCH {field}?updateMask=indexConfig", {"indexConfig": {}})
    finished(fake, "firestore", begun)
    listed = f"GET {DATABASES}/(default)/collectionGroups/-/fields"
    query = "filter=indexConfig.usesAncestorConfig:false"
    (found,) = ask(fake, f"{listed}?{query}").json["fields"]
    assert found == {
        "name": f"{P}/databases/(default)/collectionGroups/raw/fields/payload",
        "indexConfig": {},
    }
    assert ask(fake, listed).status == 400


def test_rules_are_released_by_a_body_that_names_the_release() -> None:
    fake = opened()
    text = "rules_version = '2';\nservice cloud.firestore { match /{document=**} { allow read: if false; } }"
    source = {"files": [{"name": "firestore.rules", "content": text}]}
    ruleset = ask(fake, f"POST firebaserules/v1/{P}/rulesets", {"source": source}).json["name"]
    release = {"name": f"{P}/releases/cloud.firestore", "rulesetName": ruleset}
    one = f"firebaserules/v1/{P}/releases/cloud.firestore"
    assert ask(fake, f"PATCH {one}", {"release": release}).status == 404
    assert ask(fake, f"POST firebaserules/v1/{P}/releases", release).status == 200
    assert ask(fake, f"POST firebaserules/v1/{P}/releases", release).status == 409
    assert ask(fake, f"PATCH {one}", {"release": release}).status == 200
    assert ask(fake, f"GET {one}").json["rulesetName"] == ruleset


def test_the_name_of_a_deleted_queue_is_blocked() -> None:
    fake = opened()
    path = f"cloudtasks/v2/{L}/queues"
    made = ask(fake, f"POST {path}", {**QUEUE, "retryConfig": {"maxAttempts": 5}}).json
    assert made["retryConfig"]["maxBackoff"] == "3600s"
    assert ask(fake, f"POST {path}", QUEUE).status == 409
    assert ask(fake, f"POST {path}/work:pause", {}).json["state"] == "PAUSED"
    told = ask(
        fake,
        f"PATCH {path}/work?updateMask=retryConfig.minBackoff",
        {"retryConfig": {"minBackoff": "3.5s"}},
    )
    assert told.json["retryConfig"]["maxAttempts"] == 5
    assert ask(fake, f"DELETE {path}/work").status == 200
    assert "existed too recently" in ask(fake, f"POST {path}", QUEUE).error


def test_a_job_knows_its_account_and_its_state() -> None:
    fake = opened()
    prepare(fake)
    path = f"cloudscheduler/v1/{L}/jobs"
    made = ask(fake, f"POST {path}", JOB).json
    assert made["httpTarget"]["oidcToken"]["audience"] == "https://work.run.app/"
    assert ask(fake, f"POST {path}", JOB).status == 409
    assert ask(fake, f"POST {path}/tick:resume", {}).status == 400
    assert ask(fake, f"POST {path}/tick:pause", {}).json["state"] == "PAUSED"
    told = ask(fake, f"PATCH {path}/tick?updateMask=schedule", {"schedule": "0 3 * * mon-fri"}).json
    assert (told["schedule"], told["state"]) == ("0 3 * * mon-fri", "PAUSED")


def test_a_secret_has_versions_that_are_destroyed_for_good() -> None:
    fake = opened()
    path = f"secretmanager/v1/{P}/secrets"
    ask(fake, f"POST {path}?secretId=key", {"replication": {"automatic": {}}})
    assert ask(fake, f"GET {path}/key/versions/latest:access").status == 404
    for _ in range(2):
        ask(fake, f"POST {path}/key:addVersion", {"payload": {"data": "c2VjcmV0"}})
    told = ask(fake, f"GET {path}/key/versions/latest:access").json
    assert told["name"] == "projects/123456789012/secrets/key/versions/2"
    assert told["payload"]["data"] == "c2VjcmV0"
    ask(fake, f"POST {path}/key/versions/2:destroy", {})
    assert "DESTROYED state" in ask(fake, f"GET {path}/key/versions/latest:access").error
    assert ask(fake, f"POST {path}/key/versions/2:enable", {}).status == 400


def test_a_bucket_is_made_once_and_emptied_before_it_goes() -> None:
    fake = opened()
    assert (
        ask(fake, B, {**BUCKET, "softDeletePolicy": {"retentionDurationSeconds": "0"}}).status
        == 200
    )
    assert "you already own it" in ask(fake, B, BUCKET).error
    upload = "upload/storage/v1/b/yurt-1/o"
    told = ask(
        fake, f"POST storage/{upload}?uploadType=media&name=a/b&ifGenerationMatch=0", b"xyz"
    ).json
    assert told["size"] == "3"
    again = ask(
        fake, f"POST storage/{upload}?uploadType=media&name=a/b&ifGenerationMatch=0", b"xyz"
    )
    assert again.reason == "conditionNotMet"
    assert ask(fake, "DELETE storage/storage/v1/b/yurt-1").reason == "conflict"
    assert ask(fake, "DELETE storage/storage/v1/b/yurt-1/o/a%2Fb").status == 200
    assert ask(fake, "DELETE storage/storage/v1/b/yurt-1").status == 200


def test_a_budget_is_for_this_project() -> None:
    fake = opened()
    path = "billingbudgets/v1/billingAccounts/0A1B2C-3D4E5F-6A7B8C/budgets"
    body = {
        "displayName": "yurt",
        "budgetFilter": {"projects": ["projects/123456789012"]},
        "amount": {"specifiedAmount": {"currencyCode": "USD", "units": "1"}},
        "thresholdRules": [{"thresholdPercent": 0.5}],
    }
    made = ask(fake, f"POST {path}", body).json
    assert made["thresholdRules"] == [{"spendBasis": "CURRENT_SPEND", "thresholdPercent": 0.5}]
    assert ask(fake, f"GET {path}").json["budgets"] == [made]
    other = {**body, "budgetFilter": {"projects": ["projects/1"]}}
    assert ask(fake, f"POST {path}", other).status == 403
    assert (
        ask(
            fake,
            f"PATCH billingbudgets/v1/{made['name']}?updateMask=displayName",
            {"displayName": "y"},
        ).json["displayName"]
        == "y"
    )
    assert ask(fake, f"DELETE billingbudgets/v1/{made['name']}").status == 200


def test_series_are_as_the_test_says() -> None:
    fake = opened()
    fake.monitoring.series = {"run.googleapis.com/request_count": [1, 2]}
    aggregation = "aggregation.alignmentPeriod=86400s&aggregation.perSeriesAligner=ALIGN_SUM"
    query = f"{READS}&interval.startTime=2026-11-24T10:00:00Z&{INSTANT}&{aggregation}"
    (series,) = ask(fake, f"{SERIES}?{query}").json["timeSeries"]
    assert [point["value"]["int64Value"] for point in series["points"]] == ["2", "1"]
    assert ask(fake, f"{SERIES}?{READS.replace('request', 'other')}&{INSTANT}").json == {}


def test_the_clock_is_the_tests() -> None:
    fake = opened(clock=lambda: datetime(2026, 11, 25, 10, tzinfo=UTC))
    made = ask(
        fake, f"POST secretmanager/v1/{P}/secrets?secretId=key", {"replication": {"automatic": {}}}
    )
    assert made.json["createTime"] == "2026-11-25T10:00:00.000000Z"
