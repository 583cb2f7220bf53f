"""`Records.json` and what it was before: every position Google had, as fixes."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.model.records import AnyRecord, Fix
from shared.model.steps import Bad
from shared.sources import google_records
from tests.bench import records_json
from tests.reading import NOW, bad_in, file_of, records_in, step_by_step
from tests.sources import google_files as files


def fix(**said: Any) -> Fix:
    return Fix(source="google_records", source_version=1, **said)


def read(data: bytes) -> tuple[list[AnyRecord], list[Bad]]:
    steps = list(google_records.read(file_of(data), None))
    return records_in(steps), bad_in(steps)


def read_point(**said: Any) -> tuple[list[AnyRecord], list[Bad]]:
    point = {"latitudeE7": 1, "longitudeE7": 2, "timestamp": "2022-03-05T09:10:11Z", **said}
    told = {name: value for name, value in point.items() if value is not None}
    return read(json.dumps({"locations": [told]}).encode())


def test_records_json() -> None:
    assert read(files.RECORDS) == (
        [
            fix(
                device="google-1184732945",
                time=datetime(2022, 3, 5, 9, 10, 11, 222000, UTC),
                lat=52.516389,
                lon=13.377704,
                accuracy=12.0,
                altitude=38.0,
                altitude_accuracy=4.0,
                speed=3.0,
                course=271.0,
                power="charging",
                motion=("cycling",),
                extra={
                    "source": "GPS",
                    "platformType": "ANDROID",
                    "formFactor": "PHONE",
                    "serverTimestamp": "2022-03-05T09:10:20.100Z",
                    "activity": [
                        ["2022-03-05T09:10:12.345Z", {"ON_BICYCLE": 77, "IN_VEHICLE": 11}]
                    ],
                },
            ),
            fix(
                device="google--538926953",
                time=datetime(2022, 3, 5, 9, 12, tzinfo=UTC),
                lat=52.5163999,
                lon=13.3777111,
                accuracy=800.0,
                extra={"source": "WIFI", "activeWifiScan": {"accessPoints": 2}},
            ),
        ],
        [],
    )


def test_location_history_json() -> None:
    activities = [{"type": "still", "confidence": 100}]
    first = datetime(2014, 8, 24, 19, 55, 52, 294000, UTC)
    assert read(files.LOCATION_HISTORY) == (
        [
            fix(
                device="google",
                time=first,
                lat=51.503407,
                lon=-0.127592,
                accuracy=26.0,
                extra={"activitys": [{"timestampMs": "1408910091630", "activities": activities}]},
            ),
            fix(
                device="google",
                time=first - timedelta(milliseconds=60_950),
                lat=51.5034071,
                lon=-0.127592,
                accuracy=26.0,
            ),
        ],
        [],
    )


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        ({"timestamp": "2022-03-05T11:10:11.5+02:00"}, "time", datetime(2022, 3, 5, 9, 10, 11, 500000, UTC)),
        ({"timestamp": None, "timestampMs": "1408910152294"}, "time", datetime(2014, 8, 24, 19, 55, 52, 294000, UTC)),
        ({"timestamp": None, "timestampMs": 1408910152294}, "time", datetime(2014, 8, 24, 19, 55, 52, 294000, UTC)),
        ({"accuracy": "12"}, "accuracy", 12.0),
        ({"velocity": -1}, "speed", None),
        ({"heading": -1}, "course", None),
        ({"heading": 400}, "extra", {"heading": 400}),
        ({"accuracy": -4}, "extra", {"accuracy": -4}),
        ({"verticalAccuracy": 2.5}, "altitude_accuracy", 2.5),
        ({"batteryCharging": False}, "power", "unplugged"),
        ({"longitudeE7": 4293691376}, "lon", -0.127592),
        ({"deviceTag": "17"}, "device", "google-17"),
        ({"placeId": "ChIJ_home", "osLevel": 28}, "extra", {"placeId": "ChIJ_home", "osLevel": 28}),
        ({"new": {"a": [1, None]}}, "extra", {"new": {"a": [1, None]}}),
        ({"inferredLocation": [{"latitudeE7": 1}]}, "extra", {"inferredLocation": [{"latitudeE7": 1}]}),
        ({"activity": [{"timestampMs": "1", "activity": [{"type": "TILTING", "confidence": 100}]}]}, "extra", {"activity": [["1", {"TILTING": 100}]]}),
        ({"activity": [{"activity": [{"type": "STILL", "confidence": 1}, {"type": "ON_FOOT", "confidence": 9}]}]}, "motion", ("walking",)),
        ({"activity": [{"activity": [{"type": "STILL", "confidence": 1}]}], "new": 1}, "motion", ("stationary",)),
        ({"activity": "walking"}, "extra", {"activity": "walking"}),
        ({"activity": []}, "extra", {}),
        ({"locationMetadata": [{"timestamp": "x", "wifiScan": {"accessPoints": [{}, {}]}}]}, "extra", {"locationMetadata": [{"timestamp": "x", "wifiScan": {"accessPoints": 2}}]}),
        ({"activeWifiScan": {"accessPoints": [{"mac": "1"}]}, "new": 1}, "extra", {"activeWifiScan": {"accessPoints": 1}, "new": 1}),
    ],
    ids=str,
)  # fmt: skip
def test_a_point_says(said: dict[str, Any], field: str, value: Any) -> None:
    records, bad = read_point(**said)
    assert bad == []
    assert [getattr(record, field) for record in records] == [value]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"latitudeE7": None}, "no coordinates"),
        ({"longitudeE7": None}, "no coordinates"),
        ({"latitudeE7": 1_000_000_000}, "latitude"),
        ({"timestamp": None}, "time is missing"),
        ({"timestamp": "2022-03-05T09:10:11"}, "offset from UTC"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "1-01-01"),
        ({"timestamp": "1970-01-01T00:00:00Z"}, "before 2000"),
        ({"timestamp": (NOW + timedelta(days=2)).isoformat()}, "in the future"),
    ],
    ids=str,
)
def test_a_point_that_cannot_be_read_is_bad(said: dict[str, Any], reason: str) -> None:
    for more in ({}, {"new": 1}):
        records, bad = read_point(**said, **more)
        assert records == []
        assert [(b.where, reason in b.reason) for b in bad] == [("locations[0]", True)]
        assert json.loads(bad[0].data).items() >= {n: v for n, v in said.items() if v}.items()


def test_what_stands_beside_the_points_is_kept() -> None:
    records, bad = read(b'{"a": {"b": 1}, "locations": [5], "locations": {}, "c": NaN}')
    assert records == []
    assert [(b.where, b.data) for b in bad] == [
        ("a", b'{"b": 1}'),
        ("locations[0]", b"5"),
        ("locations", b"{}"),
        ("c", b"NaN"),
    ]


def test_a_number_json_does_not_have_costs_no_point() -> None:
    text = b'{"locations": [{"latitudeE7": 1, "longitudeE7": 2, "altitude": NaN, "timestampMs": "1408910152294"}]}'
    records, bad = read(text)
    assert (len(records), bad) == (1, [])


def test_thousands_of_points() -> None:
    points = list(records_json.points(4000))
    indented = ", ".join(json.dumps(p, indent=2).replace("\n", "\n  ") for p in points)
    for text in (f'{{"locations": [{indented}]}}', json.dumps({"locations": points})):
        file = file_of(text.encode())
        steps = list(google_records.read(file, None))
        assert all(len(step.records) <= 1000 for step in steps)
        records = records_in(steps)
        whole = [p for p in points if "latitudeE7" in p]
        assert [math.floor(r.lat * 1e7 + 0.5) for r in records if isinstance(r, Fix)] == [
            p["latitudeE7"] for p in whole
        ]
        assert [bad.where for bad in bad_in(steps)] == ["locations[1000]", "locations[3000]"]
        assert list(step_by_step(google_records, file)) == steps
