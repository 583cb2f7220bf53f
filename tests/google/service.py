"""What a service is: routes, each a request that it answers, and what it holds."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from tests.google.project import Project
from tests.google.refusal import Refusal, invalid

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """To a request over HTTP."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request that came to the right route. path: the route's names, as they were meant."""

    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    repeated: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Json
    bytes: bytes

    def __getitem__(self, name: str) -> str:
        return self.path[name]


Handler = Callable[[Call], Json | Answer]


@dataclass(frozen=True)
class Route:
    """method, path: `v2/projects/{project}/locations/{location}/queues/{queue}:pause`; a name that
    ends in `**` takes slashes, too. body: the message it takes; empty for none, `*` for any bytes.
    root: what the request calls the message. query: parameters that it knows. needs: a permission.
    reads: nothing changes, though it is no GET. unsigned: no token is wanted.
    """

    method: str
    path: str
    handler: Handler
    body: str = ""
    root: str = ""
    query: str = ""
    needs: str = ""
    reads: bool = False
    unsigned: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+(?:\*\*)?)\}", self.path)
        for number, part in enumerate(parts):
            if number % 2 == 0:
                parts[number] = re.escape(part)
            elif part.endswith("**"):
                parts[number] = f"(?P<{part[:-2]}>.+)"
            else:
                parts[number] = f"(?P<{part}>[^/:]+)"
        return re.compile("".join(parts))

    def match(self, method: str, path: str) -> dict[str, str] | None:
        found = self.pattern.fullmatch(path) if method == self.method else None
        return (
            {name: unquote(value) for name, value in found.groupdict().items()} if found else None
        )

    @property
    def mutates(self) -> bool:
        return self.method != "GET" and not self.reads


class Service(ABC):
    """Holds what one API holds. `host` is its name, `title` what messages call it.

    messages: the table of its fields. free: it needs no billing account. always: it need not be
    enabled. quota: it wants to be told whose quota is used. older: its JSON is no proto3, so that
    what is null, zero or empty is told apart from what is not there. open: it wants no token, as
    what stands in for it.
    """

    host: str
    title: str
    messages: str
    free = False
    always = False
    quota = False
    older = False
    open = False

    def __init__(self, project: Project) -> None:
        self.project = project

    @abstractmethod
    def routes(self) -> list[Route]:
        """What it answers to."""

    def picture(self) -> Json:
        """What lasts, without what is volatile."""
        return {}


def page(name: str, items: list[Json]) -> Json:
    """A list of everything on one page; an empty list is not written."""
    return {name: items} if items else {}


def wants(found: Json | None, message: str) -> Json:
    if found is None:
        raise Refusal("NOT_FOUND", message)
    return found


def exists(message: str) -> Refusal:
    return Refusal("ALREADY_EXISTS", message)


def checked_id(id: str, pattern: str, what: str) -> str:
    if not re.fullmatch(pattern, id):
        raise invalid(f"{what} '{id}' is invalid: it must match {pattern}.")
    return id


def seconds(duration: str, what: str) -> float:
    """Of a `google.protobuf.Duration` in JSON, e.g. `3.5s`."""
    if not re.fullmatch(r"-?\d{1,12}(\.\d{1,9})?s", duration):
        raise invalid(
            f"Invalid value at '{what}' (type.googleapis.com/google.protobuf.Duration), "
            f"Field '{what}', Illegal duration format; duration must end with 's'"
        )
    return float(duration[:-1])
