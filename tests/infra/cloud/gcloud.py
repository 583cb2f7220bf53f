"""What `gcloud` does for a deployment, in this process: the same requests from the same options.

The real one is held to the same state in tests/system/test_deploy.py, where it is installed.
"""

import argparse
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.cloud.api import Api, ApiError, Call, Send, Token, Unreachable
from infra.cloud.gcloud import Ran
from tests.google.fake import FakeGoogle

VERSION = "528.0.0"


class InProcessGcloud:
    """`Run` on a fake. deployed: the functions that were deployed, in order."""

    def __init__(self, fake: FakeGoogle, send: Send) -> None:
        self.version = VERSION
        self.signed_in = True
        self.deployed: list[str] = []
        self._fake = fake
        self._send = send

    def __call__(self, command: Sequence[str], within: float) -> Ran:
        match list(command):
            case ["gcloud", "version", "--format=json"]:
                return Ran(0, json.dumps({"Google Cloud SDK": self.version}), "")
            case ["gcloud", "auth", "print-access-token"]:
                if not self.signed_in:
                    text = "ERROR: (gcloud.auth.print-access-token) You do not currently have an active account selected."
                    return Ran(1, "", text)
                return Ran(0, "a-token\n", "")
            case ["gcloud", "functions", "deploy", name, *options]:
                return self._deploy(name, _parser().parse_args(options))
        raise AssertionError(f"gcloud is not called like this: {command}")

    def _deploy(self, name: str, options: argparse.Namespace) -> Ran:
        api = Api(options.project, Token(lambda: "a-token"), {}, self._send, lambda _: None)
        try:
            _put_up(api, self._send, name, options)
            _let_in(api, name, options)
        except ApiError as error:
            said = f"ResponseError: status=[{error.status}], code=[Ok], message=[{error.message}]"
            return Ran(1, "", f"ERROR: (gcloud.functions.deploy) {said}")
        except Unreachable as error:
            return Ran(1, "", f"ERROR: gcloud crashed (ConnectionError): {error}")
        self.deployed.append(name)
        return Ran(0, "", "")


def _put_up(api: Api, send: Send, name: str, options: argparse.Namespace) -> None:
    location = f"v2/projects/{options.project}/locations/{options.region}"
    there = api.get("cloudfunctions", f"{location}/functions/{name}")
    place = api.call(
        Call("POST", "cloudfunctions", f"{location}/functions:generateUploadUrl", body={})
    )
    _upload(send, place["uploadUrl"], zipped(options.source))
    project = api.get("cloudresourcemanager", f"v1/projects/{options.project}")
    number = str((project or {})["projectNumber"])
    function = _function(name, options, number, place["storageSource"], there or {})
    if there is None:
        query = {"functionId": name}
        call = Call("POST", "cloudfunctions", f"{location}/functions", query, function)
    else:
        mask = {
            "updateMask": "buildConfig,serviceConfig,labels"
            + (",eventTrigger" if "eventTrigger" in function else "")
        }
        call = Call("PATCH", "cloudfunctions", f"{location}/functions/{name}", mask, function)
    api.finish(call)


def _let_in(api: Api, name: str, options: argparse.Namespace) -> None:
    """At the end everybody is let in or, even if others have let them in meanwhile, kept out."""
    path = f"v2/projects/{options.project}/locations/{options.region}/services/{name}"
    policy = api.get("run", f"{path}:getIamPolicy") or {}
    bindings = [b for b in policy.get("bindings", ()) if b["role"] == "roles/run.invoker"]
    others = [b for b in policy.get("bindings", ()) if b["role"] != "roles/run.invoker"]
    members = {member for binding in bindings for member in binding["members"]} - {"allUsers"}
    if options.allow_unauthenticated:
        members.add("allUsers")
    invokers = [{"role": "roles/run.invoker", "members": sorted(members)}] if members else []
    body = {"policy": {**policy, "bindings": [*others, *invokers]}}
    api.call(Call("POST", "run", f"{path}:setIamPolicy", body=body))


def _upload(send: Send, url: str, data: bytes) -> None:
    try:
        answer = send("PUT", url, {"Content-Type": "application/zip"}, data)
    except OSError as error:
        raise Unreachable(str(error)) from error
    if answer.status != 200:
        said = json.loads(answer.body)["error"]["message"]
        raise ApiError("storage", answer.status, "", f"HTTP {answer.status}: {said}", "")


def zipped(folder: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return data.getvalue()


def _function(
    name: str, options: argparse.Namespace, number: str, source: Any, there: Mapping[str, Any]
) -> dict[str, Any]:
    key, _, value = options.update_labels.partition("=")
    function: dict[str, Any] = {
        "name": f"projects/{options.project}/locations/{options.region}/functions/{name}",
        "environment": "GEN_2",
        "labels": {**there.get("labels", {"deployment-tool": "cli-gcloud"}), key: value},
        "buildConfig": {
            "runtime": options.runtime,
            "entryPoint": options.entry_point,
            "serviceAccount": options.build_service_account,
            "dockerRepository": options.docker_repository,
            "source": {"storageSource": source},
        },
        "serviceConfig": _service(options, number),
    }
    if options.trigger_event_filters:
        filters = dict(f.split("=", 1) for f in options.trigger_event_filters)
        type = filters.pop("type")
        function["eventTrigger"] = {
            "eventType": type,
            "eventFilters": [{"attribute": k, "value": v} for k, v in filters.items()],
            "triggerRegion": options.trigger_location,
            "serviceAccountEmail": options.trigger_service_account,
            "retryPolicy": "RETRY_POLICY_RETRY" if options.retry else "RETRY_POLICY_DO_NOT_RETRY",
        }
    else:
        assert options.trigger_http
    return function


def _service(options: argparse.Namespace, number: str) -> dict[str, Any]:
    secrets = [secret.partition("=") for secret in (options.set_secrets or "").split(",") if secret]
    return {
        "availableMemory": options.memory,
        "availableCpu": options.cpu,
        "timeoutSeconds": int(options.timeout.removesuffix("s")),
        "minInstanceCount": options.min_instances,
        "maxInstanceCount": options.max_instances,
        "maxInstanceRequestConcurrency": options.concurrency,
        "serviceAccountEmail": options.service_account,
        "ingressSettings": {"all": "ALLOW_ALL"}[options.ingress_settings],
        "allTrafficOnLatestRevision": options.serve_all_traffic_latest_revision,
        "environmentVariables": json.loads(Path(options.env_vars_file).read_text("utf-8")),
        "secretEnvironmentVariables": [
            {
                "key": key,
                "projectId": number,
                "secret": value.partition(":")[0],
                "version": value.partition(":")[2],
            }
            for key, _, value in secrets
        ],
    }


def _parser() -> argparse.ArgumentParser:
    """Of the options that are used; any other is an error, as with the real one."""
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    for flag in (
        "gen2",
        "trigger-http",
        "retry",
        "clear-secrets",
        "quiet",
        "serve-all-traffic-latest-revision",
    ):
        parser.add_argument(f"--{flag}", action="store_true")
    letting_in = parser.add_mutually_exclusive_group(required=True)
    letting_in.add_argument("--allow-unauthenticated", action="store_true")
    letting_in.add_argument("--no-allow-unauthenticated", action="store_true")
    for option in [
        "project",
        "region",
        "runtime",
        "entry-point",
        "service-account",
        "build-service-account",
        "timeout",
        "docker-repository",
        "memory",
        "cpu",
        "ingress-settings",
        "source",
        "env-vars-file",
        "update-labels",
        "verbosity",
    ]:
        parser.add_argument(f"--{option}", required=True)
    for option in ("trigger-location", "trigger-service-account", "set-secrets"):
        parser.add_argument(f"--{option}")
    for option in ("concurrency", "min-instances", "max-instances"):
        parser.add_argument(f"--{option}", type=int, required=True)
    parser.add_argument("--trigger-event-filters", action="append")
    return parser
