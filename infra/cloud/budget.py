"""A budget of one unit of the account's currency: it only tells, but it tells of the first cent."""

from collections.abc import Sequence
from typing import Any

from infra.cloud.api import Api, Call
from infra.cloud.deployment import Deployment
from infra.cloud.steps import Change, Step

_FIRST, _WHOLE = 0.01, 1.0


class Budget(Step):
    optional = True

    def __init__(self, deployment: Deployment, number: str, billing_account: str) -> None:
        """billing_account: `billingAccounts/…`, to which the project is linked."""
        self.title = "budget alert"
        self.wanted = "mails the administrators of the billing account when anything costs"
        self._name = f"yurt {deployment.project}"
        self._project = f"projects/{number}"
        self._path = f"v1/{billing_account}/budgets"

    def look(self, api: Api) -> Any:
        return list(api.pages("billingbudgets", self._path, "budgets"))

    def decide(self, found: Any) -> Sequence[Change]:
        if any(budget.get("displayName") == self._name for budget in found):
            return ()  # its owner may have set other limits
        body = {
            "displayName": self._name,
            "budgetFilter": {"projects": [self._project]},
            "amount": {"specifiedAmount": {"units": "1"}},
            "thresholdRules": [{"thresholdPercent": _FIRST}, {"thresholdPercent": _WHOLE}],
        }
        return [Change("create", Call("POST", "billingbudgets", self._path, body=body))]

    def removal(self, found: Any) -> Sequence[Change]:
        names = [b["name"] for b in found if b.get("displayName") == self._name]
        return [Change("delete", Call("DELETE", "billingbudgets", f"v1/{name}")) for name in names]
