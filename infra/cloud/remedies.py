"""What went wrong, in words that say what to do; and what passes by itself."""

import re
from collections.abc import Callable
from typing import NamedTuple

from infra.cloud.api import ApiError, Unreachable
from infra.cloud.gcloud import GcloudFailed

_PASSING_STATUS = (409, 429, 500, 502, 503, 504)
"""409: two did the same at once, or what is being made cannot be seen yet. Looking again tells."""
_LINE = 150
"""Letters."""

_PASSING_REASONS = (
    "SERVICE_DISABLED",
    "accessNotConfigured",  # how Cloud Storage says the same
    "conditionNotMet",
    "rateLimitExceeded",
)
_FINAL_WORDS = re.compile(r"too recently|build failed|healthcheck failed", re.IGNORECASE)
_NOT_KNOWN_YET = re.compile(
    # Roles are given seconds before functions are built, and known everywhere minutes later: as
    # builds, revisions and triggers say it.
    r"you must grant|must be granted|ensure that the .* service account|unable to publish"
    r"|missing permission on the build service account|or it may not exist|receiveEvent",
    re.IGNORECASE,
)
_PASSING_WORDS = re.compile(
    # A service account, a queue or a role that was made or given a moment ago.
    r"service account .* does not exist|wait at least a minute|service agent"
    # Two who do the same at once.
    r"|concurrent|already in progress|another operation|\bABORTED\b"
    r"|status=\[(409|429|500|502|503|504)\]|UNAVAILABLE|try again"
    # How gcloud ends when the network is away for longer than it tries by itself.
    r"|\(ConnectionError\)|timed out",
    re.IGNORECASE,
)


def may_pass(error: Exception) -> bool:
    """Whether the same may succeed in a while, though nobody mends anything."""
    if isinstance(error, Unreachable):
        return True
    if isinstance(error, GcloudFailed) and _NOT_KNOWN_YET.search(str(error)):
        return True
    if _is_final(error):
        return False
    if isinstance(error, GcloudFailed):
        return _PASSING_WORDS.search(str(error)) is not None
    if not isinstance(error, ApiError):
        return False
    return (
        error.status in _PASSING_STATUS
        # An account that was made a moment ago.
        or (error.service == "iam" and error.status == 404)
        or error.reason in _PASSING_REASONS
        or _PASSING_WORDS.search(error.message) is not None
    )


def briefly(error: Exception) -> str:
    """What happened, in one line: nobody has to do anything yet."""
    if isinstance(error, ApiError) and error.reason == "SERVICE_DISABLED":
        return f"{error.service} is not enabled everywhere yet"
    first, _, _ = str(error).partition("\n")
    return first if len(first) <= _LINE else f"{first[:_LINE]} ..."


def _is_final(error: Exception) -> bool:
    """Whether it stays as it is whatever else it says: of a build, that is the end of a log."""
    return _FINAL_WORDS.search(str(error)) is not None


def explained(error: Exception) -> str:
    """What stood in the way, and what to do about it."""
    if isinstance(error, Unreachable):
        return f"{error}; check the network"
    if isinstance(error, GcloudFailed):
        status = re.search(r"status=\[(\d+)\]", str(error))
        refused = ApiError("gcloud", int(status[1]) if status else 0, "", str(error), "")
        return explained(refused)
    if isinstance(error, ApiError) and error.reason == "SERVICE_DISABLED":
        return (
            f"{error.service} is not enabled in the project, or that is not known everywhere yet; "
            "`yurt deploy` enables it, and then it takes some minutes"
        )
    if isinstance(error, ApiError):
        remedy = next((r.says for r in _REMEDIES if r.meant(error)), "")
        return f"{error.service} said: {error.message.rstrip('.')}{remedy and f'; {remedy}'}"
    return str(error)


class _Remedy(NamedTuple):
    meant: Callable[[ApiError], bool]
    says: str


def _says(words: str) -> Callable[[ApiError], bool]:
    return lambda error: re.search(words, error.message, re.IGNORECASE) is not None


_REMEDIES = (
    _Remedy(
        _says("permitted customer|organization policy|constraints/"),
        "a policy of your organisation forbids it: ask its administrator, or deploy to a project "
        "outside of the organisation",
    ),
    _Remedy(
        _says(r"networks/default"),
        "the machine needs the project's default network: gcloud compute networks create default "
        "--subnet-mode=auto",
    ),
    _Remedy(
        _says("too recently"),
        "Google keeps the name of a deleted queue for a week: wait that long, or deploy to another "
        "project",
    ),
    _Remedy(_says("billing"), "see to the project's billing account in the console"),
    _Remedy(
        lambda error: error.status == 429,
        "a quota is used up: wait until it is renewed, those of a day at midnight in California",
    ),
    _Remedy(
        lambda error: error.status == 403,
        "ask the owner of the project for roles/owner, or for the role that has this permission",
    ),
    _Remedy(lambda error: error.status == 401, "sign in again: gcloud auth login"),
    _Remedy(lambda error: error.status >= 500, "that is Google's own trouble: wait some minutes"),
)
