"""A real CalDAV and CardDAV server, Radicale, for tests."""

import base64
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from shared.model.profile import Profile
from shared.services.protocol import Asked
from tests.emulators import Server

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
PASSWORD = "tr0mbone: ünique"
_USERS = 60

_CONFIG = """
[auth]
type = htpasswd
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
delay = 0
[rights]
type = owner_only
[storage]
filesystem_folder = {folder}/storage
[web]
type = none
"""
_MAKE_BOOK = (
    '<d:mkcol xmlns:d="DAV:" xmlns:x="urn:ietf:params:xml:ns:carddav"><d:set><d:prop>'
    "<d:resourcetype><d:collection/><x:addressbook/></d:resourcetype>"
    "<d:displayname>{name}</d:displayname></d:prop></d:set></d:mkcol>"
)
_MAKE_CALENDAR = (
    '<x:mkcalendar xmlns:d="DAV:" xmlns:x="urn:ietf:params:xml:ns:caldav"><d:set><d:prop>'
    "<d:displayname>{name}</d:displayname>"
    '<x:supported-calendar-component-set><x:comp name="{component}"/>'
    "</x:supported-calendar-component-set></d:prop></d:set></x:mkcalendar>"
)
_MAKE = {"carddav": ("MKCOL", _MAKE_BOOK), "caldav": ("MKCALENDAR", _MAKE_CALENDAR)}
_TYPES = {"carddav": "text/vcard", "caldav": "text/calendar"}


class Radicale(Server):
    """One server with many users, so that each test has one of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config").write_text(_CONFIG.format(folder=folder), "utf-8")
        users = "".join(f"user{n}:{PASSWORD}\n" for n in range(_USERS))
        (folder / "users").write_text(users, "utf-8")
        self._numbers = iter(range(_USERS))
        super().__init__(self._command, log=folder / "log")

    def _command(self, port: int) -> list[str]:
        config = str(self.folder / "config")
        return [
            sys.executable, "-m", "radicale", "--config", config, "--server-hosts", f"127.0.0.1:{port}",
        ]  # fmt: skip

    def user(self, service: str) -> "User":
        return User(self, service, f"user{next(self._numbers)}")


class User:
    """A user of one of the two services, and what is done with an app of theirs."""

    def __init__(self, server: Radicale, service: str, name: str) -> None:
        self.url = f"{server.url}/{name}/"
        self.server = server
        self.name = name
        self._service = service
        self._session = requests.Session()
        said = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
        self._session.headers["Authorization"] = f"Basic {said}"

    def make(self, folder: str, name: str, component: str = "VEVENT") -> None:
        method, body = _MAKE[self._service]
        self._do(method, f"{folder}/", body.format(name=name, component=component))

    def put(self, path: str, text: str) -> None:
        self._do("PUT", path, text, {"Content-Type": _TYPES[self._service]})

    def delete(self, path: str) -> None:
        self._do("DELETE", path, "")

    def _do(self, method: str, path: str, body: str, headers: dict[str, str] | None = None) -> None:
        answer = self._session.request(
            method, self.url + path, data=body.encode(), headers=headers, timeout=20
        )
        assert answer.status_code in (200, 201, 204), (answer.status_code, answer.text)

    def asked(self, cursor: str | None = None, secret: str | None = PASSWORD, **more: Any) -> Asked:
        options = {"url": f"{self.server.url}/", "user": self.name, **more}
        return asked(options, cursor, secret)


def asked(
    options: dict[str, Any], cursor: str | None = None, secret: str | None = PASSWORD
) -> Asked:
    return Asked(
        collector="mine",
        options=options,
        secret=secret,
        cursor=cursor,
        now=NOW,
        profile=Profile(zone="Europe/Berlin", home_region="DE"),
    )


def cards(numbers: range) -> Iterator[tuple[str, str]]:
    for number in numbers:
        yield f"{number}.vcf", card(str(number), f"Person {number}")


def card(uid: str, name: str, *lines: str) -> str:
    return "\r\n".join(
        [
            "BEGIN:VCARD",
            "VERSION:3.0",
            f"UID:{uid}",
            f"FN:{name}",
            "N:;;;;",
            *lines,
            "END:VCARD",
            "",
        ]
    )


def event(uid: str, title: str, *lines: str, start: str = "DTSTART:20261125T120000Z") -> str:
    return "\r\n".join(
        [
            "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", f"UID:{uid}",
            "DTSTAMP:20261101T000000Z", start, f"SUMMARY:{title}", *lines, "END:VEVENT",
            "END:VCALENDAR", "",
        ]
    )  # fmt: skip
