"""The bucket: where large bytes are."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.cloud.api import Api, ApiError, Call, part
from infra.cloud.deployment import Deployment
from infra.cloud.place import MARK, is_marked
from infra.cloud.settled import differs
from infra.cloud.steps import Blocked, Change, Step

LEFT_OVER_AFTER = 60
"""Days. What a job had in hand is deleted at its end; what is left is of one that nobody ended."""
_IN_HAND = ("JOINING/", "keeping/", "spool/")


class Bucket(Step):
    def __init__(self, deployment: Deployment, number: str) -> None:
        self.title = f"bucket {deployment.bucket}"
        self.wanted = (
            f"in {deployment.region}, closed to the public; browsers may upload from "
            f"{deployment.origin}; what is deleted is gone at once; left-overs of jobs are deleted "
            f"after {LEFT_OVER_AFTER} days"
        )
        self.stays = (
            "the photos, attachments and uploads stay, in the bucket; to delete them for good: "
            f"gcloud storage rm --recursive gs://{deployment.bucket}"
        )
        self._deployment = deployment
        self._number = number
        self._path = f"storage/v1/b/{part(deployment.bucket)}"

    def look(self, api: Api) -> Any:
        try:
            return api.get("storage", self._path)
        except ApiError as error:
            if error.status == 403 and "storage.buckets.get" in error.message:
                raise self._is_taken() from error
            raise

    def decide(self, found: Any) -> Sequence[Change]:
        settings = self._settings()
        if found is None:
            body = {
                "name": self._deployment.bucket,
                "location": self._deployment.region.upper(),
                "storageClass": "STANDARD",
                **settings,
            }
            query = {"project": self._deployment.project}
            call = Call("POST", "storage", "storage/v1/b", query, body)
            return [Change(f"create in {self._deployment.region}", call)]
        self._check(found)
        if not is_marked(found):
            raise self._is_not_ours()
        wrong = differs(settings, found)
        if not wrong:
            return ()
        says = f"set {', '.join(wrong)}"
        return [Change(says, Call("PATCH", "storage", self._path, body=settings))]

    def _settings(self) -> dict[str, Any]:
        label, value = MARK
        return {
            "labels": {label: value},
            "iamConfiguration": {
                "uniformBucketLevelAccess": {"enabled": True},
                "publicAccessPrevention": "enforced",
            },
            # Otherwise what was deleted is kept, and billed, for a week.
            "softDeletePolicy": {"retentionDurationSeconds": "0"},
            "lifecycle": {
                "rule": [
                    {
                        "action": {"type": "Delete"},
                        "condition": {"age": LEFT_OVER_AFTER, "matchesPrefix": list(_IN_HAND)},
                    }
                ]
            },
            "cors": [
                {
                    "origin": [self._deployment.origin],
                    "method": ["PUT"],
                    "responseHeader": ["Content-Type", "Content-Range", "Range"],
                    "maxAgeSeconds": 3600,
                }
            ],
        }

    def _check(self, found: Mapping[str, Any]) -> None:
        if str(found.get("projectNumber", self._number)) != self._number:
            raise self._is_taken()
        location = str(found.get("location", "")).lower()
        if location != self._deployment.region:
            raise Blocked(
                f"the bucket {self._deployment.bucket} is in {location}, which is not where the "
                "functions are, or not free; name another with --bucket, which is then created"
            )

    def _is_not_ours(self) -> Blocked:
        label, value = MARK
        return Blocked(
            f"the bucket {self._deployment.bucket} is there and has no label {label}={value}. If "
            "it is this node's and lost it, or may become its, with its lifecycle, CORS and soft "
            f"delete replaced: gcloud storage buckets update gs://{self._deployment.bucket} "
            f"--update-labels={label}={value}. If it is somebody else's, name another with "
            "--bucket, which is then created"
        )

    def _is_taken(self) -> Blocked:
        return Blocked(
            f"the name {self._deployment.bucket} is taken by a bucket that is not this project's, "
            "or that you may not look at; name another with --bucket"
        )


class StorageAccount(Step):
    """The account that Cloud Storage publishes events as, in every project that uses them.

    Asking for it is what makes it
    (https://cloud.google.com/storage/docs/getting-service-agent), so looking is all there is to do.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.title = "account of Cloud Storage"
        self.wanted = "there, to publish events"
        self._path = f"storage/v1/projects/{part(deployment.project)}/serviceAccount"

    def look(self, api: Api) -> Any:
        return api.get("storage", self._path)

    def decide(self, found: Any) -> Sequence[Change]:  # noqa: ARG002 - see above
        return ()
