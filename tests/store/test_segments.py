"""Which document an entry goes to, and what segments say together."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.time import EPOCH, to_micros
from shared.store.segments import (
    DAY,
    ENTRY,
    HOUR,
    MINUTE,
    SPANS,
    Entry,
    Segment,
    Span,
    Window,
    entry_of,
    key_in,
    keys_at,
    placed,
    time_of,
    tombstone,
    united,
)
from tests.store.samples import NOON, SECOND, fix, status

MICROS = st.integers(to_micros(datetime(1900, 1, 1, tzinfo=UTC)), to_micros(NOON) * 2)


def entries(count: int, gap: float, size: int) -> list[Entry]:
    """`count` fixes `gap` seconds apart, about `size` bytes each."""
    start = to_micros(NOON)
    return [
        Entry(start + int(i * gap * 1e6), "fixes", f"{i:011}", bytes(size)) for i in range(count)
    ]


def anywhere(_: Window) -> bool:
    return False


@pytest.mark.parametrize(
    ("count", "gap", "size", "expected"),
    [
        pytest.param(1, 0, 100, {"day": 1}, id="one alone"),
        pytest.param(1, 0, 60_000, {"minute": 1}, id="a large one alone"),
        pytest.param(3, 1, 100, {"day": 1}, id="a few that waited in the phone"),
        pytest.param(200, 60, 100, {"day": 1}, id="one a minute"),
        pytest.param(200, 31, 100, {"day": 1}, id="just sparse enough for the day"),
        pytest.param(200, 29, 100, {"hour": 2}, id="denser than one in 30 s"),
        pytest.param(200, 1, 100, {"hour": 1}, id="one a second"),
        pytest.param(200, 1, 300, {"minute": 4}, id="one a second, with much to say"),
        pytest.param(200, 0.1, 100, {"minute": 1}, id="ten a second"),
        pytest.param(60, 1, 60_000, {"entry": 60}, id="60 kB each second"),
        pytest.param(1000, 10_800, 100, {"day": 126}, id="eight a day"),
    ],
)
def test_the_density_of_a_batch_chooses_the_windows(
    count: int, gap: float, size: int, expected: dict[str, int]
) -> None:
    places = placed("phone", entries(count, gap, size), anywhere)
    assert Counter(window.span.name for window in places) == expected
    assert sum(map(len, places.values())) == count


def test_a_full_window_sends_its_entries_on() -> None:
    given = entries(200, 1, 100)
    full: set[Window] = set()
    for span in (HOUR, MINUTE, ENTRY):
        places = placed("phone", given, full.__contains__)
        assert {window.span for window in places} == {span}
        full |= set(places)


def test_equal_reports_are_one_entry() -> None:
    twice = [entry_of(fix()), entry_of(fix()), entry_of(status())]
    (inside,) = placed("phone", twice, anywhere).values()
    assert len(inside) == 2


@pytest.mark.parametrize(
    ("span", "entry", "expected"),
    [
        (DAY, "", "phone.d2026-11-22"),
        (HOUR, "", "phone.h2026-11-22T12"),
        (MINUTE, "", "phone.m2026-11-22T12:00"),
        (ENTRY, "fixesabc", "phone.e2026-11-22T12:00:00.000000.fixesabc"),
    ],
)
def test_documents_are_named_by_device_and_window(span: Span, entry: str, expected: str) -> None:
    assert Window("phone", span, to_micros(NOON), entry).id == expected


@given(time=MICROS, span=st.sampled_from(SPANS))
def test_the_key_of_an_entry_tells_its_time(time: int, span: Span) -> None:
    window = Window("phone", span, time - time % span.length)
    report = entry_of(fix(EPOCH + timedelta(microseconds=time)))
    for entry in (report, tombstone(time)):
        key = key_in(window, entry)
        assert time_of(window.start, entry.kind, key) == time
        # What a field's name may not be.
        assert not (key.startswith("__") and key.endswith("__"))


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.binary(max_size=2)), max_size=30))
def test_streams_are_united_without_what_was_erased(stamps: list[tuple[int, bytes | None]]) -> None:
    streams = [sorted(stamps[i::3], key=lambda stamp: stamp[0]) for i in range(3)]
    erased = {time for time, packed in stamps if packed is None}
    expected = sorted((time, packed) for time, packed in stamps if packed and time not in erased)
    found = [(time, packed) for time, all in united(streams) for packed in sorted(all) if packed]
    assert found == expected
    back = united([stream[::-1] for stream in streams], newest_first=True)
    assert [time for time, _ in back] == [time for time, _ in united(streams)][::-1]


def test_keys_at_finds_reports_of_both_kinds() -> None:
    window = Window("phone", DAY, to_micros(NOON.replace(hour=0)))
    one, two, other = (entry_of(r) for r in (fix(), status(), fix(NOON + SECOND)))
    keys = {entry: key_in(window, entry) for entry in (one, two, other)}
    segment = Segment(
        window.start,
        {
            "fixes": {keys[one]: one.packed, keys[other]: other.packed},
            "statuses": {keys[two]: two.packed},
        },
    )
    assert keys_at(segment, {to_micros(NOON)}) == [("fixes", keys[one]), ("statuses", keys[two])]
