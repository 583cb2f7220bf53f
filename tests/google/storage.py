"""Cloud Storage JSON v1: buckets, their policies, and the objects in them."""

import base64
import re
from typing import Any
from urllib.parse import quote

from tests.google.masks import without
from tests.google.objects import Objects
from tests.google.project import REGIONS, Project
from tests.google.refusal import Listed, Refusal
from tests.google.service import Call, Json, Route, Service

_MULTI = frozenset({"US", "EU", "ASIA"})
_CLASSES = frozenset({"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"})
_OUTPUT = [
    "kind",
    "id",
    "selfLink",
    "projectNumber",
    "metageneration",
    "timeCreated",
    "updated",
    "etag",
    "generation",
    "locationType",
    "owner",
]
_IMMUTABLE = ("name", "location")
_WEEK = 604800
_BUCKET_QUERY = (
    "projection predefinedAcl predefinedDefaultObjectAcl userProject enableObjectRetention"
)
_MATCH = " ifMetagenerationMatch ifMetagenerationNotMatch"
_TAKEN = (
    "The requested bucket name is not available. The bucket namespace is shared by all users of "
    "the system. Please select a different name and try again."
)
_OWNED = "Your previous request to create the named bucket succeeded and you already own it."


class Storage(Service):
    """taken: names of buckets that are other people's."""

    host = "storage.googleapis.com"
    title = "Cloud Storage API"
    messages = "storage"
    older = True

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self.taken: set[str] = set()
        self.buckets: dict[str, Json] = {}
        self.objects = Objects(self._bucket, project)

    @property
    def agent(self) -> str:
        return f"service-{self.project.number}@gs-project-accounts.iam.gserviceaccount.com"

    def routes(self) -> list[Route]:
        b, one = "storage/v1/b", "storage/v1/b/{bucket}"
        return [
            Route(
                "GET", b, self._list, query=f"project maxResults pageToken prefix {_BUCKET_QUERY}"
            ),
            Route(
                "POST",
                b,
                self._insert,
                body="Bucket",
                query=f"project {_BUCKET_QUERY}",
                needs="storage.buckets.create",
            ),
            Route(
                "GET", one, lambda call: self._bucket(call["bucket"]), query=_BUCKET_QUERY + _MATCH
            ),
            Route(
                "PATCH",
                one,
                self._patch,
                body="Bucket",
                query=_BUCKET_QUERY + _MATCH,
                needs="storage.buckets.update",
            ),
            Route(
                "DELETE",
                one,
                self._delete,
                query="userProject" + _MATCH,
                needs="storage.buckets.delete",
            ),
            Route(
                "GET",
                f"{one}/iam",
                self._get_policy,
                query="optionsRequestedPolicyVersion userProject",
            ),
            Route(
                "PUT",
                f"{one}/iam",
                self._set_policy,
                body="Policy",
                query="userProject",
                needs="storage.buckets.setIamPolicy",
            ),
            Route(
                "GET",
                "storage/v1/projects/{project}/serviceAccount",
                self._agent,
                query="userProject",
            ),
            *self.objects.routes(),
        ]

    def picture(self) -> Json:
        volatile = (*_OUTPUT, "softDeletePolicy.effectiveTime")
        return {
            name: {**without(bucket, volatile), "objects": self._lasting(name)}
            for name, bucket in sorted(self.buckets.items())
        }

    def make(self, name: str, location: str, **settings: Any) -> None:
        """A bucket that the platform itself makes, if it is not there."""
        if name not in self.buckets:
            self._add(name, {"location": location.upper(), **settings})

    def _lasting(self, name: str) -> list[str]:
        """Objects of the bucket; what the platform keeps in its own is no matter of the project."""
        return [] if name.startswith("gcf-v2-") else self.objects.names(name)

    def _list(self, call: Call) -> Json:
        self._check_project(call)
        items = [self.buckets[name] for name in sorted(self.buckets)]
        items = [b for b in items if b["name"].startswith(call.query.get("prefix", ""))]
        return {"kind": "storage#buckets", **({"items": items} if items else {})}

    def _insert(self, call: Call) -> Json:
        self._check_project(call)
        name = call.body.get("name", "")
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", name) or "google" in name:
            raise Listed(400, "invalid", f"Invalid bucket name: '{name}'")
        if name in self.taken:
            raise Listed(409, "conflict", _TAKEN)
        if name in self.buckets:
            raise Listed(409, "conflict", _OWNED)
        settings = without(call.body, _OUTPUT)
        settings["location"] = settings.get("location", "US").upper()
        _check(settings)
        return self._add(name, settings)

    def _add(self, name: str, settings: Json) -> Json:
        now, location = self.project.now(), settings["location"]
        bucket = {
            "kind": "storage#bucket",
            "id": name,
            "selfLink": f"https://www.googleapis.com/storage/v1/b/{name}",
            "projectNumber": str(self.project.number),
            "generation": "1",
            "metageneration": "1",
            "etag": "CAE=",
            "timeCreated": now,
            "updated": now,
            "locationType": "multi-region" if location in _MULTI else "region",
            "storageClass": "STANDARD",
            "softDeletePolicy": {"retentionDurationSeconds": str(_WEEK), "effectiveTime": now},
            **settings,
            "name": name,
            "iamConfiguration": _access(settings.get("iamConfiguration") or {}),
        }
        self.buckets[name] = _lettered(bucket)
        self.project.policies.put(f"buckets/{name}", list(self._first_bindings()))
        return bucket

    def _first_bindings(self) -> list[Json]:
        id = self.project.id
        owners = [f"projectEditor:{id}", f"projectOwner:{id}"]
        return [
            {"role": "roles/storage.legacyBucketOwner", "members": owners},
            {"role": "roles/storage.legacyBucketReader", "members": [f"projectViewer:{id}"]},
        ]

    def _patch(self, call: Call) -> Json:
        old = self._matching(call)
        for field in _IMMUTABLE:
            if field in call.body and call.body[field].lower() != old[field].lower():
                raise Listed(400, "invalid", f"A bucket's {field} cannot be changed.")
        change = without(call.body, (*_OUTPUT, *_IMMUTABLE))
        new = _merged(old, change)
        _check(new)
        new["iamConfiguration"] = _access(new.get("iamConfiguration") or {})
        new["metageneration"] = str(int(old["metageneration"]) + 1)
        new["etag"] = base64.b64encode(new["metageneration"].encode()).decode()
        new["updated"] = self.project.now()
        self.buckets[old["name"]] = _lettered(new)
        return new

    def _delete(self, call: Call) -> Json:
        name = self._matching(call)["name"]
        if self.objects.names(name):
            raise Listed(409, "conflict", "The bucket you tried to delete is not empty.")
        del self.buckets[name]
        self.project.policies.remove(f"buckets/{name}")
        return {}

    def _get_policy(self, call: Call) -> Json:
        name = self._bucket(call["bucket"])["name"]
        version = int(call.query.get("optionsRequestedPolicyVersion", 1))
        policy = self.project.policies.get(f"buckets/{name}", version)
        return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{name}", **policy}

    def _set_policy(self, call: Call) -> Json:
        name = self._bucket(call["bucket"])["name"]
        self._check_public(name, call.body)
        try:
            self.project.policies.replace(f"buckets/{name}", "bucket", call.body)
        except Refusal as refusal:
            if refusal.code == "ABORTED":
                text = "At least one of the pre-conditions you specified did not hold."
                raise Listed(412, "conditionNotMet", text) from None
            raise Listed(400, "invalid", refusal.message) from None
        return self._get_policy(call)

    def _check_public(self, name: str, policy: Json) -> None:
        access = self.buckets[name]["iamConfiguration"]
        members = {m for b in policy.get("bindings") or [] for m in b.get("members") or []}
        if access["publicAccessPrevention"] == "enforced" and members & {
            "allUsers",
            "allAuthenticatedUsers",
        }:
            text = "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention is enforced."
            raise Listed(412, "conditionNotMet", text)

    def _agent(self, _: Call) -> Json:
        """Asking for the agent makes it, as the API says of this method."""
        self.project.policies.know(self.agent)
        return {"email_address": self.agent, "kind": "storage#serviceAccount"}

    def _bucket(self, name: str) -> Json:
        if name in self.taken:
            text = (
                f"{self.project.caller.partition(':')[2]} does not have storage.buckets.get access "
                "to the Google Cloud Storage bucket. Permission 'storage.buckets.get' denied on "
                "resource (or it may not exist)."
            )
            raise Listed(403, "forbidden", text)
        if name not in self.buckets:
            raise Listed(404, "notFound", "The specified bucket does not exist.")
        return self.buckets[name]

    def _matching(self, call: Call) -> Json:
        bucket = self._bucket(call["bucket"])
        wanted = call.query.get("ifMetagenerationMatch", bucket["metageneration"])
        if wanted != bucket["metageneration"]:
            text = "At least one of the pre-conditions you specified did not hold."
            raise Listed(412, "conditionNotMet", text)
        return bucket

    def _check_project(self, call: Call) -> None:
        project = call.query.get("project")
        if project is None:
            raise Listed(400, "required", "Required parameter: project")
        if not self.project.is_me(project):
            raise Listed(403, "forbidden", f"The caller has no access to project {quote(project)}.")


def _lettered(bucket: Json) -> Json:
    """64-bit numbers are strings in what the API answers."""
    policy = bucket.get("softDeletePolicy")
    if policy:
        policy["retentionDurationSeconds"] = str(policy.get("retentionDurationSeconds", 0))
    return bucket


def _access(given: Json) -> Json:
    uniform: dict[str, Any] = given.get("uniformBucketLevelAccess") or {}
    on = bool(uniform.get("enabled"))
    return {
        "publicAccessPrevention": given.get("publicAccessPrevention", "inherited"),
        "uniformBucketLevelAccess": {"enabled": on},
        "bucketPolicyOnly": {"enabled": on},
    }


def _merged(old: Json, change: Json) -> Json:
    """The change over the old, as a JSON merge patch: null takes away."""
    merged = dict(old)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def _check(bucket: Json) -> None:
    location = bucket["location"]
    if location.lower() not in REGIONS and location not in _MULTI:
        raise Listed(400, "invalid", f"The specified location constraint is not valid: {location}.")
    if bucket.get("storageClass", "STANDARD") not in _CLASSES:
        raise Listed(400, "invalid", "Invalid argument: the storage class is unknown.")
    access = bucket.get("iamConfiguration") or {}
    if access.get("publicAccessPrevention", "inherited") not in ("inherited", "enforced"):
        raise Listed(400, "invalid", "Invalid argument: publicAccessPrevention.")
    kept = int((bucket.get("softDeletePolicy") or {}).get("retentionDurationSeconds", _WEEK))
    if kept != 0 and not _WEEK <= kept <= 90 * 86400:
        raise Listed(
            400,
            "invalid",
            "softDeletePolicy.retentionDurationSeconds must be 0 or between 7 and 90 days.",
        )
    for rule in (bucket.get("lifecycle") or {}).get("rule") or []:
        _check_rule(rule)
    for cors in bucket.get("cors") or []:
        if not cors.get("origin") or not cors.get("method"):
            raise Listed(400, "invalid", "A CORS entry needs an origin and a method.")


def _check_rule(rule: Json) -> None:
    action = (rule.get("action") or {}).get("type")
    if action not in ("Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"):
        raise Listed(400, "invalid", f"Invalid lifecycle action: {action}")
    if not rule.get("condition"):
        raise Listed(400, "invalid", "A lifecycle rule needs at least one condition.")
    allowed = {"age", "matchesPrefix", "matchesSuffix"}
    if action.startswith("Abort") and not allowed.issuperset(rule["condition"]):
        raise Listed(
            400, "invalid", "The condition is not allowed with AbortIncompleteMultipartUpload."
        )
