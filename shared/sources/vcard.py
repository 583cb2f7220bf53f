"""A vCard (2.1, 3.0: RFC 2426, 4.0: RFC 6350, Apple's groups with labels): one `Person`.

Which version stands: `asof` is when the server says that the card changed; without one, its own
REV; without that, when it was read. The id is made from UID alone, so the same card from two
address books is one person.

`extra` holds what is no name and no key, by property in lower case: a list of what `entry` gives.
An Apple label (`item1.X-ABLabel`) is its `label`. What became a key is there too where it has
parameters, since whether a number is of work or of home has no field.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from shared.model.identity import IdentityKey, email_key, handle_key, phone_key
from shared.model.ids import content_id, named_id
from shared.model.profile import Profile
from shared.model.records import Person
from shared.model.time import parse_rfc3339
from shared.sources.contentlines import Component, Line, components
from shared.sources.resources import (
    Keeping,
    Read,
    bad_object,
    entry,
    extra_of,
    inline,
    is_too_large,
)

VERSION = 1
"""Of all that reads vCards: one that is ahead of the others would win over every copy."""

FACE_LIMIT = 4 * 1024 * 1024
"""Bytes of a picture that is kept."""

_MOST_NAMES = 20
_MOST_KEYS = 100
_NAME = 200
_ADDRESS = 254
_KINDS = ("kind", "x-addressbookserver-kind")
_KEY_LIMIT = 4 * 1024

_PICTURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8|RIFF....WEBP|BM|II\*\0|MM\0\*|....ftyp", re.DOTALL
)
_SAYS_NOTHING = frozenset({"version", "uid", "x-ablabel", "x-abuid"})
_APPLE_LABEL = re.compile(r"_\$!<(.*)>!\$_")
_X_MESSENGERS = re.compile(
    r"x-(?:ms-)?(aim|icq|jabber|msn|yahoo|skype|gadugadu|qq|google-?talk|groupwise|gtalk)"
    r"(?:-username|-id)?"
)
_SAME_MESSENGERS = {
    "jabber": "xmpp",
    "googletalk": "xmpp",
    "google-talk": "xmpp",
    "gtalk": "xmpp",
    "ymsgr": "yahoo",
    "msnim": "msn",
}


@dataclass(slots=True)
class _Said:
    """composed: names of which only the parts were said. rest: for `extra`."""

    names: list[str] = field(default_factory=list)
    composed: list[str] = field(default_factory=list)
    companies: list[str] = field(default_factory=list)
    keys: list[IdentityKey] = field(default_factory=list)
    face: bytes | None = None
    rest: list[tuple[str, Any]] = field(default_factory=list)


def read(data: bytes, keeping: Keeping) -> Read:
    """What the first card in the bytes says; others that follow stay in the raw bytes alone.

    Raises nothing, whatever the bytes: what is no card is a `Bad`, and a group of people, which is
    no person, too.
    """
    if is_too_large(data):
        return _bad(data, keeping, "a card larger than any that is read")
    card = next((one for one in components(data) if one.name == "vcard"), None)
    if card is None:
        return _bad(data, keeping, "it is no vCard: BEGIN:VCARD is missing")
    kinds = {line.plain().lower() for line in card.lines if line.name in _KINDS}
    if "group" in kinds:
        return _bad(data, keeping, "a group of people, which is no person; it is kept as it came")
    said = _said(card, keeping.profile)
    raws = {content_id(data): data}
    face = content_id(said.face) if said.face else None
    if said.face and face:
        raws[face] = said.face
    person = Person(
        id=_id(card, data, keeping),
        source=keeping.source,
        source_version=VERSION,
        raw=content_id(data),
        where=keeping.where,
        asof=keeping.changed or _revised(card) or keeping.seen,
        names=_names(said),
        keys=tuple(dict.fromkeys(said.keys))[:_MOST_KEYS],
        face=face,
        extra=extra_of(said.rest, card.cut),
    )
    return Read([person], raws)


def _bad(data: bytes, keeping: Keeping, reason: str) -> Read:
    return Read(bad=[bad_object(data, keeping, reason)])


def _id(card: Component, data: bytes, keeping: Keeping) -> str:
    uid = next((line.plain() for line in card.lines if line.name == "uid"), "")
    # Version 4.0 writes as a URN what 3.0 writes as the bare UUID.
    uid = re.sub("^urn:uuid:", "", uid, flags=re.IGNORECASE)
    if uid:
        return named_id("person", "uid", uid)
    if keeping.place:
        return named_id("person", "place", keeping.place)
    return named_id("person", "hash", content_id(data))


def _revised(card: Component) -> datetime | None:
    for line in card.lines:
        if line.name == "rev":
            try:
                return parse_rfc3339(line.plain())[0]
            except ValueError:
                return None
    return None


def _said(card: Component, profile: Profile) -> _Said:
    said = _Said()
    labels = {line.group: _label(line) for line in card.lines if line.name == "x-ablabel"}
    for line in card.lines:
        if line.name not in _SAYS_NOTHING and line.value.strip():
            _add(line, labels.get(line.group, "") if line.group else "", profile, said)
    return said


def _add(line: Line, label: str, profile: Profile, said: _Said) -> None:
    match line.name:
        case "fn":
            said.names.append(_short(line.plain()))
            return
        case "nickname":
            said.names += map(_short, line.items())
            return
        case "photo" if _face(line, said):
            return
        case "n":
            said.composed.append(_composed(line))
        case "org":
            said.companies.append(_short(line.fields()[0]))
    key = _key(line, profile)
    if key:
        said.keys.append(key)
    if not key or line.parameters or label:
        said.rest.append((line.name, entry(line, label)))


def _names(said: _Said) -> tuple[str, ...]:
    """Those of a person; of a card that has none, the company's."""
    found = list(filter(None, [*said.names, *said.composed]))
    return tuple(dict.fromkeys(found or filter(None, said.companies)))[:_MOST_NAMES]


def _composed(line: Line) -> str:
    """First and last name, in the order of most of the world's software."""
    family, given, middle, *_ = [*line.fields(), "", "", ""]
    return _short(" ".join(filter(None, (given, middle, family))))


def _label(line: Line) -> str:
    apple = _APPLE_LABEL.fullmatch(line.plain())
    return _short(apple[1] if apple else line.plain())


def _short(text: str) -> str:
    return " ".join(text.split())[:_NAME]


# Keys


def _key(line: Line, profile: Profile) -> IdentityKey | None:
    """The way to reach somebody that the property is; None if it cannot be read as one."""
    text = line.plain()
    if len(text) > _KEY_LIMIT:
        return None
    try:
        key = _read_key(line, text, profile)
    except ValueError:
        return None
    return key if key and len(key.value.encode()) <= _ADDRESS else None


def _read_key(line: Line, text: str, profile: Profile) -> IdentityKey | None:
    match line.name:
        case "email":
            return email_key(re.sub("^mailto:", "", text, flags=re.IGNORECASE))
        case "tel":
            # 4.0 has a URI, perhaps with an extension: tel:+1-555-0100;ext=5
            number = re.sub("^tel:", "", text, flags=re.IGNORECASE).partition(";")[0]
            return phone_key(number, profile.home_region)
        case "impp":
            return _messenger(line, text)
        case "socialprofile" | "x-socialprofile":
            return _profile(line, text)
        case "x-twitter":
            return handle_key("twitter", text)
    found = _X_MESSENGERS.fullmatch(line.name)
    return _messenger_key(found[1], text) if found else None


def _messenger(line: Line, text: str) -> IdentityKey:
    """A URI (`xmpp:ada@example.org`); Apple names the service in a parameter, and writes schemes
    that are no service."""
    scheme, colon, address = text.partition(":")
    stated = (line.parameter("x-service-type") or line.parameter("service-type")).lower()
    if not colon:
        scheme, address = stated or line.parameter("type"), text
    elif stated and (scheme.lower() == "x-apple" or ("@" not in address and scheme != stated)):
        scheme = stated
    address = unquote(address.partition("?")[0]).strip("/ ")
    return _messenger_key(re.sub(r"[^\w-]", "", scheme.lower()), address)


def _messenger_key(service: str, address: str) -> IdentityKey:
    if not service:
        raise ValueError("the service of a messenger is not said")
    name = handle_key(_SAME_MESSENGERS.get(service, service), address).value
    return IdentityKey("im", name)


def _profile(line: Line, text: str) -> IdentityKey:
    """Apple's `X-SOCIALPROFILE;type=twitter;x-user=ada:https://twitter.com/ada`, and RFC 9554."""
    types = [kind for kind in line.parameters.get("type", ()) if kind.lower() not in _NO_SERVICE]
    url = urlsplit(text)
    host = (url.hostname or "").removeprefix("www.").rpartition(".")[0]
    service = line.parameter("service-type") or next(iter(types), "") or host
    user = line.parameter("x-user") or line.parameter("username")
    handle = user or unquote(url.path if url.scheme else text).strip("/").rpartition("/")[2]
    if not service:
        raise ValueError("the service of a profile is not said")
    return handle_key(service, handle)


_NO_SERVICE = frozenset({"home", "work", "other", "pref", "internet"})

# What else there is


def _face(line: Line, said: _Said) -> bool:
    """Whether it is a picture in the card, which is kept. Of several the first is."""
    picture = inline(line)
    if picture is None or not _PICTURES.match(picture) or len(picture) > FACE_LIMIT:
        return False
    said.face = said.face or picture
    return True
