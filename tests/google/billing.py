"""Cloud Billing v1: whether the project is billed; Billing Budgets v1: what warns of costs."""

import itertools
from typing import Any

from tests.google.masks import patched, paths, without
from tests.google.project import Project
from tests.google.refusal import Refusal, denied, invalid
from tests.google.service import Call, Json, Route, Service, page, wants

ACCOUNT = "0A1B2C-3D4E5F-6A7B8C"
_BUDGET = "GoogleCloudBillingBudgetsV1Budget"


class Billing(Service):
    host = "cloudbilling.googleapis.com"
    title = "Cloud Billing API"
    messages = "billingbudgets"
    free = True
    always = True

    def routes(self) -> list[Route]:
        return [Route("GET", "v1/projects/{project}/billingInfo", self._info)]

    def _info(self, _: Call) -> Json:
        name = self.project.name
        info: Json = {"name": f"{name}/billingInfo", "projectId": self.project.id}
        if not self.project.billing:
            return info
        return {**info, "billingAccountName": f"billingAccounts/{ACCOUNT}", "billingEnabled": True}


class Budgets(Service):
    host = "billingbudgets.googleapis.com"
    title = "Cloud Billing Budget API"
    messages = "billingbudgets"
    free = True

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._budgets: dict[str, Json] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        path = "v1/billingAccounts/{account}/budgets"
        one = f"{path}/{{budget}}"
        return [
            Route("GET", path, self._list, query="pageSize pageToken scope"),
            Route("GET", one, self._get),
            Route(
                "POST",
                path,
                self._create,
                body=_BUDGET,
                root="budget",
                needs="billing.budgets.create",
            ),
            Route(
                "PATCH",
                one,
                self._patch,
                body=_BUDGET,
                root="budget",
                query="updateMask",
                needs="billing.budgets.update",
            ),
            Route("DELETE", one, self._delete, needs="billing.budgets.delete"),
        ]

    def picture(self) -> Json:
        budgets = [without(budget, ("name", "etag")) for budget in self._budgets.values()]
        return {"budgets": sorted(budgets, key=lambda budget: str(budget.get("displayName")))}

    def _list(self, call: Call) -> Json:
        self._check_account(call, "billing.budgets.list")
        return page("budgets", list(self._budgets.values()))

    def _get(self, call: Call) -> Json:
        self._check_account(call, "billing.budgets.get")
        return self._found(call)

    def _create(self, call: Call) -> Json:
        self._check_account(call, "billing.budgets.create")
        self._check(call.body)
        name = f"{_parent(call)}/budgets/00000000-0000-4000-8000-{next(self._numbers):012x}"
        self._budgets[name] = {**_filled(call.body), "name": name, "etag": name[-8:]}
        return self._budgets[name]

    def _patch(self, call: Call) -> Json:
        old = self._found(call)
        mask = call.query.get("updateMask")
        fields = paths(mask, self.messages, _BUDGET) if mask else [*call.body]
        new = _filled(
            patched(old, without(call.body, ("name", "etag")), {*fields} - {"name", "etag"})
        )
        self._check(new)
        self._budgets[old["name"]] = new
        return new

    def _delete(self, call: Call) -> Json:
        del self._budgets[self._found(call)["name"]]
        return {}

    def _found(self, call: Call) -> Json:
        name = f"{_parent(call)}/budgets/{call['budget']}"
        return wants(self._budgets.get(name), "Requested entity was not found.")

    def _check_account(self, call: Call, permission: str) -> None:
        if call["account"] != ACCOUNT or not self.project.billing:
            raise denied(permission, _parent(call), self.host)

    def _check(self, budget: Json) -> None:
        amount: dict[str, Any] = budget.get("amount") or {}
        if len(amount) != 1:
            raise invalid("Budget amount must be one of specified_amount and last_period_amount.")
        self._check_units(amount.get("specifiedAmount"))
        for rule in budget.get("thresholdRules") or []:
            if not rule.get("thresholdPercent", 0) >= 0:
                raise invalid("Threshold percent must not be negative.")
        for name in (budget.get("budgetFilter") or {}).get("projects") or []:
            if not self.project.is_me(name.removeprefix("projects/")):
                raise Refusal("PERMISSION_DENIED", "The caller does not have permission")

    def _check_units(self, amount: Json | None) -> None:
        if amount is None:
            return
        if int(amount.get("units", 0)) < 0 or amount.get("nanos", 0) < 0:
            raise invalid("Budget amount must not be negative.")
        if not amount.get("units") and not amount.get("nanos"):
            raise invalid("Budget amount must be greater than zero.")


def _parent(call: Call) -> str:
    return f"billingAccounts/{call['account']}"


def _filled(budget: Json) -> Json:
    """With what the service fills in."""
    given = budget.get("budgetFilter") or {}
    filter = {"creditTypesTreatment": "INCLUDE_ALL_CREDITS", "calendarPeriod": "MONTH", **given}
    if "customPeriod" in given:
        del filter["calendarPeriod"]
    rules = [{"spendBasis": "CURRENT_SPEND", **rule} for rule in budget.get("thresholdRules") or []]
    return {**budget, "budgetFilter": filter, "thresholdRules": rules}
