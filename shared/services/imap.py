"""Mail on a server, over IMAP (RFC 3501, RFC 9051).

Nothing is changed there: folders are only examined, bodies only peeked at. What is deleted there
stays here, and labels stay as they were when a mail was read.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from ipaddress import ip_address
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from shared.model.steps import Step
from shared.services.protocol import ANSWER_WITHIN, Asked, BadOptions, NotLetIn
from shared.sources import mail

NAME = "imap"
VERSION = mail.VERSION

_PORTS = {"tls": 993, "starttls": 143, "none": 143}

_HOST = re.compile(r"[^\s/@\[\]\x00-\x20\x7f]+")

_Name = Annotated[str, Meta(min_length=1)]


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """port: 993, or 143 where a connection begins without encryption. security: how it is
    encrypted; `none` is for this machine only. folders: to read no others; without it all but
    drafts, junk and trash, and but one of all mails where there are others. since: no mail that
    came before that day."""

    host: _Name
    user: _Name
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    security: Literal["tls", "starttls", "none"] = "tls"
    folders: Annotated[tuple[_Name, ...], Meta(min_length=1)] | None = None
    since: date | None = None


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = msgspec.convert(options, Options)
    except msgspec.ValidationError as error:
        raise BadOptions(
            f"{error}; imap needs host and user, and may have port, security (tls, starttls), "
            "folders (a list of names) and since (a day: 2026-11-25)"
        ) from None
    if not _is_host(found.host):
        raise BadOptions(f"{found.host!r} is not the name of a host: write host=imap.example.org")
    for name in (found.user, *(found.folders or ())):
        if not name.isprintable():
            raise BadOptions(f"{name!r} has a character that is in no name; write it without")
    if found.security == "none" and not _is_here(found.host):
        raise BadOptions(
            f"without encryption only this machine is asked, and not {found.host}; write security: "
            "tls or starttls"
        )
    filled = msgspec.structs.replace(found, port=found.port or _PORTS[found.security])
    kept: dict[str, Any] = msgspec.to_builtins(filled)
    return kept


def _is_host(host: str) -> bool:
    try:
        return bool(_HOST.fullmatch(host) and host.encode("idna"))
    except UnicodeError:
        return False


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def steps(asked: Asked) -> Iterator[Step]:
    from shared.services.imap_connection import Connection
    from shared.services.imap_reading import Reading

    options = msgspec.convert(checked(asked.options), Options)
    if asked.secret is None:
        raise NotLetIn(f"there is no password for {options.user}; give one with --secret")
    connection = Connection(
        options.host,
        options.port or _PORTS[options.security],
        options.security,
        options.user,
        asked.secret,
        ANSWER_WITHIN,
    )
    try:
        yield from Reading(NAME, connection, asked, options.folders, options.since).steps()
    finally:
        connection.close()
