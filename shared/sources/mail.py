"""One mail, from its bytes to its records: what mboxes, Maildirs and single files share.

Which copy stands. The same mail comes again and again: in a later export, from another program.
All copies make the same record but for their labels, so `asof` says when somebody stated labels:
of a copy with labels, when its file was written (an export's time; without one, the mail's own);
of a copy without, nothing. So by `winner` labels are never lost to a copy without any, and labels
that changed since stand as the later export has them.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz
from functools import lru_cache
from typing import Any, NamedTuple

from shared.model.identity import IdentityKey, email_key
from shared.model.ids import content_id, named_id
from shared.model.records import Attachment, Message, NamedRecord, Person
from shared.model.steps import Bad, File, Step
from shared.model.time import EPOCH
from shared.sources.mailboxes import mailboxes
from shared.sources.markup import readable
from shared.sources.mime import (
    VALUE_LIMIT,
    Budget,
    Headers,
    Part,
    content,
    header_text,
    headers_of,
    parts_of,
    text_of,
    value_text,
)

VERSION = 1
"""Of all sources of mail: one that is ahead of the others would win over every copy they read."""

MAIL_LIMIT = 48 * 1024 * 1024
"""Bytes of one mail: beyond what providers let through, and it is held a few times while it is
read."""
SHOWN = 64 * 1024
"""Bytes that are kept of a mail that is too large or is none."""

# Together these keep the largest record below the store's limit, also when JSON has to escape
# every character.
_TEXT = 256 * 1024
_MARKUP = 1024 * 1024
_SUBJECT = 1_000
_RECIPIENTS = 400
_NAMES = 50
_ATTACHMENTS = 200
_LABELS = 100
_NAME = 200  # bytes of any one name
_ADDRESS = 254  # RFC 5321, 4.5.3.1.3
_UNREAD = 20
_ID_LIST = 16 * 1024

_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)  # the first mail; and clocks that were never set
_AHEAD = timedelta(days=2)

_BARE_ID = re.compile(rb"\s*[^\s@]+@[^\s@]+\s*")
_BRACKETED = re.compile(rb"<([^<>]*)>")
_LABEL = re.compile(r'"((?:[^"\\]|\\.)*)"?|([^,"]+)')
_DATE = re.compile(
    r"(?:[a-z]{3,9},?\s*)?(\d{1,2})[\s-]+([a-z]{3})[a-z]*[\s-]+(\d{4})\s+"
    r"(\d{1,2}):(\d\d)(?::(\d\d))?\s*([+-])(\d\d):?(\d\d)(?!\d)",
    re.IGNORECASE,
)
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: n for n, name in enumerate(_MONTH_NAMES, 1)}

# What programs that keep mail write into it: the same mail has it in one place and not in another.
_KEEPING = re.compile(
    rb"(?mi)^(?:x-gm-[\w-]*|x-gmail-labels|status|x-status|x-keywords|x-uid|x-mozilla-[\w-]*"
    rb"|content-length|lines)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*"
)
_RECEIVING = (b"to", b"cc", b"bcc")
_IN_ANY_MAIL = frozenset(
    b"from to cc bcc sender subject date message-id received return-path delivered-to x-gm-thrid"
    b" x-gmail-labels".split()
)
_NO_HEADER = re.compile(rb"(?m)^(?![!-9;-~]+[ \t]*:|[ \t\r\n]|>From )[^\n]")
_TELLING = {
    b"from": re.compile(rb"@|=\?"),
    b"message-id": re.compile(rb"<[^>]+>"),
    b"received": re.compile(rb"\b(?:from|by)\b"),
    b"return-path": re.compile(rb"<"),
    b"x-gm-thrid": re.compile(rb"\d"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What is known of a mail besides its bytes, from where it was kept.

    where: for whoever looks for it. labels: its folder and flags. delivered: when it came there.
    sender: of its envelope. gmail: Gmail's id of it. written: when the file was, of which
    `alone` says whether it holds only this mail.
    """

    source: str
    where: str
    now: datetime
    labels: tuple[str, ...] = ()
    delivered: datetime | None = None
    sender: str | None = None
    gmail: str | None = None
    written: datetime | None = None
    alone: bool = True


class Mail(NamedTuple):
    """A mail as records (the message first, then the persons it names), and the bytes to keep."""

    records: list[NamedRecord]
    raws: dict[str, bytes]


class _When(NamedTuple):
    time: datetime
    offset: int | None = None


class _Person(NamedTuple):
    key: IdentityKey
    name: str


def too_large(where: str, beginning: bytes, size: int) -> Bad:
    reason = f"a mail of {size} bytes, more than the {MAIL_LIMIT} that are read; keep it as a file"
    return Bad(where, reason, beginning[:SHOWN], size)


def has_mail_headers(headers: Headers) -> bool:
    return not _IN_ANY_MAIL.isdisjoint(headers)


def looks_like_mail(head: bytes) -> bool:
    """Whether bytes begin with the headers of a mail: nothing but headers, and of those known ones
    that say what only a mail would."""
    if head[:1] in b" \t\r\n" or b"\0" in head[:1000]:
        return False
    headers, body = headers_of(head)
    block = head[:body]
    if _NO_HEADER.search(block[: block.rfind(b"\n") + 1]):
        return False
    known = _IN_ANY_MAIL & headers.keys()
    return len(known) >= 2 and any(
        _TELLING[name].search(headers[name][0]) for name in known & _TELLING.keys()
    )


def read_mail(data: bytes, keeping: Keeping) -> Mail | Bad:
    """The records of a mail of at most `MAIL_LIMIT` bytes. Raises nothing."""
    headers, body = headers_of(data)
    if not has_mail_headers(headers):
        reason = "there is nothing in it" if not data.strip() else "it has no header of a mail"
        return Bad(keeping.where, reason, data[:SHOWN], len(data))
    extra: dict[str, Any] = {}
    raws = {content_id(data): data}
    tree = parts_of(data, headers, body, budget := Budget())
    if budget.parts < 0:
        extra["parts_cut"] = True
    attachments = _attachments(data, tree, raws, extra)
    message_id = _message_id(headers)
    labels = _labels(headers, extra)
    when, said = _when(headers, keeping, extra)
    sender, recipients, named = _people(headers, keeping, extra)
    is_chat = _is_chat(labels, message_id, headers, keeping)
    message = Message(
        id=_id(data, body, message_id, headers, keeping),
        source=keeping.source,
        source_version=VERSION,
        raw=next(iter(raws)),
        asof=_asof(headers, keeping, when),
        type="chat" if is_chat else "mail",
        time=when.time if when else None,
        offset=when.offset if when else None,
        sender=sender,
        recipients=recipients,
        thread=_thread(headers, message_id),
        reply_to=_reply_to(headers),
        subject=_subject(headers),
        text=_text(data, tree, extra),
        labels=_united(labels, keeping.labels),
        attachments=attachments,
        extra=_noted(extra, headers, message_id, said),
    )
    persons = dict.fromkeys(named)
    records: list[NamedRecord] = [_person(keeping.source, *one) for one in persons]
    return Mail([message, *records], raws)


def read_alone(file: File, cursor: str | None, keeping: Keeping) -> Iterator[Step]:
    """A file that is one mail: a single step, after which there is nothing to go on with."""
    if cursor is not None:
        return
    size = file.content.size
    if size > MAIL_LIMIT:
        found: Mail | Bad = too_large(keeping.where, file.content.read(0, SHOWN), size)
    else:
        found = read_mail(file.content.read(0, size), keeping)
    if isinstance(found, Bad):
        yield Step("end", size, bad=[found])
    else:
        yield Step("end", size, found.records, found.raws)


# What it is


def _message_id(headers: Headers) -> str | None:
    return next(_ids(headers, b"message-id"), None)


def _ids(headers: Headers, name: bytes) -> Iterator[str]:
    """The message ids in a header, without brackets and the spaces that folding brought in."""
    for value in headers.get(name, ())[:1]:
        value = value[:_ID_LIST]
        plain = [value] if name == b"message-id" or _BARE_ID.fullmatch(value) else []
        for id in _BRACKETED.findall(value) or plain:
            found = "".join(text_of(id, None).split())
            if found:
                yield found


def _id(data: bytes, body: int, message_id: str | None, headers: Headers, keeping: Keeping) -> str:
    if message_id:
        return _id_of(message_id)
    if keeping.gmail and b"date" not in headers:
        # A line of chat: many say the same words, and nothing else in their bytes differs.
        return named_id("message", "gmail", keeping.gmail)
    return named_id("message", "hash", _fingerprint(data, body))


def _id_of(message_id: str) -> str:
    return named_id("message", message_id)


def _fingerprint(data: bytes, body: int) -> str:
    """The same for all copies of a mail, whatever line ends and notes their keepers gave them."""
    head = _KEEPING.sub(b"", data[:body].replace(b"\r\n", b"\n"))
    digest = hashlib.sha256(head.rstrip(b"\n"))
    digest.update(b"\n\n" + data[body:].replace(b"\r\n", b"\n").rstrip(b"\n"))
    return digest.hexdigest()


def _thread(headers: Headers, message_id: str | None) -> str | None:
    """The id of the message that began the conversation, as far as this one knows.

    From what every copy of a mail says. Gmail's own thread id is only in what comes from Gmail, so
    it would split a conversation: it counts for chats, which have nothing else.
    """
    first = next(_ids(headers, b"references"), None) or next(_ids(headers, b"in-reply-to"), None)
    begun = first or message_id
    if begun:
        return _id_of(begun)
    thread = _value(headers, b"x-gm-thrid")
    return named_id("thread", "gmail", thread) if thread else None


def _reply_to(headers: Headers) -> str | None:
    for id in _ids(headers, b"in-reply-to"):
        return _id_of(id)
    *_, last = (None, *_ids(headers, b"references"))
    return _id_of(last) if last else None


def _is_chat(
    labels: Sequence[str], message_id: str | None, headers: Headers, keeping: Keeping
) -> bool:
    """Gmail labels the lines of Google Talk and Hangouts so, in the language of the account; in
    any language they have neither an id nor a date of their own."""
    if any(label.casefold() in ("chat", "chats") for label in labels):
        return True
    return bool(keeping.gmail) and message_id is None and b"date" not in headers


def _asof(headers: Headers, keeping: Keeping, when: _When | None) -> datetime | None:
    if b"x-gmail-labels" not in headers and not keeping.labels:
        return None
    return keeping.written or (when.time if when else EPOCH)


def _noted(
    extra: dict[str, Any], headers: Headers, message_id: str | None, said: str | None
) -> dict[str, Any]:
    if message_id:
        extra["message_id"] = message_id[:_SUBJECT]
    if said:
        extra["time_from"] = said
    thread = _value(headers, b"x-gm-thrid")
    if thread:
        extra["gmail_thread"] = thread[:_NAME]
    return extra


# When


def _when(
    headers: Headers, keeping: Keeping, extra: dict[str, Any]
) -> tuple[_When | None, str | None]:
    """The time, and where it is from if not from its place: the header `Date`."""
    said = _value(headers, b"date")
    when = _plausible(parse_date(said), keeping.now) if said else None
    if when is not None:
        return when, None
    if said:
        extra["date"] = said[:_NAME]
    for value in headers.get(b"received", ())[:3]:
        when = _plausible(parse_date(value_text(value.rpartition(b";")[2])), keeping.now)
        if when is not None:
            return when, "received"
    for time, name in (
        (keeping.delivered, "delivery"),
        (keeping.written if keeping.alone else None, "file"),
    ):
        when = _plausible((time, None), keeping.now) if time else None
        if when is not None:
            return when, name
    return None, None


def _plausible(found: tuple[datetime, int | None] | None, now: datetime) -> _When | None:
    return _When(*found) if found and _EARLIEST <= found[0] <= now + _AHEAD else None


def parse_date(text: str) -> tuple[datetime, int | None] | None:
    """A date of a mail: the instant, and minutes east of UTC where it says what was local."""
    text = text[:_NAME].strip()
    try:
        usual = _DATE.match(text)
        if usual is None:
            return _unusual_date(text)
        day, month, year, hour, minute, second, sign, hours, minutes = usual.groups()
        east = (int(hours) * 60 + int(minutes)) * (-1 if sign == "-" else 1)
        local = datetime(
            int(year),
            _MONTHS[month.lower()],
            int(day),
            int(hour),
            int(minute),
            min(int(second or 0), 59),
            tzinfo=timezone(timedelta(minutes=east)),
        )
        return local.astimezone(UTC), None if sign == "-" and east == 0 else east
    except (ValueError, KeyError, OverflowError):
        return None


def _unusual_date(text: str) -> tuple[datetime, int | None] | None:
    try:
        found = parsedate_tz(text)
    except (IndexError, TypeError):  # it does for some texts that are no date
        found = None
    if found is None:
        return None
    east = round((found[9] or 0) / 60)
    zone = timezone(timedelta(minutes=east))
    local = datetime(*found[:5], min(found[5], 59), tzinfo=zone)
    # No zone, GMT and -0000 all say that it is in UTC, not that UTC was local.
    return local.astimezone(UTC), east if east or "+00" in text else None


# Who


def _people(
    headers: Headers, keeping: Keeping, extra: dict[str, Any]
) -> tuple[IdentityKey | None, tuple[IdentityKey, ...], list[_Person]]:
    unread: list[str] = []
    named: list[_Person] = []
    senders = list(_keys(headers, (b"from",), named, unread))
    if not senders:
        senders = list(_keys(headers, (b"sender", b"return-path"), named, unread))
    if not senders and keeping.sender:
        key = _key(keeping.sender)
        senders = [key] if key else []
    recipients = tuple(dict.fromkeys(_keys(headers, _RECEIVING, named, unread)))
    if len(recipients) > _RECIPIENTS:
        extra["recipients_cut"] = len(recipients)
    elif any(len(value) > VALUE_LIMIT for name in _RECEIVING for value in headers.get(name, ())):
        extra["recipients_cut"] = True
    if unread:
        extra["addresses"] = unread[:_UNREAD]
    kept = {*senders[:1], *recipients[:_RECIPIENTS]}
    named = [person for person in named if person.key in kept]
    if named:
        extra["names"] = {key.value: name for key, name in reversed(named[:_NAMES])}
    return senders[0] if senders else None, recipients[:_RECIPIENTS], named


def _keys(
    headers: Headers, names: Sequence[bytes], named: list[_Person], unread: list[str]
) -> Iterator[IdentityKey]:
    for value in (value for name in names for value in headers.get(name, ())[:_UNREAD]):
        for name, address in _boxes(value):
            key = _key(address)
            if key is None:
                unread.append(_short(address))
                continue
            if name and name.casefold() != address.casefold():
                named.append(_Person(key, _short(name)))
            yield key


def _boxes(value: bytes) -> Sequence[tuple[str, str]]:
    # People write to the same few; the rest is not worth the memory.
    return _usual_boxes(value) if len(value) < 200 else tuple(mailboxes(value_text(value)))


@lru_cache(maxsize=5_000)
def _usual_boxes(value: bytes) -> Sequence[tuple[str, str]]:
    return tuple(mailboxes(value_text(value)))


@lru_cache(maxsize=10_000)
def _key(address: str) -> IdentityKey | None:
    try:
        key = email_key(address) if len(address) <= _ADDRESS else None
    except ValueError:
        return None
    return key if key and '"' not in key.value and len(key.value.encode()) <= _ADDRESS else None


@lru_cache(maxsize=5_000)
def _person(source: str, key: IdentityKey, name: str) -> Person:
    """Says nothing that another mail of the same person would say differently."""
    return Person(
        id=named_id("person", "email", key.value, name),
        source=source,
        source_version=VERSION,
        names=(name,),
        keys=(key,),
    )


# What it says


def _value(headers: Headers, name: bytes) -> str:
    values = headers.get(name)
    return value_text(values[0]) if values else ""


def _subject(headers: Headers) -> str | None:
    values = headers.get(b"subject")
    return header_text(values[0])[:_SUBJECT].strip() or None if values else None


def _labels(headers: Headers, extra: dict[str, Any]) -> tuple[str, ...]:
    """Gmail's, in the language of its owner: a list with commas, quoted where a name has one."""
    values = headers.get(b"x-gmail-labels")
    if not values:
        return ()
    found = _LABEL.findall(header_text(values[0]))
    labels = [_short((quoted.replace('\\"', '"') or plain).strip()) for quoted, plain in found]
    if len(labels) > _LABELS:
        extra["labels_cut"] = len(labels)
    return tuple(filter(None, labels[:_LABELS]))


def _united(*labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for some in labels for label in some))


def _text(data: bytes, tree: Part, extra: dict[str, Any]) -> str | None:
    pieces: list[str] = []
    size = 0
    for piece in _texts(data, tree, extra):
        pieces.append(piece)
        size += len(piece.encode())
        if size > _TEXT:
            extra["text_cut"] = True
            text = "\n\n".join(pieces).encode()[:_TEXT]
            return text.decode("utf-8", "ignore")
    return "\n\n".join(pieces) or None


def _texts(data: bytes, part: Part, extra: dict[str, Any]) -> Iterator[str]:
    """What is to be read, in order; of alternatives the first that says something, plain first."""
    if part.kind == "multipart/alternative":
        for child in sorted(part.children, key=lambda one: one.kind != "text/plain"):
            texts = _texts(data, child, extra)
            first = next(texts, None)
            if first is not None:
                yield first
                yield from texts
                return
    for child in part.children if part.kind != "multipart/alternative" else ():
        yield from _texts(data, child, extra)
    if not _is_text(part):
        return
    most = _MARKUP if part.kind == "text/html" else _TEXT
    found = content(data, part)
    if len(found) > most:
        extra["text_cut"] = True
    text = text_of(found, part.charset, most)
    text = readable(text) if part.kind == "text/html" else text.strip()
    if text:
        yield text


def _is_text(part: Part) -> bool:
    return part.kind in ("text/plain", "text/html") and part.disposition != "attachment"


def _attachments(
    data: bytes, tree: Part, raws: dict[str, bytes], extra: dict[str, Any]
) -> tuple[Attachment, ...]:
    """All that is not read as text, and texts with a name of their own. Fills `raws`."""
    parts = [part for part in _leaves(tree) if part.name or not _is_text(part)]
    if len(parts) > _ATTACHMENTS:
        extra["attachments_cut"] = len(parts)
    found = []
    for part in parts[:_ATTACHMENTS]:
        bytes = content(data, part)
        id = content_id(bytes)
        raws[id] = bytes
        name = _short(part.name) if part.name else None
        found.append(Attachment(id=id, media_type=part.kind, size=len(bytes), name=name))
    return tuple(found)


def _leaves(part: Part) -> Iterator[Part]:
    if not part.kind.startswith("multipart/"):
        yield part
    for child in part.children:
        yield from _leaves(child)


def _short(text: str) -> str:
    if len(text) * 4 <= _NAME:
        return text
    return text.encode()[:_NAME].decode("utf-8", "ignore")
