"""What passes by itself, and what is said of the rest."""

import pytest

from infra.cloud.api import ApiError, Unreachable
from infra.cloud.gcloud import GcloudFailed
from infra.cloud.remedies import explained, may_pass

GCLOUD = "(gcloud.functions.deploy) "
CLOSED = (
    f"{GCLOUD}One or more users named in the policy do not belong to a permitted customer, perhaps "
    "due to an organization policy."
)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (Unreachable("run.googleapis.com cannot be reached"), True),
        (ApiError("run", 503, "UNAVAILABLE", "later", ""), True),
        (ApiError("iam", 404, "NOT_FOUND", "Unknown service account", ""), True),
        (ApiError("run", 404, "NOT_FOUND", "no such service", ""), False),
        (ApiError("run", 403, "PERMISSION_DENIED", "you may not", ""), False),
        (ApiError("cloudtasks", 400, "", "existed too recently", ""), False),
        (GcloudFailed(f"{GCLOUD}ResponseError: status=[409], code=[Ok], message=[busy]"), True),
        (GcloudFailed("gcloud crashed (ConnectionError): reset"), True),
        (
            GcloudFailed(f"{GCLOUD}Build failed with status: FAILURE and message: SyntaxError"),
            False,
        ),
        (
            GcloudFailed(
                f"{GCLOUD}Build failed: Access to bucket gcf-v2-sources-1-us-central1 denied. You "
                "must grant Storage Object Viewer permission to the account."
            ),
            True,
        ),
        (GcloudFailed(f"{GCLOUD}The Cloud Storage service account is unable to publish"), True),
        (GcloudFailed(CLOSED), False),
    ],
)
def test_what_may_pass_is_tried_again(error: Exception, passes: bool) -> None:
    assert may_pass(error) == passes


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GcloudFailed(CLOSED), "gcloud said: "),
        (GcloudFailed(CLOSED), "a policy of your organisation forbids it"),
        (GcloudFailed(f"{GCLOUD}ResponseError: status=[429], message=[x]"), "a quota is used up"),
        (ApiError("run", 403, "PERMISSION_DENIED", "you may not", ""), "ask the owner"),
        (Unreachable("run.googleapis.com cannot be reached"), "check the network"),
    ],
)
def test_what_does_not_pass_is_told_with_what_to_do(error: Exception, said: str) -> None:
    assert said in explained(error)
