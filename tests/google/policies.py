"""Who may do what: the IAM policy of each resource, and what a new one must hold to."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.google.refusal import Refusal, invalid
from tests.google.roles import ROLES, is_bindable

Json = dict[str, Any]

PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
_MEMBER = re.compile(
    r"(user|group|serviceAccount|deleted:(user|group|serviceAccount)):\S+@\S+\.\S+"
    r"|domain:\S+\.\S+|project(Owner|Editor|Viewer):\S+|principal(Set)?://\S+"
)
_STALE = (
    "There were concurrent policy changes. Please retry the whole read-modify-write with "
    "exponential backoff. The request's ETag '{}' did not match the current policy's ETag '{}'."
)
_UNKNOWN_TYPE = (
    "The member {} is of an unknown type. Please set a valid type prefix for the member."
)


class Policies:
    """By the resource's name. kind of a resource: see `roles.is_bindable`.

    slow_accounts: how many writes of a policy that name it find a new account missing still. One
    that does takes time, in which all others become known, too.
    """

    def __init__(self, slow_accounts: int = 0) -> None:
        self.accounts: dict[str, int] = {}
        self.slow_accounts = slow_accounts
        self._bindings: dict[str, list[Json]] = {}
        self._versions: dict[str, int] = {}
        self._writes = 0

    # Accounts

    def know(self, email: str, *, slow: bool = False) -> None:
        """From now on a policy may name the service account."""
        self.accounts[email] = self.slow_accounts if slow else 0

    def forget(self, email: str, unique: str) -> None:
        """The account is deleted: policies keep it as a deleted member, without effect."""
        self.accounts.pop(email, None)
        gone = f"deleted:serviceAccount:{email}?uid={unique}"
        for resource, bindings in self._bindings.items():
            for binding in bindings:
                members = [
                    gone if m == f"serviceAccount:{email}" else m for m in binding["members"]
                ]
                binding["members"] = sorted(set(members))
            self._touch(resource)

    # Policies

    def get(self, resource: str, version: int = 1) -> Json:
        """version: the highest the caller understands; below 3 conditions are hidden."""
        bindings = [_shown(binding, version) for binding in self._bindings.get(resource, [])]
        conditional = any("condition" in binding for binding in bindings)
        shown: Json = {"version": 3 if conditional else 1, "etag": self.etag(resource)}
        return {**shown, "bindings": bindings} if bindings else shown

    def replace(self, resource: str, kind: str, policy: Json) -> Json:
        """Replaces it. A policy without an etag overwrites whatever is there."""
        etag = self.etag(resource)
        if policy.get("etag", etag) != etag:
            raise Refusal("ABORTED", _STALE.format(policy["etag"], etag))
        self.put(resource, self.checked(kind, policy))
        return self.get(resource, 3)

    def put(self, resource: str, bindings: Iterable[Json]) -> None:
        """Without asking: what the platform itself binds."""
        self._bindings[resource] = list(_merged(bindings))
        self._touch(resource)

    def bind(self, resource: str, role: str, member: str) -> None:
        """Adds one binding without asking."""
        self.put(resource, [*self._bindings.get(resource, []), {"role": role, "members": [member]}])

    def checked(self, kind: str, policy: Json) -> list[Json]:
        """Its bindings, when all of them may be bound."""
        bindings: list[Json] = policy.get("bindings") or []
        if policy.get("version", 0) not in (0, 1, 3):
            raise invalid(f"Invalid policy version: {policy['version']}.")
        for binding in bindings:
            self._check_binding(kind, binding, policy.get("version", 0))
        if kind == "project" and not any(b["role"] == "roles/owner" for b in bindings):
            raise invalid("There must be at least one owner of the project.")
        return bindings

    def remove(self, resource: str) -> None:
        self._bindings.pop(resource, None)
        self._versions.pop(resource, None)

    def etag(self, resource: str) -> str:
        version = self._versions.get(resource, 0)
        # The etag of a policy that was never set is the same everywhere: ACAB.
        return base64.b64encode(f"Bw{version:06d}".encode()).decode() if version else "ACAB"

    # Questions

    def roles(self, resource: str, member: str) -> set[str]:
        """Bound to that member, without a condition or with one."""
        return {b["role"] for b in self._bindings.get(resource, []) if member in b["members"]}

    def has_any(self, member: str, roles: Iterable[str], resources: Iterable[str]) -> bool:
        wanted = set(roles)
        return any(self.roles(resource, member) & wanted for resource in resources)

    def is_public(self, resource: str) -> bool:
        return any(PUBLIC & set(b["members"]) for b in self._bindings.get(resource, []))

    def resources(self) -> Iterator[str]:
        yield from self._bindings

    def picture(self) -> Json:
        """{resource: {role, with its condition: members}}, without what is volatile."""
        return {
            resource: {_title(b): sorted(map(_stable, b["members"])) for b in bindings}
            for resource, bindings in sorted(self._bindings.items())
            if bindings
        }

    def _touch(self, resource: str) -> None:
        self._writes += 1
        self._versions[resource] = self._writes

    def _check_binding(self, kind: str, binding: Json, version: int) -> None:
        role = binding.get("role", "")
        if role not in ROLES and not re.fullmatch(
            r"(projects|organizations)/[^/]+/roles/\w+", role
        ):
            raise invalid(f"Role {role} is not supported for this resource.")
        if role.startswith("roles/") and not is_bindable(role, kind):
            raise invalid(f"Role {role} is not supported for this resource.")
        if "condition" in binding:
            _check_condition(binding["condition"], version)
        for member in binding.get("members") or []:
            self._check_member(kind, member)

    def _check_member(self, kind: str, member: str) -> None:
        if member in PUBLIC:
            if kind == "project":
                raise invalid(f"Member {member} cannot be set on this resource.")
            return
        if not _MEMBER.fullmatch(member):
            raise invalid(_UNKNOWN_TYPE.format(member))
        kind_of_member, _, email = member.partition(":")
        if kind_of_member == "serviceAccount" and not self._exists(email):
            raise invalid(f"Service account {email} does not exist.")

    def _exists(self, email: str) -> bool:
        slow = self.accounts.get(email)
        if slow is None:
            return False
        if slow:
            self.accounts = {known: max(0, still - 1) for known, still in self.accounts.items()}
        return slow == 0


def _check_condition(condition: Json, version: int) -> None:
    if version != 3:
        raise invalid("The policy with conditional role bindings must have version 3.")
    if not condition.get("title") or not condition.get("expression"):
        raise invalid("A condition must have a title and an expression.")


def _merged(bindings: Iterable[Json]) -> Iterator[Json]:
    """One binding for each role and condition, without those that nobody is in."""
    found: dict[str, Json] = {}
    for binding in bindings:
        same = found.setdefault(_title(binding), {**binding, "members": []})
        same["members"] = sorted({*same["members"], *(binding.get("members") or [])})
    for title in sorted(found):
        if found[title]["members"]:
            yield found[title]


def _title(binding: Json) -> str:
    condition = binding.get("condition")
    return f"{binding['role']} if {condition['expression']}" if condition else str(binding["role"])


def _shown(binding: Json, version: int) -> Json:
    shown = {**binding, "members": list(binding["members"])}
    if "condition" in binding and version < 3:
        digest = hashlib.sha256(_title(binding).encode()).hexdigest()[:20]
        shown["role"] = f"{binding['role']}_withcond_{digest}"
        del shown["condition"]
    return shown


def _stable(member: str) -> str:
    return member.partition("?uid=")[0]
