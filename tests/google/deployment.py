"""What the platform checks while it deploys a function: build, service, trigger, one after another."""

import re
from typing import Any

from tests.google import settings, sources
from tests.google.project import Project, service_disabled
from tests.google.refusal import Refusal, invalid
from tests.google.registry import Registry
from tests.google.secretmanager import SecretManager
from tests.google.serviceusage import CATALOGUE
from tests.google.storage import Storage

Json = dict[str, Any]

_BUILDER_ROLES = ("roles/logging.logWriter", "roles/storage.objectViewer")
_NO_START = (
    "Container Healthcheck failed. Revision '{0}-00001-abc' is not ready and cannot serve traffic. "
    "The user-provided container failed to start and listen on the port defined provided by the "
    "PORT=8080 environment variable within the allocated timeout."
)
_NO_PUBLISHER = (
    "The Cloud Storage service account for your bucket is unable to publish to Cloud Pub/Sub topics "
    "in the specified project.\nTo use GCS CloudEvent triggers, the GCS service account requires "
    "the Pub/Sub Publisher (roles/pubsub.publisher) IAM role in the specified project. (See "
    "https://cloud.google.com/eventarc/docs/run/quickstart-storage#before-you-begin)"
)


class Deployment:
    """Checks a function, as it is to be, against the rest of the project."""

    def __init__(
        self, project: Project, storage: Storage, secrets: SecretManager, registry: Registry
    ) -> None:
        self._project = project
        self._storage = storage
        self._secrets = secrets
        self._registry = registry

    def check_request(self, function: Json, own: str) -> None:
        """What is refused at once. own: the repository that the platform makes when it is needed."""
        settings.check_request(function)
        needed = ["run", "cloudbuild", "artifactregistry"]
        trigger = function.get("eventTrigger")
        for name in [*needed, "eventarc", "pubsub"] if trigger else needed:
            host = f"{name}.googleapis.com"
            if host not in self._project.enabled:
                raise service_disabled(host, CATALOGUE[host], self._project.number)
        accounts = [function["serviceConfig"]["serviceAccountEmail"], _builder(function)]
        for email in [*accounts, *([trigger["serviceAccountEmail"]] if trigger else [])]:
            self._check_account(function["name"], email)
        repository = function["buildConfig"]["dockerRepository"]
        if repository == own:
            self._registry.make(own)
        if not self._registry.has(repository):
            raise invalid(f"Docker repository {repository} was not found.")

    def check_build(self, function: Json, source: bytes, logs: str) -> None:
        email, build = _builder(function), function["buildConfig"]
        region, number = function["name"].split("/")[3], self._project.number
        bucket = f"buckets/gcf-v2-sources-{number}-{region}"
        for role in _BUILDER_ROLES:
            if not self._project.has_role(email, role, bucket):
                raise _unbuilt(email, role, logs)
        if not self._project.has_role(
            email, "roles/artifactregistry.writer", build["dockerRepository"]
        ):
            raise _unbuilt(email, "roles/artifactregistry.writer", logs)
        sources.check_build(source, logs)

    def check_service(self, function: Json, source: bytes) -> None:
        service = function["serviceConfig"]
        name = service["service"].rpartition("/")[2]
        settings.check_resources(service, name)
        for item in service.get("secretEnvironmentVariables") or []:
            self._check_secret(item, service["serviceAccountEmail"], name)
        if not sources.defines(source, function["buildConfig"]["entryPoint"]):
            raise Refusal(
                "INVALID_ARGUMENT",
                f"Could not create or update Cloud Run service {name}, {_NO_START.format(name)}",
            )

    def check_trigger(self, function: Json) -> None:
        trigger: Json | None = function.get("eventTrigger")
        if trigger is None:
            return
        if trigger.get("eventType") != settings.FINALIZED:
            raise invalid(f"The event type {trigger.get('eventType')} is not supported.")
        self._check_bucket(trigger)
        email = trigger["serviceAccountEmail"]
        if not self._project.has_role(email, "roles/eventarc.eventReceiver"):
            raise _untriggered(f'Permission "eventarc.events.receiveEvent" denied on "{email}"')
        if not self._project.has_role(self._storage.agent, "roles/pubsub.publisher"):
            raise _untriggered(_NO_PUBLISHER)

    def _check_account(self, function: str, email: str) -> None:
        """One that is missing looks like one that the caller may not use."""
        if email not in self._project.policies.accounts:
            text = (
                f"Validation failed for: {function}: Caller is missing permission "
                f"'iam.serviceaccounts.actAs' on service account projects/-/serviceAccounts/{email}. "
                "Grant the role 'roles/iam.serviceAccountUser' to the caller on the service account "
                f"{email}."
            )
            raise Refusal("PERMISSION_DENIED", text)

    def _check_secret(self, item: Json, email: str, name: str) -> None:
        id, version = item.get("secret", ""), item.get("version", "")
        shown = f"projects/{self._project.number}/secrets/{id}/versions/{version}"
        if not self._project.is_me(item.get("projectId", "")):
            raise _unserved(name, f"Permission denied on secret: {shown}")
        if not self._secrets.has_version(id, version):
            raise _unserved(name, f"Secret {shown} was not found")
        resource = f"{self._project.name}/secrets/{id}"
        if not self._project.has_role(email, "roles/secretmanager.secretAccessor", resource):
            raise _unserved(
                name,
                f"Permission denied on secret: {shown} for Revision service account {email}. The "
                "service account used must be granted the 'Secret Manager Secret Accessor' role "
                "(roles/secretmanager.secretAccessor) at the secret, project or higher level",
            )

    def _check_bucket(self, trigger: Json) -> None:
        filters = {f.get("attribute"): f.get("value") for f in trigger.get("eventFilters") or []}
        if set(filters) != {"bucket"}:
            raise _untriggered("The event filters must name exactly one bucket.")
        bucket = self._storage.buckets.get(str(filters["bucket"]))
        if bucket is None:
            raise _untriggered(f'Bucket "{filters["bucket"]}" not found.')
        location = bucket["location"].lower()
        if location != trigger.get("triggerRegion"):
            raise _untriggered(
                f'Bucket "{bucket["name"]}" is in location {location}, but the trigger is in '
                f"{trigger.get('triggerRegion')}: they must be the same."
            )


def _builder(function: Json) -> str:
    named = re.fullmatch(
        r"projects/[^/]+/serviceAccounts/([^/]+)", function["buildConfig"]["serviceAccount"]
    )
    if named is None:
        text = "Build service account must be projects/{projectId}/serviceAccounts/{accountEmail}."
        raise invalid(text)
    return named[1]


def _unbuilt(email: str, role: str, logs: str) -> Refusal:
    return invalid(
        "Could not build the function due to a missing permission on the build service account. If "
        f"you didn't revoke that permission explicitly, this could be caused by a change in the "
        f"organization policies. The build service account {email} lacks {role}. For more details "
        f"see the logs at {logs}."
    )


def _unserved(name: str, text: str) -> Refusal:
    return invalid(
        f"Could not create or update Cloud Run service {name}. spec.template.spec.containers[0]"
        f".env[0].value_from.secret_key_ref.name: {text}."
    )


def _untriggered(text: str) -> Refusal:
    return Refusal("FAILED_PRECONDITION", f"Creating trigger failed for the function: {text}")
