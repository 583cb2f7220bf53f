"""The formats of tracks: read back by the programs' own rules."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import gpxpy
import gpxpy.gpx
import msgspec
import pytest
from msgspec.structs import asdict, replace

from shared.formats.geojson import FeatureCollection
from shared.formats.json import FixPage
from shared.formats.table import FORMATS
from shared.http.locations import Format
from shared.model.records import Fix
from shared.sources import owntracks
from shared.sources.push import Push

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
NAMES = {"p1": "Phone", "t1": "Tablet & <co>"}

SPARE = Fix(source="plain", source_version=1, device="p1", time=NOON, lat=51.5, lon=-0.125)
FULL = Fix(
    source="overland",
    source_version=3,
    device="t1",
    time=NOON + timedelta(seconds=1, microseconds=500_000),
    lat=-33.8567844,
    lon=151.2152967,
    offset=660,
    accuracy=4.5,
    altitude=21.25,
    altitude_accuracy=3.0,
    speed=1.4,
    speed_accuracy=0.5,
    course=271.5,
    course_accuracy=10.0,
    battery=0.55,
    power="charging",
    network="mobile",
    wifi='a, "b"\nc',
    pressure=101_325.0,
    motion=("walking", "running"),
    trigger="timer",
    extra={"deferred": 3},
)


def written(format: str, *fixes: Fix, following: str | None = None) -> str:
    return b"".join(FORMATS[format].write(fixes, NAMES, lambda: following)).decode()


def test_the_table_is_what_can_be_asked_for() -> None:
    literal, _ = get_args(Format)
    assert set(get_args(literal)) == set(FORMATS)
    assert len({format.EXTENSION for format in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize("format", FORMATS)
def test_fixes_are_taken_one_at_a_time(format: str) -> None:
    """So that a page can end by its size, and an export needs no more memory than a fix."""
    pieces: list[bytes] = []
    longest = 0

    def fixes() -> Iterator[Fix]:
        nonlocal longest
        for number in range(100):
            longest = max(
                longest, number - sum(b"12:" in piece or b"tst" in piece for piece in pieces)
            )
            yield replace(SPARE, time=NOON + timedelta(seconds=number))

    for piece in FORMATS[format].write(fixes(), NAMES):
        pieces.append(piece)
    assert longest <= 1


# JSON


def test_json_keeps_everything() -> None:
    text = written("json", SPARE, FULL, following="https://yurt.example/next")
    page = msgspec.json.decode(text, type=FixPage)
    assert page == FixPage(fixes=[SPARE, FULL], next="https://yurt.example/next")


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("json", {"fixes": [], "next": None}),
        ("geojson", {"type": "FeatureCollection", "features": [], "next": None}),
    ],
)
def test_json_of_nothing(format: str, expected: Any) -> None:
    assert json.loads(written(format)) == expected


# GeoJSON


def test_geojson_is_points_of_longitude_latitude_altitude() -> None:
    collection = json.loads(written("geojson", SPARE, FULL))
    assert collection["type"] == "FeatureCollection"
    spare, full = collection["features"]
    assert spare == {
        "type": "Feature",
        "id": "p1:1793534400000000",
        "geometry": {"type": "Point", "coordinates": [-0.125, 51.5]},
        "properties": {
            "device": "p1",
            "name": "Phone",
            "time": "2026-11-01T12:00:00Z",
            "source": "plain",
        },
    }
    assert full["geometry"]["coordinates"] == [151.2152967, -33.8567844, 21.25]
    said = full["properties"]
    left_out = {"lat", "lon", "altitude", "extra", "source_version", "raw", "where", "asof"}
    expected = json.loads(msgspec.json.encode(FULL))
    assert said == {
        "name": "Tablet & <co>",
        **{k: v for k, v in expected.items() if k not in left_out | {"kind"}},
    }


def test_geojson_names_the_next_page() -> None:
    text = written("geojson", SPARE, following="https://yurt.example/next")
    assert msgspec.json.decode(text, type=FeatureCollection).next == "https://yurt.example/next"


# CSV


def rows(*fixes: Fix, names: dict[str, str] | None = None) -> list[dict[str, str]]:
    text = b"".join(FORMATS["csv"].write(fixes, names or NAMES)).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_csv_has_a_header_and_a_line_for_each_fix() -> None:
    spare, full = rows(SPARE, FULL)
    assert {name: value for name, value in spare.items() if value} == {
        "device": "p1",
        "name": "Phone",
        "time": "2026-11-01T12:00:00Z",
        "lat": "51.5",
        "lon": "-0.125",
        "source": "plain",
    }
    assert full["time"] == "2026-11-01T12:00:01.500000Z"
    assert full["wifi"] == FULL.wifi
    assert full["motion"] == "walking running"
    numbers = {n: v for n, v in asdict(FULL).items() if isinstance(v, float) and n in full}
    assert len(numbers) == 11
    assert {name: float(full[name]) for name in numbers} == numbers


def test_csv_of_nothing_is_its_header() -> None:
    text = written("csv")
    assert text.startswith("device,name,time,lat,lon,accuracy,")
    assert text.endswith("\r\n")
    assert text.count("\r\n") == 1


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", '=cmd|"/c"!A1'])
def test_csv_runs_in_no_spreadsheet(name: str) -> None:
    (row,) = rows(replace(SPARE, wifi=name, trigger=name, motion=(name,)), names={"p1": name})
    assert [row[column] for column in ("name", "wifi", "motion", "trigger")] == [f"'{name}"] * 4
    assert row["lon"] == "-0.125"


# GPX


def gpx(*fixes: Fix, names: dict[str, str] | None = None) -> gpxpy.gpx.GPX:
    return gpxpy.parse(b"".join(FORMATS["gpx"].write(fixes, names or NAMES)))


def test_gpx_is_a_track_for_each_device() -> None:
    found = gpx(SPARE, FULL)
    assert (found.version, found.creator) == ("1.1", "Yurt")
    assert [track.name for track in found.tracks] == ["Phone", "Tablet & <co>"]
    (spare,), (full,) = ([p for s in t.segments for p in s.points] for t in found.tracks)
    assert (spare.latitude, spare.longitude, spare.elevation) == (51.5, -0.125, None)
    assert (spare.time, spare.extensions) == (NOON, [])
    assert (full.latitude, full.longitude, full.elevation) == (-33.8567844, 151.2152967, 21.25)
    assert full.time == FULL.time
    (extension,) = full.extensions
    assert {child.tag.partition("}")[2]: child.text for child in extension} == {
        "speed": "1.40",
        "course": "271.5",
    }


def test_gpx_of_nothing_is_valid() -> None:
    assert gpx().tracks == []


def test_gpx_breaks_a_track_where_the_device_was_silent() -> None:
    minutes = [0, 10, 20.1, 21, 100]
    found = gpx(*(replace(SPARE, time=NOON + timedelta(minutes=m)) for m in minutes))
    (track,) = found.tracks
    assert [len(segment.points) for segment in track.segments] == [2, 2, 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a < b & c > d", "a < b & c > d"),
        ("]]>", "]]>"),
        ("<![CDATA[x]]>", "<![CDATA[x]]>"),
        ('"quoted"', '"quoted"'),
        ("bell \x07 null \x00", "bell \ufffd null \ufffd"),
        ("\ufffe\uffff", "\ufffd\ufffd"),
        ("日本 🚲", "日本 🚲"),
    ],
)
def test_gpx_says_any_name(name: str, expected: str) -> None:
    assert gpx(SPARE, names={"p1": name}).tracks[0].name == expected


@pytest.mark.parametrize(
    ("lat", "lon", "text"),
    [
        (0.0000001, -0.0000001, 'lat="0.0000001" lon="-0.0000001"'),
        (90.0, 180.0, 'lat="90.0000000" lon="-180.0000000"'),
        (-90.0, -180.0, 'lat="-90.0000000" lon="-180.0000000"'),
        (1e-300, 179.9999999, 'lat="0.0000000" lon="179.9999999"'),
    ],
)
def test_gpx_writes_decimals_of_its_schema(lat: float, lon: float, text: str) -> None:
    assert text in written("gpx", replace(SPARE, lat=lat, lon=lon))


# OwnTracks


def test_owntracks_has_its_own_units() -> None:
    (line,) = written("owntracks", FULL).splitlines()
    assert json.loads(line) == {
        "_type": "location",
        "lat": -33.8567844,
        "lon": 151.2152967,
        "tst": 1793534401.5,
        "tid": "o>",
        "topic": "owntracks/t1/t1",
        "acc": 4.5,
        "alt": 21.25,
        "vac": 3,
        "vel": 5.04,
        "cog": 271.5,
        "batt": 55,
        "bs": 2,
        "conn": "m",
        "p": 101.325,
        "SSID": 'a, "b"\nc',
        "motionactivities": ["walking", "running"],
        "t": "timer",
    }


EVERYTHING = """{"_type":"location","lat":51.5,"lon":-0.12,"tst":1793534400.25,"tid":"ph","acc":12,
"alt":-3,"vac":4,"vel":51,"cog":359,"batt":77,"bs":1,"conn":"w","m":2,"t":"u","p":101.325,
"SSID":"home","BSSID":"0:1","inregions":["home"],"inrids":["6da9cf"],"created_at":1793534401,
"motionactivities":["automotive"],"topic":"owntracks/ada/phone","_id":"12345678","poi":"a tree",
"tag":"walk"}"""
TEXTS = """{"_type":"location","lat":"51.5","lon":"-0.12","tst":"1793534400","tid":"ph","batt":"x",
"vel":"7","bs":"true"}"""


@pytest.mark.parametrize(
    "body",
    [
        '{"_type":"location","lat":51.5,"lon":-0.12,"tst":1793534400,"tid":"ph"}',
        '{"_type":"location","lat":0,"lon":180,"tst":1793534400,"vel":0,"batt":0,"acc":0}',
        EVERYTHING,
        TEXTS,
    ],
)
def test_owntracks_is_taken_back_as_equal_fixes(body: str) -> None:
    def read(text: str) -> Fix:
        push = Push(body=text.encode(), device="p1", received=NOON + timedelta(hours=1))
        (record,) = owntracks.decode(push).records
        assert isinstance(record, Fix)
        return record

    fix = read(body)
    (line,) = written("owntracks", fix).splitlines()
    assert read(line) == fix


def test_owntracks_leaves_out_a_picture_it_only_has_the_name_of() -> None:
    fix = replace(SPARE, source="owntracks", extra={"image": "cafe", "poi": "a tree"})
    message = json.loads(written("owntracks", fix))
    assert (message.get("image"), message["poi"]) == (None, "a tree")
