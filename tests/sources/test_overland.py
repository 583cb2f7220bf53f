"""Overland: literal batches in, records out."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest

from shared.model.ids import content_id
from shared.model.records import Event, Fix, Reject, Status, Visit, winner
from shared.sources import overland
from shared.sources.push import Decoded, Outbox
from tests.sources.pushes import DEVICE, NOW, a_push, read, the_fix, the_reject, the_status

AT = datetime(2026, 10, 1, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
POINT = {"type": "Point", "coordinates": [-122.030581, 37.3318]}


def batch(*features: Any, **beside: Any) -> dict[str, Any]:
    return {"locations": list(features)} | beside


def feature(geometry: Any = POINT, **properties: Any) -> dict[str, Any]:
    given = {"timestamp": "2026-10-01T08:00:00Z"} | properties
    return {"type": "Feature", "geometry": geometry, "properties": given}


def fix(**fields: Any) -> Fix:
    given: dict[str, Any] = {"time": AT, "lat": 37.3318, "lon": -122.030581}
    return Fix(source="overland", source_version=1, device=DEVICE, **{**given, **fields})


IOS = b"""{"locations":[{"type":"Feature","geometry":{"type":"Point","coordinates":[-122.030581,
37.3318]},"properties":{"timestamp":"2026-10-01T08:00:00Z","altitude":42,"speed":4.2,"course":120.5,
"horizontal_accuracy":30,"vertical_accuracy":-1,"speed_accuracy":-1,"course_accuracy":3.1,
"motion":["driving","stationary"],"pauses":false,"activity":"other_navigation",
"desired_accuracy":100,"deferred":1000,"significant_change":"disabled","locations_in_payload":1,
"battery_state":"charging","battery_level":0.89,"device_id":"phone","wifi":"home",
"unique_id":"ABC","trip_id":"1"}}]}"""
GPSLOGGER = b"""{"locations":[{"type":"Feature","geometry":{"type":"Point","coordinates":[-122.030581,
37.3318]},"properties":{"timestamp":"2026-10-01T10:00:00.000+02:00","altitude":42.0,"speed":4.2,
"horizontal_accuracy":30.0,"battery_level":89,"battery_state":"unplugged","device_id":"phone"}}]}"""


def test_ios_position() -> None:
    assert the_fix(overland, a_push(IOS)) == fix(
        altitude=42,
        speed=4.2,
        course=120.5,
        accuracy=30,
        course_accuracy=3.1,
        motion=("driving", "stationary"),
        battery=0.89,
        power="charging",
        wifi="home",
        extra={
            "pauses": False,
            "activity": "other_navigation",
            "desired_accuracy": 100,
            "deferred": 1000,
            "significant_change": "disabled",
            "locations_in_payload": 1,
            "device_id": "phone",
            "unique_id": "ABC",
            "trip_id": "1",
        },
    )


def test_gpslogger_sends_percent() -> None:
    assert the_fix(overland, a_push(GPSLOGGER)) == fix(
        offset=120,
        altitude=42,
        speed=4.2,
        accuracy=30,
        battery=0.89,
        power="unplugged",
        extra={"device_id": "phone"},
    )


MEMBERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"speed": -1, "course": -1, "horizontal_accuracy": -1}, {}),
    ({"speed": "4.2"}, {"speed": 4.2}),
    ({"battery_level": -1, "battery_state": "unknown"}, {}),
    ({"battery_level": 1}, {"battery": 1}),
    ({"battery_level": 0}, {"battery": 0}),
    ({"battery_level": 100}, {"battery": 1}),
    ({"wifi": "", "motion": [], "battery_state": None}, {}),
    ({"timestamp": "2026-10-01T01:00:00-0700"}, {"offset": -420}),
    ({"timestamp": "2026-10-01T08:00:00+00:00"}, {"offset": 0}),
    ({"timestamp": "2026-10-01T08:00:00.250Z"}, {"time": AT + timedelta(milliseconds=250)}),
    ({"action": "paused_location_updates"}, {"trigger": "paused_location_updates"}),
    ({"type": "unknown"}, {"extra": {"type": "unknown"}}),
    ({"speed": "fast"}, {"extra": {"speed": "fast"}}),
    ({"battery_level": 101}, {"extra": {"battery_level": 101}}),
    ({"motion": [5]}, {"extra": {"motion": [5]}}),
    ({"battery_state": []}, {"extra": {"battery_state": []}}),
]


@pytest.mark.parametrize(("members", "fields"), MEMBERS, ids=str)
def test_a_member_is_read(members: dict[str, Any], fields: dict[str, Any]) -> None:
    assert the_fix(overland, a_push(batch(feature(**members)))) == fix(**fields)


def test_a_third_coordinate_is_the_altitude() -> None:
    high = {"type": "Point", "coordinates": [-122.030581, 37.3318, 12.5]}
    assert the_fix(overland, a_push(batch(feature(high)))) == fix(altitude=12.5)
    assert the_fix(overland, a_push(batch(feature(high, altitude=None)))) == fix(altitude=12.5)
    assert the_fix(overland, a_push(batch(feature(high, altitude=12.5)))) == fix(altitude=12.5)


BESIDE: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (
        feature({**POINT, "coordinates": [-122.030581, 37.3318, 12.5]}, altitude=42),
        {"altitude": 42},
        {"geometry": {"coordinates": [-122.030581, 37.3318, 12.5]}},
    ),
    (
        feature({**POINT, "coordinates": [-122.030581, 37.3318, 12.5, 9]}),
        {"altitude": 12.5},
        {"geometry": {"coordinates": [-122.030581, 37.3318, 12.5, 9]}},
    ),
    (feature({**POINT, "crs": "x"}), {}, {"geometry": {"crs": "x"}}),
    (feature() | {"id": "7", "bbox": [1, 2]}, {}, {"id": "7", "bbox": [1, 2]}),
    (feature() | {"type": "Thing"}, {}, {"type": "Thing"}),
]


@pytest.mark.parametrize(("item", "fields", "beside"), BESIDE, ids=str)
def test_what_stands_beside_the_properties_is_kept(
    item: Any, fields: dict[str, Any], beside: dict[str, Any]
) -> None:
    expected = fix(**fields, extra={"feature": beside})
    assert the_fix(overland, a_push(batch(item))) == expected


def test_what_stands_beside_the_features_is_kept_with_the_first() -> None:
    later = feature(timestamp="2026-10-01T09:00:00Z")
    body = batch(feature(), later, device="phone", counts={"a": 1}, nothing=None)
    assert read(overland, a_push(body)).records == [
        fix(extra={"batch": {"device": "phone", "counts": {"a": 1}}}),
        fix(time=AT + HOUR),
    ]
    named_alike = feature(batch=1, feature=2) | {"id": "7"}
    assert the_fix(overland, a_push(batch(named_alike, x=3))).extra == {
        "batch": 1,
        "feature": 2,
        "feature_": {"id": "7"},
        "batch_": {"x": 3},
    }


@pytest.mark.parametrize(
    "beside", [{"device": "phone"}, {"device": "x" * 70_000}], ids=["no record", "no room"]
)
def test_what_stands_beside_no_feature_is_a_reject(beside: dict[str, Any]) -> None:
    items = [feature()] if len(beside["device"]) > 100 else []
    decoded = read(overland, a_push(batch(*items, **beside)))
    assert decoded.records[:-1] == [fix()] * len(items)
    reject = decoded.records[-1]
    assert isinstance(reject, Reject)
    assert reject.where == "device"
    assert decoded.raws == {reject.raw or "": msgspec.json.encode(beside["device"])}


@pytest.mark.parametrize(
    ("name", "where"), [("", '[""]'), ("x" * 70_000, "x" * 100)], ids=["empty", "long"]
)
def test_a_member_of_any_name_has_a_place(name: str, where: str) -> None:
    reject, raw = the_reject(overland, a_push({name: 5}))
    assert (reject.where, raw) == (where, b"5")


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([1, 50], [0.01, 0.5]),
        ([50, 1, 0], [0.5, 0.01, 0]),
        (["1", "2"], [0.01, 0.02]),
        ([1, 0.5], [1, 0.5]),
        ([1, -1], [1, None]),
        ([1, "x"], [1, None]),
        ([1, None], [1, None]),
    ],
)
def test_one_level_above_1_makes_the_whole_batch_percent(
    levels: list[Any], expected: list[float | None]
) -> None:
    features = [
        feature(timestamp=f"2026-10-01T08:00:{i:02}Z", battery_level=level)
        for i, level in enumerate(levels)
    ]
    *most, last = features
    body = batch(*most, None, current=last)
    found = [r.battery for r in read(overland, a_push(body)).records if isinstance(r, Fix)]
    assert found == expected


@pytest.mark.parametrize(
    "geometry",
    [
        b"",
        b'"geometry":null,',
        b'"geometry":{"type":"Point","coordinates":[]},',
        b'"geometry":{"type":"Point","coordinates":[null,null]},',
    ],
)
def test_an_action_without_geometry_is_a_sign_of_life(geometry: bytes) -> None:
    body = b"""{"locations":[{"type":"Feature",%b"properties":{"timestamp":"2026-10-01T08:00:00Z",
    "action":"will_terminate","battery_state":"full","battery_level":1,"device_id":"phone"}}]}"""
    assert the_status(overland, a_push(body % geometry)) == Status(
        source="overland",
        source_version=1,
        device=DEVICE,
        time=AT,
        battery=1,
        power="full",
        trigger="will_terminate",
        extra={"device_id": "phone"},
    )


def test_an_action_without_a_timestamp_is_of_now() -> None:
    body = batch(feature(None, action="will_resume", timestamp=None))
    status = the_status(overland, a_push(body))
    assert (status.time, status.trigger, status.extra) == (NOW, "will_resume", {})


def test_current_is_a_fix_too() -> None:
    body = batch(feature(), current=feature(timestamp="2026-10-01T09:00:00Z"))
    assert read(overland, a_push(body)).records == [fix(), fix(time=AT + HOUR)]


ITEM_REJECTS: list[tuple[Any, str]] = [
    (None, "NoneType where a JSON object belongs"),
    ("text", "str where a JSON object belongs"),
    ({}, "the feature has no properties"),
    ({"properties": []}, "the feature has no properties"),
    (feature({}), "the geometry is no point"),
    (feature("Point"), "the geometry is no point"),
    (feature({"type": "Point", "coordinates": []}), "the geometry is no point"),
    (feature({"type": "Point", "coordinates": "12"}), "the geometry is no point"),
    (feature({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}), "the geometry is no point"),
    (feature({"type": "LineString", "coordinates": [1, 2]}), "the geometry is no point"),
    (feature({"coordinates": [[1, 2], [3, 4]]}), "lat: list"),
    (feature(None, timestamp=None), "timestamp is missing"),
    (feature(None, timestamp="today", action="will_resume"), "timestamp: "),
    (feature({"type": "Point", "coordinates": [None, None]}), "lat is missing"),
    (feature({"type": "Point", "coordinates": [181, 0]}), "lon is 181"),
    (feature({"type": "Point", "coordinates": [0, 91]}), "lat is 91"),
    (feature(timestamp=None), "timestamp is missing"),
    (feature(timestamp=1700000000), "timestamp is missing or no text"),
    (feature(timestamp="today"), "timestamp: "),
    (feature(timestamp="2026-10-01T08:00:00"), "does not say its offset"),
    (feature(timestamp="1970-01-01T00:00:00Z"), "before 2000"),
    (feature(timestamp="2026-11-24T00:00:00Z"), "more than a day in the future"),
    (feature(timestamp="0001-01-01T00:00:00+10:00"), "is no date in UTC"),
    (feature(action="visit", arrival_date="today"), "arrival_date: "),
    (feature(action="visit", arrival_date="1970-01-01T00:00:00Z"), "before 2000"),
    (feature(type="trip", start="2026-10-01T07:00:00Z"), "end is missing"),
    (feature(type="trip", end="2026-10-01T07:00:00Z"), "start is missing"),
]


@pytest.mark.parametrize(("item", "reason"), ITEM_REJECTS, ids=lambda value: str(value)[-80:])
def test_a_bad_item_is_kept_and_costs_no_other(item: Any, reason: str) -> None:
    part = msgspec.json.encode(item)
    good = msgspec.json.encode(feature())
    decoded = read(overland, a_push(b'{"locations": [%b , %b], "current":null}' % (good, part)))
    first, reject = decoded.records
    assert first == fix()
    assert isinstance(reject, Reject)
    assert reason in reject.reason
    assert reject.where == "locations[1]"
    assert decoded.raws == {content_id(part): part}


@pytest.mark.parametrize(
    ("beside", "where"),
    [({"current": {}}, "current"), ({"trip": 5}, "trip"), ({"trip": {}}, "trip")],
    ids=str,
)
def test_what_stands_beside_the_locations_is_kept_too(beside: dict[str, Any], where: str) -> None:
    first, reject = read(overland, a_push(batch(feature(), **beside))).records
    assert first == fix()
    assert isinstance(reject, Reject)
    assert reject.where == where


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a batch"),
        (b"5", "not a batch"),
        (b"{}", "there is no report in it"),
        (b'{"locations":[]}', "there is no report in it"),
        (b'{"locations":null}', "there is no report in it"),
    ],
)
def test_a_bad_batch_is_kept(body: bytes, reason: str) -> None:
    record, raw = the_reject(overland, a_push(body))
    assert reason in record.reason
    assert raw == body


def test_an_empty_body_says_nothing() -> None:
    assert read(overland, a_push(b"")) == Decoded()


def test_locations_that_are_no_list() -> None:
    record, raw = the_reject(overland, a_push(b'{"locations":"x"}'))
    assert (record.where, raw) == ("locations", b'"x"')


# Visits


def visit(**fields: Any) -> Visit:
    given: dict[str, Any] = {"time": AT, "lat": 37.3318, "lon": -122.030581}
    return Visit(source="overland", source_version=1, device=DEVICE, **{**given, **fields})


SEEN = "2026-10-01T10:00:00Z"
FROM, UNTIL = "2026-10-01T08:00:00Z", "2026-10-01T09:00:00Z"
MICROS = "1790841600000000"


@pytest.mark.parametrize(
    ("arrival", "departure", "expected"),
    [
        (FROM, UNTIL, {"arrival": AT, "departure": AT + HOUR, "asof": AT + HOUR}),
        (FROM, None, {"arrival": AT, "asof": AT}),
        (FROM, "4001-01-01T00:00:00Z", {"arrival": AT, "asof": AT}),
        (
            None,
            UNTIL,
            {"id": "until", "time": AT + HOUR, "departure": AT + HOUR, "asof": AT + HOUR},
        ),
        (
            "0001-01-01T00:00:00Z",
            UNTIL,
            {"id": "until", "time": AT + HOUR, "departure": AT + HOUR, "asof": AT + HOUR},
        ),
        ("", "", {"id": "at", "time": AT + 2 * HOUR, "asof": AT + 2 * HOUR}),
    ],
)
def test_visit(arrival: Any, departure: Any, expected: dict[str, Any]) -> None:
    body = batch(
        feature(
            timestamp=SEEN,
            action="visit",
            arrival_date=arrival,
            departure_date=departure,
            horizontal_accuracy=20,
            battery_level=0.5,
        )
    )
    (record,) = read(overland, a_push(body)).records
    assert isinstance(record, Visit)
    time = expected.get("time", AT)
    known = expected.pop("id", "from")
    micros = int(time.timestamp()) * 1_000_000
    assert record == visit(
        id=f"visit:{DEVICE}:{known}:{micros}",
        accuracy=20,
        extra={"timestamp": SEEN, "action": "visit", "battery_level": 0.5},
        **expected,
    )


def test_the_end_of_a_visit_completes_it_in_any_order() -> None:
    arrived = feature(timestamp=FROM, action="visit", arrival_date=FROM, departure_date=None)
    left = feature(timestamp=UNTIL, action="visit", arrival_date=FROM, departure_date=UNTIL)
    for bodies in permutations([batch(arrived), batch(left)]):
        one, other = (read(overland, a_push(body)).records[0] for body in bodies)
        assert isinstance(one, Visit)
        assert isinstance(other, Visit)
        assert one.id == other.id
        stands = winner(one, other)
        assert isinstance(stands, Visit)
        assert stands.departure == AT + HOUR


def test_a_visit_without_a_position_is_a_sign_of_life() -> None:
    body = batch(feature(None, action="visit", arrival_date=FROM, departure_date=None))
    status = the_status(overland, a_push(body))
    assert (status.trigger, status.extra) == ("visit", {"arrival_date": FROM})


# Trips

TRIP = {
    "mode": "driving",
    "start": "2026-10-01T10:00:00+02:00",
    "distance": 1234.5,
    "start_location": {"type": "Feature", "geometry": POINT, "properties": {}},
}


def test_finished_trip() -> None:
    body = batch(
        feature(type="trip", end=UNTIL, duration=3600, stopped_automatically=False, **TRIP)
    )
    assert read(overland, a_push(body)).records == [
        Event(
            id="trip:phone1:1790841600000000",
            source="overland",
            source_version=1,
            asof=AT + HOUR,
            type="trip",
            device=DEVICE,
            time=AT,
            end=AT + HOUR,
            offset=120,
            extra={
                "timestamp": FROM,
                "type": "trip",
                "duration": 3600,
                "stopped_automatically": False,
                "mode": "driving",
                "distance": 1234.5,
                "start_location": TRIP["start_location"],
                "feature": {"geometry": POINT},
            },
        )
    ]


@pytest.mark.parametrize("seen", [FROM, UNTIL], ids=["before its end", "in its last second"])
def test_a_finished_trip_wins_over_one_in_progress(seen: str) -> None:
    going = batch(feature(timestamp=seen), trip=TRIP)
    done = batch(feature(type="trip", end=UNTIL, **TRIP))
    events = [
        record
        for body in (going, done)
        for record in read(overland, a_push(body)).records
        if isinstance(record, Event)
    ]
    assert events[0].id == events[1].id
    assert (events[0].end, events[1].end) == (None, AT + HOUR)
    assert winner(*events) == winner(*reversed(events)) == events[1]


@pytest.mark.parametrize("body", [IOS, b"", b"{", b"[]"])
def test_the_reply_is_always_the_same(body: bytes) -> None:
    push = a_push(body, received=NOW)
    assert overland.reply(push, Outbox(), read(overland, push)) == b'{"result":"ok"}'
