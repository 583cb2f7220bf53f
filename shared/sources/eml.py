"""Single mails (`.eml`, RFC 5322), as mail programs save and export them."""

from collections.abc import Iterator

from shared.model.steps import File, Step
from shared.sources import mail, maildir
from shared.sources.mail import Keeping, looks_like_mail, read_alone

NAME = "eml"
VERSION = mail.VERSION
KEEPS = False


def recognise(path: str, head: bytes) -> bool:
    return not maildir.is_inside(path) and looks_like_mail(head)


def read(file: File, cursor: str | None) -> Iterator[Step]:
    keeping = Keeping(source=NAME, where=file.name, now=file.now, written=file.modified)
    yield from read_alone(file, cursor, keeping)
