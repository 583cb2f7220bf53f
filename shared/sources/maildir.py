"""Mails of a Maildir: a folder with `cur` and `new`, in which each file is one mail.

A file's name is `<seconds>.<unique>:2,<flags>`, with `;` or `!` for `:` where a file system allows
none. In a Maildir++ (Dovecot, Courier) folders are siblings of `cur` whose names begin with a dot
and have dots between their levels; their letters beyond ASCII are in the UTF-7 of IMAP (RFC 3501).
"""

import binascii
import re
from collections.abc import Iterator
from datetime import datetime

from shared.model.steps import File, Step
from shared.model.time import from_epoch
from shared.sources import mail
from shared.sources.mail import Keeping, looks_like_mail, read_alone

NAME = "maildir"
VERSION = mail.VERSION
KEEPS = False

_INSIDE = re.compile(r"(?:(?:.*/)?([^/]+)/)?(?:cur|new)/([^/]+)", re.DOTALL)
_FLAGS = re.compile(r"[:;!]2,([A-Za-z,]*)\Z")
_SECONDS = re.compile(r"(\d{9,10})[._]")
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")
_MEANINGS = {
    "D": "Draft",
    "F": "Flagged",
    "P": "Passed",
    "R": "Replied",
    "S": "Seen",
    "T": "Trashed",
}


def is_inside(path: str) -> bool:
    return _INSIDE.fullmatch(path) is not None


def recognise(path: str, head: bytes) -> bool:
    return is_inside(path) and looks_like_mail(head)


def read(file: File, cursor: str | None) -> Iterator[Step]:
    keeping = Keeping(
        source=NAME,
        where=file.path,
        now=file.now,
        labels=tuple(_labels(file.path)),
        delivered=_delivered(file.name),
        written=file.modified,
    )
    yield from read_alone(file, cursor, keeping)


def _labels(path: str) -> Iterator[str]:
    """The folder, and what the flags mean."""
    found = _INSIDE.fullmatch(path)
    if found and found[1]:
        yield _folder(found[1])
    flags = _FLAGS.search(path)
    for flag in sorted(set(flags[1])) if flags else ():
        if flag in _MEANINGS:
            yield _MEANINGS[flag]


def _folder(name: str) -> str:
    if name.casefold() in ("maildir", ".maildir"):
        return "INBOX"
    if name.startswith("."):
        name = name[1:].replace(".", "/")
    return _SHIFTED.sub(_unshifted, name)[:200]


def _unshifted(found: re.Match[str]) -> str:
    digits = found[1].replace(",", "/")
    try:
        data = binascii.a2b_base64(digits + "=" * (-len(digits) % 4))
        return data.decode("utf-16-be") or "&"
    except (binascii.Error, UnicodeDecodeError):
        return found[0]


def _delivered(name: str) -> datetime | None:
    found = _SECONDS.match(name)
    return from_epoch(int(found[1])) if found else None
