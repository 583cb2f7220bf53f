"""The message classes of gcloud's own generated clients, read without importing them.

They are found beside the `gcloud` on PATH, in `lib/googlecloudsdk/generated_clients/apis`. A class
becomes a dict from field name to kind, in the notation of `schema`.
"""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

_FIELDS = {
    "StringField": "string",
    "BooleanField": "bool",
    "BytesField": "bytes",
    "FloatField": "double",
    "IntegerField": "int64",
    "DateTimeField": "string",
    "DateField": "string",
}

Kinds = dict[str, str]


def clients() -> Path | None:
    """The folder of the generated clients; None where there is no gcloud with one."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return None
    found = Path(gcloud).resolve().parent.parent / "lib/googlecloudsdk/generated_clients/apis"
    return found if found.is_dir() else None


def classes(apis: Path, service: str, version: str) -> dict[str, Kinds]:
    """Every message of a service: {message: {field: kind}}; a nested one is `Outer.Inner`."""
    path = apis / service / version / f"{service}_{version}_messages.py"
    tree = ast.parse(path.read_text("utf-8"))
    return {
        name: fields
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for name, fields in _messages(node, "")
    }


def _messages(node: ast.ClassDef, outer: str) -> Iterator[tuple[str, Kinds]]:
    name = outer + node.name
    inner = {child.name: child for child in node.body if isinstance(child, ast.ClassDef)}
    yield name, {field: _kind(call, inner, name) for field, call in _assigned(node)}
    for child in inner.values():
        yield from _messages(child, f"{name}.")


def _assigned(node: ast.ClassDef) -> Iterator[tuple[str, ast.Call]]:
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                yield name, call


def _kind(call: ast.Call, inner: dict[str, ast.ClassDef], outer: str) -> str:
    assert isinstance(call.func, ast.Attribute)
    field = call.func.attr
    options = {key.arg: key.value for key in call.keywords}
    if field in ("MessageField", "EnumField"):
        assert isinstance(call.args[0], ast.Constant)
        kind = _named(str(call.args[0].value), inner, outer)
    else:
        variant = options.get("variant")
        kind = variant.attr.lower() if isinstance(variant, ast.Attribute) else _FIELDS[field]
    return f"[{kind}]" if "repeated" in options else kind


def _named(name: str, inner: dict[str, ast.ClassDef], outer: str) -> str:
    """An enumeration is written out, a map is told by its values; all else is a name."""
    node = inner.get(name)
    if node is None:
        return "any" if name.startswith("extra_types.") else name
    if [base.attr for base in node.bases if isinstance(base, ast.Attribute)] == ["Enum"]:
        return "|".join(_constants(node))
    nested = {child.name: child for child in node.body if isinstance(child, ast.ClassDef)}
    if "AdditionalProperty" not in nested:
        return f"{outer}.{name}"
    values = dict(_assigned(nested["AdditionalProperty"]))
    return "{" + _kind(values["value"], nested | inner, f"{outer}.{name}") + "}"


def _constants(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name
