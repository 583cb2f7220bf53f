"""What is there before a function can be deployed, and a function's zip and body."""

import io
import zipfile
from typing import Any

from tests.google.fake import FakeGoogle
from tests.google.requests import ask, finished

P = "projects/p-yurt"
L = f"{P}/locations/us-central1"
RUNS_AS = "yurt-ingest@p-yurt.iam.gserviceaccount.com"
BUILDS_AS = "yurt-build@p-yurt.iam.gserviceaccount.com"
GCS = "service-123456789012@gs-project-accounts.iam.gserviceaccount.com"
MAIN = "def ingest(request):\n    return 'ok'\n"
ON_PROJECT = (
    ("roles/logging.logWriter", BUILDS_AS),
    ("roles/storage.objectViewer", BUILDS_AS),
    ("roles/eventarc.eventReceiver", RUNS_AS),
    ("roles/pubsub.publisher", GCS),
)


def grant(fake: FakeGoogle, role: str, email: str) -> None:
    """On the project, by read, modify and write."""
    path = f"cloudresourcemanager/v1/{P}"
    policy = ask(fake, f"POST {path}:getIamPolicy").json
    policy["bindings"].append({"role": role, "members": [f"serviceAccount:{email}"]})
    told = ask(fake, f"POST {path}:setIamPolicy", {"policy": policy})
    assert told.status == 200, told


def bind(fake: FakeGoogle, resource: str, role: str, email: str) -> None:
    """On a resource that has a policy of its own: `secretmanager/v1/projects/...`."""
    policy = {"bindings": [{"role": role, "members": [f"serviceAccount:{email}"]}]}
    told = ask(fake, f"POST {resource}:setIamPolicy", {"policy": policy})
    assert told.status == 200, told


def prepare(fake: FakeGoogle, roles: tuple[tuple[str, str], ...] = ON_PROJECT) -> None:
    """Everything that a function with a trigger needs; roles: what is granted on the project."""
    for id in ("yurt-ingest", "yurt-build"):
        ask(fake, f"POST iam/v1/{P}/serviceAccounts", {"accountId": id})
    ask(fake, f"GET storage/storage/v1/{P}/serviceAccount")
    for role, email in roles:
        grant(fake, role, email)
    ask(
        fake,
        "POST storage/storage/v1/b?project=p-yurt",
        {"name": "yurt-b", "location": "us-central1"},
    )
    repository = f"artifactregistry/v1/{L}/repositories"
    begun = ask(fake, f"POST {repository}?repositoryId=yurt", {"format": "DOCKER"})
    finished(fake, "artifactregistry", begun)
    bind(fake, f"{repository}/yurt", "roles/artifactregistry.writer", BUILDS_AS)
    secret = f"secretmanager/v1/{P}/secrets"
    ask(fake, f"POST {secret}?secretId=key", {"replication": {"automatic": {}}})
    ask(fake, f"POST {secret}/key:addVersion", {"payload": {"data": "c2VjcmV0"}})
    bind(fake, f"{secret}/key", "roles/secretmanager.secretAccessor", RUNS_AS)


def zipped(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


def upload(fake: FakeGoogle, files: dict[str, str]) -> dict[str, Any]:
    """The zip is sent; the `source` that names it."""
    told = ask(fake, f"POST cloudfunctions/v2/{L}/functions:generateUploadUrl", {}).json
    answer = fake.answer(
        "PUT", told["uploadUrl"], {"Content-Type": "application/zip"}, zipped(files)
    )
    assert answer.status == 200
    return {"storageSource": told["storageSource"]}


def function(source: dict[str, Any], **service: Any) -> dict[str, Any]:
    """The body that makes it. service: more of its `serviceConfig`."""
    return {
        "buildConfig": {
            "runtime": "python313",
            "entryPoint": "ingest",
            "source": source,
            "dockerRepository": f"{L}/repositories/yurt",
            "serviceAccount": f"{P}/serviceAccounts/{BUILDS_AS}",
        },
        "serviceConfig": {
            "availableMemory": "512Mi",
            "availableCpu": "1",
            "maxInstanceRequestConcurrency": 40,
            "serviceAccountEmail": RUNS_AS,
            "secretEnvironmentVariables": [
                {"key": "KEY", "projectId": "123456789012", "secret": "key", "version": "1"}
            ],
            **service,
        },
        "labels": {"source": "abc"},
    }


def trigger(bucket: str = "yurt-b") -> dict[str, Any]:
    return {
        "eventType": "google.cloud.storage.object.v1.finalized",
        "eventFilters": [{"attribute": "bucket", "value": bucket}],
        "triggerRegion": "us-central1",
        "serviceAccountEmail": RUNS_AS,
        "retryPolicy": "RETRY_POLICY_RETRY",
    }


SOURCE = {"main.py": MAIN, "requirements.txt": "functions-framework\n"}


def deploy(fake: FakeGoogle, id: str = "ingest", **service: Any) -> Any:
    """The finished operation that makes a function."""
    body = function(upload(fake, SOURCE), **service)
    begun = ask(fake, f"POST cloudfunctions/v2/{L}/functions?functionId={id}", body)
    return finished(fake, "cloudfunctions", begun)
