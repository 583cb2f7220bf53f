"""The API in OpenAPI 3.1, made from the tables that requests are answered from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from shared.http.errors import PROBLEM_JSON
from shared.http.parameters import description, is_instant
from shared.http.responses import JSON
from shared.http.routes import Act, Route

_SCHEMA = "#/components/schemas/{name}"
_SECONDS_SINCE_1970 = {
    "type": "number",
    "minimum": -62_135_596_800,
    "exclusiveMaximum": 253_402_300_800,
}
_ABOUT = (
    "A node of Yurt, as its functions are reached below its base URL: `query` answers the owner, "
    "`ingest` takes the reports of phones, `upload` the owner's files. Times are UTC, lengths "
    "metres, speeds metres per second, angles degrees, levels 0 to 1, ages seconds. An answer that "
    'does not hold everything names the next page in a `Link` header with `rel="next"`.'
)
_ERRORS = {
    400: "A parameter is unknown, missing or cannot be meant.",
    401: "No known credential was sent.",
    403: "The credential is a device's, which can only add reports.",
    404: "There is no such thing.",
    416: "There are fewer bytes than the range begins with; `Content-Range` says how many.",
    405: "The path is right, the method is not; `Allow` lists those that are.",
    409: "It does not fit what is here: not all of a file, another size, no such collector; the "
    "detail says which.",
    413: "The body is longer than what is said here can be.",
    500: "A stored record is damaged, or the store refuses this node; the detail says more.",
    501: "This node cannot do that; another of yours can.",
    503: "The store is unavailable. Ask again after `Retry-After` seconds, where it is there.",
}


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True):
    """An error (RFC 9457). detail: what was wrong, and what to do next."""

    type: str
    title: str
    status: int
    detail: str


def document(
    routes: Sequence[Route[Any]], deliveries: Iterable[str], acts: Sequence[Act]
) -> dict[str, Any]:
    """The description of `query` by its routes, of `ingest` by the paths apps deliver to, and of
    `upload` by what can be done there."""
    sent = [kind for route in routes for kind in route.answers.values()]
    said = [kind for act in acts for kind in (act.body, act.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        [*sent, *said, ProblemDetails], ref_template=_SCHEMA
    )
    described = iter(schemas)
    paths: dict[str, Any] = {}
    for route in routes:
        contents = {media_type: {"schema": next(described)} for media_type in route.answers}
        paths[f"/query{route.path}"] = {
            "get": _operation(route, contents),
            "head": _operation(route, None),
        }
    paths |= {f"/ingest{path}": _delivery(path) for path in deliveries}
    for act in acts:
        path = f"/upload{act.path.removesuffix('/')}"
        paths.setdefault(path, {})[act.method.lower()] = _done(act)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Yurt", "version": "1", "description": _ABOUT},
        # Beside the document as it is served: the base of all functions.
        "servers": [{"url": "..", "description": "the node that this document came from"}],
        "security": [{"bearer": []}, {"basic": []}, {"parameter": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY},
    }


def _operation(route: Route[Any], contents: Mapping[str, Any] | None) -> dict[str, Any]:
    """What can be asked with GET, or with HEAD, whose answers have no contents."""
    good: dict[str, Any] = {"description": route.summary}
    if contents is not None:
        good["content"] = {kind: _bare(content) for kind, content in contents.items()}
    if route.paged:
        good["headers"] = {"Link": {"description": "the next page", "schema": {"type": "string"}}}
    return {
        "operationId": route.name if contents is not None else f"{route.name}_head",
        "summary": route.summary,
        "tags": ["query"],
        "parameters": [
            *(_parameter(route, field) for field in fields(route.parameters)),
            *([_RANGE] if route.ranges and contents is not None else []),
        ],
        "responses": {
            "200": good,
            **({"206": {**good, "description": _PART}} if route.ranges and contents else {}),
            **_errors(route.errors, contents is not None),
        },
    }


def _bare(content: dict[str, Any]) -> dict[str, Any]:
    # Bytes as such have no schema in OpenAPI 3.1.
    return {} if content["schema"].get("contentEncoding") == "base64" else content


def _parameter(route: Route[Any], field: FieldInfo) -> dict[str, Any]:
    name = field.encode_name
    place = "path" if f"{{{name}}}" in route.path else "query"
    (schema,), _ = msgspec.json.schema_components([field.type])
    schema = {key: value for key, value in schema.items() if key != "description"}
    if is_instant(field):
        schema = {"anyOf": [schema, _SECONDS_SINCE_1970]}
    if isinstance(field.default, int | str):
        schema["default"] = field.default
    return {
        "name": name,
        "in": place,
        "required": field.required,
        "description": description(field),
        "schema": schema,
    }


def _delivery(path: str) -> dict[str, Any]:
    name = path.replace("/", "_")
    return {
        "get": {
            "operationId": f"deliver_in_url{name}",
            "summary": "The name of the device, or a report in the URL",
            "description": "Without parameters but for the credential, `u` and `d`: the name of "
            "the device. With others they are taken as a report, and kept as a reject where the "
            "path's format has none in a URL.",
            "tags": ["ingest"],
            "responses": {
                "200": {
                    "description": "The name, or: everything is durable.",
                    "content": {JSON: {"schema": {}}},
                },
                **_errors((400, 401, 503), True),
            },
        },
        "post": {
            "operationId": f"deliver{name}",
            "summary": "Reports of a phone, with its device's credential",
            "description": "Anything is taken, and 200 says that it is durable. What cannot be "
            "read is kept as a reject. What the body of the answer says is up to the app's format. "
            "PUT and PATCH are taken as POST.",
            "tags": ["ingest"],
            "requestBody": {"content": {"*/*": {}}},
            "responses": {
                "200": {"description": "Everything is durable.", "content": {JSON: {"schema": {}}}},
                **_errors((400, 401, 503), True),
            },
        },
    }


def _done(act: Act) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": act.name,
        "summary": act.summary,
        "tags": ["upload"],
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": meaning,
                "schema": {"type": "string"},
            }
            for name, meaning in act.parts.items()
        ],
        "responses": {
            "200": {"description": act.summary, "content": _json_of(act.answer)},
            **_errors(act.errors, True),
        },
    }
    if act.body is not None:
        operation["requestBody"] = {"required": True, "content": _json_of(act.body)}
    return operation


def _json_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {JSON: {"schema": {"$ref": _SCHEMA.format(name=kind.__name__)}}}


def _errors(statuses: Iterable[int], told: bool) -> dict[str, Any]:
    content = {
        "content": {PROBLEM_JSON: {"schema": {"$ref": _SCHEMA.format(name="ProblemDetails")}}}
    }
    return {
        str(status): {"description": _ERRORS[status], **(content if told else {})}
        for status in sorted(statuses)
    }


_PART = "A part of it, which may be shorter than was asked for; `Content-Range` says which."
_RANGE = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "one range of bytes (RFC 9110), such as `bytes=0-1023`",
    "schema": {"type": "string"},
}
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The token."},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The token as password, with any user name.",
    },
    "parameter": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "The token in the URL, for programs that can send it nowhere else.",
    },
}
