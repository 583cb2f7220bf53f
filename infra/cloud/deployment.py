"""Which project is deployed to, and how everything of a node is called there."""

import re
from dataclasses import dataclass

from infra.cloud.steps import Blocked

FREE_REGIONS = ("us-central1", "us-east1", "us-west1")
"""Where all that a node uses has a free tier, its bucket and a bridge's machine included
(https://cloud.google.com/free/docs/free-cloud-features)."""

DATABASE = "(default)"
"""A project has one free database: the first, which is this one."""

MASTER_KEY_SECRET = "yurt-master-key"  # noqa: S105 - the name of one
QUEUE = "yurt"
REPOSITORY = "yurt"

_PREFIX = "yurt-"
_PROJECT = re.compile(r"(?:[a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9_.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Deployment:
    """project: its id. bucket: the name of the node's, which nobody else in the world may have."""

    project: str
    region: str
    bucket: str

    @property
    def origin(self) -> str:
        """The URL at which the platform serves the functions, each below its name."""
        return f"https://{self.region}-{self.project}.cloudfunctions.net"

    @property
    def location(self) -> str:
        """How the resources of the region are named."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def queue(self) -> str:
        return f"{self.location}/queues/{QUEUE}"

    @property
    def repository(self) -> str:
        return f"{self.location}/repositories/{REPOSITORY}"

    def private_url(self, function: str, number: str) -> str:
        """Where the platform calls a private function, which is what its token is for, too.

        number: the project's. A service of Cloud Run is at this address before it is deployed
        (https://cloud.google.com/run/docs/triggering/https-request#deterministic).
        """
        return f"https://{function}-{number}.{self.region}.run.app"

    @property
    def caller(self) -> str:
        """The e-mail of the account that private functions are called as."""
        return self._account("caller")

    @property
    def builder(self) -> str:
        """That of the account that builds them."""
        return self._account("build")

    @property
    def bridge(self) -> str:
        """That of the account of the XMPP bridge's machine."""
        return self._account("bridge")

    def account(self, function: str) -> str:
        """That of the account that a function runs as."""
        return self._account(f"fn-{function}")

    def is_ours(self, member: str) -> bool:
        """Whether a member of a policy is an account of this node, also one that was deleted."""
        email = member.removeprefix("deleted:").partition("?")[0].removeprefix("serviceAccount:")
        return email in (self.caller, self.builder, self.bridge) or (
            # Also of functions that were there before.
            email.startswith(f"{_PREFIX}fn-") and email.endswith(f"@{self._domain}")
        )

    def _account(self, name: str) -> str:
        return f"{_PREFIX}{name}@{self._domain}"

    @property
    def _domain(self) -> str:
        # An id with a domain in it, `example.com:name`, is written the other way round in e-mails.
        domain, colon, name = self.project.partition(":")
        return f"{f'{name}.{domain}' if colon else domain}.iam.gserviceaccount.com"


def deployment(project: str, region: str, bucket: str | None = None) -> Deployment:
    """`Blocked` for names that cannot be meant."""
    if not _PROJECT.fullmatch(project):
        raise Blocked(
            f"{project!r} is no id of a project: those have 6 to 30 small letters, digits and "
            "hyphens; `gcloud projects list` shows yours"
        )
    if region not in FREE_REGIONS:
        raise Blocked(
            f"{region} is outside the free tier, which has {', '.join(FREE_REGIONS)}; name one of "
            "these with --region"
        )
    bucket = bucket or f"{project.replace(':', '-')}-yurt"
    if not _BUCKET.fullmatch(bucket):
        raise Blocked(
            f"{bucket!r} cannot be the name of a bucket: 3 to 63 small letters, digits and hyphens"
        )
    return Deployment(project, region, bucket)


def member(account: str) -> str:
    """A service account as policies name it."""
    return f"serviceAccount:{account}"
