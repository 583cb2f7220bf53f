"""What holds for every form in which Google has exported locations."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.packing import pack
from shared.model.records import Fix, Status, canonical
from shared.model.steps import Source, Step
from shared.sources import (
    google,
    google_edits,
    google_ios,
    google_records,
    google_semantic,
    google_timeline,
    json_items,
)
from shared.store.protocol import RECORD_LIMIT
from tests.reading import NOW, bad_in, file_of, records_in, step_by_step
from tests.sources import google_files as files

SOURCES: list[Source] = [
    google_records,
    google_semantic,
    google_timeline,
    google_ios,
    google_edits,
]
FILES: list[tuple[Source, bytes]] = [
    (google_records, files.RECORDS),
    (google_records, files.LOCATION_HISTORY),
    (google_semantic, files.SEMANTIC),
    (google_semantic, files.SEMANTIC_2019),
    (google_timeline, files.TIMELINE),
    (google_ios, files.IOS),
    (google_edits, files.EDITS),
]
each_file = pytest.mark.parametrize(("source", "data"), FILES, ids=range(len(FILES)))


def read(source: Source, data: bytes) -> list[Step]:
    return list(source.read(file_of(data), None))


@each_file
def test_a_file_is_recognised_by_what_is_in_it(source: Source, data: bytes) -> None:
    for text in (data, b"\xef\xbb\xbf" + data, json.dumps(json.loads(data)).encode()):
        named = [
            s.NAME
            for s in SOURCES
            if s.recognise("Takeout/archive/\u0434\u0430\u043d\u0456.json", text)
        ]
        assert named == [source.NAME]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"PK\x03\x04",
        b'{"locations": [{"type": "Feature", "geometry": {}}]}',
        b'{"messages": "about locations, timelineObjects and semanticSegments"}',
        b'["timelineEdits", "startTime", "endTime", "visit"]',
        b'[{"startTime": 1, "title": "visit"}]',
        b'{"other": {"timelineObjects": [], "rawSignals": [], "timelineEdits": []}}',
        b'{"version": 1, "locations": []}',
    ],
)
def test_other_texts_are_not_recognised(head: bytes) -> None:
    assert not [s.NAME for s in SOURCES if s.recognise("file.json", head)]


def test_the_name_helps_where_the_content_says_too_little() -> None:
    hidden = b'{"settings": {"a": "' + b"x" * 70_000
    for path in ("Takeout/Location History/Records.json", "Location History.json"):
        assert google_records.recognise(path, b'{"locations": []}')
        assert google_records.recognise(path, hidden)
        assert not google_records.recognise(path, b"[]")
    assert not google_records.recognise("x.json", hidden)


@each_file
@pytest.mark.parametrize("window", [200, 1000])
def test_reading_on_equals_reading(
    monkeypatch: pytest.MonkeyPatch, source: Source, data: bytes, window: int
) -> None:
    whole = read(source, data)
    monkeypatch.setattr(json_items, "WINDOW", window)
    monkeypatch.setattr(json_items, "STEP_RECORDS", 2)
    at_once = read(source, data)
    assert list(step_by_step(source, file_of(data))) == at_once
    assert records_in(at_once) == records_in(whole)
    assert bad_in(at_once) == bad_in(whole)
    assert all(len(step.records) + len(step.bad) <= 2 for step in at_once)


@each_file
def test_a_cut_file_loses_only_what_was_cut(source: Source, data: bytes) -> None:
    whole = records_in(read(source, data))
    for length in range(0, len(data.rstrip()), 7):
        steps = read(source, data[:length])
        assert bad_in(steps)
        assert all(record in whole for record in records_in(steps))


@each_file
def test_compact_text_says_the_same(source: Source, data: bytes) -> None:
    compact = json.dumps(json.loads(data), separators=(",", ":")).encode()
    assert records_in(read(source, compact)) == records_in(read(source, data))


VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**40,
    1e300,
    "",
    "x",
    "12",
    "nope" * 400,
    [],
    {},
    [[]],
    {"a": 1},
]


def changed(value: Any, place: int, new: Any) -> tuple[Any, int]:
    """The value with the part at a place replaced, counting all its parts."""
    if place == 0:
        return new, -1
    place -= 1
    if isinstance(value, list):
        parts: list[Any] = []
        for item in value:
            item, place = changed(item, place, new) if place >= 0 else (item, place)
            parts.append(item)
        return parts, place
    if isinstance(value, dict):
        members: dict[str, Any] = {}
        for name, item in value.items():
            members[name], place = changed(item, place, new) if place >= 0 else (item, place)
        return members, place
    return value, place


@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.integers(0, 120), st.sampled_from(VALUES)), max_size=3),
)
def test_any_value_anywhere_is_read_or_bad(
    file: tuple[Source, bytes], changes: list[tuple[int, Any]]
) -> None:
    source, data = file
    value = json.loads(data)
    for place, new in changes:
        value = changed(value, place, new)[0]
    storable(read(source, json.dumps(value).encode()))


@given(
    st.sampled_from(FILES),
    st.lists(
        st.tuples(st.integers(0, 5000), st.integers(0, 20), st.binary(max_size=8)), max_size=4
    ),
)
def test_damage_anywhere_raises_nothing(
    file: tuple[Source, bytes], damages: list[tuple[int, int, bytes]]
) -> None:
    source, data = file
    for start, length, new in damages:
        start %= len(data)
        data = data[:start] + new + data[start + length :]
    source.recognise("x.json", data)
    steps = read(source, data)
    storable(steps)
    assert list(step_by_step(source, file_of(data))) == steps


def storable(steps: list[Step]) -> None:
    """Every record fits the store."""
    for record in records_in(steps):
        packed = pack(record) if isinstance(record, Fix | Status) else canonical(record)
        assert len(packed) < RECORD_LIMIT
    assert all(len(bad.reason) <= 200 for bad in bad_in(steps))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            google_records,
            '{"locations": [{"latitudeE7": 1, "longitudeE7": 2, "timestampMs": "1408910152294", "new": BIG}]}',
        ),
        (
            google_timeline,
            '{"rawSignals": [{"position": {"LatLng": "1, 2", "timestamp": "2024-06-06T11:44:37Z", "new": BIG}}]}',
        ),
        (
            google_ios,
            '[{"startTime": "2024-01-02T09:00:00Z", "endTime": "2024-01-02T09:00:00Z", "timelineMemory": {"new": BIG}}]',
        ),
    ],
)
def test_what_is_too_long_for_a_record_is_kept_as_raw(source: Source, text: str) -> None:
    data = text.replace("BIG", json.dumps(["word"] * 20_000)).encode()
    (step,) = [step for step in read(source, data) if step.records]
    (record,) = step.records
    assert record.raw is not None
    assert record.extra == {}
    assert step.raws[record.raw].count(b"word") == 20_000


@pytest.mark.parametrize(
    ("tag", "device"),
    [
        (None, "google"),
        (1184732945, "google-1184732945"),
        (-538926953, "google--538926953"),
        ("-538926953", "google--538926953"),
        ("a/b", "google-c14cddc033f64b9d"),
    ],
    ids=repr,
)
def test_devices_are_named_by_their_tags(tag: object, device: str) -> None:
    assert google.device_id(tag) == device


@pytest.mark.parametrize(
    ("lat", "lon", "expected"),
    [
        (525163890, 133777040, (52.516389, 13.377704)),
        (900000000, -1800000000, (90.0, -180.0)),
        (4294967295, 4293691376, (-1e-7, -0.127592)),
        (515034070, -4294967296 + 133777040, (51.503407, 13.377704)),
        ("525163890", "133777040", (52.516389, 13.377704)),
    ],
)
def test_coordinates_are_unwrapped(lat: Any, lon: Any, expected: tuple[float, float]) -> None:
    assert google.degrees(lat, lon) == expected


@pytest.mark.parametrize(
    ("lat", "lon"), [(None, 1), (1, None), (900000001, 1), (1, 1800000001), ("x", 1), (1, [])]
)
def test_no_place_on_earth(lat: Any, lon: Any) -> None:
    with pytest.raises(ValueError, match=r"latitude|longitude"):
        google.degrees(lat, lon)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("52.5163890°, -13.3777040°", (52.516389, -13.377704)),
        ("geo:52.516389,13.377704", (52.516389, 13.377704)),
        ("52,13", (52.0, 13.0)),
    ],
)
def test_points_are_read(text: str, expected: tuple[float, float]) -> None:
    assert google.point(text) == expected


@pytest.mark.parametrize(
    "text", [None, "", 52.5, "52.5", "91°, 0°", "0°, 181°", "geo:1,2,3", "1e1, 2"], ids=repr
)
def test_what_is_no_point(text: Any) -> None:
    with pytest.raises(ValueError, match=r"point|lat|lon"):
        google.point(text)


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "yesterday",
        "2022-03-05T09:10:11",
        "0",
        5,
        "1970-01-01T00:00:00Z",
        [],
        "9" * 5000,
        NOW.year * 10**30,
    ],
)
def test_what_is_no_time(said: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each for a reason of its own
        google.instant(said, NOW)
