"""What can be asked: the shape of the table from which requests are answered and described."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    200. paged: answers name the next page in a `Link` header.
    """

    name: str
    path: str
    summary: str
    parameters: type[P]
    answers: Mapping[str, Any]
    answer: Callable[[Node, Request, P], Response]
    errors: tuple[int, ...] = ERRORS
    paged: bool = False

    def match(self, path: str) -> dict[str, str] | None:
        """The named parts of the path; None when it is another path."""
        pattern, parts = self.path.split("/"), path.split("/")
        if len(pattern) != len(parts):
            return None
        found: dict[str, str] = {}
        for expected, part in zip(pattern, parts, strict=True):
            if expected.startswith("{") and part:
                found[expected[1:-1]] = part
            elif expected != part:
                return None
        return found
