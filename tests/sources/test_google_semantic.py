"""Semantic Location History: visits, places, trips and the fixes on the way."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.model.ids import named_id
from shared.model.records import AnyRecord, Event, Fix, Place, Visit
from shared.model.steps import Bad
from shared.sources import google_semantic
from shared.sources.google import place_id, visit_id
from tests.reading import bad_in, file_of, records_in
from tests.sources import google_files as files

SOURCE: dict[str, Any] = {"source": "google_semantic", "source_version": 1}
PHONE = "google-1184732945"
BEGAN = datetime(2022, 3, 5, 9, 10, tzinfo=UTC)
ARRIVED = datetime(2022, 3, 5, 9, 31, 30, 500000, UTC)


def read(data: bytes) -> tuple[list[AnyRecord], list[Bad]]:
    steps = list(google_semantic.read(file_of(data), None))
    return records_in(steps), bad_in(steps)


def place(id: str, name: str, lat: float, lon: float, asof: datetime, **extra: str) -> Place:
    return Place(
        id=place_id(id),
        name=name,
        lat=lat,
        lon=lon,
        time=asof,
        asof=asof,
        device="google",
        extra={"placeId": id, **extra},
        **SOURCE,
    )


def test_a_trip() -> None:
    records, bad = read(files.SEMANTIC)
    segment = json.loads(files.SEMANTIC)["timelineObjects"][0]["activitySegment"]
    kept = ("endLocation", "distance", "confidence", "activities", "waypointPath", "transitPath")
    assert records[:4] == [
        place("ChIJ_stop", "Alexanderplatz", 52.520008, 13.404954, BEGAN),
        place("ChIJ_first", "Zoologischer Garten", 52.5163, 13.3777, BEGAN),
        Fix(
            device=PHONE,
            time=datetime(2022, 3, 5, 9, 15, tzinfo=UTC),
            lat=52.517,
            lon=13.38,
            accuracy=10.0,
            **SOURCE,
        ),
        Event(
            id=named_id("trip", PHONE, BEGAN, ARRIVED),
            type="trip",
            time=BEGAN,
            end=ARRIVED,
            title="in bus",
            device=PHONE,
            lat=52.516389,
            lon=13.377704,
            extra={
                **{name: segment[name] for name in kept},
                "parkingEvent": {"timestamp": "2022-03-05T09:31:00Z"},
                "simplifiedRawPath": {"source": "INFERRED", "distanceMeters": 2413.4},
            },
            **SOURCE,
        ),
    ]
    path = "timelineObjects[0].activitySegment.simplifiedRawPath.points[1]"
    assert [(b.where, b.reason, b.data) for b in bad] == [
        (path, "its time is missing", b'{"latE7":525180000,"lngE7":133900000}')
    ]


def test_a_visit_and_one_within_it() -> None:
    records, _ = read(files.SEMANTIC)
    began, ended = (datetime(2022, 3, 5, 10, minute, tzinfo=UTC) for minute in (0, 20))
    address = "Breite Str. 30\n10178 Berlin"
    assert records[4:] == [
        place(
            "ChIJ_library",
            "Stadtbibliothek",
            52.520008,
            13.404954,
            ARRIVED,
            address=address,
            semanticType="TYPE_WORK",
        ),
        Visit(
            id=visit_id("google", began, "ChIJ_cafe", 0, 0),
            device="google",
            time=began,
            arrival=began,
            departure=ended,
            lat=52.520009,
            lon=13.404955,
            place=place_id("ChIJ_cafe"),
            extra={"location": {"placeId": "ChIJ_cafe"}},
            **SOURCE,
        ),
        Visit(
            id=visit_id(PHONE, ARRIVED, "ChIJ_library", 0, 0),
            device=PHONE,
            time=ARRIVED,
            arrival=ARRIVED,
            departure=datetime(2022, 3, 5, 11, tzinfo=UTC),
            lat=52.520008,
            lon=13.404954,
            place=place_id("ChIJ_library"),
            extra={
                "placeConfidence": "HIGH_CONFIDENCE",
                "centerLatE7": 525200000,
                "centerLngE7": 134050000,
                "location": {
                    "placeId": "ChIJ_library",
                    "address": address,
                    "name": "Stadtbibliothek",
                    "semanticType": "TYPE_WORK",
                    "locationConfidence": 87.1,
                },
            },
            **SOURCE,
        ),
    ]


def test_the_names_of_2019() -> None:
    nine, ten, eleven = (datetime(2019, 3, 1, hour, tzinfo=UTC) for hour in (9, 10, 11))
    assert read(files.SEMANTIC_2019) == (
        [
            Fix(
                device="google",
                time=datetime(2019, 3, 1, 9, 3, 20, 123000, UTC),
                lat=52.5200001,
                lon=13.4050001,
                accuracy=65.0,
                **SOURCE,
            ),
            Visit(
                id=visit_id("google", nine, "ChIJ_home", 0, 0),
                device="google",
                time=nine,
                arrival=nine,
                departure=ten,
                lat=52.52,
                lon=13.405,
                place=place_id("ChIJ_home"),
                extra={
                    "centerLatE7": 525200000,
                    "centerLngE7": 134050000,
                    "location": {"placeId": "ChIJ_home", "semanticType": "TYPE_HOME"},
                },
                **SOURCE,
            ),
            Event(
                id=named_id("trip", "google", ten, eleven),
                type="trip",
                time=ten,
                end=eleven,
                title="walking",
                device="google",
                **SOURCE,
            ),
        ],
        [],
    )


DURATION = {"startTimestamp": "2022-03-05T09:10:00Z", "endTimestamp": "2022-03-05T09:11:00Z"}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({}, "neither"),
        ({"somethingNew": {"a": 1}}, "neither"),
        ([], "no JSON object"),
        ({"placeVisit": {"location": {"latitudeE7": 1, "longitudeE7": 2}}}, "duration is missing"),
        ({"placeVisit": {"location": {"latitudeE7": 1}, "duration": DURATION}}, "no coordinates"),
        ({"activitySegment": {"duration": {"startTimestamp": "2022-03-05T09:10:00Z"}}}, "time is missing"),
        ({"activitySegment": {"duration": {"startTimestamp": "2022-03-05T09:10:00Z", "endTimestamp": "2022-03-04T09:10:00Z"}}}, "ends before"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_read_is_bad(item: Any, reason: str) -> None:
    records, bad = read(json.dumps({"timelineObjects": [item]}).encode())
    assert records == []
    assert [(b.where, reason in b.reason) for b in bad] == [("timelineObjects[0]", True)]


def test_visits_in_visits_end_somewhere() -> None:
    visit: dict[str, Any] = {}
    for _ in range(15):
        visit = {"centerLatE7": 1, "centerLngE7": 2, "duration": DURATION, "childVisits": [visit]}
    records, _ = read(json.dumps({"timelineObjects": [{"placeVisit": visit}]}).encode())
    assert len(records) == 10
    assert "childVisits" in records[0].extra
