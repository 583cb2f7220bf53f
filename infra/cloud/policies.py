"""Who may do what: the roles on one resource.

A policy is changed as a whole, under the etag with which it was read: of two who change it at once
one is refused, and looks again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from infra.cloud.api import Api, ApiError, Call, part
from infra.cloud.deployment import Deployment
from infra.cloud.steps import Change, Step

PUBLIC = frozenset(("allUsers", "allAuthenticatedUsers"))

_VERSION = 3  # the first that knows conditions (https://cloud.google.com/iam/docs/policies)


class Grant(NamedTuple):
    """A role for a member, perhaps only where a condition holds: its title, its expression."""

    role: str
    member: str
    condition: tuple[str, str] | None = None


def below(bucket: str, folder: str) -> tuple[str, str]:
    """The condition that holds for objects of a bucket whose name begins with `folder`."""
    objects = f"projects/_/buckets/{bucket}/objects/{folder}"
    return f"objects below {folder}", f'resource.name.startsWith("{objects}")'


class Resource(NamedTuple):
    """Where a policy is, for which each service has its own way. set: without its body.

    wrapped: whether the policy is sent inside of an object.
    """

    get: Call
    set: Call
    wrapped: bool = True


class Roles(Step):
    """Exactly the grants for the accounts of this node, and for the public; others are let be."""

    def __init__(
        self,
        deployment: Deployment,
        title: str,
        resource: Resource,
        grants: Iterable[Grant],
        stays: str | None = None,
    ) -> None:
        self.title = title
        self.stays = stays
        self._deployment = deployment
        self._resource = resource
        self._grants = frozenset(grants)
        self.wanted = "; ".join(_listed(self._grants)) or "none to any account of this node"

    def look(self, api: Api) -> Any:
        """The policy; None where the resource is missing."""
        try:
            return api.call(self._resource.get)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def decide(self, found: Any) -> Sequence[Change]:
        return self._changes(found or {}, self._grants)

    def removal(self, found: Any) -> Sequence[Change]:
        return self._changes(found, frozenset()) if found is not None else ()

    def _changes(self, policy: Mapping[str, Any], wanted: frozenset[Grant]) -> Sequence[Change]:
        there = frozenset(_grants(policy))
        stray = {grant for grant in there - wanted if self._is_our_business(grant.member)}
        missing = wanted - there
        if not stray and not missing:
            return ()
        bindings = _bindings((there - stray) | missing, policy)
        changed = {**policy, "bindings": bindings, "version": _VERSION}
        body = {"policy": changed} if self._resource.wrapped else changed
        says = [
            *(f"give {grants}" for grants in _listed(missing)),
            *(f"take {_short(g.role)} from {_name(g.member)}" for g in sorted(stray, key=_order)),
        ]
        return [Change("; ".join(says), self._resource.set._replace(body=body))]

    def _is_our_business(self, member: str) -> bool:
        return member in PUBLIC or self._deployment.is_ours(member)


def _grants(policy: Mapping[str, Any]) -> Iterable[Grant]:
    for binding in policy.get("bindings", ()):
        for member in binding.get("members", ()):
            yield Grant(binding["role"], member, _condition(binding))


def _condition(binding: Mapping[str, Any]) -> tuple[str, str] | None:
    condition = binding.get("condition")
    return (condition.get("title", ""), condition["expression"]) if condition else None


def _bindings(grants: Iterable[Grant], policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As policies say it; what else a condition has (a description) is kept."""
    conditions = {
        _condition(b): b["condition"] for b in policy.get("bindings", ()) if _condition(b)
    }
    members: dict[tuple[str, tuple[str, str] | None], list[str]] = {}
    for grant in sorted(grants, key=_order):
        members.setdefault((grant.role, grant.condition), []).append(grant.member)
    bindings = []
    for (role, condition), names in members.items():
        binding: dict[str, Any] = {"role": role, "members": names}
        if condition is not None:
            title, expression = condition
            fresh = {"title": title, "expression": expression}
            binding["condition"] = conditions.get(condition, fresh)
        bindings.append(binding)
    return bindings


def _listed(grants: Iterable[Grant]) -> list[str]:
    """By role, as in `datastore.user to yurt-fn-ingest, yurt-fn-query`."""
    members: dict[str, list[str]] = {}
    for grant in sorted(grants, key=_order):
        only = f" ({grant.condition[0]})" if grant.condition else ""
        members.setdefault(_short(grant.role), []).append(_name(grant.member) + only)
    return [f"{role} to {', '.join(names)}" for role, names in members.items()]


def _order(grant: Grant) -> tuple[str, str, tuple[str, str]]:
    return grant.role, grant.member, grant.condition or ("", "")


def _short(role: str) -> str:
    return role.removeprefix("roles/")


def _name(member: str) -> str:
    if member == "allUsers":
        return "everybody"
    return member.rpartition(":")[2].partition("@")[0] if "@" in member else member


_OPTIONS = {"options.requestedPolicyVersion": str(_VERSION)}


def of_project(project: str) -> Resource:
    path = f"v1/projects/{part(project)}"
    body = {"options": {"requestedPolicyVersion": _VERSION}}
    return Resource(
        Call("POST", "cloudresourcemanager", f"{path}:getIamPolicy", body=body),
        Call("POST", "cloudresourcemanager", f"{path}:setIamPolicy"),
    )


def of_bucket(bucket: str) -> Resource:
    path = f"storage/v1/b/{part(bucket)}/iam"
    query = {"optionsRequestedPolicyVersion": str(_VERSION)}
    return Resource(
        Call("GET", "storage", path, query), Call("PUT", "storage", path), wrapped=False
    )


def of_account(project: str, email: str) -> Resource:
    path = f"v1/projects/{part(project)}/serviceAccounts/{part(email)}"
    return Resource(
        Call("POST", "iam", f"{path}:getIamPolicy", _OPTIONS),
        Call("POST", "iam", f"{path}:setIamPolicy"),
    )


def of_queue(name: str) -> Resource:
    body = {"options": {"requestedPolicyVersion": _VERSION}}
    return Resource(
        Call("POST", "cloudtasks", f"v2/{name}:getIamPolicy", body=body),
        Call("POST", "cloudtasks", f"v2/{name}:setIamPolicy"),
    )


def of_secret(name: str) -> Resource:
    return _read_by_get("secretmanager", f"v1/{name}")


def of_repository(name: str) -> Resource:
    return _read_by_get("artifactregistry", f"v1/{name}")


def of_service(name: str) -> Resource:
    """Of a service of Cloud Run."""
    return _read_by_get("run", f"v2/{name}")


def _read_by_get(service: str, path: str) -> Resource:
    return Resource(
        Call("GET", service, f"{path}:getIamPolicy", _OPTIONS),
        Call("POST", service, f"{path}:setIamPolicy"),
    )
