"""Which fields a message has: the tables in `messages/`, and how a body is held against them.

A table names a message on a line of its own and below it, indented, its fields with their kinds:
`string`, `bytes`, `bool`, `int32`, `int64`, `uint32`, `uint64`, `double`, `float`, `any`; `A|B` is
an enumeration, `[kind]` a list, `{kind}` a map from strings; all else names another message.
"""

import base64
import binascii
import re
from functools import cache
from pathlib import Path
from typing import Any

from tests.google.refusal import Refusal, bad_field

TABLES = Path(__file__).with_name("messages")

_INTEGERS = {
    "int32": range(-(2**31), 2**31),
    "uint32": range(2**32),
    "int64": range(-(2**63), 2**63),
    "uint64": range(2**64),
}

Tables = dict[str, dict[str, str]]
Json = dict[str, Any]


@cache
def tables(service: str) -> Tables:
    """{message: {field: kind}} of one service, as `messages/<service>.txt` has it."""
    found: Tables = {}
    message = ""
    for line in (TABLES / f"{service}.txt").read_text("utf-8").splitlines():
        if line.startswith("  "):
            field, _, kind = line.strip().partition(" ")
            found[message][field] = kind
        elif line:
            message = line
            found[message] = {}
    return found


def check(service: str, message: str, value: Any, root: str) -> None:
    """Refuses a body that is no `message`. root: what the request calls it, e.g. `queue`; empty
    when the body is the request itself."""
    _check(tables(service), message, value, root)


def cleaned(service: str, message: str, value: Json) -> Json:
    """Without what a proto3 message does not keep: nulls, empty values, zeros, unspecified."""
    result: Json = _cleaned(tables(service), message, value)
    return result


def known_path(service: str, message: str, path: str) -> bool:
    """Whether a field mask may name it, e.g. `serviceConfig.availableCpu`."""
    fields = tables(service)
    kind = message
    for part in path.split("."):
        if kind not in fields or part not in fields[kind]:
            # Below a map, every key is a field.
            return kind.startswith("{")
        kind = fields[kind][part]
    return True


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def _check(fields: Tables, kind: str, value: Any, at: str) -> None:
    if value is None or kind == "any":
        return
    if kind.startswith("["):
        _check_list(fields, kind[1:-1], value, at)
    elif kind.startswith("{"):
        _check_map(fields, kind[1:-1], value, at)
    elif kind in fields:
        _check_message(fields, kind, value, at)
    elif not _fits(kind, value):
        raise _misfit(kind, value, at)


def _check_list(fields: Tables, kind: str, value: Any, at: str) -> None:
    if not isinstance(value, list):
        raise _misfit("LIST", value, at)
    for number, item in enumerate(value):
        _check(fields, kind, item, f"{at}[{number}]")


def _check_map(fields: Tables, kind: str, value: Any, at: str) -> None:
    if not isinstance(value, dict):
        raise _misfit("MAP", value, at)
    for item in value.values():
        _check(fields, kind, item, f"{at}.value")


def _check_message(fields: Tables, kind: str, value: Any, at: str) -> None:
    if not isinstance(value, dict):
        raise _misfit(kind, value, at)
    for name, item in value.items():
        if name not in fields[kind]:
            raise _unknown(name, at)
        _check(fields, fields[kind][name], item, f"{at}.{snake(name)}" if at else snake(name))


def _fits(kind: str, value: Any) -> bool:
    if "|" in kind:
        # Its parser takes any case, and gcloud sends some as a person wrote them.
        return isinstance(value, str) and value.upper() in kind.split("|")
    if kind in _INTEGERS:
        return _is_integer(kind, value)
    match kind:
        case "string":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "bytes":
            return isinstance(value, str) and _is_base64(value)
        case "double" | "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
    raise LookupError(f"messages/ names no kind {kind}")


def _is_integer(kind: str, value: Any) -> bool:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value):
        value = int(value)
    return isinstance(value, int) and not isinstance(value, bool) and value in _INTEGERS[kind]


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        return False
    return True


def _unknown(name: str, at: str) -> Refusal:
    where = f" at '{at}'" if at else ""
    text = f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
    return bad_field(at, text)


def _misfit(kind: str, value: Any, at: str) -> Refusal:
    told = "TYPE_ENUM" if "|" in kind else f"TYPE_{kind.upper()}"
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return bad_field(at, f"Invalid value at '{at}' ({told}), {shown}")


def _cleaned(fields: Tables, kind: str, value: Any) -> Any:
    if kind.startswith("[") and isinstance(value, list):
        return [_cleaned(fields, kind[1:-1], item) for item in value]
    if kind.startswith("{") and isinstance(value, dict):
        return {name: _cleaned(fields, kind[1:-1], item) for name, item in value.items()}
    if "|" in kind:
        return value.upper()
    if kind not in fields or not isinstance(value, dict):
        return value
    kinds = fields[kind]
    kept = {
        name: item for name, item in value.items() if not _is_default(fields, kinds[name], item)
    }
    return {name: _cleaned(fields, kinds[name], item) for name, item in kept.items()}


def _is_default(fields: Tables, kind: str, value: Any) -> bool:
    """An empty message is something, an empty list or map is nothing."""
    if value is None:
        return True
    if kind in fields:
        return False
    if "|" in kind:
        return bool(value.upper() == kind.partition("|")[0] and value.endswith("_UNSPECIFIED"))
    return value in ("", 0, 0.0, False, "0") if not isinstance(value, list | dict) else not value
