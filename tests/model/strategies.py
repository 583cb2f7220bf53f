"""Records as sources may make them."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from shared.model.records import Event, Fix, Status
from shared.model.time import from_micros

INSTANTS = st.integers(0, 4 * 10**15).map(from_micros)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1000, 1000).map(float)
EXTRA: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | NUMBERS | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)
_SAID = {
    "source": st.sampled_from(["owntracks", "overland"]),
    "source_version": st.integers(1, 3),
    "device": st.just("phone1"),
    "time": INSTANTS,
    "raw": st.none() | TEXTS,
    "where": st.none() | TEXTS,
    "asof": st.none() | INSTANTS,
    "extra": EXTRA,
    "battery": st.none() | NUMBERS,
    "power": st.sampled_from([None, "unplugged", "charging", "full"]),
    "network": st.sampled_from([None, "wifi", "mobile", "offline"]),
    "trigger": st.none() | TEXTS,
}
_MEASURED = (
    "accuracy",
    "altitude",
    "altitude_accuracy",
    "speed",
    "speed_accuracy",
    "course",
    "course_accuracy",
    "pressure",
)
FIXES: st.SearchStrategy[Fix] = st.builds(
    Fix,
    **_SAID,
    **dict.fromkeys(_MEASURED, st.none() | NUMBERS),
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180) | st.integers(-1_800_000_000, 1_800_000_000).map(lambda n: n / 1e7),
    offset=st.none() | st.integers(-840, 840),
    wifi=st.none() | TEXTS,
    motion=st.lists(TEXTS, max_size=3).map(tuple),
)
STATUSES: st.SearchStrategy[Status] = st.builds(Status, **_SAID)
EVENTS: st.SearchStrategy[Event] = st.builds(
    Event,
    id=st.just("trip:phone1"),
    type=st.just("trip"),
    time=INSTANTS,
    end=st.none() | INSTANTS,
    source=st.just("overland"),
    source_version=st.integers(1, 3),
    asof=st.none() | st.sampled_from([datetime(2026, 1, n, tzinfo=UTC) for n in (1, 2)]),
    extra=EXTRA,
)
