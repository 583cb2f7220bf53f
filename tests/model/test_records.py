"""Of two versions of a record one stands, whatever order they came in."""

from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given

from shared.model.records import (
    NAMED_KINDS,
    AnyRecord,
    Event,
    NamedRecord,
    canonical,
    winner,
)
from tests.model.strategies import EVENTS, FIXES

NEW, OLD = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


def event(**fields: Any) -> Event:
    given: dict[str, Any] = {"source": "overland", "source_version": 1, "time": OLD}
    return Event(id="trip:phone1", type="trip", **{**given, **fields})


@pytest.mark.parametrize(
    ("stands", "falls"),
    [
        (event(source_version=2), event(source_version=1, asof=NEW)),
        (event(asof=NEW), event(asof=OLD, end=NEW)),
        (event(asof=OLD), event()),
        (event(title="b"), event(title="a")),
    ],
)
def test_which_version_stands(stands: Event, falls: Event) -> None:
    assert winner(stands, falls) == stands
    assert winner(falls, stands) == stands


@given(EVENTS, EVENTS, EVENTS)
def test_the_order_does_not_matter(one: Event, two: Event, three: Event) -> None:
    results = {
        canonical(winner(winner(a, b), c)) for a, b, c in permutations((one, two, three))
    } | {canonical(winner(a, winner(b, c))) for a, b, c in permutations((one, two, three))}
    assert len(results) == 1


@given(EVENTS | FIXES)
def test_canonical_bytes_read_back_equal(record: AnyRecord) -> None:
    assert msgspec.json.decode(canonical(record), type=type(record)) == record


def test_canonical_bytes_do_not_depend_on_the_order_of_members() -> None:
    one, other = event(extra={"a": 1, "b": 2}), event(extra={"b": 2, "a": 1})
    assert canonical(one) == canonical(other)


def test_every_named_kind_is_listed_by_its_tag() -> None:
    kinds = {kind.__struct_config__.tag: kind for kind in NamedRecord.__args__}
    assert kinds == NAMED_KINDS
