"""How each function runs in the cloud, as `functions/<name>/function.toml` beside it says."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from infra.staging import ROOT, functions

Exposure = Literal["public", "private"]

Count = Annotated[int, Meta(ge=1)]
Variable = Annotated[str, Meta(pattern=r"^YURT_[A-Z][A-Z0-9_]{0,50}$")]


class BadDeclaration(Exception):
    """A function.toml cannot be used; the text says which, what is wrong and what to write."""


class Below(Struct, frozen=True, forbid_unknown_fields=True):
    """A role on those objects of the bucket only whose name begins with `below`."""

    role: str
    below: Annotated[str, Meta(pattern=r"^[A-Za-z0-9/_-]+/$")]


class Roles(Struct, frozen=True, forbid_unknown_fields=True):
    """What the function's own service account may do, and nothing else. Each is a list of roles.

    project: on everything in it; for what has no narrower place. bucket: on the node's bucket, or
    a part of it. queue: on its queue. caller: on the account that private functions are called as.
    """

    project: tuple[str, ...] = ()
    bucket: tuple[str | Below, ...] = ()
    queue: tuple[str, ...] = ()
    caller: tuple[str, ...] = ()


class Event(Struct, frozen=True, forbid_unknown_fields=True):
    """The function is called with each CloudEvent of this type of the node's bucket."""

    type: str


class Schedule(Struct, frozen=True, forbid_unknown_fields=True):
    """A job of Cloud Scheduler that posts to the function. name: unique among all functions.
    cron: in UTC. path: below the function."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    cron: str
    path: Annotated[str, Meta(pattern=r"^/")] = "/"


class Declaration(Struct, frozen=True, forbid_unknown_fields=True):
    """exposure: whether anybody may call it, or only the platform as the node's caller.

    memory: as Cloud Run writes it. cpu: of a vCPU; below 1 only with a concurrency of 1.
    concurrency: requests that an instance answers at once, in as many threads. max_instances: more
    are never started. timeout: seconds. secrets: variables that hold one, each made once at random.
    given_secrets: variables that hold one which only its owner knows, such as a password of
    somebody else's service.
    """

    exposure: Exposure
    memory: Annotated[str, Meta(pattern=r"^[1-9][0-9]*(Mi|Gi)$")]
    concurrency: Count
    max_instances: Count
    timeout: Annotated[int, Meta(ge=1, le=3600)]
    cpu: Annotated[float, Meta(gt=0, le=8)] = 1
    secrets: tuple[Variable, ...] = ()
    given_secrets: tuple[Variable, ...] = ()
    roles: Roles = Roles()
    event: Event | None = None
    schedule: tuple[Schedule, ...] = ()

    @property
    def all_secrets(self) -> tuple[str, ...]:
        return (*self.secrets, *self.given_secrets)


def declarations(root: Path = ROOT) -> dict[str, Declaration]:
    """Of every function, by its name, sorted. `BadDeclaration`."""
    declared = {name: declaration(name, root) for name in functions(root)}
    _check_together(declared)
    return declared


def _check_together(declared: Mapping[str, Declaration]) -> None:
    jobs: dict[str, str] = {}
    for function, its in declared.items():
        for job in its.schedule:
            if job.name in jobs:
                raise BadDeclaration(
                    f"{jobs[job.name]} and {function} both declare a schedule {job.name}; each "
                    "needs a name of its own"
                )
            jobs[job.name] = function
    random = {variable for its in declared.values() for variable in its.secrets}
    given = {variable for its in declared.values() for variable in its.given_secrets}
    if random & given:
        raise BadDeclaration(
            f"{', '.join(sorted(random & given))} is declared as made at random (secrets) and as "
            "given by its owner (given_secrets); it can be one of these only"
        )


def declaration(function: str, root: Path = ROOT) -> Declaration:
    path = root / "functions" / function / "function.toml"
    try:
        declared = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Declaration)
    except FileNotFoundError:
        raise BadDeclaration(
            f"{path} is missing; it says how the function runs in the cloud, as those of the "
            "other functions do"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadDeclaration(f"{path}: {error}") from None
    problem = _problem(declared)
    if problem is not None:
        raise BadDeclaration(f"{path}: {problem}")
    return declared


def _problem(declared: Declaration) -> str | None:
    if declared.cpu < 1 and declared.concurrency > 1:
        return "with less than one cpu an instance answers one request at a time: concurrency = 1"
    if declared.exposure == "public" and (declared.event or declared.schedule):
        return 'what the platform calls is private: write exposure = "private"'
    if declared.event is not None and declared.timeout > 540:
        return "an event waits 540 seconds for its function at most: lower the timeout"
    return None
