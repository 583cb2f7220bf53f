"""Mail on a server, over IMAP (RFC 3501, RFC 9051).

A mail is named by its folder, the folder's UIDVALIDITY and its UID, which only grows (RFC 3501,
2.3.1.1); the cursor holds the last that was read of each folder. Nothing is changed on the server:
folders are only examined, bodies only peeked at. What is deleted there stays here.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from imaplib import IMAP4
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from shared.model.records import NamedRecord
from shared.model.steps import STEP_BYTES, Bad, Step
from shared.services.protocol import (
    ANSWER_WITHIN,
    Asked,
    BadOptions,
    CannotBeAsked,
    NotLetIn,
)
from shared.sources import mail
from shared.sources.mail import MAIL_LIMIT, SHOWN, Keeping, read_mail, too_large

if TYPE_CHECKING:
    from shared.services.imap_connection import Connection

NAME = "imap"
VERSION = mail.VERSION

_T = TypeVar("_T")

_UIDS_AT_ONCE = 20_000
"""UIDs that are asked about with one search; of most of them there may be no mail any more."""
_LISTED_AT_ONCE = 200
_NOT_READ = frozenset((b"\\Noselect", b"\\NonExistent", b"\\Junk", b"\\Trash", b"\\Drafts"))
_ALL = b"\\All"
_LATER = ("UNAVAILABLE", "LIMIT", "INUSE", "SERVERBUG")
"""Codes of RFC 5530 with which a login fails though the password may be right."""

_LOCAL = ("localhost", "127.0.0.1", "::1")


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """security: how the connection is encrypted; `none` is for this machine only. folders: to read
    no others. since: no mail that came before that day."""

    host: Annotated[str, Meta(min_length=1)]
    user: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    security: Literal["tls", "starttls", "none"] = "tls"
    folders: tuple[str, ...] | None = None
    since: date | None = None


class _Place(Struct, frozen=True, array_like=True):
    """How far a folder was read."""

    validity: int
    uid: int


class _Entry(NamedTuple):
    uid: int
    size: int
    labels: tuple[str, ...]
    delivered: datetime | None


class _Lost(ConnectionError):
    """The folder is not there any more, or cannot be examined."""


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = msgspec.convert(options, Options)
    except msgspec.ValidationError as error:
        raise BadOptions(
            f"{error}; imap needs host and user, and may have port, security (tls, starttls), "
            "folders and since"
        ) from None
    if found.security == "none" and found.host not in _LOCAL:
        raise BadOptions(f"without encryption only this machine is asked, and not {found.host}")
    kept: dict[str, Any] = msgspec.to_builtins(found)
    return kept


def steps(asked: Asked) -> Iterator[Step]:
    options = msgspec.convert(asked.options, Options)
    client = _connected(options, asked.secret)
    try:
        yield from _Reading(client, options, asked).steps()
    finally:
        _close(client)


def _connected(options: Options, secret: str | None) -> "Connection":
    from shared.services.imap_connection import connection

    if secret is None:
        raise NotLetIn(f"there is no password for {options.user}; give one with --secret")
    context = ssl.create_default_context()
    at_once = context if options.security == "tls" else None
    try:
        client = _asked(lambda: connection(options.host, options.port, at_once, ANSWER_WITHIN))
    except ssl.SSLCertVerificationError as error:
        raise _is_not_trusted(options, error) from error
    except _Refused as error:
        raise ConnectionError(f"{options.host} lets nobody in: {error}") from error
    try:
        _let_in(client, options, secret, context)
    except BaseException:
        _close(client)
        raise
    client.normalise_times = False
    return client


def _let_in(client: "Connection", options: Options, secret: str, context: ssl.SSLContext) -> None:
    try:
        if options.security == "starttls":
            _asked(lambda: client.starttls(context))
        _asked(lambda: client.login(options.user, secret))
    except ssl.SSLCertVerificationError as error:
        raise _is_not_trusted(options, error) from error
    except _Refused as error:
        if any(code in str(error).upper() for code in _LATER):
            raise ConnectionError(f"{options.host} lets nobody in now: {error}") from error
        raise NotLetIn(
            f"{options.host} refuses the password of {options.user}; many providers want one made "
            "for a program (an app password)"
        ) from None


def _is_not_trusted(options: Options, error: ssl.SSLCertVerificationError) -> CannotBeAsked:
    return CannotBeAsked(
        f"the certificate of {options.host} is not to be trusted ({error.verify_message}); see "
        "that the host is written as in its certificate"
    )


class _Refused(Exception):
    """The server answered NO or BAD."""


def _asked(request: Callable[[], _T]) -> _T:
    """What the server answers. `OSError` where it does not, or not in IMAP; `_Refused`."""
    try:
        return request()
    except IMAP4.abort as error:
        raise ConnectionError(f"the connection to the server was lost: {error}") from error
    except IMAP4.error as error:
        raise _Refused(str(error)) from error
    except (TimeoutError, OSError):
        raise
    except (ValueError, LookupError, TypeError, AssertionError, AttributeError) as error:
        raise ConnectionError("the server does not answer as IMAP wants it") from error


def _close(client: "Connection") -> None:
    try:
        client.shutdown()
    except (OSError, IMAP4.error):
        return


class _Reading:
    def __init__(self, client: "Connection", options: Options, asked: Asked) -> None:
        self._client = client
        self._options = options
        self._now = asked.now
        self._most = asked.most
        places = msgspec.json.decode(asked.cursor, type=dict[str, _Place]) if asked.cursor else {}
        self._places = places
        self._done = 0
        self._is_gmail = _asked(lambda: client.has_capability("X-GM-EXT-1"))

    def steps(self) -> Iterator[Step]:
        folders = self._folders()
        self._places = {name: at for name, at in self._places.items() if name in folders}
        for folder in folders:
            try:
                yield from self._folder(folder)
            except _Lost:
                self._places.pop(folder, None)  # renamed or deleted since it was listed

    def _folders(self) -> list[str]:
        """Their names, in an order that stays."""
        listed = [
            (frozenset(flags), name)
            for flags, _, name in self._answered(self._client.list_folders)
            if isinstance(name, str)
        ]
        there = sorted(name for _, name in listed)
        wanted = self._options.folders
        if wanted is not None:
            missing = [name for name in wanted if name not in there]
            if missing:
                raise CannotBeAsked(
                    f"there is no folder {missing[0]!r}; there is {', '.join(there[:50])}"
                )
            return sorted(wanted)
        if self._is_gmail:
            # What is in no folder any more is only in this one, and all else is, too.
            every = [name for flags, name in listed if _ALL in flags]
            if every:
                return every[:1]
        return sorted(name for flags, name in listed if _ALL not in flags and not flags & _NOT_READ)

    def _answered(self, request: Callable[[], _T]) -> _T:
        try:
            return _asked(request)
        except _Refused as error:
            raise ConnectionError(f"the server refuses: {error}") from error

    def _folder(self, folder: str) -> Iterator[Step]:
        try:
            status = _asked(partial(self._client.select_folder, folder, readonly=True))
        except _Refused as error:
            raise _Lost(str(error)) from error
        validity, following = int(status[b"UIDVALIDITY"]), int(status.get(b"UIDNEXT", 0))
        place = self._places.get(folder)
        read = place.uid if place is not None and place.validity == validity else 0
        while read + 1 < following:
            last = min(read + _UIDS_AT_ONCE, following - 1)
            uids = iter(self._uids(read + 1, last))
            while some := list(islice(uids, _LISTED_AT_ONCE)):
                yield from self._some(folder, validity, some)
            read = last
            if self._place(folder, validity, read):
                yield self._step([], {}, [])

    def _place(self, folder: str, validity: int, uid: int) -> bool:
        """Whether that is further than before."""
        before = self._places.get(folder)
        self._places = {**self._places, folder: _Place(validity, uid)}
        return before != self._places[folder]

    def _uids(self, first: int, last: int) -> Sequence[int]:
        criteria: list[Any] = ["UID", f"{first}:{last}"]
        if self._options.since is not None:
            criteria += ["SINCE", self._options.since]
        found = self._answered(lambda: self._client.search(criteria))
        return sorted({int(uid) for uid in found if first <= uid <= last})

    def _some(self, folder: str, validity: int, uids: Sequence[int]) -> Iterator[Step]:
        records: list[NamedRecord] = []
        raws: dict[str, bytes] = {}
        bad: list[Bad] = []
        size = 0
        for entry, data in self._bodies(self._entries(uids)):
            where = f"{folder}, mail {entry.uid}"
            found = self._mail(folder, entry, data, where)
            if isinstance(found, Bad):
                bad.append(found)
            else:
                records += found.records
                raws |= found.raws
            size += len(data)
            self._done += entry.size
            self._place(folder, validity, entry.uid)
            if size >= STEP_BYTES or len(records) + len(bad) >= self._most:
                yield self._step(records, raws, bad)
                records, raws, bad, size = [], {}, [], 0
        if records or bad:
            yield self._step(records, raws, bad)

    def _mail(self, folder: str, entry: _Entry, data: bytes, where: str) -> "mail.Mail | Bad":
        if entry.size > MAIL_LIMIT:
            return too_large(where, data, entry.size)
        keeping = Keeping(
            source=NAME,
            where=where,
            now=self._now,
            labels=entry.labels if self._is_gmail else (folder, *entry.labels),
            delivered=entry.delivered,
            written=self._now,
        )
        return read_mail(data, keeping)

    def _step(self, records: list[NamedRecord], raws: dict[str, bytes], bad: list[Bad]) -> Step:
        cursor = msgspec.json.encode(self._places).decode()
        return Step(cursor, self._done, records, raws, bad)

    def _entries(self, uids: Sequence[int]) -> list[_Entry]:
        """In the order of their UIDs; those that were expunged meanwhile are not there."""
        items = ["RFC822.SIZE", "FLAGS", "INTERNALDATE"]
        items += ["X-GM-LABELS"] if self._is_gmail else []
        found = self._answered(lambda: self._client.fetch(uids, items))
        return [_entry(uid, found[uid]) for uid in uids if b"RFC822.SIZE" in found.get(uid, {})]

    def _bodies(self, entries: Sequence[_Entry]) -> Iterator[tuple[_Entry, bytes]]:
        for group in _groups(entries):
            most = SHOWN if group[0].size > MAIL_LIMIT else MAIL_LIMIT
            item = f"BODY.PEEK[]<0.{most}>"
            uids = [entry.uid for entry in group]
            found = self._answered(partial(self._client.fetch, uids, [item]))
            for entry in group:
                data = found.get(entry.uid, {}).get(b"BODY[]<0>")
                if isinstance(data, bytes):  # else it was expunged meanwhile
                    yield entry, data


def _groups(entries: Sequence[_Entry]) -> Iterator[list[_Entry]]:
    """Some whose bodies are fetched at once; one that is too large by itself."""
    group: list[_Entry] = []
    size = 0
    for entry in entries:
        if group and size + entry.size > STEP_BYTES:
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry.size
    if group:
        yield group


def _entry(uid: int, found: Mapping[bytes, Any]) -> _Entry:
    delivered = found.get(b"INTERNALDATE")
    return _Entry(
        uid,
        max(0, int(found[b"RFC822.SIZE"])),
        tuple(_labels(found)),
        delivered if isinstance(delivered, datetime) and delivered.tzinfo else None,
    )


_MEANINGS = {
    b"\\Answered": "Replied",
    b"\\Draft": "Draft",
    b"\\Flagged": "Flagged",
    b"\\Seen": "Seen",
    b"$Forwarded": "Passed",
}
"""The same words as for the flags of a Maildir."""


def _labels(found: Mapping[bytes, Any]) -> Iterator[str]:
    from imapclient.imap_utf7 import decode

    for label in found.get(b"X-GM-LABELS", ()):
        text = decode(label) if isinstance(label, bytes) else str(label)
        yield text.removeprefix("\\")
    flags = {flag for flag in found.get(b"FLAGS", ()) if isinstance(flag, bytes)}
    yield from sorted(_MEANINGS[flag] for flag in flags & _MEANINGS.keys())
