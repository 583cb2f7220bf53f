"""Compute Engine v1: one small machine, if somebody wants one."""

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

from tests.google.masks import without
from tests.google.project import REGIONS, Project
from tests.google.refusal import Listed
from tests.google.service import Call, Json, Route, Service

_OUTPUT = ("id", "selfLink", "creationTimestamp", "status", "metadata.fingerprint")
_MACHINES = ("e2-micro", "e2-small", "e2-medium")


class Compute(Service):
    host = "compute.googleapis.com"
    title = "Compute Engine API"
    messages = "compute"
    older = True

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._instances: dict[str, Json] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        zone = "compute/v1/projects/{project}/zones/{zone}"
        path, one = f"{zone}/instances", f"{zone}/instances/{{instance}}"
        query = "requestId"
        return [
            Route("GET", path, self._list, query="filter maxResults pageToken"),
            Route("GET", one, self._get),
            Route(
                "POST",
                path,
                self._insert,
                body="Instance",
                query=query,
                needs="compute.instances.create",
            ),
            Route("DELETE", one, self._delete, query=query, needs="compute.instances.delete"),
            Route(
                "POST",
                f"{one}/setMetadata",
                self._set_metadata,
                body="Metadata",
                query=query,
                needs="compute.instances.setMetadata",
            ),
            Route("GET", f"{zone}/operations/{{operation}}", self._operation),
            Route("POST", f"{zone}/operations/{{operation}}/wait", self._wait, reads=True),
        ]

    def picture(self) -> Json:
        return {name: without(one, _OUTPUT) for name, one in sorted(self._instances.items())}

    def _list(self, call: Call) -> Json:
        parent = f"{self._zone(call)}/instances/"
        items = [one for name, one in sorted(self._instances.items()) if name.startswith(parent)]
        return {"kind": "compute#instanceList", **({"items": items} if items else {})}

    def _get(self, call: Call) -> Json:
        self.project.operations.look(self._name(call))
        return self._found(call)

    def _insert(self, call: Call) -> Json:
        body, zone = call.body, self._zone(call)
        id = body.get("name", "")
        name = f"{zone}/instances/{id}"
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", id):
            raise Listed(400, "invalid", f"Invalid value for field 'resource.name': '{id}'.")
        if name in self._instances:
            raise Listed(409, "alreadyExists", f"The resource '{name}' already exists")
        self._check(body, zone)
        instance = {
            **without(body, _OUTPUT),
            "kind": "compute#instance",
            "id": str(next(self._numbers)),
            "creationTimestamp": self.project.now(),
            "status": "PROVISIONING",
            "selfLink": f"https://www.googleapis.com/compute/v1/{name}",
            "metadata": _metadata(body.get("metadata") or {}),
        }
        self._instances[name] = instance

        def finish() -> Json:
            instance["status"] = "RUNNING"
            return {}

        return self._begin(name, "insert", finish)

    def _check(self, body: Json, zone: str) -> None:
        machine = body.get("machineType", "").rpartition("zones/")[2]
        if machine not in [f"{zone.rpartition('/')[2]}/machineTypes/{m}" for m in _MACHINES]:
            text = f"Invalid value for field 'resource.machineType': '{body.get('machineType')}'. The referenced resource does not exist."
            raise Listed(400, "invalid", text)
        disks: list[dict[str, Any]] = body.get("disks") or []
        if not disks or not disks[0].get("boot"):
            raise Listed(
                400,
                "invalid",
                "Invalid value for field 'resource.disks': at least one boot disk is required.",
            )
        if not body.get("networkInterfaces"):
            raise Listed(400, "invalid", "At least one network interface is required.")
        for account in body.get("serviceAccounts") or []:
            if account.get("email", "default") not in ("default", *self.project.policies.accounts):
                text = f"The resource '{account['email']}' of type 'serviceAccount' was not found."
                raise Listed(400, "resourceNotFound", text)

    def _delete(self, call: Call) -> Json:
        self._found(call)
        name = self._name(call)

        def finish() -> Json:
            self._instances.pop(name, None)
            return {}

        return self._begin(name, "delete", finish)

    def _set_metadata(self, call: Call) -> Json:
        instance = self._found(call)
        if call.body.get("fingerprint") != instance["metadata"]["fingerprint"]:
            raise Listed(
                412,
                "conditionNotMet",
                "Supplied fingerprint does not match current metadata fingerprint.",
            )
        new = _metadata(call.body)

        def finish() -> Json:
            instance["metadata"] = new
            return {}

        return self._begin(self._name(call), "setMetadata", finish)

    def _operation(self, call: Call) -> Json:
        operation = self.project.operations.get(
            f"{self._zone(call)}/operations/{call['operation']}"
        )
        return self._shown(operation.name, operation.resource, done=operation.done)

    def _wait(self, call: Call) -> Json:
        """As the API says: until it is done, or for two minutes."""
        name = f"{self._zone(call)}/operations/{call['operation']}"
        operation = self.project.operations.get(name)
        operation.complete()
        return self._shown(operation.name, operation.resource, done=True)

    def _begin(self, name: str, verb: str, finish: Callable[[], Json]) -> Json:
        zone = name.rpartition("/instances/")[0]
        begun = self.project.operations.begin(f"{zone}/operations/{verb}-", name, finish)
        return self._shown(begun["name"], name, done=bool(begun.get("done")))

    def _shown(self, operation: str, target: str, *, done: bool) -> Json:
        base = "https://www.googleapis.com/compute/v1"
        return {
            "kind": "compute#operation",
            "name": operation.rpartition("/")[2],
            "operationType": operation.rpartition("/")[2].partition("-")[0],
            "status": "DONE" if done else "RUNNING",
            "progress": 100 if done else 0,
            "zone": f"{base}/{operation.rpartition('/operations/')[0]}",
            "targetLink": f"{base}/{target}",
            "selfLink": f"{base}/{operation}",
        }

    def _found(self, call: Call) -> Json:
        name = self._name(call)
        if name not in self._instances:
            raise Listed(404, "notFound", f"The resource '{name}' was not found")
        return self._instances[name]

    def _name(self, call: Call) -> str:
        return f"{self._zone(call)}/instances/{call['instance']}"

    def _zone(self, call: Call) -> str:
        region, _, letter = call["zone"].rpartition("-")
        if region not in REGIONS or letter not in _ZONES.get(region, "abc"):
            raise Listed(
                404,
                "notFound",
                f"The resource 'projects/{self.project.id}/zones/{call['zone']}' was not found",
            )
        return f"{self.project.name}/zones/{call['zone']}"


_ZONES = {"us-central1": "abcf", "us-east1": "bcd", "europe-west1": "bcd"}
"""The letters of regions that have others than most
(https://cloud.google.com/compute/docs/regions-zones)."""


def _metadata(given: Json) -> Json:
    items: list[Json] = given.get("items") or []
    digest = hashlib.sha256(json.dumps(items, sort_keys=True).encode()).digest()
    return {
        "kind": "compute#metadata",
        "items": items,
        "fingerprint": base64.urlsafe_b64encode(digest[:8]).decode(),
    }
