"""Our own JSON: literal reports in, records out, and what the sender hears."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import msgspec
import pytest

from shared.model.ids import content_id
from shared.model.records import Fix, Reject, Status
from shared.sources import plain
from shared.sources.push import Decoded, Outbox
from tests.sources.pushes import DEVICE, a_push, read, the_fix, the_reject, the_status

AT = datetime(2026, 10, 1, 8, 0, tzinfo=UTC)
SECONDS = 1790841600
REPORT = {"time": "2026-10-01T08:00:00Z", "lat": 51.5, "lon": -0.12}
GPSLOGGER = b"""{"time":"1790841600","lat":"51.5","lon":"-0.12","accuracy":"8.0","altitude":"35.5",
"speed":"1.25","course":"270.0","battery_percent":"53","charging":"false","trigger":"gps",
"offset":"","satellites":"9","annotation":""}"""


def fix(**fields: Any) -> Fix:
    given: dict[str, Any] = {"time": AT, "lat": 51.5, "lon": -0.12}
    return Fix(source="plain", source_version=1, device=DEVICE, **{**given, **fields})


def test_every_field() -> None:
    fields: dict[str, Any] = {
        "offset": 60,
        "accuracy": 8,
        "altitude": 35.5,
        "altitude_accuracy": 3,
        "speed": 1.25,
        "speed_accuracy": 0.5,
        "course": 270,
        "course_accuracy": 5,
        "battery": 0.53,
        "power": "charging",
        "network": "wifi",
        "wifi": "home",
        "pressure": 101325,
        "motion": ["walking"],
        "trigger": "timer",
        "extra": {"hdop": 0.9},
    }
    assert the_fix(plain, a_push(REPORT | fields)) == fix(**(fields | {"motion": ("walking",)}))


def test_gpslogger_says_everything_as_text() -> None:
    assert the_fix(plain, a_push(GPSLOGGER)) == fix(
        accuracy=8,
        altitude=35.5,
        speed=1.25,
        course=270,
        battery=0.53,
        power="unplugged",
        trigger="gps",
        extra={"satellites": "9", "annotation": ""},
    )


@pytest.mark.parametrize(
    ("time", "expected", "offset"),
    [
        ("2026-10-01T08:00:00Z", AT, None),
        ("2026-10-01T10:00:00+02:00", AT, 120),
        (SECONDS, AT, None),
        (str(SECONDS), AT, None),
        (SECONDS + 0.25, AT + timedelta(milliseconds=250), None),
        (SECONDS * 1000 + 250, AT + timedelta(milliseconds=250), None),
        (f"{SECONDS}250", AT + timedelta(milliseconds=250), None),
    ],
)
def test_time(time: Any, expected: datetime, offset: int | None) -> None:
    assert the_fix(plain, a_push(REPORT | {"time": time})) == fix(time=expected, offset=offset)


@pytest.mark.parametrize(
    ("members", "fields"),
    [
        ({"charging": True}, {"power": "charging"}),
        ({"power": "full"}, {"power": "full"}),
        ({"offset": "-420"}, {"offset": -420}),
        ({"motion": "walking"}, {"motion": ("walking",)}),
        ({"unknown": {"a": [1]}}, {"extra": {"unknown": {"a": [1]}}}),
        ({"extra": "text"}, {"extra": {"extra": "text"}}),
        ({"power": "", "network": "", "wifi": "", "speed": ""}, {}),
    ],
    ids=str,
)
def test_a_member_is_read(members: dict[str, Any], fields: dict[str, Any]) -> None:
    assert the_fix(plain, a_push(REPORT | members)) == fix(**fields)


ODD_MEMBERS: list[dict[str, Any]] = [
    {"accuracy": -1},
    {"accuracy": True},
    {"speed": "fast"},
    {"speed": "1,5"},
    {"course": 361},
    {"battery": 53},
    {"battery_percent": 101},
    {"power": "maybe"},
    {"charging": "maybe"},
    {"charging": 1},
    {"network": 5},
    {"offset": 0.5},
    {"offset": 1441},
]


@pytest.mark.parametrize("members", ODD_MEMBERS, ids=str)
def test_an_odd_member_leaves_the_fix_standing(members: dict[str, Any]) -> None:
    assert the_fix(plain, a_push(REPORT | members)) == fix(extra=members)


def test_a_report_without_a_position_is_a_sign_of_life() -> None:
    report = {"time": SECONDS, "battery": 0.5, "power": "full", "network": "mobile", "speed": 3}
    assert the_status(plain, a_push(report)) == Status(
        source="plain",
        source_version=1,
        device=DEVICE,
        time=AT,
        battery=0.5,
        power="full",
        network="mobile",
        extra={"speed": 3},
    )


def heard(body: Any) -> Any:
    push = a_push(body)
    return json.loads(plain.reply(push, Outbox(), read(plain, push)))


@pytest.mark.parametrize(
    "body", [REPORT, [REPORT], {"reports": [REPORT]}], ids=["one", "array", "reports"]
)
def test_shapes_of_a_body(body: Any) -> None:
    assert the_fix(plain, a_push(body)) == fix()
    assert heard(body) == {"result": "ok", "stored": 1, "rejected": []}


def test_what_stands_beside_reports_is_kept_with_the_first() -> None:
    later = REPORT | {"time": SECONDS + 1}
    body = {"device": "phone", "reports": [{}, REPORT, later], "note": None}
    first, second, reject = read(plain, a_push(body)).records
    assert first == fix(extra={"batch": {"device": "phone"}})
    assert second == fix(time=AT + timedelta(seconds=1))
    assert isinstance(reject, Reject)
    decoded = read(plain, a_push({"device": "phone", "reports": [{}]}))
    assert [r.where for r in decoded.records if isinstance(r, Reject)] == ["reports[0]", "device"]


def test_members_of_extra_that_the_report_has_too_stay_there() -> None:
    report = REPORT | {"speed": 2, "lat": 51.5, "note": "a"}
    report["extra"] = {"speed": 3, "lat": 9, "note": "b", "hdop": 0.9, "extra": 1}
    kept = {"speed": 3, "lat": 9, "note": "b", "extra": 1}
    expected = fix(speed=2, extra={"note": "a", "hdop": 0.9, "extra": kept})
    assert the_fix(plain, a_push(report)) == expected


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("lat=51.5&lon=-0.12&time=1790841600", {}),
        ("time=2026-10-01T08%3A00%3A00.000Z&lat=51.5&lon=-0.12", {}),
        ("time=2026-10-01T10:00:00%2B02:00&lat=51.5&lon=-0.12", {"offset": 120}),
        ("time=2026-10-01T10:00:00+02:00&lat=51.5&lon=-0.12", {"offset": 120}),
        (
            "lat=51.5&lon=-0.12&time=1790841600&speed=1.25&battery_percent=53&wifi=",
            {"speed": 1.25, "battery": 0.53},
        ),
        (
            "lat=51.5&lon=-0.12&time=1790841600&note=caf%C3%A9+x&flag",
            {"extra": {"note": "café x", "flag": ""}},
        ),
        ("lat=51.5&lon=-0.12&time=1790841600&note=%FF", {"extra": {"note": "\\xff"}}),
        ("lat=1&lat=51.5&lon=-0.12&time=1790841600", {}),
    ],
)
def test_a_report_as_parameters(body: str, fields: dict[str, Any]) -> None:
    assert the_fix(plain, a_push(body)) == fix(**fields)
    assert heard(body) == {"result": "ok", "stored": 1, "rejected": []}


@pytest.mark.parametrize(
    ("body", "where"), [([REPORT, {}], "[1]"), ({"reports": [REPORT, {}]}, "reports[1]")]
)
def test_the_sender_hears_what_could_not_be_read(body: Any, where: str) -> None:
    decoded = read(plain, a_push(body))
    assert decoded.records[0] == fix()
    assert decoded.raws == {content_id(b"{}"): b"{}"}
    rejected = {"where": where, "reason": "time is missing"}
    assert heard(body) == {"result": "ok", "stored": 1, "rejected": [rejected]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "not JSON"),
        ("5", "int where a JSON object belongs"),
        ("lat=51.5&lon=-0.12", "time is missing"),
        ("time=1790841600&lat=&lon=", "lat is missing"),
        ("lat", "not JSON"),
        ("a=1&" * 1001, "fields exceeded"),
        ("[]", "there is no report in it"),
        ({"reports": []}, "there is no report in it"),
        ({"lat": 1, "lon": 1}, "time is missing"),
        (REPORT | {"time": "today"}, "time: "),
        (REPORT | {"time": "2026-10-01T08:00:00"}, "does not say its offset"),
        (REPORT | {"time": True}, "time: bool is not a number"),
        (REPORT | {"time": 0}, "before 2000"),
        (REPORT | {"time": SECONDS * 1_000_000}, "is no date"),
        (REPORT | {"lat": None}, "lat is missing"),
        (REPORT | {"lat": 91}, "lat is 91"),
        (REPORT | {"lon": "x"}, "lon: 'x' is not a number"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_kept(body: Any, reason: str) -> None:
    push = a_push(body)
    record, raw = the_reject(plain, push)
    assert isinstance(record, Reject)
    assert reason in record.reason
    assert raw == push.body
    rejected = [{"where": None, "reason": record.reason}]
    assert heard(body) == {"result": "ok", "stored": 0, "rejected": rejected}


def test_an_empty_body_says_nothing() -> None:
    assert read(plain, a_push(b"")) == Decoded()
    assert heard(b"") == {"result": "ok", "stored": 0, "rejected": []}


def test_the_schema_says_what_is_read() -> None:
    schema = msgspec.json.schema(plain.Report)
    for report in (REPORT, json.loads(GPSLOGGER), {"time": SECONDS, "motion": ["walking"]}):
        jsonschema.validate(report, schema)
    documented = {field.name for field in msgspec.structs.fields(plain.Report)}
    # Every documented member ends in a field of its own, and nothing else does.
    odd = REPORT | {"extra": {}, "other": 1}
    samples: dict[str, Any] = {
        "offset": 60,
        "battery": 0.5,
        "battery_percent": 50,
        "power": "full",
        "charging": True,
        "network": "wifi",
        "wifi": "home",
        "motion": ["walking"],
        "trigger": "timer",
    }
    numbers = documented - samples.keys() - {"time", "lat", "lon", "extra"}
    told = odd | samples | dict.fromkeys(numbers, 1)
    assert told.keys() == documented | {"other"}
    assert the_fix(plain, a_push(told)).extra == {"other": 1}
