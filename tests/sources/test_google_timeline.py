"""What phones export: Android's `Timeline.json`, the iPhone's `location-history.json`; and what
Takeout has left, `Timeline Edits.json`."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.model.ids import named_id
from shared.model.records import AnyRecord, Event, Fix, Place, Status, Visit
from shared.model.steps import Bad, Source
from shared.sources import google_edits, google_ios, google_timeline
from shared.sources.google import place_id, visit_id
from tests.reading import bad_in, file_of, records_in
from tests.sources import google_files as files

ANDROID: dict[str, Any] = {"source": "google_timeline", "source_version": 1, "device": "google"}
IPHONE: dict[str, Any] = {"source": "google_ios", "source_version": 1, "device": "google"}
EDITED: dict[str, Any] = {"source": "google_edits", "source_version": 1}
HOME, WORK = (52.520008, 13.404954), (52.516389, 13.377704)


def read(source: Source, data: bytes) -> tuple[list[AnyRecord], list[Bad]]:
    steps = list(source.read(file_of(data), None))
    return records_in(steps), bad_in(steps)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def fix(common: dict[str, Any], time: str, lat: float, lon: float, **said: Any) -> Fix:
    return Fix(time=at(time), lat=lat, lon=lon, **common, **said)


def visit(common: dict[str, Any], start: str, end: str, extra: dict[str, Any]) -> Visit:
    return Visit(
        id=visit_id("google", at(start), "ChIJ_home", 0, 0),
        time=at(start),
        arrival=at(start),
        departure=at(end),
        lat=HOME[0],
        lon=HOME[1],
        place=place_id("ChIJ_home"),
        extra=extra,
        **common,
    )


def trip(common: dict[str, Any], start: str, end: str, extra: dict[str, Any], **said: Any) -> Event:
    return Event(
        id=named_id("trip", "google", at(start), at(end)),
        type="trip",
        time=at(start),
        end=at(end),
        title="in passenger vehicle",
        lat=HOME[0],
        lon=HOME[1],
        extra={"end": list(WORK), "distanceMeters": 1530.5, **extra},
        **common,
        **said,
    )


def test_android() -> None:
    records, bad = read(google_timeline, files.TIMELINE)
    began, ended = at("2023-06-17T07:00Z"), at("2023-06-20T07:00Z")
    memory = {
        "distanceFromOriginKms": 280,
        "destinations": [{"identifier": {"placeId": "ChIJ_sea"}}],
    }
    assert records == [
        fix(ANDROID, "2023-06-16T18:41Z", *WORK),
        fix(ANDROID, "2023-06-16T19:00Z", 52.5163891, -0.127592),
        visit(
            ANDROID,
            "2023-06-16T20:00Z",
            "2023-06-17T06:02:33Z",
            {
                "startTimeTimezoneUtcOffsetMinutes": 60,
                "endTimeTimezoneUtcOffsetMinutes": 60,
                "hierarchyLevel": 0,
                "probability": 0.78,
                "topCandidate": {
                    "placeId": "ChIJ_home",
                    "semanticType": "INFERRED_HOME",
                    "probability": 0.99,
                },
            },
        ),
        trip(
            ANDROID,
            "2023-06-17T06:02:33Z",
            "2023-06-17T06:20Z",
            {"topCandidate": {"probability": 0.6}},
            offset=60,
        ),
        Event(
            id=named_id("memory", "google", began, ended),
            type="memory",
            time=began,
            end=ended,
            extra={"trip": memory},
            **ANDROID,
        ),
        fix(
            ANDROID,
            "2024-06-06T10:44:37Z",
            *WORK,
            accuracy=13.0,
            altitude=90.5,
            speed=0.5,
            extra={"source": "WIFI"},
        ),
        Status(
            time=at("2024-06-06T10:45Z"),
            extra={"probableActivities": [{"type": "STILL", "confidence": 0.9}]},
            **ANDROID,
        ),
        Status(time=at("2024-06-06T10:46Z"), extra={"accessPoints": 1}, **ANDROID),
        Place(
            id=place_id("ChIJ_home"),
            name="Home",
            lat=HOME[0],
            lon=HOME[1],
            extra={"placeId": "ChIJ_home"},
            **ANDROID,
        ),
    ]
    assert [(b.where, b.data) for b in bad] == [
        (
            "semanticSegments[0].timelinePath[2]",
            b'{"point":"nowhere","time":"2023-06-16T21:10:00.000+02:00"}',
        ),
        (
            "userLocationProfile.persona",
            b'{"travelModeAffinities": [{"mode": "WALKING", "affinity": 0.4}]}',
        ),
    ]


def test_the_order_of_members_does_not_matter() -> None:
    members = json.loads(files.TIMELINE)
    turned = json.dumps(dict(reversed(members.items()))).encode()
    assert google_timeline.recognise("Chronologie.json", turned)
    records, _ = read(google_timeline, turned)
    assert sorted(map(repr, records)) == sorted(map(repr, read(google_timeline, files.TIMELINE)[0]))


def test_iphone() -> None:
    assert read(google_ios, files.IOS) == (
        [
            visit(
                IPHONE,
                "2024-01-02T08:00Z",
                "2024-01-02T09:00Z",
                {
                    "hierarchyLevel": 0.0,
                    "probability": 0.91,
                    "topCandidate": {
                        "placeId": "ChIJ_home",
                        "semanticType": "Home",
                        "probability": 0.83,
                    },
                },
            ),
            trip(
                IPHONE,
                "2024-01-02T09:00Z",
                "2024-01-02T09:30Z",
                {"probability": 0.97, "topCandidate": {"probability": 0.6}},
            ),
            fix(IPHONE, "2024-01-02T09:07Z", *HOME),
            fix(IPHONE, "2024-01-02T09:31Z", WORK[0], -WORK[1]),
        ],
        [],
    )


def test_edits() -> None:
    records, bad = read(google_edits, files.EDITS)
    phone, other = {**EDITED, "device": "google--538926953"}, {**EDITED, "device": "google-0"}
    places = json.loads(files.EDITS)["timelineEdits"][3]["placeAggregates"]
    start, end = at("2024-04-14T08:00:55Z"), at("2024-07-07T08:00:55Z")
    del places["processWindow"]
    assert records == [
        fix(
            phone,
            "2024-07-06T05:23:01.340Z",
            *WORK,
            accuracy=14.063,
            altitude=-23.0,
            speed=0.25,
            extra={
                "source": "WIFI",
                "additionalTimestamp": "2024-07-06T05:23:02.000Z",
                "metadata": {"platform": "ANDROID"},
            },
        ),
        Status(
            time=at("2024-07-06T06:53:29.710Z"),
            extra={"detectedActivities": [{"activityType": "STILL", "probability": 1.0}]},
            **phone,
        ),
        Status(
            time=at("2024-07-06T06:54Z"),
            extra={"source": "ACTIVE_SCAN", "accessPoints": 2},
            **phone,
        ),
        Event(
            id=named_id("places", "google-0", start, end),
            type="places",
            time=start,
            end=end,
            extra=places,
            **other,
        ),
    ]
    assert [b.where for b in bad] == ["timelineEdits[4]"]
    assert b"somethingNew" in bad[0].data


CLOCK = {"startTime": "2024-01-02T09:00:00+01:00", "endTime": "2024-01-02T12:00:00+01:00"}


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        ({}, "time is missing"),
        (CLOCK, "no visit, activity, path or memory"),
        ({**CLOCK, "endTime": "2024-01-01T09:00:00+01:00", "visit": {}}, "ends before"),
        ({**CLOCK, "visit": {}}, "topCandidate is missing"),
        ({**CLOCK, "visit": {"topCandidate": {}}}, "point"),
        ({**CLOCK, "activity": {"start": "here"}}, "point"),
        ({**CLOCK, "activity": {"topCandidate": {"type": "x" * 5000}}}, "text"),
        ({**CLOCK, "timelinePath": {}}, "no list"),
        ({**CLOCK, "timelinePath": [{"point": "geo:1,2"}]}, "durationMinutes"),
        ({**CLOCK, "timelinePath": [{"point": "geo:1,2", "durationMinutesOffsetFromStartTime": "1e300"}]}, "beyond"),
        ({**CLOCK, "timelinePath": ["geo:1,2"]}, "no JSON object"),
    ],
    ids=str,
)  # fmt: skip
def test_a_segment_that_cannot_be_read_is_bad(segment: Any, reason: str) -> None:
    for source, text in (
        (google_ios, [segment]),
        (google_timeline, {"semanticSegments": [segment]}),
    ):
        records, bad = read(source, json.dumps(text).encode())
        assert records == []
        assert [reason in b.reason for b in bad] == [True]


@pytest.mark.parametrize(
    ("minutes", "offset"),
    [(-300, -300), ("60", 60), (0, 0), (900, None), (1.5, None), (None, None)],
)
def test_offsets_are_those_of_the_field(minutes: Any, offset: int | None) -> None:
    segment = {**CLOCK, "startTimeTimezoneUtcOffsetMinutes": minutes}
    segment["timelinePath"] = [{"point": "1°, 2°", "time": "2024-01-02T10:00:00+01:00"}]
    records, bad = read(google_timeline, json.dumps({"semanticSegments": [segment]}).encode())
    assert bad == []
    assert [record.offset for record in records if isinstance(record, Fix)] == [offset]


def test_a_long_path_is_given_in_parts() -> None:
    points = [
        {"point": "geo:1,2", "durationMinutesOffsetFromStartTime": str(n / 100)}
        for n in range(3500)
    ]
    file = file_of(json.dumps([{**CLOCK, "timelinePath": points}]).encode())
    steps = list(google_ios.read(file, None))
    assert [len(step.records) for step in steps if step.records] == [1000, 1000, 1000, 500]
    last = records_in(steps)[-1]
    assert isinstance(last, Fix)
    assert last.time == at(CLOCK["startTime"]) + timedelta(minutes=34.99)
