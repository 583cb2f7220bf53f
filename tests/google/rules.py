"""Firebase Rules v1: rulesets, and the releases that put one into force."""

import itertools
from typing import Any

from tests.google.masks import without
from tests.google.project import Project
from tests.google.refusal import invalid
from tests.google.service import Call, Json, Route, Service, exists, page, wants

_MOST_BYTES = 256 * 1024


class Rules(Service):
    host = "firebaserules.googleapis.com"
    title = "Firebase Rules API"
    messages = "firebaserules"
    free = True
    quota = True

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._rulesets: dict[str, Json] = {}
        self._releases: dict[str, Json] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        rulesets = "v1/projects/{project}/rulesets"
        releases = "v1/projects/{project}/releases"
        one = f"{releases}/{{release**}}"
        return [
            Route("GET", rulesets, self._list_rulesets, query="filter pageSize pageToken"),
            Route(
                "POST",
                rulesets,
                self._create_ruleset,
                body="Ruleset",
                needs="firebaserules.rulesets.create",
            ),
            Route("GET", f"{rulesets}/{{ruleset}}", self._ruleset),
            Route(
                "DELETE",
                f"{rulesets}/{{ruleset}}",
                self._delete_ruleset,
                needs="firebaserules.rulesets.delete",
            ),
            Route("GET", releases, self._list_releases, query="filter pageSize pageToken"),
            Route(
                "POST",
                releases,
                self._create_release,
                body="Release",
                needs="firebaserules.releases.create",
            ),
            Route("GET", one, self._release),
            Route(
                "PATCH",
                one,
                self._patch_release,
                body="UpdateReleaseRequest",
                needs="firebaserules.releases.update",
            ),
            Route("DELETE", one, self._delete_release, needs="firebaserules.releases.delete"),
        ]

    def picture(self) -> Json:
        """The text in force under each release; what is in force nowhere counts for nothing."""
        return {
            name: self._rulesets[release["rulesetName"]]["source"]
            for name, release in sorted(self._releases.items())
        }

    def _list_rulesets(self, _: Call) -> Json:
        return page("rulesets", [without(r, ("source",)) for r in self._rulesets.values()])

    def _create_ruleset(self, call: Call) -> Json:
        files: list[dict[str, Any]] = (call.body.get("source") or {}).get("files") or []
        if not files:
            raise invalid("Ruleset source must have at least one file.")
        for file in files:
            _check_file(file)
        name = f"{self.project.name}/rulesets/00000000-0000-4000-8000-{next(self._numbers):012x}"
        self._rulesets[name] = {
            "name": name,
            "source": call.body["source"],
            "createTime": self.project.now(),
            "metadata": {"services": ["cloud.firestore"]},
        }
        return self._rulesets[name]

    def _delete_ruleset(self, call: Call) -> Json:
        name = self._ruleset(call)["name"]
        if any(release["rulesetName"] == name for release in self._releases.values()):
            raise invalid("Cannot delete a ruleset that is referenced by a release.")
        del self._rulesets[name]
        return {}

    def _list_releases(self, _: Call) -> Json:
        return page("releases", list(self._releases.values()))

    def _create_release(self, call: Call) -> Json:
        name = call.body.get("name", "")
        if not name.startswith(f"{self.project.name}/releases/"):
            raise invalid(f"Release name must begin with {self.project.name}/releases/.")
        if name in self._releases:
            raise exists("Requested entity already exists")
        now = self.project.now()
        self._releases[name] = {
            "name": name,
            "rulesetName": self._referenced(call.body),
            "createTime": now,
            "updateTime": now,
        }
        return self._releases[name]

    def _patch_release(self, call: Call) -> Json:
        release = self._release(call)
        given = call.body.get("release") or {}
        if given.get("name", release["name"]) != release["name"]:
            raise invalid("The release's name must be that of the request.")
        release.update(rulesetName=self._referenced(given), updateTime=self.project.now())
        return release

    def _delete_release(self, call: Call) -> Json:
        del self._releases[self._release(call)["name"]]
        return {}

    def _referenced(self, release: Json) -> str:
        name = release.get("rulesetName", "")
        wants(self._rulesets.get(name), "Requested entity was not found.")
        return str(name)

    def _ruleset(self, call: Call) -> Json:
        name = f"{self.project.name}/rulesets/{call['ruleset']}"
        return wants(self._rulesets.get(name), "Requested entity was not found.")

    def _release(self, call: Call) -> Json:
        name = f"{self.project.name}/releases/{call['release']}"
        return wants(self._releases.get(name), "Requested entity was not found.")


def _check_file(file: dict[str, Any]) -> None:
    content = file.get("content", "")
    if not file.get("name") or not content:
        raise invalid("Each file of a ruleset must have a name and content.")
    if len(content.encode()) > _MOST_BYTES:
        raise invalid("The ruleset is larger than 256 KB.")
    if content.count("{") != content.count("}") or "service " not in content:
        raise invalid("Rules have errors: the source does not compile.")
