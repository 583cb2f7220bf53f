"""The project that everything belongs to, and what every service needs to know of it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from tests.google.operations import Operations
from tests.google.policies import Policies
from tests.google.refusal import Refusal, error_info, invalid

# Regions that are used here: those of the free tier, and some others. A name that is not among
# them is refused, as the platform refuses one that it does not have.
REGIONS = frozenset(
    [
        "us-central1",
        "us-east1",
        "us-east4",
        "us-west1",
        "us-west2",
        "europe-west1",
        "europe-west2",
        "europe-west3",
        "europe-west4",
        "europe-north1",
        "asia-northeast1",
        "asia-southeast1",
        "australia-southeast1",
    ]
)


class Project:
    """number: as Google numbers projects. caller: whose token it is, a member.

    billing: whether a billing account is linked. denied: permissions that the caller lacks.
    enabled: the names of the services that are switched on.
    """

    def __init__(
        self,
        id: str,
        number: int,
        clock: Callable[[], datetime],
        caller: str,
        billing: bool,
        polls: int,
    ) -> None:
        self.id = id
        self.number = number
        self.caller = caller
        self.billing = billing
        self.denied: set[str] = set()
        self.enabled: set[str] = set()
        self.policies = Policies()
        self.operations = Operations(polls)
        self._clock = clock
        self.policies.put(self.name, [{"role": "roles/owner", "members": [caller]}])

    @property
    def name(self) -> str:
        return f"projects/{self.id}"

    def now(self) -> str:
        """The time as the APIs write it."""
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def is_me(self, project: str) -> bool:
        return project in (self.id, str(self.number))

    def needs_account(self, email: str) -> None:
        if email not in self.policies.accounts:
            raise Refusal("NOT_FOUND", f"Service account {email} does not exist.")

    def has_role(self, email: str, role: str, *resources: str) -> bool:
        """Whether a service account has it on the project, or on one of the resources."""
        return self.policies.has_any(
            f"serviceAccount:{email}", [role, *_INCLUDED_IN.get(role, ())], [self.name, *resources]
        )


# Roles whose permissions another role has, too, as far as it matters here.
_INCLUDED_IN = {
    "roles/secretmanager.secretAccessor": ("roles/secretmanager.admin",),
    "roles/artifactregistry.writer": (
        "roles/artifactregistry.admin",
        "roles/artifactregistry.repoAdmin",
        "roles/cloudbuild.builds.builder",
        "roles/editor",
    ),
    "roles/logging.logWriter": (
        "roles/logging.admin",
        "roles/cloudbuild.builds.builder",
        "roles/editor",
    ),
    "roles/storage.objectViewer": (
        "roles/storage.admin",
        "roles/storage.objectAdmin",
        "roles/storage.objectUser",
        "roles/cloudbuild.builds.builder",
    ),
    "roles/eventarc.eventReceiver": ("roles/eventarc.admin",),
    "roles/pubsub.publisher": ("roles/pubsub.admin", "roles/pubsub.editor", "roles/editor"),
}


def service_disabled(service: str, title: str, number: int) -> Refusal:
    url = f"https://console.developers.google.com/apis/api/{service}/overview?project={number}"
    help = {
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [{"description": "Google developers console API activation", "url": url}],
    }
    info = error_info(
        "SERVICE_DISABLED",
        "googleapis.com",
        service=service,
        consumer=f"projects/{number}",
        serviceTitle=title,
        containerInfo=str(number),
        activationUrl=url,
    )
    text = (
        f"{title} has not been used in project {number} before or it is disabled. Enable it by "
        f"visiting {url} then retry. If you enabled this API recently, wait a few minutes for the "
        "action to propagate to our systems and retry."
    )
    return Refusal("PERMISSION_DENIED", text, [info, help])


def billing_disabled(service: str, number: int) -> Refusal:
    text = (
        f"This API method requires billing to be enabled. Please enable billing on project "
        f"#{number} by visiting https://console.developers.google.com/billing/enable?project="
        f"{number} then retry. If you enabled billing for this project recently, wait a few "
        "minutes for the action to propagate to our systems and retry."
    )
    info = error_info(
        "BILLING_DISABLED", "googleapis.com", service=service, consumer=f"projects/{number}"
    )
    return Refusal("PERMISSION_DENIED", text, [info])


def checked_labels(labels: dict[str, str] | None) -> None:
    """At most 64 of [a-z0-9_-], keys up to 63 from a letter on, values up to 63."""
    for key, value in (labels or {}).items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(
            r"[a-z0-9_-]{0,63}", value
        ):
            raise invalid(
                f"Label '{key}': '{value}' is invalid: only lowercase letters, digits, "
                "underscores and dashes are allowed, at most 63 of them."
            )
    if len(labels or {}) > 64:
        raise invalid("Too many labels: at most 64 are allowed.")
