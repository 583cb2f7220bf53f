"""What a function may ask for: its memory, CPU, time, names and variables."""

import re
from typing import Any

from tests.google.project import checked_labels
from tests.google.refusal import Refusal, bad_field, invalid

Json = dict[str, Any]

RUNTIMES = ("python310", "python311", "python312", "python313", "nodejs22")
FINALIZED = "google.cloud.storage.object.v1.finalized"

_SIZES = {"M": 10**6, "Mi": 2**20, "G": 10**9, "Gi": 2**30, "k": 10**3, "Ki": 2**10, "": 1}
_MEBI = 2**20
# Memory in MiB above which at least so many CPUs are needed: Cloud Run, "CPU limits".
_NEEDS_CPU = ((8192, 4.0), (4096, 2.0), (1024, 1.0), (512, 0.5))
_RESERVED = frozenset(
    [
        "K_SERVICE",
        "K_REVISION",
        "K_CONFIGURATION",
        "PORT",
        "FUNCTION_TARGET",
        "FUNCTION_SIGNATURE_TYPE",
        "GOOGLE_FUNCTION_TARGET",
        "GOOGLE_FUNCTION_SIGNATURE_TYPE",
    ]
)


def check_request(function: Json) -> None:
    """What is refused at once."""
    build: Json = function.get("buildConfig") or {}
    service: Json = function.get("serviceConfig") or {}
    checked_labels(function.get("labels"))
    if build.get("runtime") not in RUNTIMES:
        raise invalid(f"Runtime {build.get('runtime')} is not supported on GCF Gen2.")
    if not re.fullmatch(r"[A-Za-z_]\w{0,127}", build.get("entryPoint", "")):
        raise bad_field("build_config.entry_point", "Entry point must be a valid identifier.")
    _check_names(service)
    _check_time(service, bool(function.get("eventTrigger")))
    most, least = service.get("maxInstanceCount", 100), service.get("minInstanceCount", 0)
    if least < 0 or most < 1 or least > most:
        raise bad_field(
            "service_config.min_instance_count",
            "Min instances must be between 0 and max instances.",
        )


def _check_names(service: Json) -> None:
    plain: dict[str, str] = service.get("environmentVariables") or {}
    secret = [item.get("key", "") for item in service.get("secretEnvironmentVariables") or []]
    for name in [*plain, *secret]:
        if name in _RESERVED or name.startswith("X_GOOGLE_"):
            raise invalid(
                f"Environment variable name {name} is reserved by the system: it cannot be set by users."
            )
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise invalid(f"Environment variable name '{name}' is not valid.")
    both = plain.keys() & set(secret)
    if both or len(set(secret)) < len(secret):
        raise invalid(f"Environment variables are set twice: {sorted(both or secret)}")


def _check_time(service: Json, event: bool) -> None:
    most = 540 if event else 3600
    if not 1 <= service.get("timeoutSeconds", 60) <= most:
        text = f"Timeout must be between 1 and {most} seconds."
        raise bad_field("service_config.timeout_seconds", text)


def check_resources(service: Json, name: str) -> None:
    """What Cloud Run refuses when the service is made."""
    memory, cpu = bytes_of(service["availableMemory"]), cpus_of(service["availableCpu"])
    at_once = service["maxInstanceRequestConcurrency"]
    if not 1 <= at_once <= 1000:
        raise _unserved(name, "container_concurrency", "must be between 1 and 1000")
    if cpu < 1 and at_once > 1:
        raise _unserved(
            name, "container_concurrency", "Total cpu < 1 is not supported with concurrency > 1"
        )
    if not (0.08 <= cpu <= 1 or cpu in (2, 4, 6, 8)):
        raise _unserved(name, "cpu", "must be between 0.08 and 1, or one of 2, 4, 6, 8")
    for mebibytes, needed in _NEEDS_CPU:
        if memory > mebibytes * _MEBI and cpu < needed:
            text = f"For memory above {mebibytes} Mi, at least {needed:g} cpu is required"
            raise _unserved(name, "cpu", text)
    if not 128 * 10**6 <= memory <= 32 * 1024 * _MEBI:
        raise _unserved(name, "memory", "must be between 128Mi and 32Gi")


def bytes_of(memory: str) -> int:
    """Of a Kubernetes quantity, e.g. `512Mi`."""
    match = re.fullmatch(r"(\d+)(Ki|Mi|Gi|k|M|G|)", memory)
    if match is None:
        raise bad_field("service_config.available_memory", f"Invalid memory: {memory}")
    return int(match[1]) * _SIZES[match[2]]


def cpus_of(cpu: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", cpu)
    if match is None:
        raise bad_field("service_config.available_cpu", f"Invalid cpu: {cpu}")
    return float(match[1]) / (1000 if match[2] else 1)


def default_cpu(memory: str) -> str:
    """What a function of that much memory gets: functions/docs/configuring/memory."""
    size = bytes_of(memory) / _MEBI
    steps = ((128, "0.0833"), (256, "0.1666"), (512, "0.3333"), (1024, "0.5833"), (2048, "1"))
    return next((cpu for most, cpu in steps if size <= most), "2")


def _unserved(name: str, field: str, text: str) -> Refusal:
    where = "containers[0].resources.limits." if field in ("cpu", "memory") else ""
    return invalid(
        f"Could not create or update Cloud Run service {name}. spec.template.spec.{where}{field}: "
        f"Invalid value specified for {field}. {text}."
    )
