"""Every query that needs an index, by name. Both adapters build theirs from this table.

`infra/firestore.indexes.json` is generated from it; the Firestore emulator does not enforce
indexes, so a test holds every query of the adapter against this table instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["ASCENDING", "DESCENDING"]


@dataclass(frozen=True, slots=True)
class Index:
    """Documents of `collection` with equal `equal` fields, in the order of `ordered`."""

    name: str
    collection: str
    equal: tuple[str, ...]
    ordered: tuple[tuple[str, Direction], ...]


RECORDS_OLDEST_FIRST = Index(
    "records_oldest_first", "record", ("kind",), (("time", "ASCENDING"), ("id", "ASCENDING"))
)
RECORDS_NEWEST_FIRST = Index(
    "records_newest_first", "record", ("kind",), (("time", "DESCENDING"), ("id", "DESCENDING"))
)
SEGMENTS_OLDEST_FIRST = Index(
    "segments_oldest_first", "segment", ("device", "span"), (("start", "ASCENDING"),)
)
FIXES_NEWEST_FIRST = Index(
    "fixes_newest_first", "segment", ("device", "span", "has_fixes"), (("start", "DESCENDING"),)
)
STATUSES_NEWEST_FIRST = Index(
    "statuses_newest_first",
    "segment",
    ("device", "span", "has_statuses"),
    (("start", "DESCENDING"),),
)

INDEXES = (
    RECORDS_OLDEST_FIRST,
    RECORDS_NEWEST_FIRST,
    SEGMENTS_OLDEST_FIRST,
    FIXES_NEWEST_FIRST,
    STATUSES_NEWEST_FIRST,
)

UNINDEXED = {
    "record": ("data", "shape"),
    "segment": ("fixes", "statuses", "erased", "shape"),
    "raw": ("part", "parts"),
    "document": ("name", "shape", "data", "writer"),
    "counter": ("counts",),
}
"""Fields whose automatic single-field indexes are switched off: nobody asks by them, and each entry
of a packed segment would otherwise cost storage and count against the limits of a document."""


def index_entries(collection: str, fields: Mapping[str, Any]) -> int:
    """How many index entries a document costs; Firestore takes at most 40,000.

    Each value has one ascending and one descending entry, in a map each member has them, and in
    a list each element one more. A composite index has one where all its fields are there.
    (https://firebase.google.com/docs/firestore/query-data/index-overview)
    """
    indexed = {k: v for k, v in fields.items() if k not in UNINDEXED.get(collection, ())}
    composite = sum(
        all(field in fields for field in (*index.equal, *(name for name, _ in index.ordered)))
        for index in INDEXES
        if index.collection == collection
    )
    return composite + sum(map(_single_field_entries, indexed.values()))


def _single_field_entries(value: Any) -> int:
    if isinstance(value, Mapping):
        return 2 + sum(map(_single_field_entries, value.values()))
    if isinstance(value, list):
        return 2 + len(value)
    return 2
