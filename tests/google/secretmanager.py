"""Secret Manager v1: secrets and their versions."""

import base64
from typing import Any

from tests.google.access import access_routes
from tests.google.checksums import crc32c
from tests.google.masks import patched, paths
from tests.google.project import Project, checked_labels
from tests.google.refusal import Refusal, invalid
from tests.google.service import Call, Json, Route, Service, checked_id, exists, page, wants

_MOST_BYTES = 64 * 1024


class SecretManager(Service):
    host = "secretmanager.googleapis.com"
    title = "Secret Manager API"
    messages = "secretmanager"

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._secrets: dict[str, Json] = {}
        self._versions: dict[str, list[Json]] = {}
        self._payloads: dict[str, str] = {}

    def routes(self) -> list[Route]:
        secrets = "v1/projects/{project}/secrets"
        secret = f"{secrets}/{{secret}}"
        version = f"{secret}/versions/{{version}}"
        return [
            Route("GET", secrets, self._list, query="pageSize pageToken filter"),
            Route(
                "POST",
                secrets,
                self._create,
                body="Secret",
                root="secret",
                query="secretId",
                needs="secretmanager.secrets.create",
            ),
            Route("GET", secret, self._found),
            Route(
                "PATCH",
                secret,
                self._patch,
                body="Secret",
                root="secret",
                query="updateMask",
                needs="secretmanager.secrets.update",
            ),
            Route(
                "DELETE", secret, self._delete, query="etag", needs="secretmanager.secrets.delete"
            ),
            Route(
                "POST",
                f"{secret}:addVersion",
                self._add,
                body="AddSecretVersionRequest",
                needs="secretmanager.versions.add",
            ),
            Route(
                "GET", f"{secret}/versions", self._list_versions, query="pageSize pageToken filter"
            ),
            Route("GET", version, self._version),
            Route("GET", f"{version}:access", self._access),
            *self._changes(version),
            *access_routes(
                self.project, secret, "secret", self._named, needs="secretmanager.secrets"
            ),
        ]

    def _changes(self, version: str) -> list[Route]:
        return [
            Route(
                "POST",
                f"{version}:{verb}",
                lambda call, state=state: self._change(call, state),  # type: ignore[misc]
                body=f"{verb.capitalize()}SecretVersionRequest",
                needs=f"secretmanager.versions.{verb}",
            )
            for verb, state in (
                ("destroy", "DESTROYED"),
                ("disable", "DISABLED"),
                ("enable", "ENABLED"),
            )
        ]

    def picture(self) -> Json:
        return {
            name: {
                "labels": secret.get("labels", {}),
                "replication": secret["replication"],
                "versionDestroyTtl": secret.get("versionDestroyTtl"),
                "versions": {
                    version["name"].rpartition("/")[2]: version["state"]
                    for version in self._versions[name]
                },
            }
            for name, secret in sorted(self._secrets.items())
        }

    def has_version(self, secret: str, version: str) -> bool:
        """secret: its id. Whether that version is there and enabled."""
        name = f"{self.project.name}/secrets/{secret}"
        try:
            return bool(self._pick(name, version)["state"] == "ENABLED")
        except Refusal:
            return False

    def _list(self, _: Call) -> Json:
        shown = [self._secrets[name] for name in sorted(self._secrets)]
        return {**page("secrets", shown), "totalSize": len(shown)} if shown else {}

    def _create(self, call: Call) -> Json:
        id = checked_id(call.query.get("secretId", ""), r"[A-Za-z0-9_-]{1,255}", "Secret ID")
        name = f"{self.project.name}/secrets/{id}"
        replication: dict[str, Any] = call.body.get("replication") or {}
        if len(replication) != 1:
            raise invalid("The `Secret.replication` field must be set to exactly one policy.")
        checked_labels(call.body.get("labels"))
        if name in self._secrets:
            raise exists(f"Secret [{self._public(name)}] already exists.")
        self._secrets[name] = {
            **{
                key: call.body[key]
                for key in ("labels", "annotations", "replication", "versionDestroyTtl")
                if key in call.body
            },
            "name": self._public(name),
            "createTime": self.project.now(),
            "etag": '"162c9d1f9a4e5f"',
        }
        self._versions[name] = []
        return self._secrets[name]

    def _patch(self, call: Call) -> Json:
        name = self._named(call)
        fields = paths(call.query.get("updateMask", ""), self.messages, "Secret")
        if not fields or not {"labels", "annotations", "versionDestroyTtl"}.issuperset(fields):
            raise invalid("Invalid field mask: it names what cannot be changed.")
        checked_labels(call.body.get("labels"))
        self._secrets[name] = patched(self._secrets[name], call.body, fields)
        return self._secrets[name]

    def _delete(self, call: Call) -> Json:
        name = self._named(call)
        del self._secrets[name]
        for version in self._versions.pop(name):
            self._payloads.pop(version["name"], None)
        self.project.policies.remove(name)
        return {}

    def _add(self, call: Call) -> Json:
        name = self._named(call)
        payload: dict[str, Any] = call.body.get("payload") or {}
        data = base64.b64decode(payload.get("data", "").replace("-", "+").replace("_", "/"))
        if int(payload.get("dataCrc32c", crc32c(data))) != crc32c(data):
            raise invalid("The checksum of the payload does not match its data.")
        if not 1 <= len(data) <= _MOST_BYTES:
            raise invalid("Secret Payload must be between 1 and 65536 bytes.")
        version = {
            "name": f"{self._public(name)}/versions/{len(self._versions[name]) + 1}",
            "createTime": self.project.now(),
            "state": "ENABLED",
            "replicationStatus": {"automatic": {}},
            "etag": '"162c9d1f9a4e60"',
            **({"clientSpecifiedPayloadChecksum": True} if "dataCrc32c" in payload else {}),
        }
        self._versions[name].append(version)
        self._payloads[str(version["name"])] = base64.b64encode(data).decode()
        return version

    def _list_versions(self, call: Call) -> Json:
        versions = self._versions[self._named(call)][::-1]
        wanted = call.query.get("filter", "")
        if wanted not in ("", "state:ENABLED", "state=ENABLED"):
            raise invalid(f"Invalid filter: {wanted}")
        shown = [v for v in versions if not wanted or v["state"] == "ENABLED"]
        return {**page("versions", shown), "totalSize": len(shown)} if shown else {}

    def _access(self, call: Call) -> Json:
        version = self._version(call)
        if version["state"] != "ENABLED":
            text = f"Secret Version [{version['name']}] is in {version['state']} state."
            raise Refusal("FAILED_PRECONDITION", text)
        data = self._payloads[version["name"]]
        crc = crc32c(base64.b64decode(data))
        return {"name": version["name"], "payload": {"data": data, "dataCrc32c": str(crc)}}

    def _change(self, call: Call, state: str) -> Json:
        version = self._version(call)
        if version["state"] == "DESTROYED":
            text = f"Secret Version [{version['name']}] is already in DESTROYED state."
            raise Refusal("FAILED_PRECONDITION", text)
        if state != "DESTROYED":
            version["state"] = state
            version.pop("scheduledDestroyTime", None)
        elif "versionDestroyTtl" in self._found(call):
            # Until then it can be enabled again
            # (https://cloud.google.com/secret-manager/docs/delay-destruction-of-secret-versions).
            version.update(state="DISABLED", scheduledDestroyTime=self.project.now())
        else:
            version.update(state="DESTROYED", destroyTime=self.project.now())
            self._payloads.pop(version["name"])
        return version

    def _named(self, call: Call) -> str:
        self._found(call)
        return f"{self.project.name}/secrets/{call['secret']}"

    def _found(self, call: Call) -> Json:
        name = f"{self.project.name}/secrets/{call['secret']}"
        return wants(self._secrets.get(name), f"Secret [{self._public(name)}] not found.")

    def _version(self, call: Call) -> Json:
        return self._pick(self._named(call), call["version"])

    def _pick(self, name: str, version: str) -> Json:
        """`latest` is the newest there is, whatever its state."""
        versions = self._versions.get(name, [])
        wanted = f"/versions/{len(versions) if version == 'latest' else version}"
        found = [item for item in versions if item["name"].endswith(wanted)]
        missing = f"Secret Version [{self._public(name)}/versions/{version}] not found."
        return wants(found[0] if found else None, missing)

    def _public(self, name: str) -> str:
        """The service names its things by the project's number."""
        return name.replace(self.project.name, f"projects/{self.project.number}", 1)
