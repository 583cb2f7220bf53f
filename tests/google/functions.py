"""Cloud Functions v2: functions, their uploads, and their deployment."""

import itertools
import zlib
from collections.abc import Callable

from tests.google import settings, sources
from tests.google.deployment import Deployment
from tests.google.masks import patched, paths, without
from tests.google.project import Project
from tests.google.refusal import Refusal, bad_field, invalid
from tests.google.registry import Registry
from tests.google.run import Run
from tests.google.secretmanager import SecretManager
from tests.google.service import Answer, Call, Json, Route, Service, checked_id, exists, page, wants
from tests.google.storage import Storage

_OUTPUT = ("state", "stateMessages", "updateTime", "createTime", "environment", "url", "name")
_NEWEST = "allTrafficOnLatestRevision"
_META = "type.googleapis.com/google.cloud.functions.v2.OperationMetadata"
_TYPE = "type.googleapis.com/google.cloud.functions.v2.Function"
# What differs between two deployments that are otherwise the same.
_VOLATILE = (
    "createTime",
    "updateTime",
    "stateMessages",
    "buildConfig.build",
    "buildConfig.source",
    "buildConfig.sourceProvenance",
    "serviceConfig.revision",
)


class Functions(Service):
    """origin: where functions answer, instead of the platform's own names; `/NAME` follows.

    on_deployed: called with the function when it has been made or updated. unreachable: regions of
    which the service cannot tell now.
    """

    host = "cloudfunctions.googleapis.com"
    title = "Cloud Functions API"
    messages = "cloudfunctions"

    def __init__(
        self,
        project: Project,
        storage: Storage,
        secrets: SecretManager,
        registry: Registry,
        run: Run,
    ) -> None:
        super().__init__(project)
        self.origin: str | None = None
        self.on_deployed: Callable[[Json], None] | None = None
        self.functions: dict[str, Json] = {}
        self.unreachable: list[str] = []
        self._storage = storage
        self._registry = registry
        self._run = run
        self._deployment = Deployment(project, storage, secrets, registry)
        self._zips: dict[str, bytes] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        location = "v2/projects/{project}/locations/{location}"
        path, one = f"{location}/functions", f"{location}/functions/{{function}}"
        return [
            Route("GET", path, self._list, query="pageSize pageToken filter orderBy"),
            Route("GET", one, self._get, query="revision"),
            Route(
                "POST",
                path,
                self._create,
                query="functionId",
                needs="cloudfunctions.functions.create",
                body="Function",
                root="function",
            ),
            Route(
                "PATCH",
                one,
                self._patch,
                query="updateMask",
                needs="cloudfunctions.functions.update",
                body="Function",
                root="function",
            ),
            Route("DELETE", one, self._delete, needs="cloudfunctions.functions.delete"),
            Route(
                "POST",
                f"{path}:generateUploadUrl",
                self._upload_url,
                body="GenerateUploadUrlRequest",
                needs="cloudfunctions.functions.sourceCodeSet",
            ),
            Route("GET", f"{location}/runtimes", self._runtimes, query="filter"),
            Route("GET", f"{location}/operations/{{operation}}", self._operation),
            Route("GET", "v2/projects/{project}/locations", self._locations, query="pageSize"),
        ]

    def upload_routes(self) -> list[Route]:
        """Below the host of the storage: the addresses that `generateUploadUrl` gives out."""
        return [
            Route(
                "PUT",
                "gcf-v2-uploads/{bucket}/{object}",
                self._upload,
                body="*",
                query="signature",
                unsigned=True,
            )
        ]

    def picture(self) -> Json:
        return {
            name: {**without(function, _VOLATILE), "zip": sources.digest(self._zips[name])}
            for name, function in sorted(self.functions.items())
        }

    def uploaded(self, function: str) -> bytes:
        """The zip last deployed for the function of that id, wherever it is."""
        (name,) = (name for name in self._zips if name.endswith(f"/functions/{function}"))
        return self._zips[name]

    # Reading

    def _list(self, call: Call) -> Json:
        shown = []
        for name in sorted(self.functions):
            if name.split("/")[3] in self.unreachable:
                continue
            if call["location"] in ("-", name.split("/")[3]):
                self.project.operations.look(name)
                shown.append(self.functions.get(name))
        found = page("functions", [function for function in shown if function])
        return {**found, **({"unreachable": self.unreachable} if self.unreachable else {})}

    def _get(self, call: Call) -> Json:
        self.project.operations.look(self._name(call))
        return self._found(call)

    def _runtimes(self, _: Call) -> Json:
        return {
            "runtimes": [
                {"name": name, "displayName": name, "stage": "GA", "environment": "GEN_2"}
                for name in settings.RUNTIMES
            ]
        }

    def _operation(self, call: Call) -> Json:
        name = f"{self._parent(call)}/operations/{call['operation']}"
        return self.project.operations.get(name).shown()

    def _locations(self, _: Call) -> Json:
        name = f"{self.project.name}/locations/us-central1"
        return {"locations": [{"name": name, "locationId": "us-central1"}]}

    # Uploading

    def _upload_url(self, call: Call) -> Json:
        region = call["location"]
        bucket = f"gcf-v2-uploads-{self.project.number}.{region}.cloudfunctions.appspot.com"
        self._storage.make(bucket, region)
        object = f"00000000-0000-4000-8000-{next(self._numbers):012x}.zip"
        url = f"{self._storage.objects.address}/gcf-v2-uploads/{bucket}/{object}?signature={zlib.crc32(object.encode())}"
        return {"uploadUrl": url, "storageSource": {"bucket": bucket, "object": object}}

    def _upload(self, call: Call) -> Answer:
        """What the API says of this address: the type must be zip, and no token may be sent."""
        if call.headers.get("content-type") != "application/zip" or "authorization" in call.headers:
            text = b"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code></Error>"
            return Answer(403, text, {"Content-Type": "application/xml"})
        if call.query.get("signature") != str(zlib.crc32(call["object"].encode())):
            return Answer(403, b"", {"Content-Type": "application/xml"})
        self._storage.objects.put(call["bucket"], call["object"], call.bytes)
        return Answer(200, b"", {})

    # Changing

    def _create(self, call: Call) -> Json:
        id = checked_id(
            call.query.get("functionId", ""), r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", "Function ID"
        )
        name = f"{self._parent(call)}/functions/{id}"
        if call.body.get("name", name) != name:
            raise bad_field("function.name", "The function's name must be that of the request.")
        if name in self.functions:
            raise exists(
                f"Could not create Cloud Function {name}. The resource already exists in the project."
            )
        if self._run.has(f"{self._parent(call)}/services/{id}"):
            raise exists(
                "A Cloud Run service with this name already exists. Please redeploy the function "
                "with a different name."
            )
        function = self._filled(name, without(call.body, _OUTPUT), new=True)
        function["createTime"] = self.project.now()
        return self._deploy(function, "CREATE_FUNCTION")

    def _patch(self, call: Call) -> Json:
        old = self._found(call)
        self._check_idle(old["name"])
        fields = paths(call.query.get("updateMask", ""), self.messages, "Function")
        fields = fields or [*call.body]
        changed = patched(old, call.body, [f for f in fields if f not in _OUTPUT])
        # Where somebody let an older revision answer, an update leaves it so unless it is told.
        told: Json = call.body.get("serviceConfig", {})
        newest = told.get(_NEWEST) or old["serviceConfig"][_NEWEST]
        changed["serviceConfig"] = {**changed["serviceConfig"], _NEWEST: newest}
        function = self._filled(old["name"], changed, new=False)
        return self._deploy(function, "UPDATE_FUNCTION")

    def _delete(self, call: Call) -> Json:
        function = self._found(call)
        name = function["name"]
        self._check_idle(name)
        function["state"] = "DELETING"

        def finish() -> Json:
            del self.functions[name]
            self._zips.pop(name, None)
            self._run.remove(function["serviceConfig"]["service"])
            return {"@type": "type.googleapis.com/google.protobuf.Empty"}

        return self._begin(name, "DELETE_FUNCTION", finish, ["SERVICE"])

    def _deploy(self, function: Json, verb: str) -> Json:
        """The function is there at once, as what it is to be; whether it works shows at the end."""
        name, region = function["name"], function["name"].split("/")[3]
        self._deployment.check_request(function, self._own_repository(region))
        source = self._source(function)
        function.update(state="DEPLOYING", updateTime=self.project.now())
        self.functions[name], self._zips[name] = function, source
        self._storage.make(f"gcf-v2-sources-{self.project.number}-{region}", region)

        def finish() -> Json:
            function.pop("stateMessages", None)
            try:
                self._check(function, source)
            except Refusal as refusal:
                problem = {
                    "severity": "ERROR",
                    "type": "DeploymentFailed",
                    "message": refusal.message,
                }
                function.update(state="FAILED", stateMessages=[problem])
                raise
            function["state"] = "ACTIVE"
            if self.on_deployed:
                self.on_deployed(function)
            return {"@type": _TYPE, **function}

        stages = ["BUILD", "SERVICE"]
        stages += ["TRIGGER"] if function.get("eventTrigger") else []
        return self._begin(name, verb, finish, stages)

    def _check(self, function: Json, source: bytes) -> None:
        region, build = function["name"].split("/")[3], f"{next(self._numbers):032x}"
        logs = (
            f"https://console.cloud.google.com/cloud-build/builds;region={region}/{build}"
            f"?project={self.project.number}"
        )
        self._deployment.check_build(function, source, logs)
        config = function["buildConfig"]
        config["build"] = f"projects/{self.project.number}/locations/{region}/builds/{build}"
        package = function["name"].rpartition("/")[2]
        self._registry.push(config["dockerRepository"], f"{self.project.id}__{region}__{package}")
        self._deployment.check_service(function, source)
        service = function["serviceConfig"]
        service["revision"] = self._run.deploy(service["service"], service, self._address(function))
        self._deployment.check_trigger(function)

    def _source(self, function: Json) -> bytes:
        told = (function["buildConfig"].get("source") or {}).get("storageSource") or {}
        data = self._storage.objects.read(told.get("bucket", ""), told.get("object", ""))
        if data is None and "generation" in told:
            # It was kept in the platform's own bucket when it was deployed.
            data = self._zips.get(function["name"])
        if data is None:
            raise invalid("Source code was not found: build_config.source names no object.")
        told.setdefault("generation", "1")
        return data

    def _begin(self, name: str, verb: str, finish: Callable[[], Json], stages: list[str]) -> Json:
        now = self.project.now()

        def told(done: bool) -> Json:
            state = "COMPLETE" if done else "IN_PROGRESS"
            return {
                "@type": _META,
                "createTime": now,
                "target": name,
                "verb": verb.partition("_")[0].lower(),
                "apiVersion": "v2",
                "operationType": verb,
                "stages": [{"name": stage, "state": state} for stage in stages],
            }

        parent = name.rpartition("/functions/")[0]
        return self.project.operations.begin(f"{parent}/operations/operation-", name, finish, told)

    # What the platform fills in

    def _filled(self, name: str, function: Json, *, new: bool) -> Json:
        region, id = name.split("/")[3], name.rpartition("/")[2]
        filled = {
            **function,
            "name": name,
            "environment": "GEN_2",
            "buildConfig": self._build(region, function.get("buildConfig") or {}),
            "serviceConfig": self._service(region, id, function.get("serviceConfig") or {}),
            "url": f"{self.origin or f'https://{region}-{self.project.id}.cloudfunctions.net'}/{id}",
        }
        service = filled["serviceConfig"]
        if new:
            # The platform sets it for new functions; an update that leaves it out takes it away.
            variables = {"LOG_EXECUTION_ID": "true", **service.get("environmentVariables", {})}
            service["environmentVariables"] = variables
        service["uri"] = self._address(filled)
        if function.get("eventTrigger"):
            filled["eventTrigger"] = self._trigger(function["eventTrigger"], region, id)
        return filled

    def _build(self, region: str, given: Json) -> Json:
        return {
            "automaticUpdatePolicy": {},
            "dockerRegistry": "ARTIFACT_REGISTRY",
            "dockerRepository": self._own_repository(region),
            "serviceAccount": f"{self.project.name}/serviceAccounts/{self._compute}",
            **given,
        }

    def _service(self, region: str, id: str, given: Json) -> Json:
        memory = given.get("availableMemory", "256M")
        return {
            "availableMemory": memory,
            "availableCpu": settings.default_cpu(memory),
            "timeoutSeconds": 60,
            "maxInstanceCount": 100,
            "maxInstanceRequestConcurrency": 1,
            "ingressSettings": "ALLOW_ALL",
            "serviceAccountEmail": self._compute,
            _NEWEST: True,
            **given,
            "service": f"{self.project.name}/locations/{region}/services/{id}",
        }

    @property
    def _compute(self) -> str:
        """The account that functions have unless they are given one."""
        return f"{self.project.number}-compute@developer.gserviceaccount.com"

    def _own_repository(self, region: str) -> str:
        """Where images are unless a function names another; the platform makes it by itself."""
        return f"{self.project.name}/locations/{region}/repositories/gcf-artifacts"

    def _trigger(self, trigger: Json, region: str, id: str) -> Json:
        number = f"{zlib.crc32(id.encode()) % 1000000:06d}"
        place = trigger.get("triggerRegion") or region
        return {
            "serviceAccountEmail": self._compute,
            "retryPolicy": "RETRY_POLICY_DO_NOT_RETRY",
            **trigger,
            "triggerRegion": place,
            "trigger": f"{self.project.name}/locations/{place}/triggers/{id}-{number}",
            "pubsubTopic": f"{self.project.name}/topics/eventarc-{place}-{id}-{number}-000",
        }

    def _address(self, function: Json) -> str:
        region, id = function["name"].split("/")[3], function["name"].rpartition("/")[2]
        if self.origin:
            return f"{self.origin}/{id}"
        return f"https://{id}-{zlib.crc32(region.encode()):08x}-uc.a.run.app"

    def _check_idle(self, name: str) -> None:
        if self.project.operations.is_busy(name):
            _, project, _, region, _, id = name.split("/")
            text = (
                f"An operation on function {id} in region {region} in project {project} is already "
                "in progress. Please try again later."
            )
            raise Refusal("ABORTED", text)

    def _found(self, call: Call) -> Json:
        name = self._name(call)
        text = f"Resource '{name}' was not found"
        return wants(self.functions.get(name), text)

    def _name(self, call: Call) -> str:
        return f"{self._parent(call)}/functions/{call['function']}"

    def _parent(self, call: Call) -> str:
        return f"{self.project.name}/locations/{call['location']}"
