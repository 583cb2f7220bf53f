"""What must be true of a project before anything is done to it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from infra.cloud.api import Api, ApiError, Call, part
from infra.cloud.functions import deployed, is_ours
from infra.cloud.steps import Blocked

_NEEDED = {
    "serviceusage.services.enable": "roles/serviceusage.serviceUsageAdmin",
    "resourcemanager.projects.setIamPolicy": "roles/resourcemanager.projectIamAdmin",
    "datastore.databases.create": "roles/datastore.owner",
    "firebaserules.releases.create": "roles/firebaserules.admin",
    "iam.serviceAccounts.create": "roles/iam.serviceAccountAdmin",
    "iam.serviceAccounts.actAs": "roles/iam.serviceAccountUser",
    "storage.buckets.create": "roles/storage.admin",
    "secretmanager.secrets.create": "roles/secretmanager.admin",
    "artifactregistry.repositories.create": "roles/artifactregistry.admin",
    "cloudtasks.queues.create": "roles/cloudtasks.admin",
    "cloudscheduler.jobs.create": "roles/cloudscheduler.admin",
    "cloudfunctions.functions.create": "roles/cloudfunctions.admin",
    "run.services.setIamPolicy": "roles/run.admin",
}
"""One permission of each role that deploying takes. Who owns the project has them all."""


class Project(NamedTuple):
    """number: which services name it by. billing_account: `billingAccounts/…`.

    region, bucket: of the node that is there already, if there is one.
    """

    number: str
    billing_account: str
    region: str | None = None
    bucket: str | None = None


def preflight(api: Api) -> Project:
    """`Blocked` when the project is missing, has no billing account, or may not be changed."""
    found = _project(api)
    _check_permissions(api)
    account = _billing_account(api)
    ours = _ours(api)
    return Project(str(found["projectNumber"]), account, _region(ours), _bucket(ours))


def region_of_node(api: Api) -> str | None:
    """Where the node is that is there already, if there is one."""
    return _region(_ours(api))


def _ours(api: Api) -> list[Any]:
    return [f for f in deployed(api, f"projects/{part(api.project)}/locations/-") if is_ours(f)]


def _project(api: Api) -> Any:
    try:
        found = api.get("cloudresourcemanager", f"v1/projects/{part(api.project)}")
    except ApiError as error:
        if error.status != 403 or error.reason == "SERVICE_DISABLED":
            raise
        found = None
    if found is None or found.get("lifecycleState") != "ACTIVE":
        raise Blocked(
            f"there is no project {api.project} that you may see; `gcloud projects list` shows "
            f"yours, `gcloud auth list` as whom you are signed in, and `gcloud projects create "
            f"{api.project}` makes a new one"
        )
    return found


def _check_permissions(api: Api) -> None:
    path = f"v1/projects/{part(api.project)}:testIamPermissions"
    body = {"permissions": list(_NEEDED)}
    answer = api.call(Call("POST", "cloudresourcemanager", path, body=body))
    missing = [p for p in _NEEDED if p not in answer.get("permissions", ())]
    if missing:
        roles = ", ".join(_NEEDED[permission] for permission in missing)
        raise Blocked(
            f"you may not do all that deploying to {api.project} takes; ask its owner for "
            f"roles/owner, or for {roles}"
        )


def _billing_account(api: Api) -> str:
    info = api.get("cloudbilling", f"v1/projects/{part(api.project)}/billingInfo") or {}
    if not info.get("billingEnabled"):
        raise Blocked(
            f"{api.project} has no billing account, without which Google runs no functions, even "
            "free ones; link one at https://console.cloud.google.com/billing/linkedaccount"
            f"?project={api.project} or with `gcloud billing projects link {api.project} "
            "--billing-account=ID` (`gcloud billing accounts list` shows the ids)"
        )
    return str(info["billingAccountName"])


def _region(functions: Sequence[Any]) -> str | None:
    return next((str(function["name"].split("/")[3]) for function in functions), None)


def _bucket(functions: Sequence[Any]) -> str | None:
    for function in functions:
        variables = function.get("serviceConfig", {}).get("environmentVariables", {})
        if "YURT_BUCKET" in variables:
            return str(variables["YURT_BUCKET"])
    return None
