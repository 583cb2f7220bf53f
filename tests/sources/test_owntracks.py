"""OwnTracks: literal messages in, records and replies out."""

import base64
import json
import tracemalloc
from datetime import datetime, timedelta
from typing import Any

import pytest
from nacl.secret import SecretBox

from shared.model.identity import device_key
from shared.model.ids import content_id, named_id
from shared.model.records import Event, Fix, Media, Person, Place, Reject
from shared.model.time import from_epoch
from shared.sources import owntracks
from shared.sources.push import MOST_PARTS, Decoded, Friend, Outbox
from tests.sources.pushes import DEVICE, NOW, a_push, read, the_fix, the_reject, the_status

AT = from_epoch(1700000000)
PNG = b"\x89PNG\r\n\x1a\nrest"
KEY = b"correct horse"
# libsodium's secretbox under the key, nonce 00 to 17, of {"_type":"location","lat":51.5, …}.
ENCRYPTED = (
    b'{"_type":"encrypted","data":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXpJDJO10toCtZfm3YGwkHbawP6tI472'
    b"fOl80/VsQLiPPXCvF8Efgah/mSY0jacu9ZdrWNlp/49n6ONd3zoSkP5uQhYx+IhI6N+oD5VWnUcRBveABvvmj6"
    b'"}'
)


def location(**members: Any) -> dict[str, Any]:
    return {
        "_type": "location",
        "lat": 51.5,
        "lon": -0.12,
        "tst": 1700000000,
        "tid": "me",
    } | members


def fix(**fields: Any) -> Fix:
    given: dict[str, Any] = {"time": AT, "lat": 51.5, "lon": -0.12, "extra": {"tid": "me"}}
    return Fix(source="owntracks", source_version=1, **{"device": DEVICE, **given, **fields})


ANDROID = (
    b'{"_type":"location","BSSID":"9c:3d:cf:00:11:22","SSID":"home","_id":"0ad9f1c2","acc":13,'
    b'"alt":154,"batt":53,"bs":1,"cog":270,"conn":"w","created_at":1700000005,"inregions":["Home"],'
    b'"inrids":["6da9cf"],"lat":51.5034123,"lon":-0.1276543,"m":1,"t":"u","tid":"me",'
    b'"topic":"owntracks/me/phone","tst":1700000000,"vac":3,"vel":54}'
)
IOS = (
    b'{"acc":5,"conn":"m","lon":-0.12,"created_at":1700000001,"inregions":["Work"],"p":101.315,'
    b'"tst":1700000000,"vac":10,"t":"t","topic":"owntracks/user/device","alt":35,"lat":51.5,'
    b'"_type":"location","m":2,"tid":"me","vel":0,"batt":100,"bs":3,"cog":-1,'
    b'"motionactivities":["cycling","automotive"],"poi":"Cafe","tag":"work","rad":50}'
)


def test_android_location() -> None:
    assert the_fix(owntracks, a_push(ANDROID)) == fix(
        lat=51.5034123,
        lon=-0.1276543,
        accuracy=13,
        altitude=154,
        altitude_accuracy=3,
        speed=15,
        course=270,
        battery=0.53,
        power="unplugged",
        network="wifi",
        wifi="home",
        trigger="u",
        extra={
            "BSSID": "9c:3d:cf:00:11:22",
            "_id": "0ad9f1c2",
            "created_at": 1700000005,
            "inregions": ["Home"],
            "inrids": ["6da9cf"],
            "m": 1,
            "tid": "me",
            "topic": "owntracks/me/phone",
        },
    )


def test_ios_location() -> None:
    assert the_fix(owntracks, a_push(IOS)) == fix(
        accuracy=5,
        altitude=35,
        altitude_accuracy=10,
        speed=0,
        battery=1,
        power="full",
        network="mobile",
        pressure=101315,
        motion=("cycling", "automotive"),
        trigger="t",
        extra={
            "created_at": 1700000001,
            "inregions": ["Work"],
            "topic": "owntracks/user/device",
            "m": 2,
            "tid": "me",
            "poi": "Cafe",
            "tag": "work",
            "rad": 50,
        },
    )


MEMBERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"vel": 36}, {"speed": 10}),
    ({"vel": "36"}, {"speed": 10}),
    ({"vel": -1}, {}),
    ({"cog": -1}, {}),
    ({"cog": 360}, {"course": 360}),
    ({"vac": -1}, {}),
    ({"batt": -1}, {}),
    ({"batt": "53.0"}, {"battery": 0.53}),
    ({"bs": 0}, {}),
    ({"bs": 2}, {"power": "charging"}),
    ({"bs": "3"}, {"power": "full"}),
    ({"bs": "true"}, {"power": "charging"}),
    ({"bs": "false"}, {"power": "unplugged"}),
    ({"bs": True}, {"power": "charging"}),
    ({"bs": ""}, {}),
    ({"conn": "o"}, {"network": "offline"}),
    ({"p": "101.325"}, {"pressure": 101325}),
    ({"alt": -12.5}, {"altitude": -12.5}),
    ({"alt": -0.0}, {"altitude": 0.0}),
    ({"SSID": ""}, {}),
    ({"acc": None, "vel": None, "bs": None, "conn": None, "unknown": None}, {}),
    ({"motionactivities": "walking"}, {"motion": ("walking",)}),
]


@pytest.mark.parametrize(("members", "fields"), MEMBERS, ids=str)
def test_a_member_is_read(members: dict[str, Any], fields: dict[str, Any]) -> None:
    assert the_fix(owntracks, a_push(location(**members))) == fix(**fields)


ODD_MEMBERS: list[dict[str, Any]] = [
    {"acc": "abc"},
    {"acc": "51,5"},
    {"acc": -5},
    {"acc": "NaN"},
    {"acc": "1_0"},
    {"acc": True},
    {"acc": [1]},
    {"acc": {"value": 1}},
    {"alt": "Infinity"},
    {"cog": 400},
    {"batt": 101},
    {"bs": 4},
    {"bs": "maybe"},
    {"bs": []},
    {"conn": "x"},
    {"conn": ["w"]},
    {"t": 5},
    {"SSID": 5},
    {"p": -1},
    {"motionactivities": [1]},
    {"motionactivities": ["walking"] * 100},
    {"vel": False},
    {"t": "x" * 2000},
]


@pytest.mark.parametrize("members", ODD_MEMBERS, ids=lambda m: str(m)[:40])
def test_an_odd_member_leaves_the_fix_standing(members: dict[str, Any]) -> None:
    assert the_fix(owntracks, a_push(location(**members))) == fix(extra={"tid": "me"} | members)


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (b"NaN", "NaN"),
        (b"-Infinity", "-Infinity"),
        (b"1e400", "1e400"),
        (b"9" * 5000, "9" * 5000),
        (b"1" * 30, "1" * 30),
        (b"-9223372036854775809", "-9223372036854775809"),
        (b'"\\ud800"', "\\ud800"),
        (b'"caf\xe9"', "caf\\udce9"),
    ],
    ids=["nan", "infinity", "1e400", "5000 digits", "30 digits", "65 bits", "surrogate", "latin-1"],
)
def test_a_value_that_no_store_holds_is_kept_as_text(token: bytes, text: str) -> None:
    body = b'{"_type":"location","lat":51.5,"lon":-0.12,"tst":1700000000,"tid":"me","x":%b}' % token
    assert the_fix(owntracks, a_push(body)) == fix(extra={"tid": "me", "x": text})


def test_deep_nesting_in_extra_is_kept_as_text() -> None:
    deep = "[" * 300 + "]" * 300
    body = f'{{"_type":"location","lat":51.5,"lon":-0.12,"tst":1700000000,"x":{deep}}}'
    kept = the_fix(owntracks, a_push(body)).extra["x"]
    for _ in range(20):
        (kept,) = kept
    assert kept == "[" * 280 + "]" * 280


@pytest.mark.parametrize(
    ("tst", "time"),
    [
        (1700000000, AT),
        ("1700000000", AT),
        (1700000000.25, AT + timedelta(milliseconds=250)),
        ("1700000000.5", AT + timedelta(milliseconds=500)),
        (1.7e9, AT),
        (NOW.timestamp() + 3600, NOW + timedelta(hours=1)),
    ],
)
def test_time(tst: Any, time: datetime) -> None:
    assert the_fix(owntracks, a_push(location(tst=tst))).time == time


REJECTS: list[tuple[Any, str]] = [
    ("{", "not JSON"),
    ("null", "NoneType where a JSON object belongs"),
    ("5", "int where a JSON object belongs"),
    ('"text"', "str where a JSON object belongs"),
    ("true", "bool where a JSON object belongs"),
    (" ", "not JSON"),
    ("\x00", "not JSON"),
    (b"\xff\xfe", "not JSON"),
    (json.dumps(location()).encode("utf-16"), "not JSON"),
    (json.dumps(location())[:-1], "not JSON"),
    ("[" * 100_000, "the JSON is nested too deeply"),
    ("{}", "its _type is none"),
    ("[]", "there is no report in it"),
    ({"_type": None}, "its _type is none"),
    ({"_type": 5}, "its _type is none"),
    ({"_type": []}, "its _type is none"),
    ({"_type": "cmd", "action": "dump"}, "its _type is none"),
    ({"_type": "request", "request": "tour"}, "its _type is none"),
    ({"_type": "new"}, "its _type is none"),
    (location(lat=None), "lat is missing"),
    (location(lat=""), "lat is missing"),
    (location(lat="51,5"), "lat: '51,5' is not a number"),
    (location(lat="x" * 5000), "lat: 'xxx"),
    (location(lat=True), "lat: bool is not a number"),
    (location(lon=[1]), "lon: list is not a number"),
    (location(lat=90.001), "lat is 90.001: it must lie between -90 and 90"),
    (location(lon=-180.1), "lon is -180.1: it must lie between -180 and 180"),
    (location(lat="nan"), "lat: 'nan' is not a number"),
    (location(lat=10**400), "lat: "),
    (location(tst=None), "tst is missing"),
    (location(tst="today"), "tst: 'today' is not a number"),
    (location(tst=0), "the time 1970-01-01 is before 2000"),
    (location(tst=-1e300), "-1e+300 seconds since 1970 is no date"),
    (location(tst=10**30), "seconds since 1970 is no date"),
    (location(tst=NOW.timestamp() + 2 * 86400), "more than a day in the future"),
    (location(tst=1700000000000), "seconds since 1970 is no date"),
    ({"_type": "transition", "event": "enter", "wtst": 1}, "tst is missing"),
    ({"_type": "transition", "tst": 1700000000, "lat": 91, "lon": 0}, "lat is 91"),
    ({"_type": "waypoint", "desc": "Home", "lat": 1, "lon": 1}, "a tst or a rid"),
    ({"_type": "waypoints", "waypoints": []}, "its waypoints are no list, or none"),
    ({"_type": "waypoints", "waypoints": 5}, "its waypoints are no list, or none"),
    ({"_type": "waypoints"}, "its waypoints are no list, or none"),
    ({"_type": "steps", "steps": 5}, "tst is missing"),
    ({"_type": "beacon", "uuid": "x"}, "tst is missing"),
    ({"_type": "lwt", "tst": "x"}, "tst: 'x' is not a number"),
    ({"_type": "encrypted", "data": "AAAA"}, "encrypted, and this device has no key here"),
]


@pytest.mark.parametrize(("body", "reason"), REJECTS, ids=lambda value: str(value)[-80:])
def test_what_cannot_be_read_is_kept(body: Any, reason: str) -> None:
    push = a_push(body)
    record, raw = the_reject(owntracks, push)
    assert reason in record.reason
    assert len(record.reason) <= 200
    assert raw == push.body
    assert record == Reject(
        id=record.id,
        source="owntracks",
        source_version=owntracks.VERSION,
        raw=content_id(push.body),
        reason=record.reason,
        time=NOW,
        device=DEVICE,
        size=len(push.body),
    )


def test_an_empty_body_says_nothing() -> None:
    assert read(owntracks, a_push(b"")) == Decoded()


def test_byte_order_mark_and_duplicate_members() -> None:
    body = b'\xef\xbb\xbf{"_type":"location","lat":1,"lat":51.5,"lon":-0.12,"tst":1700000000,"tid":"me"}'
    assert the_fix(owntracks, a_push(body)) == fix()


def test_an_array_of_messages_is_read_one_by_one() -> None:
    bad = b'{"_type":"location", "lat":91.0,"lon":0,"tst":1700000000}'
    good = json.dumps(location()).encode()
    decoded = read(owntracks, a_push(b"[%b, %b,7]" % (good, bad)))
    first, *rejects = decoded.records
    assert first == fix()
    assert [(r.where, decoded.raws[r.raw or ""]) for r in rejects if isinstance(r, Reject)] == [
        ("[1]", bad),
        ("[2]", b"7"),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"_type":"waypoints","waypoints":"SECRET"}',
        b'{"_type":"waypoints","waypoints":[]}',
        b"[]",
    ],
)
def test_what_stands_beside_a_location_is_kept(bad: bytes) -> None:
    good = json.dumps(location()).encode()
    for body, where in ((b"[%b,%b]" % (good, bad), "[1]"), (b"[%b,%b]" % (bad, good), "[0]")):
        decoded = read(owntracks, a_push(body))
        kept, reject = decoded.records
        assert kept == fix()
        assert isinstance(reject, Reject)
        assert (reject.where, decoded.raws[reject.raw or ""]) == (where, bad)


def test_what_stands_beside_bad_waypoints_is_kept() -> None:
    body = b'{"_type":"waypoints","topic":"SECRET","waypoints":[{"desc":"no id"}]}'
    decoded = read(owntracks, a_push(body))
    rejects = [r for r in decoded.records if isinstance(r, Reject)]
    assert [(r.where, decoded.raws[r.raw or ""]) for r in rejects] == [
        ("waypoints[0]", b'{"desc":"no id"}'),
        ("topic", b'"SECRET"'),
    ]


def test_arrays_are_read_two_deep() -> None:
    good = json.dumps(location()).encode()
    assert the_fix(owntracks, a_push(b"[[%b]]" % good)) == fix()
    reject, raw = the_reject(owntracks, a_push(b"[[[%b]]]" % good))
    assert (reject.reason, reject.where) == ("list where a JSON object belongs", "[0][0]")
    assert raw == b"[%b]" % good


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"[" + b"0," * 100_000 + b"0]", 100_001),
        (b"[" * 2 + b"0," * 100_000 + b"0" + b"]" * 2, 100_001),
        (b"[" * 450 + b"0," * 100_000 + b"0" + b"]" * 450, 1),
        (b'{"_type":"waypoints","waypoints":[' + b"[]," * 100_000 + b"0]}", 100_001),
        (b"[" + b"{}," * 100_000 + b"0]", 100_001),
    ],
    ids=["flat", "two deep", "450 deep", "waypoints", "objects"],
)
def test_junk_is_counted_and_not_collected(body: bytes, count: int) -> None:
    push = a_push(body)
    tracemalloc.start()
    decoded = owntracks.decode(push)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(decoded.faults) + decoded.more_faults == count
    assert len(decoded.faults) <= MOST_PARTS + 1
    # What the parser makes of it, and next to nothing more.
    assert most < 12_000_000
    if count > 1:
        assert the_reject(owntracks, push)[0].reason.startswith(f"{count} parts cannot be read")


def test_of_too_many_bad_messages_the_whole_body_is_kept() -> None:
    body = json.dumps([location(), *[{}] * 101]).encode()
    decoded = read(owntracks, a_push(body))
    kept, reject = decoded.records
    assert kept == fix()
    assert isinstance(reject, Reject)
    assert reject.where is None
    assert reject.reason.startswith("101 parts cannot be read; [1]: its _type is none")
    assert decoded.raws == {content_id(body): body}


def test_location_without_coordinates_is_a_sign_of_life() -> None:
    status = the_status(
        owntracks, a_push({"_type": "location", "tst": 1700000000, "batt": 20, "bs": 1, "acc": 5})
    )
    assert (status.time, status.battery, status.power) == (AT, 0.2, "unplugged")
    assert status.extra == {"acc": 5}


@pytest.mark.parametrize("kind", ["status", "lwt"])
def test_signs_of_life(kind: str) -> None:
    status = the_status(owntracks, a_push({"_type": kind, "tst": 1700000000}))
    assert (status.time, status.trigger) == (AT, kind)


def test_status_without_a_time_is_of_now() -> None:
    android = {"wifi": 0, "ps": 1, "bo": 0, "hib": 0, "loc": 0}
    status = the_status(owntracks, a_push({"_type": "status", "android": android}))
    assert (status.time, status.extra) == (NOW, {"android": android})


@pytest.mark.parametrize("kind", ["status", "location"])
def test_a_sign_of_life_without_tst_is_of_its_creation(kind: str) -> None:
    for body, time in (
        ({"created_at": 1700000000}, AT),
        ({"created_at": "soon"}, NOW),
        ({"created_at": 5}, NOW),
        ({"created_at": 1700000000, "tst": 1600000000}, from_epoch(1600000000)),
    ):
        status = the_status(owntracks, a_push({"_type": kind} | body))
        assert (status.time, status.extra) == (time, {"created_at": body["created_at"]})


@pytest.mark.parametrize("tst", [None, 0, "0"], ids=repr)
def test_a_place_that_does_not_say_when_it_was_made_is_of_now(tst: Any) -> None:
    (place,) = read(owntracks, a_push({"_type": "waypoint", "rid": "ab", "tst": tst})).records
    assert isinstance(place, Place)
    assert (place.time, place.asof) == (NOW, NOW)


def test_overland_in_owntracks_mode_counts_from_2001() -> None:
    body = '{"_type":"location","lat":51.5,"lon":-0.12,"tst":721692800,"acc":10,"alt":5,"vel":3,"t":"u"}'
    overland = "Overland/1.4 CFNetwork/1474 Darwin/23.0.0"
    assert the_fix(owntracks, a_push(body, user_agent=overland)).time == AT
    assert "before 2000" in the_reject(owntracks, a_push(body))[0].reason
    with_tid = a_push(location(), user_agent=overland)
    assert the_fix(owntracks, with_tid).time == AT


TRANSITION = {
    "_type": "transition",
    "tid": "me",
    "acc": 12.0,
    "desc": "Home",
    "event": "enter",
    "lat": 51.5,
    "lon": -0.12,
    "tst": 1700000000,
    "wtst": 1600000000,
    "t": "c",
    "rid": "6da9cf",
}


@pytest.mark.parametrize(
    ("transition", "waypoint"),
    [
        ({"wtst": 1600000000, "rid": "6da9cf"}, {"tst": 1600000000, "rid": "6da9cf"}),
        ({"wtst": 1600000000, "rid": None}, {"tst": 1600000000, "rid": "6da9cf"}),
        ({"wtst": "1600000000", "rid": None}, {"tst": 1600000000}),
        ({"wtst": None, "rid": "6da9cf"}, {"rid": "6da9cf"}),
        ({"wtst": 0, "rid": "6da9cf"}, {"tst": 0, "rid": "6da9cf"}),
    ],
)
def test_a_transition_points_to_its_waypoint(
    transition: dict[str, Any], waypoint: dict[str, Any]
) -> None:
    (event,) = read(owntracks, a_push(TRANSITION | transition)).records
    home = {"_type": "waypoint", "desc": "Home", "lat": 51.5, "lon": -0.12, "rad": 50}
    (place,) = read(owntracks, a_push(home | waypoint)).records
    assert isinstance(event, Event)
    assert isinstance(place, Place)
    assert event.place == place.id


def test_transition() -> None:
    (event,) = read(owntracks, a_push(TRANSITION)).records
    assert event == Event(
        id=named_id("transition", DEVICE, AT, "place:phone1:1600000000000000", "enter"),
        source="owntracks",
        source_version=1,
        type="transition",
        time=AT,
        title="Home",
        device=DEVICE,
        place="place:phone1:1600000000000000",
        lat=51.5,
        lon=-0.12,
        accuracy=12,
        extra={"tid": "me", "event": "enter", "wtst": 1600000000, "t": "c", "rid": "6da9cf"},
    )


def test_waypoints() -> None:
    body = (
        b'{"_type":"waypoints","topic":"owntracks/me/phone/waypoints","waypoints":['
        b'{"_type":"waypoint","desc":"Home","lat":51.5,"lon":-0.12,"rad":"50","tst":1600000000},'
        b'{"desc":"Beacon","tst":1600000001,"uuid":"CA271EAE","major":1,"minor":2},'
        b'{"_type":"waypoint","desc":"Odd","lat":"x","lon":1,"tst":1600000002}]}'
    )
    decoded = read(owntracks, a_push(body))
    home, beacon, odd = decoded.records
    assert home == Place(
        id="place:phone1:1600000000000000",
        source="owntracks",
        source_version=1,
        asof=NOW,
        name="Home",
        lat=51.5,
        lon=-0.12,
        radius=50,
        time=from_epoch(1600000000),
        device=DEVICE,
        extra={"waypoints": {"topic": "owntracks/me/phone/waypoints"}},
    )
    assert isinstance(beacon, Place)
    assert (beacon.lat, beacon.extra) == (None, {"uuid": "CA271EAE", "major": 1, "minor": 2})
    assert isinstance(odd, Reject)
    assert odd.where == "waypoints[2]"
    assert decoded.raws[odd.raw or ""].startswith(b'{"_type":"waypoint","desc":"Odd"')


@pytest.mark.parametrize(
    ("members", "names", "face", "extra"),
    [
        ({"name": "Ada", "face": base64.b64encode(PNG).decode()}, ("Ada",), PNG, {}),
        ({"name": "Ada", "tid": "ad"}, ("Ada",), None, {"tid": "ad"}),
        ({}, (), None, {}),
        ({"name": "", "face": ""}, (), None, {"face": ""}),
        ({"name": None, "face": None}, (), None, {}),
        ({"name": 5, "face": "%%%"}, (), None, {"name": 5, "face": "%%%"}),
    ],
)
def test_card(
    members: dict[str, Any], names: tuple[str, ...], face: bytes | None, extra: dict[str, Any]
) -> None:
    decoded = read(owntracks, a_push({"_type": "card"} | members))
    assert decoded.records == [
        Person(
            id=f"person:{DEVICE}",
            source="owntracks",
            source_version=1,
            asof=NOW,
            time=NOW,
            names=names,
            keys=(device_key(DEVICE),),
            face=content_id(face) if face else None,
            extra=extra,
        )
    ]
    assert decoded.raws == ({content_id(face): face} if face else {})


def test_steps() -> None:
    body = {
        "_type": "steps",
        "tst": 1700003600,
        "steps": 1234,
        "from": 1700000000,
        "to": 1700003600,
    }
    assert read(owntracks, a_push(body)).records == [
        Event(
            id="steps:phone1:1700000000000000:1700003600000000",
            source="owntracks",
            source_version=1,
            asof=AT + timedelta(hours=1),
            type="steps",
            device=DEVICE,
            time=AT,
            end=AT + timedelta(hours=1),
            extra={"steps": 1234},
        )
    ]


def test_beacon() -> None:
    body = {
        "_type": "beacon",
        "tst": 1700000000,
        "uuid": "CA271EAE",
        "major": 1,
        "minor": 2,
        "rssi": -60,
    }
    assert read(owntracks, a_push(body)).records == [
        Event(
            id="beacon:phone1:1700000000000000:CA271EAE:1:2",
            source="owntracks",
            source_version=1,
            type="beacon",
            device=DEVICE,
            time=AT,
            extra={"uuid": "CA271EAE", "major": 1, "minor": 2, "rssi": -60},
        )
    ]


CONFIGURATION = {
    "deviceId": "phone",
    "username": "me",
    "password": "hunter2",
    "encryptionKey": "hunter3",
    "auth": True,
    "httpHeaders": "Authorization: hunter4",
    "url": "https://me:hunter5@example.org/pub?token=hunter6",
    "tlsClientCrtPassword": "hunter7",
    "waypoints": [{"_type": "waypoint", "desc": "Home", "sharedSecret": "hunter8"}],
    "monitoring": 1,
}


@pytest.mark.parametrize(
    "body",
    [
        {"_type": "configuration"} | CONFIGURATION,
        {"_type": "dump", "configuration": {"_type": "configuration"} | CONFIGURATION},
    ],
    ids=["configuration", "dump"],
)
def test_configuration_is_kept_without_its_secrets(body: dict[str, Any]) -> None:
    decoded = read(owntracks, a_push(body))
    (event,) = decoded.records
    assert isinstance(event, Event)
    assert (event.type, event.time, event.asof) == ("configuration", NOW, NOW)
    assert "hunter" not in str(decoded)
    kept = event.extra.get("configuration", event.extra)
    assert kept["deviceId"] == "phone"
    assert kept["monitoring"] == 1
    assert kept["waypoints"] == [{"_type": "waypoint", "desc": "Home"}]


def test_an_image_becomes_media() -> None:
    body = location(image=base64.b64encode(PNG).decode(), imagename="cat.png", poi="cat")
    decoded = read(owntracks, a_push(body))
    sha256 = content_id(PNG)
    assert decoded.raws == {sha256: PNG}
    assert decoded.records == [
        Media(
            id=sha256,
            source="owntracks",
            source_version=1,
            raw=sha256,
            media_type="image/png",
            size=len(PNG),
            time=AT,
            name="cat.png",
            device=DEVICE,
            lat=51.5,
            lon=-0.12,
        ),
        fix(extra={"tid": "me", "image": sha256, "imagename": "cat.png", "poi": "cat"}),
    ]


def test_an_image_that_is_none_stays_aside() -> None:
    assert the_fix(owntracks, a_push(location(image="%%%"))).extra["image"] == "%%%"


def test_more_than_a_document_holds_is_a_reject() -> None:
    body = [location(), location(poi="x" * 70_000)]
    kept, reject = read(owntracks, a_push(body)).records
    assert kept == fix()
    assert isinstance(reject, Reject)
    assert "more than 65536 bytes" in reject.reason
    assert reject.where == "[1]"


# Encryption


def box(key: bytes) -> SecretBox:
    return SecretBox(key[:32].ljust(32, b"\0"))


def sealed(value: Any, key: bytes = KEY) -> dict[str, Any]:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    data = base64.b64encode(box(key).encrypt(text, bytes(range(24)))).decode()
    return {"_type": "encrypted", "data": data}


def test_encrypted_location() -> None:
    assert the_fix(owntracks, a_push(ENCRYPTED, key=KEY)) == fix()


@pytest.mark.parametrize(
    "key", [b"k", b"k" * 32, b"k" * 40, "schlüssel-ключ".encode()], ids=["1", "32", "40", "utf-8"]
)
def test_keys_of_any_length(key: bytes) -> None:
    assert the_fix(owntracks, a_push(sealed(location(), key), key=key)) == fix()


def test_a_device_with_a_key_may_send_plain() -> None:
    assert the_fix(owntracks, a_push(location(), key=KEY)) == fix()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (sealed(location(), b"another"), "cannot be decrypted"),
        ({"_type": "encrypted"}, "cannot be decrypted"),
        ({"_type": "encrypted", "data": ""}, "cannot be decrypted"),
        ({"_type": "encrypted", "data": "AAAA"}, "cannot be decrypted"),
        ({"_type": "encrypted", "data": "%%%"}, "cannot be decrypted"),
        ({"_type": "encrypted", "data": 5}, "cannot be decrypted"),
        (sealed(b"no JSON"), "not JSON"),
        (sealed(location(lat=91)), "lat is 91"),
        (sealed([{"_type": "new"}]), "its _type is none"),
        (sealed([]), "there is no report"),
    ],
    ids=str,
)
def test_an_encrypted_body_that_cannot_be_read_is_kept_as_it_came(
    body: dict[str, Any], reason: str
) -> None:
    push = a_push(body, key=KEY)
    record, raw = the_reject(owntracks, push)
    assert reason in record.reason
    assert raw == push.body


def test_what_cannot_be_read_in_an_envelope_is_kept_as_the_envelope() -> None:
    envelope = json.dumps(sealed([{"_type": "new"}, location(), {"_type": "odd"}])).encode()
    second = json.dumps(location(tst=1700000001)).encode()
    decoded = read(owntracks, a_push(b"[%b,%b]" % (envelope, second), key=KEY))
    *kept, reject = decoded.records
    assert kept == [fix(), fix(time=AT + timedelta(seconds=1))]
    assert isinstance(reject, Reject)
    assert reject.reason.startswith("2 parts cannot be read; [0]: its _type is none")
    assert (reject.where, decoded.raws) == ("[0]", {content_id(envelope): envelope})


def test_an_empty_envelope_beside_a_location_is_kept() -> None:
    envelope = json.dumps(sealed([])).encode()
    decoded = read(
        owntracks, a_push(b"[%b,%b]" % (json.dumps(location()).encode(), envelope), key=KEY)
    )
    kept, reject = decoded.records
    assert kept == fix()
    assert isinstance(reject, Reject)
    assert (reject.where, decoded.raws) == ("[1]", {content_id(envelope): envelope})


def test_what_stands_beside_the_ciphertext_is_kept() -> None:
    body = sealed(location()) | {"_id": "7"}
    assert the_fix(owntracks, a_push(body, key=KEY)).extra == {
        "tid": "me",
        "encrypted": {"_id": "7"},
    }


@pytest.mark.parametrize("key", [KEY, b"older", b"oldest"])
def test_earlier_keys_are_still_read_with(key: bytes) -> None:
    push = a_push(sealed(location(), key), key=KEY, earlier_keys=(b"older", b"oldest"))
    assert the_fix(owntracks, push) == fix()
    only_earlier = a_push(sealed(location(), key), earlier_keys=(KEY, b"older", b"oldest"))
    assert the_fix(owntracks, only_earlier) == fix()


# Replies

ADA = Friend(
    "ada1",
    "Ad",
    "Ada",
    fix=fix(device="ada1", accuracy=12.4, time=AT + timedelta(milliseconds=900)),
    face=PNG,
)
EVE = Friend("eve1", "Ev", "Eve")
COMMAND = {"_type": "cmd", "action": "reportLocation"}
ABOUT_THEM = [
    {
        "_type": "card",
        "name": "Ada",
        "face": base64.b64encode(PNG).decode(),
        "tid": "Ad",
        "topic": "owntracks/ada1/ada1",
    },
    {
        "_type": "location",
        "lat": 51.5,
        "lon": -0.12,
        "tst": 1700000000,
        "acc": 12,
        "tid": "Ad",
        "topic": "owntracks/ada1/ada1",
    },
    {"_type": "card", "name": "Eve", "tid": "Ev", "topic": "owntracks/eve1/eve1"},
    COMMAND,
]


def test_reply_says_nothing() -> None:
    assert owntracks.reply(a_push(location()), Outbox(), Decoded()) == b"[]"
    assert owntracks.reply(a_push(location(), key=KEY), Outbox(), Decoded()) == b"[]"


def test_reply_with_friends_and_commands() -> None:
    outbox = Outbox([ADA, EVE], [COMMAND], bytes(24))
    assert json.loads(owntracks.reply(a_push(location()), outbox, Decoded())) == ABOUT_THEM


def test_reply_is_encrypted_under_the_nonce_of_the_outbox() -> None:
    nonce = bytes(range(24))
    outbox = Outbox([ADA, EVE], [COMMAND], nonce)
    envelope = json.loads(owntracks.reply(a_push(b"", key=KEY), outbox, Decoded()))
    assert envelope["_type"] == "encrypted"
    data = base64.b64decode(envelope["data"])
    assert data[:24] == nonce
    assert json.loads(box(KEY).decrypt(data)) == ABOUT_THEM


@pytest.mark.parametrize(
    ("used", "renewing", "replied"),
    [
        (KEY, False, KEY),
        (b"older", False, KEY),
        (b"older", True, b"older"),
        (KEY, True, KEY),
        (None, True, KEY),
    ],
)
def test_reply_is_encrypted_with_the_key_the_phone_has(
    used: bytes | None, renewing: bool, replied: bytes
) -> None:
    body = location() if used is None else sealed(location(), used)
    push = a_push(body, key=KEY, earlier_keys=(b"older",), renewing=renewing)
    outbox = Outbox(commands=[COMMAND], nonce=bytes(24))
    envelope = json.loads(owntracks.reply(push, outbox, read(owntracks, push)))
    assert json.loads(box(replied).decrypt(base64.b64decode(envelope["data"]))) == [COMMAND]


def test_reply_to_a_device_that_encrypts_no_more_is_plain() -> None:
    push = a_push(sealed(location(), b"older"), earlier_keys=(b"older",))
    outbox = Outbox(commands=[COMMAND], nonce=bytes(24))
    assert json.loads(owntracks.reply(push, outbox, read(owntracks, push))) == [COMMAND]


def test_nothing_is_encrypted_without_a_nonce() -> None:
    with pytest.raises(ValueError, match="nonce"):
        owntracks.reply(a_push(b"", key=KEY), Outbox(commands=[COMMAND]), Decoded())
