"""Field masks: which part of a resource a PATCH replaces."""

import copy
from collections.abc import Collection, Mapping
from typing import Any

from tests.google.refusal import invalid
from tests.google.schema import camel, known_path

Json = dict[str, Any]


def paths(mask: str, service: str, message: str) -> list[str]:
    """The paths of a mask, in camel case; refuses what the message does not have."""
    found = [".".join(camel(part) for part in path.split(".")) for path in mask.split(",") if path]
    for path in found:
        if path != "*" and not known_path(service, message, path):
            raise invalid(f"Invalid field mask path: {path}")
    return found


def patched(old: Mapping[str, Any], new: Mapping[str, Any], fields: Collection[str]) -> Json:
    """`old` with each of the fields as `new` has it; a field that `new` lacks is cleared."""
    result = copy.deepcopy(dict(old))
    for path in fields:
        _replace(result, new, path.split("."))
    return result


def without(resource: Mapping[str, Any], fields: Collection[str]) -> Json:
    """A copy that lacks these fields, each a path: what a caller cannot set, or what is volatile."""
    result = copy.deepcopy(dict(resource))
    for path in fields:
        *outer, last = path.split(".")
        inner: Any = result
        for part in outer:
            inner = inner.get(part) or {}
        inner.pop(last, None)
    return result


def _replace(target: Json, source: Mapping[str, Any], path: list[str]) -> None:
    head, *rest = path
    if not rest:
        target.pop(head, None)
        if source.get(head) is not None:
            target[head] = copy.deepcopy(source[head])
        return
    inner = target.setdefault(head, {})
    _replace(inner, source.get(head) or {}, rest)
