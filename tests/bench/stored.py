"""What documents take in Firestore, with the entries of their indexes, as it bills them
(https://firebase.google.com/docs/firestore/storage-size). The emulator does not tell.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from google.cloud import firestore

from shared.store.indexes import INDEXES, UNINDEXED

_OF_EACH = 32
"""Bytes of every document and every entry of an index, beside what they hold."""
_OF_A_NAME = 16
_LONGEST_INDEXED = 1_500


def stored(project: str) -> int:
    """Bytes of all documents of a project on the emulator."""
    client = firestore.Client(project=project)
    try:
        return sum(
            document_size(collection.id, snapshot.id, snapshot.to_dict() or {})
            for collection in client.collections()
            for snapshot in collection.stream(timeout=300)
        )
    finally:
        client.close()


def document_size(collection: str, id: str, fields: Mapping[str, Any]) -> int:
    """Bytes of a document that is in no other, and of its entries."""
    name = _text(collection) + _text(id) + _OF_A_NAME
    held = sum(_text(field) + _value(value) for field, value in fields.items())
    entries = sum(name + size + _OF_EACH for size in _entries(collection, fields))
    return name + held + _OF_EACH + entries


def _entries(collection: str, fields: Mapping[str, Any]) -> Iterator[int]:
    """What each entry holds beside the document's name."""
    for field, value in fields.items():
        if field not in UNINDEXED.get(collection, ()):
            yield from _of_field(field, value)
    for index in INDEXES:
        named = (*index.equal, *(field for field, _ in index.ordered))
        if index.collection == collection and all(field in fields for field in named):
            yield sum(_indexed(fields[field]) for field in named)


def _of_field(field: str, value: Any) -> Iterator[int]:
    """Each value has an ascending and a descending entry; so has each member of a map, and of a
    list each element has one more."""
    yield from 2 * [_text(field) + _indexed(value)]
    if isinstance(value, Mapping):
        for member, inner in value.items():
            yield from _of_field(f"{field}.{member}", inner)
    elif isinstance(value, list):
        yield from (_text(field) + _indexed(element) for element in value)


def _indexed(value: Any) -> int:
    return min(_value(value), _LONGEST_INDEXED)


def _value(value: Any) -> int:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return len(value)
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, Mapping):
        return sum(_text(member) + _value(inner) for member, inner in value.items())
    if isinstance(value, list):
        return sum(map(_value, value))
    return 8  # numbers and times


def _text(text: str) -> int:
    return len(text.encode()) + 1
