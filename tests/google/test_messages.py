"""The tables of fields are those of the vendor: held against gcloud's generated clients."""

from pathlib import Path

import pytest

from tests.google import schema, vendor

# Versions of the clients whose messages a table has. The rules of Firebase are in none of them.
CLIENTS = {
    "artifactregistry": ["v1"],
    "billingbudgets": ["v1"],
    "cloudfunctions": ["v2"],
    "cloudresourcemanager": ["v1"],
    "cloudscheduler": ["v1"],
    "cloudtasks": ["v2"],
    "compute": ["v1"],
    "firestore": ["v1"],
    "iam": ["v1"],
    "run": ["v1", "v2"],
    "secretmanager": ["v1"],
    "serviceusage": ["v1"],
    "storage": ["v1"],
}
NO_VENDOR = {"firebaserules"}


@pytest.fixture(scope="module")
def apis() -> Path:
    found = vendor.clients()
    if found is None:
        pytest.skip("no gcloud: install it from https://cloud.google.com/sdk/docs/install")
    return found


def test_every_table_is_held_against_something() -> None:
    assert {path.stem for path in schema.TABLES.glob("*.txt")} == CLIENTS.keys() | NO_VENDOR


@pytest.mark.parametrize("service", CLIENTS)
def test_fields_are_the_vendors(apis: Path, service: str) -> None:
    known: schema.Tables = {}
    for version in CLIENTS[service]:
        known |= vendor.classes(apis, service, version)
    for message, fields in schema.tables(service).items():
        differing = {
            name: kind for name, kind in fields.items() if known[message].get(name) != kind
        }
        assert not differing, f"{message} of the vendor differs: {known[message]}"
