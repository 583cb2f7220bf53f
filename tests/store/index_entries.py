"""What the indexes of a document add up to."""

from collections.abc import Mapping
from typing import Any

from shared.store.indexes import INDEXES, UNINDEXED


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
    return composite + sum(map(_of_one_field, indexed.values()))


def _of_one_field(value: Any) -> int:
    if isinstance(value, Mapping):
        return 2 + sum(map(_of_one_field, value.values()))
    if isinstance(value, list):
        return 2 + len(value)
    return 2
