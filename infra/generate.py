"""Makes the files that are generated from the code: `python -m infra.generate`.

`schemas/` gets a JSON Schema (2020-12) of each record and answer, and `openapi.json`; beside this
module, the indexes of Firestore; for functions, the free tier. They are committed, so that nobody
needs Python to read them; a test holds them to the code.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from infra.cloud.allowances import allowances
from infra.indexes import indexes_json
from shared.commands.answers import ANSWERS
from shared.http import openapi
from shared.http.ingest import SOURCES
from shared.http.locations import LastKnown
from shared.http.query import ROUTES
from shared.http.upload import ACTS
from shared.model.access import Device, OwnerToken
from shared.model.profile import Profile
from shared.model.records import NAMED_KINDS, Fix, Status
from shared.sources.plain import Report

DRAFT = "https://json-schema.org/draft/2020-12/schema"
ROOT = Path(__file__).resolve().parent.parent

DESCRIBED: tuple[type[Struct], ...] = (
    Fix,
    Status,
    *NAMED_KINDS.values(),
    Device,
    OwnerToken,
    Profile,
    Report,
    LastKnown,
    *ANSWERS,
)


def generated() -> dict[str, str]:
    """The text of every generated file, by its path below the root."""
    files = {f"schemas/{_file_name(described)}": _schema(described) for described in DESCRIBED}
    if len(files) != len(DESCRIBED):
        raise ValueError("two of the types that `schemas/` describes have the same name")
    return {
        **files,
        "schemas/openapi.json": _text(openapi.document(ROUTES, SOURCES, ACTS)),
        "infra/firestore.indexes.json": indexes_json(),
        "shared/collecting/free_tier.json": _text(msgspec.to_builtins(allowances())),
    }


def stale() -> Iterator[Path]:
    """Files in `schemas/` that nothing in the code makes any more."""
    current = generated()
    for path in sorted((ROOT / "schemas").glob("*")):
        if str(path.relative_to(ROOT)) not in current:
            yield path


def main() -> None:
    for name, text in generated().items():
        path = ROOT / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            click.echo(f"wrote {name}")
    for path in stale():
        path.unlink()
        click.echo(f"removed {path.relative_to(ROOT)}")


def _file_name(described: type[Struct]) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", described.__name__).lower()
    return f"{words}.schema.json"


def _schema(described: type[Struct]) -> str:
    whole = msgspec.json.schema(described)
    others = whole["$defs"]
    schema = {
        "$schema": DRAFT,
        "$id": _file_name(described),
        **others.pop(described.__name__),
    }
    return _text({**schema, "$defs": others} if others else schema)


def _text(value: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


if __name__ == "__main__":
    main()
