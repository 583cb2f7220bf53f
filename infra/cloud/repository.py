"""The repository of the functions' images, in Artifact Registry."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.cloud.api import Api, Call
from infra.cloud.deployment import REPOSITORY, Deployment
from infra.cloud.place import MARK
from infra.cloud.settled import differs
from infra.cloud.steps import Blocked, Change, Step

_CLEAN_UP = {
    # Cloud Run pulls the image of what it runs again when it updates a service. So the newest is
    # kept however old it is, and the one before it while the newest is being built.
    "keep-newest": {
        "id": "keep-newest",
        "action": "KEEP",
        "mostRecentVersions": {"keepCount": 2},
    },
    "delete-others": {
        "id": "delete-others",
        "action": "DELETE",
        "condition": {"tagState": "ANY", "olderThan": "86400s"},
    },
}


class Repository(Step):
    def __init__(self, deployment: Deployment) -> None:
        self.title = f"image repository {REPOSITORY}"
        self.wanted = "of each function the two newest images, others are deleted after a day"
        self._deployment = deployment
        self._path = f"v1/{deployment.repository}"

    def look(self, api: Api) -> Any:
        return api.get("artifactregistry", self._path)

    def decide(self, found: Any) -> Sequence[Change]:
        settings = {"cleanupPolicies": _CLEAN_UP, "cleanupPolicyDryRun": False}
        if found is not None and not _is_ours(found):
            raise Blocked(
                f"an image repository {REPOSITORY} is there in {self._deployment.region} that Yurt "
                "did not make; delete it (gcloud artifacts repositories delete "
                f"{REPOSITORY} --location={self._deployment.region} "
                f"--project={self._deployment.project}), or deploy to a project of its own"
            )
        if found is None:
            path = f"v1/{self._deployment.location}/repositories"
            body = {"format": "DOCKER", "labels": dict([MARK]), **settings}
            call = Call("POST", "artifactregistry", path, {"repositoryId": REPOSITORY}, body)
            return [Change("create", call)]
        wrong = differs(settings, found)
        if not wrong:
            return ()
        query = {"updateMask": "cleanupPolicies,cleanupPolicyDryRun"}
        call = Call("PATCH", "artifactregistry", self._path, query, settings)
        return [Change("set what is cleaned up", call)]

    def removal(self, found: Any) -> Sequence[Change]:
        if found is None or not _is_ours(found):
            return ()
        return [Change("delete with its images", Call("DELETE", "artifactregistry", self._path))]


def _is_ours(repository: Mapping[str, Any]) -> bool:
    label, value = MARK
    return bool(repository.get("labels", {}).get(label) == value)
