"""What can be asked and done: the shape of the tables that requests are answered from, and
described by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from msgspec import Struct
from werkzeug.wrappers import Request, Response

from shared.node import Node

P = TypeVar("P", bound=Struct)

ERRORS = (400, 401, 403, 500, 503)
"""What any question may be answered with instead."""


@dataclass(frozen=True, slots=True)
class Route(Generic[P]):
    """One question.

    path: below the function's name; `{name}` is a part that becomes a parameter. parameters: a
    struct with one described field for each. answers: by media type, the type of what is sent, or
    `str` and `bytes` where the media type says it all. errors: the statuses it may have instead of
    200. paged: answers name the next page in a `Link` header. ranges: a `Range` header is obeyed.
    """

    name: str
    path: str
    summary: str
    parameters: type[P]
    answers: Mapping[str, Any]
    answer: Callable[[Node, Request, P], Response]
    errors: tuple[int, ...] = ERRORS
    paged: bool = False
    ranges: bool = False

    def match(self, path: str) -> dict[str, str] | None:
        """The named parts of the path; None when it is another path."""
        return matched(self.path, path)


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be done, as `Route` is one that can be asked for.

    parts: what the named parts of the path are. body: what is sent (None: nothing). answer: what is
    answered. errors: the statuses it may have instead of 200.
    """

    name: str
    method: str
    path: str
    summary: str
    answer: type[Struct]
    body: type[Struct] | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[int, ...] = ERRORS


def matched(pattern: str, path: str) -> dict[str, str] | None:
    """The parts of the path that are named in the pattern; None when it is another path."""
    expected, parts = pattern.split("/"), path.split("/")
    if len(expected) != len(parts):
        return None
    found: dict[str, str] = {}
    for name, part in zip(expected, parts, strict=True):
        if name.startswith("{") and part:
            found[name[1:-1]] = part
        elif name != part:
            return None
    return found
