"""Artifact Registry v1: repositories and the images in them."""

from typing import Any

from tests.google.access import access_routes
from tests.google.masks import patched, paths, without
from tests.google.project import Project, checked_labels
from tests.google.refusal import Refusal, invalid
from tests.google.service import (
    Call,
    Json,
    Route,
    Service,
    checked_id,
    exists,
    page,
    seconds,
    wants,
)

_OUTPUT = ("name", "createTime", "updateTime", "sizeBytes", "satisfiesPzs", "registryUri")
_MUTABLE = ("description", "labels", "cleanupPolicies", "cleanupPolicyDryRun", "dockerConfig")


class Registry(Service):
    """sizes: bytes of each repository, by its name."""

    host = "artifactregistry.googleapis.com"
    title = "Artifact Registry API"
    messages = "artifactregistry"

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self.sizes: dict[str, int] = {}
        self._repositories: dict[str, Json] = {}
        self._images: dict[str, dict[str, int]] = {}

    def routes(self) -> list[Route]:
        path = "v1/projects/{project}/locations/{location}/repositories"
        one = f"{path}/{{repository}}"
        listed = "pageSize pageToken filter orderBy"
        return [
            Route("GET", path, self._list, query=listed),
            Route("GET", one, self._get),
            Route(
                "POST",
                path,
                self._create,
                body="Repository",
                root="repository",
                query="repositoryId",
                needs="artifactregistry.repositories.create",
            ),
            Route(
                "PATCH",
                one,
                self._patch,
                body="Repository",
                root="repository",
                query="updateMask",
                needs="artifactregistry.repositories.update",
            ),
            Route("DELETE", one, self._delete, needs="artifactregistry.repositories.delete"),
            Route("GET", f"{one}/packages", self._packages, query=listed),
            Route(
                "GET",
                f"{one}/packages/{{package}}/versions",
                self._versions,
                query=f"{listed} view",
            ),
            Route(
                "GET",
                "v1/projects/{project}/locations/{location}/operations/{operation}",
                self._operation,
            ),
            *access_routes(
                self.project,
                one,
                "repository",
                lambda call: str(self._found(call)["name"]),
                needs="artifactregistry.repositories",
            ),
        ]

    def picture(self) -> Json:
        return {n: without(r, _OUTPUT) for n, r in sorted(self._repositories.items())}

    def has(self, name: str) -> bool:
        return name in self._repositories

    def make(self, name: str) -> None:
        """One that the platform itself makes, if it is not there."""
        if name not in self._repositories:
            self._repositories[name] = self._filled(name, {"format": "DOCKER"})

    def push(self, repository: str, package: str) -> None:
        """A build leaves one more image."""
        images = self._images.setdefault(repository, {})
        images[package] = images.get(package, 0) + 1

    def _list(self, call: Call) -> Json:
        parent = f"{self._parent(call)}/"
        found = [r for name, r in sorted(self._repositories.items()) if name.startswith(parent)]
        return page("repositories", found)

    def _get(self, call: Call) -> Json:
        self.project.operations.look(self._name(call))
        return self._found(call)

    def _create(self, call: Call) -> Json:
        id = call.query.get("repositoryId", "")
        checked_id(id, r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "Repository ID")
        if call.body.get("format", "FORMAT_UNSPECIFIED") == "FORMAT_UNSPECIFIED":
            raise invalid("Repository format must be specified.")
        _check(call.body)
        name = f"{self._parent(call)}/{id}"
        if name in self._repositories or self.project.operations.is_busy(name):
            raise exists("the repository already exists")
        new = self._filled(name, call.body)

        def finish() -> Json:
            self._repositories[name] = new
            return {"@type": _TYPE, **new}

        return self._begin(call, name, finish)

    def _patch(self, call: Call) -> Json:
        old = self._found(call)
        fields = paths(call.query.get("updateMask", ""), self.messages, "Repository")
        fields = fields or [field for field in call.body if field not in _OUTPUT]
        for field in fields:
            if field.partition(".")[0] not in _MUTABLE:
                raise invalid(f"Field {field} of a repository cannot be updated.")
        new = patched(old, call.body, fields)
        _check(new)
        new["updateTime"] = self.project.now()
        self._repositories[old["name"]] = new
        return self._found(call)

    def _delete(self, call: Call) -> Json:
        name = self._found(call)["name"]

        def finish() -> Json:
            self._repositories.pop(name, None)
            self._images.pop(name, None)
            self.project.policies.remove(name)
            return {"@type": "type.googleapis.com/google.protobuf.Empty"}

        return self._begin(call, name, finish)

    def _packages(self, call: Call) -> Json:
        name = self._found(call)["name"]
        return page(
            "packages",
            [
                {"name": f"{name}/packages/{package}"}
                for package in sorted(self._images.get(name, {}))
            ],
        )

    def _versions(self, call: Call) -> Json:
        name, package = self._found(call)["name"], call["package"]
        count = self._images.get(name, {}).get(package)
        if count is None:
            raise Refusal("NOT_FOUND", f'Package "{package}" was not found.')
        parent = f"{name}/packages/{package}/versions"
        return page("versions", [{"name": f"{parent}/sha256:{n:064x}"} for n in range(count)])

    def _operation(self, call: Call) -> Json:
        name = f"{self.project.name}/locations/{call['location']}/operations/{call['operation']}"
        return self.project.operations.get(name).shown()

    def _begin(self, call: Call, name: str, finish: Any) -> Json:
        prefix = f"{self.project.name}/locations/{call['location']}/operations/"
        type = "type.googleapis.com/google.devtools.artifactregistry.v1.OperationMetadata"
        return self.project.operations.begin(prefix, name, finish, lambda _: {"@type": type})

    def _filled(self, name: str, repository: Json) -> Json:
        now = self.project.now()
        return {
            "mode": "STANDARD_REPOSITORY",
            **without(repository, _OUTPUT),
            "name": name,
            "createTime": now,
            "updateTime": now,
        }

    def _name(self, call: Call) -> str:
        return f"{self._parent(call)}/{call['repository']}"

    def _found(self, call: Call) -> Json:
        name = self._name(call)
        found = wants(self._repositories.get(name), f'Repository does not exist: "{name}"')
        # What is nothing is not written.
        return {**found, "sizeBytes": str(self.sizes[name])} if self.sizes.get(name) else found

    def _parent(self, call: Call) -> str:
        return f"{self.project.name}/locations/{call['location']}/repositories"


_TYPE = "type.googleapis.com/google.devtools.artifactregistry.v1.Repository"


def _check(repository: Json) -> None:
    checked_labels(repository.get("labels"))
    policies: dict[str, Json] = repository.get("cleanupPolicies") or {}
    for key, policy in policies.items():
        if policy.get("id", key) != key:
            raise invalid(f"The id of cleanup policy {key} must be its key.")
        _check_policy(key, policy)


def _check_policy(key: str, policy: Json) -> None:
    if policy.get("action") not in ("DELETE", "KEEP"):
        raise invalid(f"Cleanup policy {key} must have an action.")
    if ("condition" in policy) == ("mostRecentVersions" in policy):
        raise invalid(f"Cleanup policy {key} must have a condition or most_recent_versions.")
    if "mostRecentVersions" in policy:
        if policy["action"] != "KEEP":
            raise invalid("Most recent versions can only be used with a KEEP action.")
        if policy["mostRecentVersions"].get("keepCount", 0) < 1:
            raise invalid("keep_count must be positive.")
    for field in ("olderThan", "newerThan"):
        if field in policy.get("condition", {}):
            seconds(policy["condition"][field], field)
