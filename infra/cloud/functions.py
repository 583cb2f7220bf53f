"""The functions: each built from its staged folder, and run as its declaration says."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from infra.cloud import policies, secrets
from infra.cloud.api import Api, ApiError, Call, part
from infra.cloud.deployment import REPOSITORY, Deployment
from infra.cloud.policies import Grant, Roles
from infra.cloud.steps import Blocked, Change, Deploy, Step, Wait
from infra.declarations import Declaration
from infra.staging import RUNTIME, Staged

VERSION_LABEL = "yurt-version"
"""Its value names the staged bytes and the settings: a function that has it is up to date."""

_ENVIRONMENT = "ENVIRONMENT"
_OPEN = "ALLOW_ALL"
"""The network that requests may come from; who may ask is another matter."""
_UNITS = {"Ki": 1 << 10, "K": 1000, "Mi": 1 << 20, "M": 10**6, "Gi": 1 << 30, "G": 10**9}


class Found(NamedTuple):
    """function: as the API says it, or None. secrets: the number of the version of each secret.
    is_taken: whether something else answers by its name."""

    function: Mapping[str, Any] | None
    secrets: Mapping[str, int]
    is_taken: bool = False


def is_ours(function: Mapping[str, Any]) -> bool:
    return VERSION_LABEL in function.get("labels", {})


def deployed(api: Api, location: str) -> list[Any]:
    """The functions there are; none where the service was never enabled.

    `Unreachable` while the platform cannot tell of every place.
    """
    path = f"v2/{location}/functions"
    try:
        return list(api.pages("cloudfunctions", path, "functions", unless="unreachable"))
    except ApiError as error:
        if error.reason == "SERVICE_DISABLED":
            return []
        raise


def public_base(api: Api, deployment: Deployment) -> str:
    """The URL below which the functions are, as the platform says it."""
    for function in deployed(api, deployment.location):
        name = str(function["name"]).rpartition("/")[2]
        url = str(function.get("url", ""))
        if is_ours(function) and url.endswith(f"/{name}"):
            return url.removesuffix(f"/{name}")
    return deployment.origin


class Function(Step):
    beside = True

    def __init__(
        self, deployment: Deployment, number: str, staged: Staged, declared: Declaration
    ) -> None:
        name = staged.function
        self.title = f"function {name}"
        self.wanted = (
            f"{declared.exposure}, {declared.memory}, {declared.cpu:g} CPU, up to "
            f"{declared.max_instances} x {declared.concurrency} requests at once"
        )
        self._deployment = deployment
        self._number = number
        self._staged = staged
        self._declared = declared
        self._path = f"v2/{deployment.location}/functions/{name}"

    def look(self, api: Api) -> Found:
        numbers = {
            secret: secrets.newest_enabled(secrets.versions(api, self._deployment.project, secret))
            for secret in self._secret_names.values()
        }
        found = {secret: number for secret, number in numbers.items() if number is not None}
        function = api.get("cloudfunctions", self._path)
        return Found(function, found, function is None and self._is_taken(api))

    def _is_taken(self, api: Api) -> bool:
        """A service of Cloud Run that is no function's."""
        path = f"v2/{self._deployment.location}/services/{self._staged.function}"
        return api.get("run", path) is not None

    def decide(self, found: Found) -> Sequence[Change]:
        function = found.function
        if found.is_taken:
            name, place = self._staged.function, self._deployment
            raise Blocked(
                f"a Cloud Run service {name} is there that is no function, and no other can have "
                f"its name; delete it (gcloud run services delete {name} --region={place.region} "
                f"--project={place.project}), or deploy to a project of its own"
            )
        if function is None:
            return [Change("build and deploy", self._deploy(found.secrets))]
        if not is_ours(function):
            raise Blocked(
                f"a function {self._staged.function} is there that Yurt did not deploy; delete it "
                f"(gcloud functions delete {self._staged.function} "
                f"--region={self._deployment.region} --project={self._deployment.project}), or "
                "deploy to a project of its own"
            )
        if function.get("state") in ("DEPLOYING", "DELETING"):
            return [Change("wait for what goes on there", Wait())]
        wrong = self._wrong(function, found.secrets)
        if not wrong:
            return ()
        return [Change(f"build and deploy: {', '.join(wrong)}", self._deploy(found.secrets))]

    def removal(self, found: Found) -> Sequence[Change]:
        if found.function is None or not is_ours(found.function):
            return ()
        return [Change("delete", Call("DELETE", "cloudfunctions", self._path))]

    def _wrong(self, function: Mapping[str, Any], versions: Mapping[str, int]) -> list[str]:
        """What about it is not as wanted, in words."""
        said = function.get("serviceConfig", {})
        checks = {
            "it changed": function.get("labels", {}).get(VERSION_LABEL) == self._version(),
            "it is not running": function.get("state") == "ACTIVE" and not _has_failed(function),
            "memory": _bytes(said.get("availableMemory")) == _bytes(self._declared.memory),
            "CPU": float(said.get("availableCpu") or 0) == self._declared.cpu,
            "concurrency": said.get("maxInstanceRequestConcurrency", 1)
            == self._declared.concurrency,
            "most instances": said.get("maxInstanceCount") == self._declared.max_instances,
            "least instances": not said.get("minInstanceCount"),
            "timeout": said.get("timeoutSeconds") == self._declared.timeout,
            "ingress": said.get("ingressSettings", _OPEN) == _OPEN,
            "an older revision answers": bool(said.get("allTrafficOnLatestRevision")),
            "build": self._build().items() <= _build_of(function).items(),
            "trigger": self._event() == _event_of(function),
            "account": said.get("serviceAccountEmail") == self._account,
            "environment": self._variables().items()
            <= said.get("environmentVariables", {}).items(),
            "secrets": self._secrets(versions)
            == {
                (secret["key"], secret["secret"], secret["version"])
                for secret in said.get("secretEnvironmentVariables", ())
            },
        }
        return [name for name, right in checks.items() if not right]

    @property
    def _account(self) -> str:
        return self._deployment.account(self._staged.function)

    def _secrets(self, versions: Mapping[str, int]) -> set[tuple[str, str, str]]:
        return {
            (key, name, str(versions.get(name, "latest")))
            for key, name in self._secret_names.items()
        }

    @property
    def _secret_names(self) -> dict[str, str]:
        """The secret of each variable that holds one."""
        return {variable: secrets.secret_name(variable) for variable in self._declared.all_secrets}

    def _variables(self) -> dict[str, str]:
        """The environment, without what the platform adds."""
        deployment = self._deployment
        variables = {
            "YURT_STORE": "firestore",
            "YURT_PROJECT": deployment.project,
            "YURT_BUCKET": deployment.bucket,
            "YURT_PUBLIC_BASE": deployment.origin,
            # Lines of a log say which request they are of. The platform sets it for new functions
            # only, and would drop it at the first update.
            "LOG_EXECUTION_ID": "true",
            # As many as requests that come at once: otherwise they wait for each other.
            "THREADS": str(self._declared.concurrency),
        }
        if self._declared.roles.queue:
            variables |= {
                "YURT_TASKS_QUEUE": deployment.queue,
                "YURT_TASKS_TARGET": deployment.private_url("{work}", self._number),
                "YURT_TASKS_ACCOUNT": deployment.caller,
            }
        return variables

    def _build(self) -> dict[str, str]:
        """How it is built, names without where they are: the API says that in its own way."""
        return {
            "runtime": RUNTIME,
            "entryPoint": self._staged.function,
            "dockerRepository": REPOSITORY,
            "serviceAccount": self._deployment.builder,
        }

    def _event(self) -> dict[str, Any]:
        if self._declared.event is None:
            return {}
        return {
            "eventType": self._declared.event.type,
            "triggerRegion": self._deployment.region,
            "serviceAccountEmail": self._deployment.caller,
            "retryPolicy": "RETRY_POLICY_RETRY",
            "bucket": self._deployment.bucket,
        }

    def _version(self) -> str:
        made_of = json.dumps([self._staged.sha256, self._options(), self._variables()])
        return hashlib.sha256(made_of.encode()).hexdigest()[:40]

    def _options(self) -> list[str]:
        deployment, declared = self._deployment, self._declared
        builder = f"projects/{deployment.project}/serviceAccounts/{deployment.builder}"
        return [
            "--gen2",
            f"--project={deployment.project}",
            f"--region={deployment.region}",
            f"--runtime={RUNTIME}",
            f"--entry-point={self._staged.function}",
            f"--service-account={self._account}",
            f"--build-service-account={builder}",
            f"--docker-repository={deployment.repository}",
            f"--memory={declared.memory}",
            f"--cpu={declared.cpu:g}",
            f"--concurrency={declared.concurrency}",
            f"--timeout={declared.timeout}s",
            "--min-instances=0",
            f"--max-instances={declared.max_instances}",
            "--ingress-settings=all",
            "--serve-all-traffic-latest-revision",
            # Always said, since without it gcloud may ask. It is no less than the step after it
            # grants: with `no`, gcloud would close a public function at each update until that
            # step, and phones give up what they are refused.
            f"--{'' if declared.exposure == 'public' else 'no-'}allow-unauthenticated",
            *self._trigger(),
        ]

    def _trigger(self) -> list[str]:
        if self._declared.event is None:
            return ["--trigger-http"]
        return [
            f"--trigger-event-filters=type={self._declared.event.type}",
            f"--trigger-event-filters=bucket={self._deployment.bucket}",
            f"--trigger-location={self._deployment.region}",
            f"--trigger-service-account={self._deployment.caller}",
            "--retry",
        ]

    def _deploy(self, versions: Mapping[str, int]) -> Deploy:
        given = sorted(self._secrets(versions))
        listed = ",".join(f"{key}={secret}:{version}" for key, secret, version in given)
        return Deploy(
            (
                "functions",
                "deploy",
                self._staged.function,
                *self._options(),
                f"--source={os.fspath(self._staged.folder)}",
                f"--env-vars-file={_ENVIRONMENT}",
                f"--set-secrets={listed}" if listed else "--clear-secrets",
                f"--update-labels={VERSION_LABEL}={self._version()}",
                "--quiet",
                "--verbosity=error",
            ),
            ((_ENVIRONMENT, json.dumps(self._variables())),),
        )


def _has_failed(function: Mapping[str, Any]) -> bool:
    """One whose update failed may still be active, as it was before."""
    return any(m.get("severity") == "ERROR" for m in function.get("stateMessages", ()))


def _build_of(function: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: str(value).rpartition("/")[2] for key, value in function.get("buildConfig", {}).items()
    }


def _event_of(function: Mapping[str, Any]) -> dict[str, Any]:
    trigger = function.get("eventTrigger")
    if not trigger:
        return {}
    said = ("eventType", "triggerRegion", "serviceAccountEmail", "retryPolicy")
    filters = {f["attribute"]: f["value"] for f in trigger.get("eventFilters", ())}
    return {**{key: trigger.get(key) for key in said}, "bucket": filters.get("bucket")}


class Callers(Roles):
    """Who may call a function of ours; of another's that is let be."""

    def __init__(self, deployment: Deployment, function: str, grants: Iterable[Grant]) -> None:
        service = policies.of_service(f"{deployment.location}/services/{function}")
        super().__init__(deployment, f"who may call {function}", service, grants)
        self._function = f"v2/{deployment.location}/functions/{function}"

    def look(self, api: Api) -> Any:
        """Who may, if the function is there and ours."""
        function = api.get("cloudfunctions", self._function)
        return super().look(api) if function is not None and is_ours(function) else None


class Strays(Step):
    """Functions of ours that this version of Yurt does not have any more."""

    def __init__(self, deployment: Deployment, number: str, names: Iterable[str]) -> None:
        self.title = "functions of earlier versions"
        self.wanted = "deleted"
        sources = f"gs://gcf-v2-sources-{number}-{deployment.region}"
        self.stays = (
            "what Google keeps of the functions' sources stays, some megabytes of the 5 GB of "
            f"buckets; to delete it: gcloud storage rm --recursive {sources}"
        )
        self._location = deployment.location
        self._names = frozenset(names)

    def look(self, api: Api) -> Any:
        return deployed(api, self._location)

    def decide(self, found: Any) -> Sequence[Change]:
        names = sorted(f["name"].rpartition("/")[2] for f in found if is_ours(f))
        return [
            Change(
                f"delete the function {name}",
                Call("DELETE", "cloudfunctions", f"v2/{self._location}/functions/{part(name)}"),
            )
            for name in names
            if name not in self._names
        ]

    def removal(self, found: Any) -> Sequence[Change]:
        return self.decide(found)


def _bytes(text: object) -> int:
    """`512Mi`, `512M`, `1Gi`; 0 for what is none of these."""
    found = re.fullmatch(r"(\d+)([KMG]i?)?B?", str(text))
    return int(found[1]) * _UNITS.get(found[2] or "", 1) if found else 0
