"""Firestore Admin v1: databases, indexes, and what is said of single fields."""

import itertools
import re
from typing import Any

from tests.google.masks import patched, paths, without
from tests.google.project import Project
from tests.google.refusal import Refusal, invalid
from tests.google.service import Call, Json, Route, Service, checked_id, exists, page, wants

_DATABASE = "GoogleFirestoreAdminV1Database"
_INDEX = "GoogleFirestoreAdminV1Index"
_FIELD = "GoogleFirestoreAdminV1Field"
_LOCATIONS = ("nam5", "nam7", "eur3")
_MUTABLE = ("deleteProtectionState", "pointInTimeRecoveryEnablement", "concurrencyMode", "type")
_VOLATILE = ("uid", "createTime", "updateTime", "etag", "earliestVersionTime", "name")
# All single fields are indexed in these ways unless something else is said.
_DEFAULT_INDEXES = (
    {"queryScope": "COLLECTION", "fields": [{"fieldPath": "*", "order": "ASCENDING"}]},
    {"queryScope": "COLLECTION", "fields": [{"fieldPath": "*", "order": "DESCENDING"}]},
    {"queryScope": "COLLECTION", "fields": [{"fieldPath": "*", "arrayConfig": "CONTAINS"}]},
)


class Firestore(Service):
    host = "firestore.googleapis.com"
    title = "Cloud Firestore API"
    messages = "firestore"
    free = True

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._databases: dict[str, Json] = {}
        self._indexes: dict[str, Json] = {}
        self._fields: dict[str, Json] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        databases = "v1/projects/{project}/databases"
        one = f"{databases}/{{database}}"
        return [
            Route("GET", databases, self._list, query="showDeleted"),
            Route(
                "POST",
                databases,
                self._create,
                body=_DATABASE,
                root="database",
                query="databaseId",
                needs="datastore.databases.create",
            ),
            Route("GET", one, self._get),
            Route(
                "PATCH",
                one,
                self._patch,
                body=_DATABASE,
                root="database",
                query="updateMask",
                needs="datastore.databases.update",
            ),
            Route("DELETE", one, self._delete, query="etag", needs="datastore.databases.delete"),
            Route("GET", f"{one}/operations/{{operation}}", self._operation),
            *self._group_routes(f"{one}/collectionGroups/{{group}}"),
        ]

    def _group_routes(self, group: str) -> list[Route]:
        indexes, fields = f"{group}/indexes", f"{group}/fields"
        return [
            Route("GET", indexes, self._list_indexes, query="filter pageSize pageToken"),
            Route(
                "POST",
                indexes,
                self._create_index,
                body=_INDEX,
                root="index",
                needs="datastore.indexes.create",
            ),
            Route("GET", f"{indexes}/{{index}}", self._index),
            Route(
                "DELETE",
                f"{indexes}/{{index}}",
                self._delete_index,
                needs="datastore.indexes.delete",
            ),
            Route("GET", fields, self._list_fields, query="filter pageSize pageToken"),
            Route("GET", f"{fields}/{{field}}", self._get_field),
            Route(
                "PATCH",
                f"{fields}/{{field}}",
                self._patch_field,
                body=_FIELD,
                root="field",
                query="updateMask",
                needs="datastore.indexes.update",
            ),
        ]

    def picture(self) -> Json:
        return {
            "databases": {n: without(d, _VOLATILE) for n, d in sorted(self._databases.items())},
            "indexes": sorted(_signature(index) for index in self._indexes.values()),
            "fields": {n: without(f, ("name",)) for n, f in sorted(self._fields.items())},
        }

    # Databases

    def _list(self, _: Call) -> Json:
        return page("databases", [self._databases[name] for name in sorted(self._databases)])

    def _get(self, call: Call) -> Json:
        self.project.operations.look(self._database_name(call))
        return self._database(call)

    def _create(self, call: Call) -> Json:
        id = call.query.get("databaseId", "")
        if id != "(default)":
            checked_id(id, r"[a-z][a-z0-9-]{2,61}[a-z0-9]", "Database ID")
        self._check_database(call.body)
        name = f"{self.project.name}/databases/{id}"
        if name in self._databases or self.project.operations.is_busy(name):
            raise exists("Database already exists. Please use another database_id")
        database = self._filled(name, call.body)

        def finish() -> Json:
            self._databases[name] = database
            return {"@type": _type(_DATABASE), **database}

        return self._begin(name, finish, "CreateDatabaseMetadata")

    def _check_database(self, database: Json) -> None:
        location = database.get("locationId", "")
        if not location:
            raise invalid("Location ID is required.")
        if location not in _LOCATIONS and not re.fullmatch(r"[a-z]+-[a-z]+\d+", location):
            raise invalid(f"Invalid location: {location}")
        if database.get("type", "DATABASE_TYPE_UNSPECIFIED") == "DATABASE_TYPE_UNSPECIFIED":
            raise invalid("Database type must be specified.")

    def _filled(self, name: str, database: Json) -> Json:
        now = self.project.now()
        free = not any(d.get("freeTier") for d in self._databases.values())
        return {
            "concurrencyMode": "PESSIMISTIC",
            "pointInTimeRecoveryEnablement": "POINT_IN_TIME_RECOVERY_DISABLED",
            "deleteProtectionState": "DELETE_PROTECTION_DISABLED",
            "databaseEdition": "STANDARD",
            **without(database, (*_VOLATILE, "freeTier", "keyPrefix", "cmekConfig")),
            "name": name,
            "uid": f"00000000-0000-4000-8000-{next(self._numbers):012x}",
            "createTime": now,
            "updateTime": now,
            "appEngineIntegrationMode": "DISABLED",
            "versionRetentionPeriod": "3600s",
            "earliestVersionTime": now,
            "etag": "IIDayqOevv4DMPeWrqOevv4D",
            **({"freeTier": True} if free else {}),
        }

    def _patch(self, call: Call) -> Json:
        old = self._database(call)
        mask = call.query.get("updateMask", "")
        fields = paths(mask, self.messages, _DATABASE) or [
            f for f in call.body if f not in _VOLATILE
        ]
        for field in fields:
            if field not in _MUTABLE:
                raise invalid(f"Field {field} of a database cannot be updated.")
        new = {**patched(old, call.body, fields), "updateTime": self.project.now()}

        def finish() -> Json:
            self._databases[old["name"]] = new
            return {"@type": _type(_DATABASE), **new}

        return self._begin(old["name"], finish, "UpdateDatabaseMetadata")

    def _delete(self, call: Call) -> Json:
        database = self._database(call)
        name = database["name"]
        if database["deleteProtectionState"] == "DELETE_PROTECTION_ENABLED":
            text = "Delete protection is enabled for this database. Disable it before deletion."
            raise Refusal("FAILED_PRECONDITION", text)

        def finish() -> Json:
            del self._databases[name]
            for held in (self._indexes, self._fields):
                for key in [key for key in held if key.startswith(f"{name}/")]:
                    del held[key]
            return {"@type": _type(_DATABASE), **database}

        return self._begin(name, finish, "DeleteDatabaseMetadata")

    def _operation(self, call: Call) -> Json:
        name = f"{self._database_name(call)}/operations/{call['operation']}"
        return self.project.operations.get(name).shown()

    # Indexes

    def _list_indexes(self, call: Call) -> Json:
        prefix = self._listed(call)
        self.project.operations.look(self._database(call)["name"])
        found = [
            index
            for name, index in sorted(self._indexes.items())
            if name.startswith(prefix) and call["group"] in ("-", name.split("/")[5])
        ]
        return page("indexes", found)

    def _create_index(self, call: Call) -> Json:
        database = self._database(call)["name"]
        new = _checked_index(call.body)
        parent = f"{database}/collectionGroups/{call['group']}/indexes"
        for name, index in self._indexes.items():
            if name.startswith(f"{parent}/") and _same(index, new):
                raise exists("index already exists")
        name = f"{parent}/CICAgO{next(self._numbers):06X}EK"
        index = {**new, "name": name, "state": "CREATING"}
        self._indexes[name] = index

        def finish() -> Json:
            index["state"] = "READY"
            return {"@type": _type(_INDEX), **index}

        return self._begin(name, finish, "IndexOperationMetadata")

    def _delete_index(self, call: Call) -> Json:
        del self._indexes[self._index(call)["name"]]
        return {}

    def _index(self, call: Call) -> Json:
        name = f"{self._group(call)}/indexes/{call['index']}"
        self.project.operations.look(name)
        return wants(self._indexes.get(name), f'No index with id: "{call["index"]}".')

    # Fields

    def _list_fields(self, call: Call) -> Json:
        prefix = self._listed(call)
        self._database(call)
        told = call.query.get("filter", "")
        if not told.startswith(
            ("indexConfig.usesAncestorConfig:false", "indexConfig.usesAncestorConfig=false")
        ):
            # Any other list would have to name every field of every document.
            raise invalid("Only fields with explicit overrides can be listed.")
        found = [
            field
            for name, field in sorted(self._fields.items())
            if name.startswith(prefix) and call["group"] in ("-", name.split("/")[5])
        ]
        return page("fields", found)

    def _get_field(self, call: Call) -> Json:
        self._database(call)
        name = f"{self._group(call)}/fields/{call['field']}"
        self.project.operations.look(name)
        inherited = {
            "indexes": [*_DEFAULT_INDEXES],
            "usesAncestorConfig": True,
            "ancestorField": f"{self._database_name(call)}/collectionGroups/__default__/fields/*",
        }
        return self._fields.get(name) or {"name": name, "indexConfig": inherited}

    def _patch_field(self, call: Call) -> Json:
        self._database(call)
        name = f"{self._group(call)}/fields/{call['field']}"
        fields = paths(call.query.get("updateMask", ""), self.messages, _FIELD)
        if not {"indexConfig", "ttlConfig"}.issuperset(fields):
            raise invalid("Only index_config and ttl_config of a field can be updated.")
        for index in (call.body.get("indexConfig") or {}).get("indexes") or []:
            _check_single(index, call["field"])
        if self.project.operations.is_busy(name):
            raise Refusal("FAILED_PRECONDITION", "The field is being updated by another operation.")
        new = self._field(name, call.body, fields or [key for key in call.body if key != "name"])

        def finish() -> Json:
            if new["indexConfig"].get("usesAncestorConfig") and "ttlConfig" not in new:
                self._fields.pop(name, None)
            else:
                self._fields[name] = new
            return {"@type": _type(_FIELD), **new}

        return self._begin(name, finish, "FieldOperationMetadata")

    def _field(self, name: str, body: Json, fields: list[str]) -> Json:
        old = self._fields.get(name, {"name": name})
        new = patched(old, body, fields)
        if "indexConfig" in fields and "indexConfig" in body:
            indexes = (body["indexConfig"] or {}).get("indexes") or []
            told = [{"queryScope": "COLLECTION", **index, "state": "READY"} for index in indexes]
            new["indexConfig"] = {"indexes": told} if told else {}
        elif "indexConfig" not in new:
            new["indexConfig"] = {"indexes": [*_DEFAULT_INDEXES], "usesAncestorConfig": True}
        if "ttlConfig" in new:
            new["ttlConfig"] = {"state": "ACTIVE"}
        return new

    # Names

    def _begin(self, resource: str, finish: Any, metadata: str) -> Json:
        database = "/".join(resource.split("/")[:4])
        start = self.project.now()

        def told(done: bool) -> Json:
            type = f"type.googleapis.com/google.firestore.admin.v1.{metadata}"
            if not metadata.startswith(("Index", "Field")):
                return {"@type": type}
            state = "SUCCESSFUL" if done else "PROCESSING"
            return {"@type": type, "startTime": start, "state": state}

        return self.project.operations.begin(f"{database}/operations/", resource, finish, told)

    def _database_name(self, call: Call) -> str:
        return f"{self.project.name}/databases/{call['database']}"

    def _database(self, call: Call) -> Json:
        text = (
            f"The database {call['database']} does not exist for project {self.project.id} Please "
            "visit https://console.cloud.google.com/datastore/setup?project="
            f"{self.project.id} to add a Cloud Datastore or Cloud Firestore database. "
        )
        return wants(self._databases.get(self._database_name(call)), text)

    def _group(self, call: Call) -> str:
        return f"{self._database_name(call)}/collectionGroups/{call['group']}"

    def _listed(self, call: Call) -> str:
        return f"{self._database_name(call)}/collectionGroups/"


def _type(message: str) -> str:
    return f"type.googleapis.com/google.firestore.admin.v1.{message.rpartition('V1')[2]}"


def _checked_index(index: Json) -> Json:
    """As it is kept: with the field that every index ends with."""
    fields: list[dict[str, Any]] = index.get("fields") or []
    if index.get("queryScope", "QUERY_SCOPE_UNSPECIFIED") == "QUERY_SCOPE_UNSPECIFIED":
        raise invalid("Index query_scope must be specified.")
    for field in fields:
        if not field.get("fieldPath") or len(_modes(field)) != 1:
            raise invalid("Each field of an index must have a field_path and exactly one mode.")
    if sum("arrayConfig" in field for field in fields) > 1:
        raise invalid("An index can have at most one array_config field.")
    named = [field for field in fields if field["fieldPath"] != "__name__"]
    if len(fields) < 2 or not named:
        text = "this index is not necessary, configure using single field index controls"
        raise invalid(text)
    if fields[-1]["fieldPath"] != "__name__" and "vectorConfig" not in fields[-1]:
        order = fields[-1].get("order", "ASCENDING")
        fields = [*fields, {"fieldPath": "__name__", "order": order}]
    return {"queryScope": index["queryScope"], "fields": fields, "density": "SPARSE_ALL"}


def _check_single(index: Json, field: str) -> None:
    fields = index.get("fields") or []
    if len(fields) != 1 or len(_modes(fields[0])) != 1:
        raise invalid("A single-field index must have exactly one field with exactly one mode.")
    if fields[0].get("fieldPath", field).strip("`") != field.strip("`"):
        raise invalid("The field path of the index must be that of the field.")


def _modes(field: Json) -> list[str]:
    return [mode for mode in ("order", "arrayConfig", "vectorConfig") if field.get(mode)]


def _same(one: Json, other: Json) -> bool:
    return bool(one["queryScope"] == other["queryScope"] and one["fields"] == other["fields"])


def _signature(index: Json) -> str:
    group = index["name"].split("/")[5]
    fields = [
        f"{f['fieldPath']} {f.get('order') or f.get('arrayConfig') or 'VECTOR'}"
        for f in index["fields"]
    ]
    return f"{index['name'].split('/')[3]} {group} {index['queryScope']} {', '.join(fields)} {index['state']}"
