"""Parameters of a query: from the texts of a URL to a typed struct.

A parameter is declared once, as a field with a description in its `Meta`; `openapi` describes it
from there, and an error tells the same to who got it wrong.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields
from werkzeug.wrappers import Request

from shared.http.credentials import URL_PARAMETERS
from shared.http.errors import Problem

P = TypeVar("P", bound=Struct)

From = Annotated[
    datetime,
    Meta(tz=True, description="the beginning: RFC 3339 with an offset, or seconds since 1970"),
]
To = Annotated[
    datetime,
    Meta(
        tz=True,
        description="the end, which is not included: RFC 3339 with an offset, or seconds since "
        "1970",
    ),
]
Cursor = Annotated[
    str,
    Meta(
        description="where the page begins, as the answer before said it",
        extra_json_schema={"format": "cursor"},
    ),
]

FoundCursor = Annotated[
    str,
    Meta(
        description="where the page begins, as the answer before said it",
        pattern="^-?[0-9]{1,18}$",
    ),
]

# In a URL an unescaped plus sign means a space.
_LOST_PLUS = re.compile(r" (?=\d\d:?\d\d$)")


def parameters(kind: type[P], request: Request, path: Mapping[str, str]) -> P:
    """The struct that the URL's parameters, and the parts of its path, make.

    `Problem` 400 for one that is unknown, repeated, missing or cannot be meant.
    """
    declared = {field.encode_name: field for field in fields(kind)}
    found: dict[str, Any] = {}
    for name, text in (*path.items(), *_sent(request)):
        field = declared.get(name)
        if field is None or (name in path and field.name in found):
            known = [other for other in declared if other not in path]
            raise Problem(400, f"there is no parameter {_shown(name)} here; {_listed(known)}")
        if field.name in found:
            raise Problem(400, f"the parameter {name} is there twice; send it once")
        found[field.name] = _value(field, text)
    missing = [f.encode_name for f in fields(kind) if f.required and f.name not in found]
    if missing:
        field = declared[missing[0]]
        raise Problem(400, f"the parameter {missing[0]} is missing; it is {description(field)}")
    return kind(**found)


def description(field: FieldInfo) -> str:
    """What the parameter means and takes, as declared."""
    for part in (field.type, *get_args(field.type)):
        if get_origin(part) is Annotated:
            for meta in get_args(part)[1:]:
                if isinstance(meta, Meta) and meta.description:
                    return meta.description
    raise TypeError(f"the parameter {field.encode_name} has no description")


def is_instant(field: FieldInfo) -> bool:
    """Whether it takes a time: RFC 3339, or seconds since 1970."""
    types = (part for union in (field.type, *get_args(field.type)) for part in get_args(union))
    return field.type is datetime or datetime in types


def in_order(start: datetime | None, end: datetime | None) -> None:
    if start is not None and end is not None and start > end:
        raise Problem(400, "the parameter from is later than to; exchange them")


def _sent(request: Request) -> Iterator[tuple[str, str]]:
    for name, text in request.args.items(multi=True):
        if name not in URL_PARAMETERS:
            yield name, text


def _value(field: FieldInfo, text: str) -> Any:
    try:
        if is_instant(field):
            instant = msgspec.convert(_LOST_PLUS.sub("+", text), field.type, strict=False)
            return instant.astimezone(UTC)
        return msgspec.convert(text, field.type, strict=False)
    # A ValidationError is a ValueError; some years beyond 9999 come out as the latter.
    except (ValueError, OverflowError) as error:
        raise Problem(
            400,
            f"the parameter {field.encode_name} is {_shown(text)}, which cannot be meant: it is "
            f"{description(field)}",
        ) from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _listed(names: list[str]) -> str:
    return f"there are {', '.join(names)}" if names else "there are none"
