"""The answers of commands, as printed with `--json` and described in `schemas/`.

Members are only ever added. Times are UTC, lengths metres, speeds metres per second, levels 0 to 1,
ages seconds.
"""

from typing import Literal

from msgspec import Struct

from shared.model.access import App
from shared.model.time import Instant


class Paired(Struct, frozen=True, kw_only=True):
    """A device and its new credential, which is shown this once.

    renewed: the device was paired before; its old credential works until this one is first used.
    An app sends either username and password, or the token as bearer. setup_link: what the app
    opens to configure itself; null where there is none or a phone could not reach the url.
    encryption_key: the passphrase the app encrypts with. warning: what the owner should know.
    """

    device: str
    name: str
    app: App
    renewed: bool
    url: str
    username: str
    password: str
    token: str
    setup_link: str | None
    encryption_key: str | None
    warning: str | None


class DeviceState(Struct, frozen=True, kw_only=True):
    """A device and what was last heard of it.

    paired: it has a credential that works. age: since last_report. silent: it is paired and
    nothing came for a day. sees: ids of the devices whose positions its app is shown.
    """

    device: str
    name: str
    app: App
    paired: bool
    encrypted: bool
    created: Instant
    last_report: Instant | None
    age: float | None
    battery: float | None
    silent: bool
    sees: tuple[str, ...]


class Location(Struct, frozen=True, kw_only=True):
    """Where a device was. asked: the moment in question; age: from `time` to it."""

    device: str
    name: str
    time: Instant
    lat: float
    lon: float
    accuracy: float | None
    age: float
    asked: Instant
    altitude: float | None
    speed: float | None
    course: float | None
    battery: float | None


class OwnerProfile(Struct, frozen=True, kw_only=True):
    """saved: false while the zone is only what this machine is set to."""

    zone: str
    home_region: str | None
    units: Literal["metric", "imperial"]
    saved: bool


class NewToken(Struct, frozen=True, kw_only=True):
    """A credential that reads everything, shown this once."""

    name: str
    token: str


class TokenInfo(Struct, frozen=True, kw_only=True):
    """A token that there is. Its text is kept nowhere."""

    name: str
    created: Instant


class Unpaired(Struct, frozen=True, kw_only=True):
    """A device whose credential was taken away. What it reported is kept."""

    device: str
    name: str


class Revoked(Struct, frozen=True, kw_only=True):
    """A token that is worthless from now on."""

    name: str


class Shared(Struct, frozen=True, kw_only=True):
    """sees: ids of the devices whose positions the app of `device` is shown."""

    device: str
    name: str
    sees: tuple[str, ...]


class Queued(Struct, frozen=True, kw_only=True):
    """waiting: the commands that the device's next report will be answered with."""

    device: str
    name: str
    waiting: tuple[str, ...]


class Check(Struct, frozen=True, kw_only=True):
    """One thing that was looked at. fix: what to do, unless all is well."""

    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    fix: str | None = None


ANSWERS = (
    Paired,
    DeviceState,
    Location,
    OwnerProfile,
    NewToken,
    TokenInfo,
    Unpaired,
    Revoked,
    Shared,
    Queued,
    Check,
)
"""Every answer that a command prints, for the generator of `schemas/`."""
