"""The Firestore database: itself, its indexes, and the rules that let no client in."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.cloud.api import Api, Call, part
from infra.cloud.deployment import DATABASE, FREE_REGIONS, Deployment
from infra.cloud.steps import Blocked, Change, Step, Wait
from infra.emulators import RULES
from shared.store.indexes import INDEXES, UNINDEXED

_RELEASE = "cloud.firestore"
_OURS = "// Yurt's"
_UNSAID = "DATABASE_EDITION_UNSPECIFIED"
_RULES_FILE = "firestore.rules"


def _path(deployment: Deployment) -> str:
    return f"v1/projects/{part(deployment.project)}/databases/{part(DATABASE)}"


class Database(Step):
    def __init__(self, deployment: Deployment) -> None:
        self.title = f"Firestore database {DATABASE}"
        self.wanted = f"in {deployment.region}, protected against deletion"
        self.stays = (
            f"the records stay, in Firestore; to delete them for good: gcloud firestore databases "
            f"update --database='{DATABASE}' --no-delete-protection --project={deployment.project}"
            f", then gcloud firestore databases delete --database='{DATABASE}' "
            f"--project={deployment.project}"
        )
        self._deployment = deployment

    def look(self, api: Api) -> Any:
        return api.get("firestore", _path(self._deployment))

    def decide(self, found: Any) -> Sequence[Change]:
        if found is None:
            path, _, _ = _path(self._deployment).rpartition("/")
            body = {
                "type": "FIRESTORE_NATIVE",
                "locationId": self._deployment.region,
                "deleteProtectionState": "DELETE_PROTECTION_ENABLED",
            }
            call = Call("POST", "firestore", path, {"databaseId": DATABASE}, body)
            return [Change(f"create in {self._deployment.region}", call)]
        self._check(found)
        if found.get("deleteProtectionState") != "DELETE_PROTECTION_ENABLED":
            query = {"updateMask": "deleteProtectionState"}
            body = {"deleteProtectionState": "DELETE_PROTECTION_ENABLED"}
            call = Call("PATCH", "firestore", _path(self._deployment), query, body)
            return [Change("protect against deletion", call)]
        return ()

    def _check(self, found: Mapping[str, Any]) -> None:
        project, location = self._deployment.project, found.get("locationId")
        if found.get("type") != "FIRESTORE_NATIVE":
            raise Blocked(
                f"the database of {project} is in Datastore mode, which Yurt cannot use; deploy to "
                "a project of its own, or, if that database is empty, delete it: gcloud firestore "
                f"databases delete --database='{DATABASE}' --project={project}"
            )
        if found.get("databaseEdition", "STANDARD") not in ("STANDARD", _UNSAID):
            raise Blocked(
                f"the database of {project} is of the {found['databaseEdition'].lower()} edition, "
                "which has other prices and no indexes by itself; deploy to a project of its own"
            )
        # nam5 spans two of the free regions, and its database is as free.
        if location not in (self._deployment.region, "nam5"):
            raise Blocked(
                f"the database of {project} is in {location} and cannot be moved to "
                f"{self._deployment.region}; deploy to a project of its own"
                + (f", or with --region {location}" if location in FREE_REGIONS else "")
            )
        if found.get("freeTier") is False:
            raise Blocked(
                f"the database {DATABASE} of {project} is not its free one, since another was "
                "created first; deploy to a project of its own"
            )


class Rules(Step):
    """Rules hold for browsers and phones that talk to Firestore themselves: nobody may."""

    def __init__(self, deployment: Deployment) -> None:
        self.title = "Firestore rules"
        self.wanted = "no client may read or write"
        self.stays = "the rules of Firestore stay, which let no client in, and so do its indexes"
        self._project = part(deployment.project)
        self._source = RULES.read_text("utf-8")

    def look(self, api: Api) -> Any:
        """The name of the released set of rules and its text; each None if there is none."""
        release = api.get("firebaserules", f"v1/projects/{self._project}/releases/{_RELEASE}")
        if release is None:
            return None, None
        ruleset = api.get("firebaserules", f"v1/{release['rulesetName']}") or {}
        files = ruleset.get("source", {}).get("files", ())
        return release["rulesetName"], "".join(file.get("content", "") for file in files)

    def decide(self, found: Any) -> Sequence[Change]:
        name, source = found
        if source == self._source:
            return ()
        if name is not None and _OURS not in source:
            raise Blocked(
                "the database has Firestore rules that Yurt did not make, so an app of yours may "
                "use it, which its rules would shut out; deploy to a project of its own, or, if "
                f"nobody needs them, write {_OURS!r} in their first line in the console (Firestore "
                "Database, Security): then they are replaced"
            )
        file = {"name": _RULES_FILE, "content": self._source}
        path = f"v1/projects/{self._project}"
        create = Call(
            "POST", "firebaserules", f"{path}/rulesets", body={"source": {"files": [file]}}
        )

        def release(ruleset: Mapping[str, Any]) -> Call:
            released = {
                "name": f"projects/{self._project}/releases/{_RELEASE}",
                "rulesetName": ruleset["name"],
            }
            if name is None:
                return Call("POST", "firebaserules", f"{path}/releases", body=released)
            return Call(
                "PATCH",
                "firebaserules",
                f"{path}/releases/{_RELEASE}",
                body={"release": released},
            )

        return [Change("release the rules that deny everything", create, then=release)]


class Indexes(Step):
    """What queries need; building them goes on beside what follows."""

    def __init__(self, deployment: Deployment) -> None:
        self.title = "Firestore indexes"
        self.wanted = f"{len(INDEXES)}, for each query one"
        self._path = f"{_path(deployment)}/collectionGroups"

    def look(self, api: Api) -> Any:
        return list(api.pages("firestore", f"{self._path}/-/indexes", "indexes"))

    def decide(self, found: Any) -> Sequence[Change]:
        there = {_index_key(index) for index in found}
        changes = []
        for collection, fields in wanted_indexes():
            if (collection, fields) not in there:
                body = {
                    "queryScope": "COLLECTION",
                    "fields": [{"fieldPath": field, "order": order} for field, order in fields],
                }
                path = f"{self._path}/{collection}/indexes"
                says = f"build one of {collection} by {', '.join(field for field, _ in fields)}"
                changes.append(
                    Change(says, Call("POST", "firestore", path, body=body), waits=False)
                )
        return changes


class IndexesAreBuilt(Indexes):
    """Waits until queries can be answered."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment)
        self.title = "Firestore indexes are built"
        self.wanted = "before anything is asked"

    def decide(self, found: Any) -> Sequence[Change]:
        states = {_index_key(index): index.get("state") for index in found}
        wanted = {states.get(key) for key in wanted_indexes()}
        if "NEEDS_REPAIR" in wanted:
            raise Blocked(
                "an index of Firestore could not be built; delete it in the console (Firestore, "
                "Indexes), and deploy again"
            )
        return (
            ()
            if wanted == {"READY"}
            else [Change("wait until they are built, some minutes the first time", Wait())]
        )


def wanted_indexes() -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """The collection of each, and its fields with their order."""
    return [
        (
            index.collection,
            (*((field, "ASCENDING") for field in index.equal), *index.ordered),
        )
        for index in INDEXES
    ]


def _index_key(index: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """None for one that does not serve our queries, whatever its fields."""
    if index.get("queryScope") != "COLLECTION":
        return None
    # The API adds the document's name, by which all others are ordered at last, to the fields.
    fields = tuple(
        (field["fieldPath"], field.get("order", ""))
        for field in index.get("fields", ())
        if field["fieldPath"] != "__name__"
    )
    _, _, rest = index["name"].partition("/collectionGroups/")
    return rest.partition("/")[0], fields


class Exemptions(Step):
    """Fields that no query asks for have no index: it would cost more than they do."""

    def __init__(self, deployment: Deployment) -> None:
        self.title = "Firestore fields without an index"
        self._fields = [(group, field) for group, fields in UNINDEXED.items() for field in fields]
        self.wanted = f"{len(self._fields)}, which hold what was packed"
        self._path = f"{_path(deployment)}/collectionGroups"

    def look(self, api: Api) -> Any:
        query = {"filter": "indexConfig.usesAncestorConfig:false"}
        return list(api.pages("firestore", f"{self._path}/-/fields", "fields", query))

    def decide(self, found: Any) -> Sequence[Change]:
        exempt = {
            _field_key(field) for field in found if not field.get("indexConfig", {}).get("indexes")
        }
        return [self._exempted(*key) for key in self._fields if key not in exempt]

    def _exempted(self, group: str, field: str) -> Change:
        call = Call(
            "PATCH",
            "firestore",
            f"{self._path}/{group}/fields/{field}",
            {"updateMask": "indexConfig"},
            {"indexConfig": {"indexes": []}},
        )
        return Change(f"take the index from {group}.{field}", call, waits=False)


def _field_key(field: Mapping[str, Any]) -> tuple[str, str]:
    _, _, rest = field["name"].partition("/collectionGroups/")
    group, _, name = rest.partition("/fields/")
    return group, name
