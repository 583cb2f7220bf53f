"""Service accounts: one for each function, one that calls the private ones, one that builds."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.cloud.api import Api, Call, part
from infra.cloud.deployment import Deployment, member
from infra.cloud.steps import Change, Step


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
        disabled = [email for email in self._purposes if there.get(email, {}).get("disabled")]
        return [
            *(self._created(email) for email in self._purposes if email not in there),
            *(self._asked(email, "enable", "POST", ":enable") for email in disabled),
        ]

    def removal(self, found: Any) -> Sequence[Change]:
        emails = (account["email"] for account in found)
        ours = [email for email in emails if self._deployment.is_ours(member(email))]
        return [self._asked(email, "delete", "DELETE", "") for email in ours]

    def _created(self, email: str) -> Change:
        name = email.partition("@")[0]
        account = {"displayName": f"Yurt: {self._purposes[email]}"}
        body = {"accountId": name, "serviceAccount": account}
        return Change(f"create {name}", Call("POST", "iam", self._path, body=body))

    def _asked(self, email: str, verb: str, method: str, end: str) -> Change:
        call = Call(method, "iam", f"{self._path}/{part(email)}{end}")
        return Change(f"{verb} {email.partition('@')[0]}", call)
