"""The services that a node uses, which a new project has off."""

from collections.abc import Sequence
from typing import Any

from infra.cloud.api import Api, Call, part
from infra.cloud.deployment import Deployment
from infra.cloud.steps import Change, Step

SERVICES = (
    "artifactregistry",
    "billingbudgets",
    # The next, and that of resources, are asked on the account of whoever asks: of a service
    # account, as in Cloud Build, that is this project.
    "cloudbilling",
    "cloudbuild",
    "cloudfunctions",
    "cloudresourcemanager",
    "cloudscheduler",
    "cloudtasks",
    "eventarc",
    "firebaserules",
    "firestore",
    "iam",
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "secretmanager",
    "storage",
)
"""At most 20, so that one request enables them all."""


class EnabledServices(Step):
    def __init__(self, deployment: Deployment, services: Sequence[str]) -> None:
        self.title = "services"
        self.wanted = f"enabled: {', '.join(services)}"
        self.stays = "the services stay enabled; that costs nothing"
        self._project = f"projects/{part(deployment.project)}"
        self._services = [f"{service}.googleapis.com" for service in services]

    def look(self, api: Api) -> Any:
        names = [f"{self._project}/services/{service}" for service in self._services]
        found = api.get("serviceusage", f"v1/{self._project}/services:batchGet", {"names": names})
        return found or {}

    def decide(self, found: Any) -> Sequence[Change]:
        enabled = {
            service["name"].rpartition("/")[2]
            for service in found.get("services", ())
            if service.get("state") == "ENABLED"
        }
        missing = [service for service in self._services if service not in enabled]
        if not missing:
            return ()
        path = f"v1/{self._project}/services:batchEnable"
        call = Call("POST", "serviceusage", path, body={"serviceIds": missing})
        names = ", ".join(service.partition(".")[0] for service in missing)
        return [Change(f"enable {names}", call)]
