"""Who may come in: devices that add, and the owner's tokens that read.

Only hashes of tokens are kept. One document holds all of it, so that checking a credential needs no
look-up, and a change is one guarded write.
"""

import hashlib
from typing import Any, ClassVar, Literal

from msgspec import Struct
from msgspec.structs import replace

from shared.model.time import Instant

App = Literal["owntracks", "overland", "other", "archive"]
"""What a device sends with; an `archive` was only ever read from one."""

ACCESS = "access"
"""The name of the document in the store."""

MOST_EARLIER_KEYS = 3


class Device(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A phone or program that pushes to us. Its id outlives its name and its credential.

    current, pending: hashes of its token, and of a renewed one that was not used yet.
    sealed_key: the passphrase it encrypts with, sealed under the master key. earlier_keys: those it
    had before, newest first: the phone may still hold reports that it encrypted with them.
    sees: ids of the devices whose positions the owner shares with it.
    commands: what the app shall be told with its next report, in the app's own words.
    """

    id: str
    name: str
    app: App
    created: Instant
    current: str | None = None
    pending: str | None = None
    sealed_key: str | None = None
    earlier_keys: tuple[str, ...] = ()
    sees: tuple[str, ...] = ()
    commands: tuple[dict[str, Any], ...] = ()


class OwnerToken(Struct, frozen=True, kw_only=True):
    """A credential that reads everything."""

    name: str
    hash: str
    created: Instant


class Access(Struct, frozen=True, kw_only=True, omit_defaults=True):
    SHAPE: ClassVar[int] = 1

    devices: dict[str, Device] = {}
    tokens: dict[str, OwnerToken] = {}

    def device_named(self, name: str) -> Device | None:
        """The device that goes by this name, in any case, or has it as id."""
        wanted = name.casefold()
        named = (d for d in self.devices.values() if d.name.casefold() == wanted)
        return next(named, None) or self.devices.get(name)

    def with_device(self, device: Device) -> "Access":
        return replace(self, devices={**self.devices, device.id: device})

    def without_device(self, id: str) -> "Access":
        """Without the device, and without it among what others see."""
        rest = {
            key: replace(device, sees=tuple(seen for seen in device.sees if seen != id))
            for key, device in self.devices.items()
            if key != id
        }
        return replace(self, devices=rest)

    def with_commands(self, id: str, commands: tuple[dict[str, Any], ...]) -> "Access":
        return self.with_device(replace(self.devices[id], commands=commands))

    def with_token(self, token: OwnerToken) -> "Access":
        return replace(self, tokens={**self.tokens, token.name: token})

    def without_token(self, name: str) -> "Access":
        return replace(self, tokens={k: v for k, v in self.tokens.items() if k != name})


def token_hash(token: str) -> str:
    """SHA-256: fast, and enough for tokens of 128 random bits or more."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def renewed(device: Device, token: str) -> Device:
    """With a new token to come; the old one works until the new one is first used."""
    return replace(device, pending=token_hash(token))


def rekeyed(device: Device, sealed_key: str | None) -> Device:
    """With this key, or none, and the one it had among the earlier ones."""
    if device.sealed_key is None or device.sealed_key == sealed_key:
        return replace(device, sealed_key=sealed_key)
    earlier = (device.sealed_key, *device.earlier_keys)[:MOST_EARLIER_KEYS]
    return replace(device, sealed_key=sealed_key, earlier_keys=earlier)


def promoted(device: Device) -> Device:
    """After the first use of the new token: the old one is gone."""
    return replace(device, current=device.pending, pending=None)
