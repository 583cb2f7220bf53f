"""What a record can be found by."""

from collections.abc import Iterable
from typing import NamedTuple

from shared.model.records import Event, Media, Message, NamedRecord, Person, Place


class Words(NamedTuple):
    """title: what stands out in a list. sender: who said it, address and name. others: who else
    is part of it, and the names of its files."""

    title: str = ""
    text: str = ""
    sender: str = ""
    others: str = ""


def words_of(record: NamedRecord) -> Words | None:
    """None for a record that says nothing to be found by."""
    words = _words(record)
    return words if words and any(words) else None


def _words(record: NamedRecord) -> Words | None:
    if isinstance(record, Message):
        return _words_of_message(record)
    if isinstance(record, Media):
        return Words(title=_joined((record.caption, record.name)), others=_joined(record.people))
    if isinstance(record, Event):
        return Words(title=_joined((record.title, record.place)))
    if isinstance(record, Place):
        return Words(title=record.name)
    if isinstance(record, Person):
        return Words(title=_joined(record.names), others=_joined(key.value for key in record.keys))
    return None


def _words_of_message(message: Message) -> Words:
    names = message.extra.get("names")
    names = names if isinstance(names, dict) else {}
    others: list[str | None] = []
    for key in message.recipients:
        others += (key.value, _text(names.get(key.value)))
    others += (attachment.name for attachment in message.attachments)
    sender = message.sender.value if message.sender else ""
    return Words(
        title=message.subject or "",
        text=message.text or "",
        sender=_joined((sender, _text(names.get(sender)))),
        others=_joined(others),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _joined(texts: Iterable[str | None]) -> str:
    return "\n".join(filter(None, texts))
