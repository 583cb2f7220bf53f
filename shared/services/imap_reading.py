"""What is new in the folders of an IMAP server.

A mail is named by its folder, the folder's UIDVALIDITY and its UID, which only grows (RFC 3501,
2.3.1.1); the cursor holds the last that was read of each folder.

Where the unread mails of a folder begin is looked for by their places, 1 to as many as there are:
UIDs have gaps of any size, and the answer to a search is as long as the folder. Places move when a
mail before them is deleted, so one counts as known only if the mail before it has been read.
"""

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NamedTuple, TypeGuard

import msgspec
from imapclient import IMAPClient, imap_utf7
from msgspec import Struct

from shared.model.records import NamedRecord
from shared.model.steps import STEP_BYTES, Bad, Step
from shared.services.imap_connection import ANSWER_BYTES, Connection, Refused
from shared.services.protocol import Asked, CannotBeAsked
from shared.sources.mail import MAIL_LIMIT, SHOWN, Keeping, Mail, read_mail, too_large

_LISTED = 200
_PIECE = 1_000_000
"""Bytes of mail that one request asks for, so that also a slow line brings them in time."""
_CURSOR_LIMIT = 100_000
"""Bytes. It is kept in one document."""
_LARGEST = 2**32 - 1  # of all numbers in IMAP
_LABELS = 100
_NAME = 200  # characters of a label
_NAMED = 50  # folders

_NOT_THERE = frozenset((b"\\noselect", b"\\nonexistent"))
_NOT_READ = frozenset((b"\\junk", b"\\trash", b"\\drafts"))
_ALL = b"\\all"
_MEANINGS = {
    b"\\answered": "Replied",
    b"\\deleted": "Trashed",
    b"\\draft": "Draft",
    b"\\flagged": "Flagged",
    b"\\seen": "Seen",
    b"$forwarded": "Passed",
}
"""The same words as for the flags of a Maildir."""

_LISTING = ("UID", "RFC822.SIZE", "FLAGS", "INTERNALDATE")
_GMAIL_LABELS = "X-GM-LABELS"


class _Place(Struct, frozen=True, array_like=True):
    """How far a folder was read."""

    validity: int
    uid: int


class _Cursor(Struct, frozen=True, omit_defaults=True):
    """places: by the names of folders as the server writes them. since: what they were read
    with. account: of which they are; the numbers of two may well be the same."""

    places: dict[str, _Place] = {}
    since: date | None = None
    account: str = ""


class _Folder(NamedTuple):
    """wire: its name as the server writes it."""

    wire: str
    name: str
    flags: frozenset[bytes]


class _Entry(NamedTuple):
    """size: bytes, as the server says, which is not always right. delivered: in UTC. day: of that,
    where the server is."""

    uid: int
    size: int
    labels: tuple[str, ...]
    delivered: datetime | None
    day: date | None


class Reading:
    """One run. source: of the records. folders, since: of its options."""

    def __init__(
        self,
        source: str,
        connection: Connection,
        asked: Asked,
        folders: Sequence[str] | None,
        since: date | None,
    ) -> None:
        self._source = source
        self._connection = connection
        self._now = asked.now
        self._most = asked.most
        self._wanted = folders
        self._since = since
        before = msgspec.json.decode(asked.cursor, type=_Cursor) if asked.cursor else _Cursor()
        # What was left out for its day is to be read now that it is not.
        is_wider = before.since is not None and (since is None or since < before.since)
        self._account = connection.account
        is_other = before.account not in ("", self._account)
        self._places = {} if is_wider or is_other else before.places
        self._last = asked.cursor or self._cursor()
        self._validity = 0  # of the folder that is examined
        self._done = 0
        self._begin_step()

    def steps(self) -> Iterator[Step]:
        folders = self._folders()
        there = {folder.wire for folder in folders}
        self._places = {wire: at for wire, at in self._places.items() if wire in there}
        later: list[str] = []
        for folder in folders:
            try:
                yield from self._folder(folder)
            except Refused as error:
                if error.may_pass:
                    later.append(f"{folder.name}: {error}")
                elif error.code != "NONEXISTENT":  # else it is gone since it was listed
                    reason = f"the server does not open it: {error}"
                    yield from self._kept(Bad(folder.name, reason, b"", 0))
        if self._records or self._bad or self._cursor() != self._last:
            yield from self._given()
        if later:
            raise ConnectionError(f"the server does not open {later[0]}")

    # Folders

    def _folders(self) -> list[_Folder]:
        """Those to read, in an order that stays."""
        there = self._there()
        if self._wanted is not None:
            chosen = _named(there, self._wanted)
        else:
            every = [folder for folder in there if _ALL in folder.flags]
            others = [folder for folder in there if not folder.flags & {_ALL, *_NOT_READ}]
            # On Gmail what is in no other folder is in this one, and it says in which the rest is.
            chosen = every if every and self._connection.is_gmail else others or every
        if sum(len(folder.wire) + 30 for folder in chosen) > _CURSOR_LIMIT:
            raise CannotBeAsked(
                f"there are {len(chosen)} folders, more than can be kept track of; name those to "
                "read in the option folders"
            )
        return chosen

    def _there(self) -> list[_Folder]:
        found: dict[str, _Folder] = {}
        for flags, _, name in self._connection.demand(lambda client: client.list_folders()):
            if not isinstance(name, (bytes, str)) or not isinstance(flags, tuple):
                continue
            wire = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
            kinds = frozenset(flag.lower() for flag in flags if isinstance(flag, bytes))
            if wire and not kinds & _NOT_THERE:
                found[wire] = _Folder(wire, _decoded(wire.encode()), kinds)
        return [found[wire] for wire in sorted(found)]

    def _examined(self, folder: _Folder) -> int:
        """How many mails are in it now. What was read of another one of that name is forgotten."""
        if not (folder.wire.isascii() and folder.wire.isprintable()):
            raise Refused("its name is not one of IMAP")
        select = partial(IMAPClient.select_folder, folder=folder.wire, readonly=True)
        status: Mapping[bytes, Any] = self._connection.ask(select)
        exists, validity = status.get(b"EXISTS"), status.get(b"UIDVALIDITY")
        if not _is_number(exists):
            raise ConnectionError("the server does not say how many mails there are")
        if not _is_number(validity):
            raise Refused("its mails have no numbers that stay")
        self._validity = validity
        place = self._places.get(folder.wire)
        if place is not None and place.validity != validity:
            del self._places[folder.wire]
        return exists

    def _folder(self, folder: _Folder) -> Iterator[Step]:
        exists = self._examined(folder)
        # Where those that were not read begin; a guess, from which it is mostly seen at once.
        first = exists + 1 if folder.wire in self._places else 1
        while True:
            listed = self._listed(first - 1, first + _LISTED - 1, exists)
            if first > 1 and not self._is_read(folder, listed.get(first - 1)):
                yield from self._paused()
                first = self._first_unread(folder, exists)
                listed = self._listed(first, first + _LISTED - 1, exists)
            if first > exists:
                return
            yield from self._mails(folder, listed.values())
            first = min(first + _LISTED, exists + 1)
            yield from self._paused()
            exists = self._examined(folder)

    def _first_unread(self, folder: _Folder, exists: int) -> int:
        """All mails before that place have been read. One that the server does not show any more
        counts as unread: nothing is missed by that."""
        low, high = 1, exists + 1
        while low < high:
            middle = (low + high) // 2
            if self._is_read(folder, self._listed(middle, middle, exists).get(middle)):
                low = middle + 1
            else:
                high = middle
        return low

    def _is_read(self, folder: _Folder, entry: _Entry | None) -> bool:
        place = self._places.get(folder.wire)
        return place is not None and entry is not None and entry.uid <= place.uid

    def _listed(self, first: int, last: int, exists: int) -> dict[int, _Entry]:
        """By their places, from first to last as far as there are any."""
        places = range(max(1, first), min(last, exists) + 1)
        items = [*_LISTING, _GMAIL_LABELS] if self._connection.is_gmail else _LISTING

        def fetch(client: IMAPClient) -> Mapping[int, Mapping[bytes, Any]]:
            client.use_uid = False
            try:
                found: Mapping[int, Mapping[bytes, Any]] = client.fetch(places, items)
                return found
            finally:
                client.use_uid = True

        found = self._connection.ask(fetch) if places else {}
        entries = {place: _entry(found[place]) for place in places if place in found}
        return {place: entry for place, entry in entries.items() if entry is not None}

    # Mails

    def _mails(self, folder: _Folder, listed: Iterable[_Entry]) -> Iterator[Step]:
        unread = [entry for entry in listed if not self._is_read(folder, entry)]
        unread.sort(key=lambda entry: entry.uid)
        for group in _groups([entry for entry in unread if self._is_late_enough(entry)]):
            yield from self._group(folder, group)
        if unread:
            self._places[folder.wire] = _Place(self._validity, unread[-1].uid)

    def _is_late_enough(self, entry: _Entry) -> bool:
        return self._since is None or entry.day is None or entry.day >= self._since

    def _group(self, folder: _Folder, group: Sequence[_Entry]) -> Iterator[Step]:
        heads = self._heads(group)
        for entry in group:
            where = f"{folder.name}, mail {entry.uid}"
            data: bytes | None = None
            try:
                head = heads.get(entry.uid)
                if isinstance(head, Refused):
                    raise head
                if head is not None:
                    data = yield from self._whole(entry, head)
            except Refused as error:
                _refuse_later(error)
                if error.code != "EXPUNGEISSUED":
                    reason = f"the server does not give it: {error}"
                    yield from self._kept(Bad(where, reason, b"", entry.size))
            if data is not None:
                self._done += len(data)
                yield from self._kept(self._mail(folder, entry, where, data))
            self._places[folder.wire] = _Place(self._validity, entry.uid)
            yield from self._paused()

    def _heads(self, group: Sequence[_Entry]) -> dict[int, bytes | Refused]:
        """The first piece of each by its UID. One that was expunged meanwhile is not there."""
        try:
            return {**self._pieces(group, 0)}
        except Refused as error:
            _refuse_later(error)
        found: dict[int, bytes | Refused] = {}
        for entry in group:
            try:
                found |= self._pieces([entry], 0)
            except Refused as error:
                found[entry.uid] = error
        refused = [one for one in found.values() if isinstance(one, Refused)]
        if len(refused) == len(group) > 1:
            # It is no matter of one mail.
            raise ConnectionError(f"the server gives no mail: {refused[0]}")
        return found

    def _whole(self, entry: _Entry, head: bytes) -> Generator[Step, None, bytes | None]:
        """All of a mail, but no more than shows that it is too large. None: it was expunged."""
        pieces, size = [head], len(head)
        while len(pieces[-1]) == _PIECE and size <= MAIL_LIMIT:
            yield from self._paused()
            found = self._pieces([entry], size)
            if entry.uid not in found:
                return None
            pieces.append(found[entry.uid])
            size += len(pieces[-1])
        return b"".join(pieces)

    def _pieces(self, group: Sequence[_Entry], start: int) -> dict[int, bytes]:
        """Of each a piece from there, by its UID."""
        length = SHOWN if group[0].size > MAIL_LIMIT else _PIECE
        uids = [entry.uid for entry in group]
        most = 2 * sum(min(entry.size, length) for entry in group) + _PIECE + ANSWER_BYTES
        item = f"BODY.PEEK[]<{start}.{length}>"
        found = self._connection.ask(lambda client: client.fetch(uids, [item]), most)
        names = (b"BODY[]<%d>" % start, b"BODY[]") if start == 0 else (b"BODY[]<%d>" % start,)
        pieces = {}
        for uid, answer in found.items():
            for name in names:
                if name in answer:
                    pieces[uid] = answer[name] if isinstance(answer[name], bytes) else b""
        return pieces

    def _mail(self, folder: _Folder, entry: _Entry, where: str, data: bytes) -> Mail | Bad:
        size = max(entry.size, len(data))
        if entry.size > MAIL_LIMIT or len(data) > MAIL_LIMIT:
            return too_large(where, data, size)
        is_all = self._connection.is_gmail and _ALL in folder.flags
        keeping = Keeping(
            source=self._source,
            where=where,
            now=self._now,
            labels=entry.labels if is_all else (folder.name, *entry.labels),
            delivered=entry.delivered,
            written=self._now,
            alone=False,  # that is when its labels were read, and says nothing of the mail
        )
        return read_mail(data, keeping)

    # Steps

    def _begin_step(self) -> None:
        self._records: list[NamedRecord] = []
        self._raws: dict[str, bytes] = {}
        self._bad: list[Bad] = []
        self._size = 0
        self._began = time.monotonic()
        self._connection.rest(2 * self._connection.within)

    def _cursor(self) -> str:
        return msgspec.json.encode(_Cursor(self._places, self._since, self._account)).decode()

    def _given(self) -> Iterator[Step]:
        self._last = self._cursor()
        step = Step(self._last, self._done, self._records, self._raws, self._bad)
        yield step
        self._begin_step()

    def _paused(self) -> Iterator[Step]:
        """A step where there is enough for one, and where the last was long ago one of whatever
        there is: whoever drives us waits."""
        is_full = len(self._records) + len(self._bad) >= self._most
        if is_full or time.monotonic() - self._began > self._connection.within / 2:
            yield from self._given()

    def _kept(self, found: Mail | Bad) -> Iterator[Step]:
        raws = {} if isinstance(found, Bad) else found.raws
        size = len(found.data) if isinstance(found, Bad) else sum(map(len, raws.values()))
        if self._size and self._size + size > STEP_BYTES:
            yield from self._given()
        if isinstance(found, Bad):
            self._bad.append(found)
        else:
            self._records += found.records
            self._raws |= raws
        self._size += size


def _named(there: Sequence[_Folder], wanted: Sequence[str]) -> list[_Folder]:
    chosen = {_key(name) for name in wanted}
    missing = [name for name in wanted if _key(name) not in {_key(one.name) for one in there}]
    if missing:
        names = ", ".join(folder.name for folder in there[:_NAMED]) or "none"
        raise CannotBeAsked(f"there is no folder {missing[0]!r}; there is {names}")
    return [folder for folder in there if _key(folder.name) in chosen]


def _key(name: str) -> str:
    """`INBOX` is the one name of which case says nothing (RFC 3501, 5.1)."""
    return "INBOX" if name.upper() == "INBOX" else name


def _groups(entries: Sequence[_Entry]) -> Iterator[list[_Entry]]:
    """Some that are fetched at once; one that is too large by itself."""
    group: list[_Entry] = []
    size = 0
    for entry in entries:
        if group and size + entry.size > _PIECE:
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry.size
    if group:
        yield group


def _entry(found: Mapping[bytes, Any]) -> _Entry | None:
    uid, size = found.get(b"UID"), found.get(b"RFC822.SIZE")
    if not _is_number(uid) or uid == 0:
        return None
    delivered, day = _delivered(found.get(b"INTERNALDATE"))
    labels = dict.fromkeys([*_gmail_labels(found), *_flags(found)])
    return _Entry(uid, size if _is_number(size) else 0, tuple(labels), delivered, day)


def _delivered(value: object) -> tuple[datetime | None, date | None]:
    try:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC), value.date()
    except (OverflowError, ValueError):
        pass
    return None, None


def _gmail_labels(found: Mapping[bytes, Any]) -> Iterator[str]:
    labels = found.get(b"X-GM-LABELS")
    for label in labels[:_LABELS] if isinstance(labels, tuple) else ():
        if isinstance(label, (bytes, int)):
            yield _decoded(label if isinstance(label, bytes) else b"%d" % label).lstrip("\\")


def _flags(found: Mapping[bytes, Any]) -> list[str]:
    flags = found.get(b"FLAGS")
    given = flags if isinstance(flags, tuple) else ()
    kinds = {flag.lower() for flag in given if isinstance(flag, bytes)}
    return sorted(_MEANINGS[kind] for kind in kinds & _MEANINGS.keys())


def _decoded(name: bytes) -> str:
    """A name for people to read, from the UTF-7 of IMAP where it is in that."""
    try:
        text = imap_utf7.decode(name) if name.isascii() else name.decode("utf-8", "replace")
    except ValueError:
        text = name.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()[:_NAME]


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and 0 <= value <= _LARGEST


def _refuse_later(error: Refused) -> None:
    if error.may_pass:
        raise ConnectionError(f"the server gives no mail now: {error}") from None
