"""Pairing: the literal links that apps open, and what renewing keeps."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.commands.access import access_of
from shared.commands.answers import Paired
from shared.commands.devices import unpair
from shared.commands.errors import Refused
from shared.commands.pairing import (
    PATHS,
    Base,
    checked_base,
    overland_link,
    owntracks_link,
    pair,
)
from shared.http.ingest import SOURCES
from shared.model.access import App, Device
from shared.node import Node
from shared.sealing import BadMasterKey, CannotUnseal

BASE = Base("https://yurt.example.org", asked=True)
PHONE = Device(
    id="k3v9x0ab", name="phone", app="owntracks", created=datetime(2026, 11, 1, tzinfo=UTC)
)


@pytest.mark.parametrize(
    ("url", "username", "password", "key", "config"),
    [
        (
            "https://yurt.example.org/ingest/pub",
            "phone",
            "s3cret",
            None,
            {
                "_type": "configuration",
                "mode": 3,
                "url": "https://yurt.example.org/ingest/pub",
                "auth": True,
                "username": "phone",
                "password": "s3cret",
                "deviceId": "k3v9x0ab",
                "tid": "ph",
            },
        ),
        (
            "http://192.168.1.5:8080/~ada/ingest/pub",
            "x",
            "~>?-_",
            "correct horse",
            {
                "_type": "configuration",
                "mode": 3,
                "url": "http://192.168.1.5:8080/~ada/ingest/pub",
                "auth": True,
                "username": "x",
                "password": "~>?-_",
                "deviceId": "k3v9x0ab",
                "tid": "xk",
                "encryptionKey": "correct horse",
            },
        ),
    ],
)
def test_owntracks_link(
    url: str, username: str, password: str, key: str | None, config: dict[str, Any]
) -> None:
    link = owntracks_link(url, username, password, PHONE, key)
    head, inline = link.split("?inline=")
    assert head == "owntracks:///config"
    assert inline.isalnum(), "characters that apps unescape differently"
    assert json.loads(base64.b64decode(inline, validate=True)) == config


def test_owntracks_link_to_the_letter() -> None:
    assert owntracks_link("https://y.example/ingest/pub", "phone", "s3cret", PHONE, None) == (
        "owntracks:///config?inline="
        "eyJfdHlwZSI6ImNvbmZpZ3VyYXRpb24iLCJtb2RlIjozLCJ1cmwiOiJodHRwczovL3kuZXhhbXBsZS9pbmdlc3QvcHVi"
        "IiwiYXV0aCI6dHJ1ZSwidXNlcm5hbWUiOiJwaG9uZSIsInBhc3N3b3JkIjoiczNjcmV0IiwiZGV2aWNlSWQiOiJrM3Y5"
        "eDBhYiIsInRpZCI6InBoIn0g"
    )


def test_overland_link_to_the_letter() -> None:
    url = "https://y.example/ingest/api/v1/overland/batches"
    assert overland_link(url, "s3c-r_et", PHONE) == (
        "overland://setup?url=https%3A%2F%2Fy.example%2Fingest%2Fapi%2Fv1%2Foverland%2Fbatches"
        "&token=s3c-r_et&device_id=k3v9x0ab&unique_id=yes"
    )


@pytest.mark.parametrize(
    ("app", "url", "scheme"),
    [
        ("owntracks", "https://yurt.example.org/ingest/pub", "owntracks"),
        ("overland", "https://yurt.example.org/ingest/api/v1/overland/batches", "overland"),
        ("other", "https://yurt.example.org/ingest/report", None),
    ],
)
def test_each_app_gets_its_url_and_link(node: Node, app: App, url: str, scheme: str | None) -> None:
    paired = pair(node, "Ada's  phone", app, BASE)
    assert (paired.name, paired.app, paired.url) == ("Ada's phone", app, url)
    assert (paired.username, paired.password) == ("ada-s-phone", paired.token)
    assert (paired.encryption_key, paired.warning) == (None, None)
    assert (paired.setup_link and urlsplit(paired.setup_link).scheme) == scheme
    device = node.keyring.device(paired.token)
    assert device is not None
    assert device.id == paired.device
    assert len(device.id) == 8
    assert device.id.isalnum()


def test_each_app_delivers_where_its_reader_is() -> None:
    readers = {app: SOURCES[path.removeprefix("/ingest")].NAME for app, path in PATHS.items()}
    assert readers == {"owntracks": "owntracks", "overland": "overland", "other": "plain"}


def test_the_link_carries_what_is_printed(node: Node) -> None:
    paired = pair(node, "ipad", "overland", BASE)
    asked = parse_qs(urlsplit(paired.setup_link or "").query)
    assert asked == {
        "url": [paired.url],
        "token": [paired.token],
        "device_id": [paired.device],
        "unique_id": ["yes"],
    }


def test_a_name_without_latin_letters_goes_by_its_id(node: Node) -> None:
    paired = pair(node, "電話", None, BASE)
    assert paired.username == paired.device
    assert config_of(paired)["tid"] == paired.device[:2]


def test_renewing_keeps_the_device_and_the_old_credential_until_the_new_one_is_used(
    node: Node,
) -> None:
    first = pair(node, "phone", None, BASE)
    second = pair(node, "PHONE", None, BASE)
    assert second.device == first.device
    assert (first.renewed, second.renewed, second.name) == (False, True, "phone")
    assert node.keyring.device(first.token) is not None
    assert node.keyring.device(second.token) is not None
    assert node.keyring.device(first.token) is None


def test_an_unused_first_credential_still_works_after_renewing(node: Node) -> None:
    first = pair(node, "phone", None, BASE)
    pair(node, "phone", None, BASE)
    pair(node, "phone", None, BASE)
    assert node.keyring.device(first.token) is not None


def test_renewing_keeps_the_app_unless_another_is_named(node: Node) -> None:
    pair(node, "phone", "overland", BASE)
    assert pair(node, "phone", None, BASE).app == "overland"
    assert pair(node, "phone", "owntracks", BASE).app == "owntracks"


def test_pairing_again_after_unpairing_goes_on_with_the_same_device(node: Node) -> None:
    first = pair(node, "phone", None, BASE, encrypt=True)
    unpair(node, "phone")
    second = pair(node, "phone", None, BASE)
    assert second.device == first.device
    assert (second.renewed, second.encryption_key, second.warning) == (False, None, None)
    assert node.keyring.device(first.token) is None
    assert node.keyring.device(second.token) is not None


def test_an_encryption_key_is_sealed_kept_and_replaced_only_when_asked(node: Node) -> None:
    first = pair(node, "phone", None, BASE, encrypt=True)
    assert first.encryption_key is not None
    assert len(first.encryption_key.encode()) == 32
    assert config_of(first)["encryptionKey"] == first.encryption_key
    sealed = access_of(node).devices[first.device].sealed_key
    assert sealed is not None
    assert first.encryption_key not in sealed
    assert node.master_key.unseal(sealed).decode() == first.encryption_key

    kept = pair(node, "phone", None, BASE)
    assert (kept.encryption_key, kept.warning) == (first.encryption_key, None)

    changed = pair(node, "phone", None, BASE, encrypt=True)
    assert changed.encryption_key not in (None, first.encryption_key)
    assert changed.warning is None


def test_the_last_three_encryption_keys_are_kept_until_the_device_is_unpaired(node: Node) -> None:
    keys = [pair(node, "phone", None, BASE, encrypt=True).encryption_key for _ in range(5)]
    moved = pair(node, "phone", "overland", BASE)
    device = access_of(node).devices[moved.device]
    kept = [node.master_key.unseal(sealed).decode() for sealed in device.earlier_keys]
    assert (device.sealed_key, kept) == (None, keys[:-4:-1])
    unpair(node, "phone")
    assert access_of(node).devices[moved.device].earlier_keys == ()


@pytest.mark.parametrize(
    ("kept", "encrypt"),
    [(None, False), ("5e" * 32, False), ("5e", False), ("é", False), (None, True), ("5e", True)],
)
def test_without_the_master_key_pairing_fails_and_changes_nothing(
    node: Node, kept: str | None, encrypt: bool
) -> None:
    pair(node, "phone", None, BASE, encrypt=True)
    printed = pair(node, "phone", None, BASE)
    before = access_of(node)
    key = node.settings.data / "master.key"
    key.unlink()
    del node.master_key
    if kept is not None:
        key.write_text(kept, "utf-8")
    with pytest.raises((BadMasterKey, CannotUnseal)):
        pair(node, "phone", None, BASE, encrypt=encrypt)
    assert access_of(node) == before
    assert key.exists() is (kept is not None)
    assert node.keyring.device(printed.token) is not None


def test_after_a_lost_key_devices_begin_anew_once_they_were_unpaired(node: Node) -> None:
    pair(node, "phone", None, BASE, encrypt=True)
    (node.settings.data / "master.key").unlink()
    unpair(node, "phone")
    assert pair(node, "phone", None, BASE, encrypt=True).encryption_key is not None


def test_what_cannot_encrypt_makes_no_master_key(node: Node) -> None:
    with pytest.raises(Refused, match="cannot encrypt"):
        pair(node, "phone", "other", BASE, encrypt=True)
    assert not (node.settings.data / "master.key").exists()


def test_another_app_has_no_encryption_key(node: Node) -> None:
    pair(node, "phone", None, BASE, encrypt=True)
    moved = pair(node, "phone", "overland", BASE)
    assert moved.encryption_key is None
    with pytest.raises(Refused, match="cannot encrypt"):
        pair(node, "phone", None, BASE, encrypt=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:8080"])
def test_loopback_is_never_put_in_a_link_unless_asked_for(node: Node, url: str) -> None:
    paired = pair(node, "phone", None, Base(url))
    assert paired.setup_link is None
    assert f"A phone cannot reach {url}" in (paired.warning or "")
    assert paired.url == f"{url}/ingest/pub"
    assert node.keyring.device(paired.token) is not None

    insisted = pair(node, "phone", None, Base(url, asked=True))
    assert config_of(insisted)["url"] == f"{url}/ingest/pub"
    assert insisted.warning == paired.warning


def test_a_credential_that_travels_readable_is_warned_of(node: Node) -> None:
    paired = pair(node, "phone", None, Base("http://example.org", asked=True))
    assert "readable" in (paired.warning or "")
    assert paired.setup_link is not None


def test_what_cannot_be_a_base_is_refused() -> None:
    with pytest.raises(Refused, match="try: https://yurt"):
        checked_base("yurt.example.org")


@pytest.mark.parametrize("name", ["", "  ", "a\nb\0", "x" * 65, "bell\a", "\ud800"])
def test_names_that_nobody_could_type_again_are_refused(node: Node, name: str) -> None:
    with pytest.raises(Refused, match="1 to 64"):
        pair(node, name, None, BASE)


def config_of(paired: Paired) -> dict[str, Any]:
    assert paired.setup_link is not None
    config: dict[str, Any] = json.loads(base64.b64decode(paired.setup_link.split("inline=")[1]))
    return config
