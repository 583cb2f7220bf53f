"""The table of indexes, the file made from it, and the limits that it keeps documents in."""

from pathlib import Path
from typing import Any

import pytest

from infra.indexes import indexes_json
from tests.store.index_entries import index_entries

ROOT = Path(__file__).parents[2]


def test_the_file_is_the_one_that_the_table_makes() -> None:
    assert (ROOT / "infra" / "firestore.indexes.json").read_text() == indexes_json()


@pytest.mark.parametrize(
    ("collection", "fields", "expected"),
    [
        ("other", {}, 0),
        ("other", {"a": 1}, 2),
        ("other", {"a": {"b": 1, "c": {"d": 1}}}, 8),
        ("other", {"a": [1, 2, 3]}, 5),
        ("record", {"data": "x", "shape": 1}, 0),
        ("record", {"kind": "event", "id": "a"}, 4),
        ("record", {"kind": "event", "id": "a", "time": 1}, 8),
        ("segment", {"device": "d", "span": "day", "start": 1}, 7),
        ("segment", {"fixes": dict.fromkeys(map(str, range(86_400)), b"")}, 0),
    ],
)
def test_index_entries_are_counted_as_firestore_makes_them(
    collection: str, fields: dict[str, Any], expected: int
) -> None:
    assert index_entries(collection, fields) == expected


def test_only_the_gateway_makes_queries() -> None:
    for path in (ROOT / "shared" / "store").rglob("*.py"):
        if path.name != "gateway.py":
            text = path.read_text()
            assert not any(call in text for call in (".stream(", ".where(", ".order_by("))
