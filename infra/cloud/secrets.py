"""The secrets of a node: what functions are given in their environment."""

import base64
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from infra.cloud import policies
from infra.cloud.api import Api, ApiError, Call, part
from infra.cloud.deployment import MASTER_KEY_SECRET, Deployment
from infra.cloud.policies import Roles
from infra.cloud.steps import Blocked, Change, Step

_PREFIX = "yurt-"
_KEY = re.compile(r"[0-9a-fA-F]{64}\s*")
_REGRET = "604800s"
"""How long a destroyed version can be had back, by enabling it again: a week."""


_STAYS = {
    MASTER_KEY_SECRET: "the master key stays, in Secret Manager: without it, keys of phones that "
    "encrypt and passwords of collectors cannot be read"
}
_LOST_WITH = {
    MASTER_KEY_SECRET: "phones that encrypt have to be paired again and collectors given their "
    "passwords anew, since these are sealed with it"
}
"""What an owner has to do who puts another version in the place of one."""


def secret_name(variable: str) -> str:
    """Of the secret that a variable of functions holds: `yurt-master-key` of YURT_MASTER_KEY."""
    return f"{_PREFIX}{variable.removeprefix('YURT_').lower().replace('_', '-')}"


def versions(api: Api, project: str, secret: str) -> list[Any]:
    """All there ever were, newest first; none if there is no such secret."""
    path = f"v1/projects/{part(project)}/secrets/{secret}"
    page = api.get("secretmanager", f"{path}/versions", {"pageSize": "100"})
    return sorted((page or {}).get("versions", ()), key=version_number, reverse=True)


def version_number(version: Mapping[str, Any]) -> int:
    return int(version["name"].rpartition("/")[2])


def newest_enabled(found: Sequence[Mapping[str, Any]]) -> int | None:
    """The number of the version that is used."""
    return next((version_number(v) for v in found if v.get("state") == "ENABLED"), None)


class Secret(Step):
    """new: makes the text that it begins with; None where its owner alone knows it."""

    def __init__(self, deployment: Deployment, secret: str, new: Callable[[], str] | None) -> None:
        self.title = f"secret {secret}"
        self.wanted = (
            "made at random the first time, then kept" if new else "as its owner gave it; kept"
        )
        stays = _STAYS.get(secret, f"the secret {secret} stays, in Secret Manager")
        self.stays = (
            f"{stays}; to delete it for good: gcloud secrets delete {secret} "
            f"--project={deployment.project}"
        )
        self._project = deployment.project
        self._secret = secret
        self._new = new
        self._path = f"v1/projects/{part(deployment.project)}/secrets"

    def look(self, api: Api) -> Any:
        """The secret, or None, its versions, and the text of the one in use if its owner gave it in
        the place of what was made at random; None if there is none, or it is not for us to see."""
        there = api.get("secretmanager", f"{self._path}/{self._secret}")
        of_it = versions(api, self._project, self._secret) if there else []
        newest = newest_enabled(of_it)
        if self._new is None or newest is None or newest == 1:
            return there, of_it, None
        path = f"{self._path}/{self._secret}/versions/{newest}:access"
        try:
            data = api.call(Call("GET", "secretmanager", path))["payload"]["data"]
        except ApiError as error:
            if error.status == 403:
                return there, of_it, None
            raise
        return there, of_it, base64.b64decode(data).decode("utf-8", "replace")

    def decide(self, found: Any) -> Sequence[Change]:
        there, of_it, text = found
        if text is not None and not _KEY.fullmatch(text):
            raise self._is_no_key(newest_enabled(of_it) or 0)
        if not of_it and self._new is None:
            raise self._is_to_be_given(there is not None)
        changes = []
        if there is None:
            body = {"replication": {"automatic": {}}, "versionDestroyTtl": _REGRET}
            call = Call("POST", "secretmanager", self._path, {"secretId": self._secret}, body)
            changes.append(Change("create", call))
        elif "versionDestroyTtl" not in there:
            # Made by hand: what is destroyed of it would be gone at once.
            path, query = f"{self._path}/{self._secret}", {"updateMask": "versionDestroyTtl"}
            call = Call("PATCH", "secretmanager", path, query, {"versionDestroyTtl": _REGRET})
            changes.append(Change("keep destroyed versions for a week", call))
        if of_it and newest_enabled(of_it) is None:
            raise self._is_off(of_it)
        if not of_it and self._new is not None:
            data = base64.b64encode(self._new().encode()).decode()
            path = f"{self._path}/{self._secret}:addVersion"
            call = Call("POST", "secretmanager", path, body={"payload": {"data": data}})
            changes.append(Change("make one at random", call))
        return changes

    def _is_no_key(self, number: int) -> Blocked:
        options = f"--secret={self._secret} --project={self._project}"
        return Blocked(
            f"version {number} of the secret {self._secret} is no key, which has 64 hexadecimal "
            f"digits and nothing else; disable it: gcloud secrets versions disable {number} "
            f"{options}"
        )

    def _is_to_be_given(self, there: bool) -> Blocked:
        how = "versions add" if there else "create"
        options = "" if there else "--replication-policy=automatic "
        return Blocked(
            f"the secret {self._secret} has no value, which you alone know; give it, in the place "
            f"of THE_VALUE: printf %s 'THE_VALUE' | gcloud secrets {how} {self._secret} {options}"
            f"--data-file=- --project={self._project}"
        )

    def _is_off(self, of_it: Sequence[Mapping[str, Any]]) -> Blocked:
        """A new key in its place could not open what was sealed with it."""
        held = [version_number(v) for v in of_it if v.get("state") == "DISABLED"]
        if held:
            return Blocked(
                f"no version of the secret {self._secret} is enabled; enable the one in use: "
                f"gcloud secrets versions enable {held[0]} --secret={self._secret} "
                f"--project={self._project}"
            )
        return Blocked(
            f"every version of the secret {self._secret} was destroyed; add the key from a backup: "
            f"gcloud secrets versions add {self._secret} --data-file=- --project={self._project}, "
            f"or, if there is none, delete the secret; then {_LOST_WITH.get(self._secret, '')}"
        )


class OtherSecrets(Step):
    """Those that an earlier version of Yurt had, which none of its accounts may read any more."""

    def __init__(self, deployment: Deployment, names: Collection[str]) -> None:
        self.title = "secrets of earlier versions"
        self.wanted = "read by nobody"
        self.stays = (
            "secrets of earlier versions stay as well, if there are any: gcloud secrets list "
            f"--project={deployment.project} --filter=name:{_PREFIX}"
        )
        self._deployment = deployment
        self._names = names
        self._path = f"projects/{part(deployment.project)}/secrets"

    def look(self, api: Api) -> Any:
        """The policy of each, by the secret's name."""
        found = api.pages("secretmanager", f"v1/{self._path}", "secrets", {"pageSize": "100"})
        names = [str(secret["name"]).rpartition("/")[2] for secret in found]
        others = [n for n in names if n.startswith(_PREFIX) and n not in self._names]
        return {name: self._roles(name).look(api) for name in others}

    def decide(self, found: Any) -> Sequence[Change]:
        return [
            change._replace(says=f"{change.says} on {name}")
            for name, policy in found.items()
            for change in self._roles(name).decide(policy)
        ]

    def removal(self, found: Any) -> Sequence[Change]:
        return self.decide(found)

    def _roles(self, name: str) -> Roles:
        secret = policies.of_secret(f"{self._path}/{name}")
        return Roles(self._deployment, f"roles on {name}", secret, ())


class OldVersions(Step):
    """Each that is not destroyed counts against the six that are free.

    It comes after the functions, which use the newest from then on.
    """

    def __init__(self, deployment: Deployment, secret: str) -> None:
        self.title = f"old versions of {secret}"
        self.wanted = "destroyed, so that they cost nothing"
        self._project = deployment.project
        self._secret = secret

    def look(self, api: Api) -> Any:
        return versions(api, self._project, self._secret)

    def decide(self, found: Any) -> Sequence[Change]:
        newest = newest_enabled(found)
        old = [
            version
            for version in found
            if newest is not None
            and version_number(version) < newest
            # One that is disabled was set aside by its owner: what they regret, they keep.
            and version.get("state") == "ENABLED"
        ]
        return [
            Change(
                self._destroys(version_number(version), newest or 0),
                # By the id of the project, as all else is named; the API answers with its number.
                Call(
                    "POST",
                    "secretmanager",
                    f"v1/projects/{part(self._project)}/secrets/{self._secret}/versions/"
                    f"{version_number(version)}:destroy",
                    body={},
                ),
            )
            for version in old
        ]

    def _destroys(self, old: int, newest: int) -> str:
        """The older of two that are enabled would be destroyed again."""
        gcloud, options = "gcloud secrets versions", f"--secret={self._secret}"
        options += f" --project={self._project}"
        lost = f"; {_LOST_WITH[self._secret]}" if self._secret in _LOST_WITH else ""
        return (
            f"destroy version {old}, since version {newest} is used now{lost} (to go back to it "
            f"within a week: {gcloud} enable {old} {options} && {gcloud} disable {newest} {options}"
            ", and deploy)"
        )
