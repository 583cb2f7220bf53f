"""The generated files say what the code says, and what they say is right."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from infra import generate
from infra.generate import ROOT, generated, stale

GENERATED = generated()


@pytest.mark.parametrize("name", GENERATED)
def test_the_committed_file_is_the_generated_one(name: str) -> None:
    path = ROOT / name
    current = path.read_text("utf-8") if path.exists() else ""
    assert current == GENERATED[name], "run `make schemas`"


def test_nothing_is_left_of_what_the_code_no_longer_has() -> None:
    assert list(stale()) == [], "run `make schemas`"


def test_what_is_stale_is_removed_and_what_is_missing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/gone.schema.json").write_text("{}")
    generate.main()
    written = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*.json")}
    assert written == GENERATED


SCHEMAS = sorted(name for name in GENERATED if name.endswith(".schema.json"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_one(name: str) -> None:
    schema = json.loads(GENERATED[name])
    jsonschema.Draft202012Validator.check_schema(schema)
    assert name == f"schemas/{schema['$id']}"
    assert schema["title"]


NAMES = """fix status place visit event person message media reject device owner_token profile
report location paired"""


@pytest.mark.parametrize("record", NAMES.split())
def test_there_is_a_schema_of(record: str) -> None:
    assert f"schemas/{record}.schema.json" in SCHEMAS


FIX = {
    "kind": "fix",
    "source": "owntracks",
    "source_version": 1,
    "device": "p1",
    "time": "2026-11-01T12:00:00Z",
    "lat": 51.5,
    "lon": -0.125,
}
PERSON = {"kind": "person", "id": "person:1", "source": "vcard", "source_version": 1}
DEVICE = {"id": "p1", "name": "phone", "app": "owntracks", "created": "2026-11-01T12:00:00Z"}


def valid(name: str, instance: Any) -> bool:
    schema = json.loads((ROOT / f"schemas/{name}.schema.json").read_text())
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(schema, format_checker=checker).is_valid(instance)


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("fix", FIX),
        ("fix", {**FIX, "accuracy": 12, "power": "charging", "motion": ["walking"]}),
        ("fix", {**FIX, "extra": {"poi": {"deep": [1]}}, "asof": None}),
        ("status", {k: v for k, v in FIX.items() if k not in ("lat", "lon")} | {"kind": "status"}),
        ("person", {**PERSON, "keys": [{"kind": "email", "value": "ada@example.org"}]}),
        ("device", DEVICE),
        ("profile", {}),
        ("profile", {"zone": "Europe/Berlin", "home_region": "DE", "units": "metric"}),
        ("report", {"time": 1793534400, "lat": "51.5", "lon": -0.125, "anything": True}),
        ("report", {"time": "2026-11-01T12:00:00+01:00", "battery": None}),
    ],
)
def test_right_instances_are_valid(name: str, instance: Any) -> None:
    assert valid(name, instance)


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("fix", []),
        ("fix", {**FIX, "kind": "status"}),
        ("fix", {k: v for k, v in FIX.items() if k != "time"}),
        ("fix", {**FIX, "lat": "51.5"}),
        ("fix", {**FIX, "lat": None}),
        ("fix", {**FIX, "power": "solar"}),
        ("fix", {**FIX, "motion": "walking"}),
        ("fix", {**FIX, "extra": []}),
        ("person", {**PERSON, "keys": [{"kind": "fax", "value": "1"}]}),
        ("person", {**PERSON, "keys": ["ada@example.org"]}),
        ("device", {**DEVICE, "app": "paper"}),
        ("profile", {"units": "cubits"}),
        ("report", {"lat": 51.5, "lon": -0.125}),
        ("report", {"time": True}),
    ],
)
def test_wrong_instances_are_not(name: str, instance: Any) -> None:
    assert not valid(name, instance)


@pytest.mark.parametrize("name", ["fix", "status", "visit", "device", "location", "last_known"])
def test_times_are_date_times(name: str) -> None:
    properties = json.loads(GENERATED[f"schemas/{name}.schema.json"])["properties"]
    time = properties["created" if name == "device" else "time"]
    assert time == {"type": "string", "format": "date-time"}


def test_the_api_has_every_path_with_its_errors_described() -> None:
    document = json.loads(GENERATED["schemas/openapi.json"])
    there = {"/query/loc", "/query/reject/{id}/raw", "/ingest/pub", "/upload/{sha256}/sent"}
    assert there <= set(document["paths"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            statuses = set(operation["responses"])
            assert {"200", "401", "503"} <= statuses, path
            assert all(response["description"] for response in operation["responses"].values())
            assert all(p["description"] for p in operation.get("parameters", ())), path
