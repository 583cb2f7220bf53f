"""Searching what was written and named: messages, photos, people, places, events."""

from shared.commands.answers import Hit, Hits
from shared.commands.errors import Failed, Refused
from shared.model.records import NAMED_KINDS, Message, NamedRecord
from shared.node import Node

AROUND = 160
"""Characters of a text that a hit shows."""


def search(node: Node, words: str, limit: int = 20, cursor: str | None = None) -> Hits:
    """The newest that say all the words. `Failed` where the node cannot search."""
    if not words.strip():
        raise Refused("say what to search for: yurt search WORDS")
    if node.search is None:
        raise Failed(NOT_HERE)
    try:
        found = node.search.find(words, limit=limit, cursor=cursor)
    except ValueError as error:
        raise Refused(str(error)) from error
    kinds = ((kind, node.store.get(NAMED_KINDS[kind], id)) for kind, id in found.found)
    hits = tuple(_hit(kind, record, words) for kind, record in kinds if record is not None)
    return Hits(hits=hits, cursor=found.cursor)


def _hit(kind: str, record: NamedRecord, words: str) -> Hit:
    return Hit(
        kind=kind,
        id=record.id,
        time=record.time,
        source=record.source,
        title=_title(record),
        sender=record.sender.value if isinstance(record, Message) and record.sender else None,
        text=_around(record.text or "", words) if isinstance(record, Message) else None,
    )


def _title(record: NamedRecord) -> str | None:
    for name in ("subject", "title", "caption", "name"):
        text = getattr(record, name, None)
        if text:
            return str(text)
    names = getattr(record, "names", ())
    return ", ".join(names) or None


def _around(text: str, words: str) -> str | None:
    """What is said around the first of the words that is there as it was written."""
    flat = " ".join(text.split())
    folded = flat.casefold()
    plain = (word.strip("\"'*-()") for word in words.casefold().split())
    places = [place for word in plain if word and (place := folded.find(word)) >= 0]
    start = max(0, min(places, default=0) - AROUND // 3)
    return flat[start : start + AROUND] or None


NOT_HERE = (
    "a cloud node cannot search texts, which takes an index that is too large for what is free "
    "there; ask your home node"
)
