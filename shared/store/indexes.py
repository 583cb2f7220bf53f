"""Every query that needs an index, by name. Both adapters build theirs from this table.

`infra/firestore.indexes.json` is generated from it; the Firestore emulator does not enforce
indexes, so a test holds every query of the adapter against this table instead.
"""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["ASCENDING", "DESCENDING"]


@dataclass(frozen=True, slots=True)
class Index:
    """Documents of `collection` with equal `equal` fields, in the order of `ordered`."""

    name: str
    collection: str
    equal: tuple[str, ...]
    ordered: tuple[tuple[str, Direction], ...]


@dataclass(frozen=True, slots=True)
class Membership:
    """Documents of `collection` whose list `field` holds a value.

    Firestore has such an index of each field by itself, unless it is among `UNINDEXED`.
    """

    collection: str
    field: str


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
CONTROLS_BY_ID = Index("controls_by_id", "control", ("family",), (("id", "ASCENDING"),))
CONTROLS_BY_DUE = Index(
    "controls_by_due", "control", ("family",), (("due", "ASCENDING"), ("id", "ASCENDING"))
)
RAWS_HELD = Membership("raw", "holds")

INDEXES = (
    RECORDS_OLDEST_FIRST,
    RECORDS_NEWEST_FIRST,
    SEGMENTS_OLDEST_FIRST,
    FIXES_NEWEST_FIRST,
    STATUSES_NEWEST_FIRST,
    CONTROLS_BY_ID,
    CONTROLS_BY_DUE,
)

UNINDEXED = {
    "record": ("data", "shape"),
    "segment": ("fixes", "statuses", "erased", "shape"),
    "raw": ("part", "parts", "shape", "index", "data", "object"),
    "document": ("name", "shape", "data", "writer"),
    "counter": ("counts",),
    "control": ("writer", "shape", "data"),
    "sealed": ("shape", "slices", "data"),
}
"""Fields whose automatic single-field indexes are switched off: nobody asks by them, and each entry
of a packed segment would otherwise cost storage and count against the limits of a document."""
