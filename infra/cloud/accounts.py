"""Service accounts: one for each function, one that calls the private ones, one that builds."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.cloud.api import Api, Call, part
from infra.cloud.deployment import Deployment, member
from infra.cloud.steps import Blocked, Change, Step

_MARK = "Yurt: "
"""What the names for people of our accounts begin with."""


def _is_ours(account: Mapping[str, Any]) -> bool:
    return str(account.get("displayName", "")).startswith(_MARK)


class ServiceAccounts(Step):
    """purposes: what each account is for, by its e-mail."""

    def __init__(self, deployment: Deployment, purposes: Mapping[str, str]) -> None:
        self.title = "service accounts"
        names = (email.partition("@")[0] for email in purposes)
        self.wanted = f"one for each purpose: {', '.join(names)}"
        self._deployment = deployment
        self._purposes = purposes
        self._path = f"v1/projects/{part(deployment.project)}/serviceAccounts"

    def look(self, api: Api) -> Any:
        return list(api.pages("iam", self._path, "accounts", {"pageSize": "100"}))

    def decide(self, found: Any) -> Sequence[Change]:
        there = {account["email"]: account for account in found}
        for email in self._purposes:
            if email in there and not _is_ours(there[email]):
                raise Blocked(
                    f"a service account {email} is there that Yurt did not make; delete it (gcloud "
                    f"iam service-accounts delete {email} --project={self._deployment.project}), "
                    "or deploy to a project of its own"
                )
        disabled = [email for email in self._purposes if there.get(email, {}).get("disabled")]
        return [
            *(self._created(email) for email in self._purposes if email not in there),
            *(self._asked(email, "enable", "POST", ":enable") for email in disabled),
            # Of functions that are no more.
            *(self._deleted(email) for email in self._ours(found) if email not in self._purposes),
        ]

    def removal(self, found: Any) -> Sequence[Change]:
        return [self._deleted(email) for email in self._ours(found)]

    def _ours(self, found: Any) -> list[str]:
        return [
            account["email"]
            for account in found
            if self._deployment.is_ours(member(account["email"])) and _is_ours(account)
        ]

    def _deleted(self, email: str) -> Change:
        return self._asked(email, "delete", "DELETE", "")

    def _created(self, email: str) -> Change:
        name = email.partition("@")[0]
        account = {"displayName": f"{_MARK}{self._purposes[email]}"}
        body = {"accountId": name, "serviceAccount": account}
        return Change(f"create {name}", Call("POST", "iam", self._path, body=body))

    def _asked(self, email: str, verb: str, method: str, end: str) -> Change:
        call = Call(method, "iam", f"{self._path}/{part(email)}{end}")
        return Change(f"{verb} {email.partition('@')[0]}", call)
