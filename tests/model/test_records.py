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
    Fix,
    NamedRecord,
    Status,
    canonical,
    last_heard,
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


def fix(time: datetime, battery: float | None = None) -> Fix:
    made = {"source": "plain", "source_version": 1, "device": "phone", "lat": 1.0, "lon": 2.0}
    return Fix(**made, time=time, battery=battery)  # type: ignore[arg-type] # of mixed types


def status(time: datetime, battery: float | None = None) -> Status:
    return Status(source="plain", source_version=1, device="phone", time=time, battery=battery)


@pytest.mark.parametrize(
    ("reports", "time", "battery"),
    [
        ([fix(OLD, 0.5)], OLD, 0.5),
        ([status(OLD)], OLD, None),
        ([fix(OLD, 0.5), status(NEW)], NEW, 0.5),
        ([fix(OLD, 0.5), status(NEW, 0.0)], NEW, 0.0),
        ([fix(NEW), status(OLD, 0.5)], NEW, 0.5),
        ([fix(NEW, 0.25), status(OLD, 0.5)], NEW, 0.25),
        ([fix(NEW, 0.25), status(NEW, 0.5)], NEW, 0.25),
    ],
)
def test_the_newest_level_counts_whatever_told_it(
    reports: list[Fix | Status], time: datetime, battery: float | None
) -> None:
    assert last_heard(reports) == (time, battery)


def test_every_named_kind_is_listed_by_its_tag() -> None:
    kinds = {kind.__struct_config__.tag: kind for kind in NamedRecord.__args__}
    assert kinds == NAMED_KINDS
