"""Pairing: a device's credential, the URL its app delivers to, the link that sets the app up."""

import json
import secrets
import string
import unicodedata
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import quote

from msgspec.structs import replace

from shared.commands.access import is_paired
from shared.commands.answers import Paired
from shared.commands.errors import Refused
from shared.model import access as credentials
from shared.model import address
from shared.model.access import Access, App, Device, token_hash
from shared.model.address import is_loopback, is_readable_on_the_way
from shared.node import Node

PATHS: dict[App, str] = {
    "owntracks": "/ingest/pub",
    "overland": "/ingest/api/v1/overland/batches",
    "other": "/ingest/report",
}
"""Where each app delivers, below a base that may be a home node or the cloud."""

_NEW: App = "owntracks"
_ID_LETTERS = string.ascii_lowercase + string.digits


class Base(NamedTuple):
    """Where the functions are reached. asked: the owner named this URL for this pairing."""

    url: str
    asked: bool = False


def checked_base(url: str) -> str:
    """A base URL as typed, without a slash at its end; `Refused` unless it can be one."""
    try:
        return address.checked_base(url)
    except ValueError as error:
        raise Refused(str(error)) from None


def pair(node: Node, name: str, app: App | None, base: Base, *, encrypt: bool = False) -> Paired:
    """Makes a device of this name (for OwnTracks unless `app` is given) or renews its credential.

    A device that is there keeps its id, its app unless `app` is given, and its encryption key
    unless `encrypt` asks for a new one. Its old credential works until the new one is first used;
    what the phone encrypted with its last three old keys can be read for good.
    """
    name = _checked_name(name)
    token, fresh_id = secrets.token_urlsafe(24), _device_id()
    before: Device | None = None
    key: str | None = None

    def decide(access: Access) -> Access:
        nonlocal before, key
        before = access.device_named(name)
        device = before or Device(id=fresh_id, name=name, app=_NEW, created=node.clock())
        # One that was only read of in an archive is new to every app.
        known = device.app if device.app != "archive" else _NEW
        # All that can fail comes before the change: it would retire a credential shown earlier.
        device, key = _keyed(node, replace(device, app=app or known), encrypt=encrypt)
        return access.with_device(_credentialed(device, token))

    access = node.keyring.change(decide)
    device = access.devices[before.id if before else fresh_id]
    renewed = before is not None and is_paired(before)
    return _paired(device, token, key, base, renewed)


def owntracks_link(url: str, username: str, password: str, device: Device, key: str | None) -> str:
    """The link that configures OwnTracks (its manual, remote configuration).

    The base64 in it has letters and digits only, because apps disagree on how a link escapes the
    others: ASCII text gives no `+` and no `/` but for `>`, `?`, `~`, and spaces do the padding.
    """
    config = {
        "_type": "configuration",
        "mode": 3,  # HTTP
        "url": url,
        "auth": True,
        "username": username,
        "password": password,
        "deviceId": device.id,
        "tid": _initials(username, device.id),
    }
    if key is not None:
        config["encryptionKey"] = key
    text = json.dumps(config, separators=(",", ":"))
    for character in ">?~":
        text = text.replace(character, f"\\u{ord(character):04x}")
    text += " " * (-len(text) % 3)
    return f"owntracks:///config?inline={b64encode(text.encode()).decode()}"


def overland_link(url: str, token: str, device: Device) -> str:
    """The link that configures Overland (its README, "Setup URL")."""
    return (
        f"overland://setup?url={quote(url, safe='')}&token={quote(token, safe='')}"
        f"&device_id={device.id}&unique_id=yes"
    )


def _paired(device: Device, token: str, key: str | None, base: Base, renewed: bool) -> Paired:
    url, username = base.url + PATHS[device.app], _slug(device.name) or device.id
    reachable = base.asked or not is_loopback(base.url)
    link = _link(device, url, username, token, key) if reachable else None
    return Paired(
        device=device.id,
        name=device.name,
        app=device.app,
        renewed=renewed,
        url=url,
        username=username,
        password=token,
        token=token,
        setup_link=link,
        encryption_key=key,
        warning=_base_warning(base, device.app),
    )


def _link(device: Device, url: str, username: str, token: str, key: str | None) -> str | None:
    if device.app == "owntracks":
        return owntracks_link(url, username, token, device, key)
    if device.app == "overland":
        return overland_link(url, token, device)
    return None


def _base_warning(base: Base, app: App) -> str | None:
    if is_loopback(base.url) and app == "other":
        return f"Only programs on this machine reach {base.url}."
    if is_loopback(base.url):
        return f"A phone cannot reach {base.url}: to a phone, that address is the phone itself."
    if is_readable_on_the_way(base.url):
        return (
            "http:// sends the credential and every position readable to anyone on the way; "
            "use https:// outside your own network."
        )
    return None


def _keyed(node: Node, device: Device, *, encrypt: bool) -> tuple[Device, str | None]:
    """The device with the key it is to have, and that key in words."""
    if device.app != "owntracks":
        if encrypt:
            raise Refused(f"the app {device.app} cannot encrypt; leave --encrypt out")
        return credentials.rekeyed(device, None), None
    if encrypt:
        # OwnTracks takes the first 32 bytes of a passphrase as the key: these are 32 characters.
        key = secrets.token_urlsafe(24)
        return credentials.rekeyed(device, node.sealing_key().seal(key.encode())), key
    if device.sealed_key is None:
        return device, None
    return device, node.master_key.unseal(device.sealed_key).decode()


def _credentialed(device: Device, token: str) -> Device:
    if is_paired(device):
        return credentials.renewed(device, token)
    return replace(device, current=token_hash(token))


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 64 or not name.isprintable():
        raise Refused("a device needs a name of 1 to 64 printable characters, such as phone")
    return name


def _device_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(8))


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split())


def _initials(username: str, id: str) -> str:
    """Two characters that OwnTracks shows on its map."""
    return (username.replace("-", "") + id)[:2]
