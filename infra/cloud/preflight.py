"""What must be true of a project before anything is done to it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from infra.cloud.api import Api, ApiError, Call, part
from infra.cloud.place import Place, place_of_node
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


_ASKED_FIRST = ("serviceusage", "cloudresourcemanager", "cloudbilling")


class Project(NamedTuple):
    """number: which services name it by. billing_account: `billingAccounts/…`, None if nothing is
    linked. place: of the node that is there already, if there is one."""

    number: str
    billing_account: str | None
    place: Place | None = None


def preflight(api: Api) -> Project:
    """`Blocked` when the project is missing, has no billing account, or may not be changed."""
    found = looked_at(api, check=_check_permissions)
    if found.billing_account is None:
        raise Blocked(
            f"{api.project} has no billing account, without which Google runs no functions, even "
            "free ones; link one at https://console.cloud.google.com/billing/linkedaccount"
            f"?project={api.project} or with `gcloud billing projects link {api.project} "
            "--billing-account=ID` (`gcloud billing accounts list` shows the ids)"
        )
    return found


def looked_at(api: Api, check: Callable[[Api], None] = lambda _: None) -> Project:
    """What there is, whether or not a node could be deployed to it. `Blocked` if there is none.

    check: what is asked as soon as the project is known to be there.
    """
    try:
        found = _project(api)
        check(api)
        account = _billing_account(api)
    except ApiError as error:
        if error.reason != "SERVICE_DISABLED":
            raise
        # A service account, as in Cloud Build, asks on its own project's account.
        raise Blocked(
            f"{error.service} is not enabled in the project that asks, so that nobody can look at "
            f"{api.project}; enable what looking takes, and wait a minute: gcloud services enable "
            f"{' '.join(f'{service}.googleapis.com' for service in _ASKED_FIRST)} "
            f"--project={api.project}"
        ) from error
    return Project(str(found["projectNumber"]), account, place_of_node(api))


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


def _billing_account(api: Api) -> str | None:
    info = api.get("cloudbilling", f"v1/projects/{part(api.project)}/billingInfo") or {}
    return str(info["billingAccountName"]) if info.get("billingEnabled") else None
