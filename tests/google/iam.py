"""IAM v1: service accounts and who may act as them."""

import itertools
from typing import Any

from tests.google.access import access_routes
from tests.google.masks import patched, paths, without
from tests.google.project import Project
from tests.google.refusal import Refusal, invalid
from tests.google.service import Call, Json, Route, Service, checked_id, exists, page

_ID = r"[a-z]([-a-z0-9]{4,28}[a-z0-9])"
# Google's texts: they name the resource by the project's id, not by its number.
_MISSING = "Unknown service account"


class Iam(Service):
    host = "iam.googleapis.com"
    title = "Identity and Access Management (IAM) API"
    messages = "iam"
    free = True

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._accounts: dict[str, Json] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        path = "v1/projects/{project}/serviceAccounts"
        one = f"{path}/{{account}}"
        return [
            Route("GET", path, self._list, query="pageSize pageToken"),
            Route(
                "POST",
                path,
                self._create,
                body="CreateServiceAccountRequest",
                needs="iam.serviceAccounts.create",
            ),
            Route("GET", one, self._get),
            Route(
                "PATCH",
                one,
                self._patch,
                body="PatchServiceAccountRequest",
                needs="iam.serviceAccounts.update",
            ),
            Route("DELETE", one, self._delete, needs="iam.serviceAccounts.delete"),
            *access_routes(
                self.project, one, "account", self._named, get="POST", needs="iam.serviceAccounts"
            ),
        ]

    def picture(self) -> Json:
        return {
            email: without(account, ("uniqueId", "oauth2ClientId", "etag"))
            for email, account in sorted(self._accounts.items())
        }

    def _list(self, _: Call) -> Json:
        return page("accounts", [self._accounts[email] for email in sorted(self._accounts)])

    def _get(self, call: Call) -> Json:
        return self._found(call)

    def _create(self, call: Call) -> Json:
        id = checked_id(call.body.get("accountId", ""), _ID, "Service account ID")
        email = f"{id}@{self.project.id}.iam.gserviceaccount.com"
        name = f"{self.project.name}/serviceAccounts/{email}"
        if email in self._accounts:
            raise exists(f"Service account {id} already exists within project {self.project.name}.")
        given: dict[str, Any] = call.body.get("serviceAccount") or {}
        _check(given)
        unique = f"{100000000000000000000 + next(self._numbers)}"
        self._accounts[email] = {
            "name": name,
            "projectId": self.project.id,
            "uniqueId": unique,
            "email": email,
            **{key: given[key] for key in ("displayName", "description") if given.get(key)},
            "etag": "MDEwMjE5MjA=",
            "oauth2ClientId": unique,
        }
        self.project.policies.know(email, slow=True)
        return self._accounts[email]

    def _patch(self, call: Call) -> Json:
        old = self._found(call)
        new: dict[str, Any] = call.body.get("serviceAccount") or {}
        _check(new)
        fields = paths(call.body.get("updateMask", ""), self.messages, "ServiceAccount")
        if not fields:
            raise invalid("The update mask must not be empty.")
        if not {"displayName", "description"}.issuperset(fields):
            raise invalid(f"Field mask {call.body['updateMask']} cannot be updated.")
        self._accounts[old["email"]] = patched(old, new, fields)
        return self._accounts[old["email"]]

    def _delete(self, call: Call) -> Json:
        account = self._found(call)
        del self._accounts[account["email"]]
        self.project.policies.remove(account["name"])
        self.project.policies.forget(account["email"], account["uniqueId"])
        return {}

    def _named(self, call: Call) -> str:
        return str(self._found(call)["name"])

    def _found(self, call: Call) -> Json:
        wanted = call["account"]
        for email, account in self._accounts.items():
            if wanted in (email, account["uniqueId"]):
                return account
        raise Refusal("NOT_FOUND", f"{_MISSING}: {self.project.name}/serviceAccounts/{wanted}.")


def _check(account: Json) -> None:
    """Lengths in bytes of UTF-8: iam/v1 reference of ServiceAccount."""
    if len(account.get("displayName", "").encode()) > 100:
        raise invalid("The display name must be at most 100 bytes long.")
    if len(account.get("description", "").encode()) > 256:
        raise invalid("The description must be at most 256 bytes long.")
