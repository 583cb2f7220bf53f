"""`query`: who may ask, what is answered, how answers go on, what is refused."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import gpxpy
import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse, create_environ
from werkzeug.wrappers import Request

from shared.http import pages
from shared.http.query import ROUTES, query
from shared.keyring import Keyring
from shared.model.access import renewed
from shared.model.records import Event, Place, Reject, Status, Visit
from shared.model.time import EPOCH, format_rfc3339, from_epoch
from shared.settings import Settings
from shared.store.protocol import NewerData, StoreError, StoreUnavailable
from tests.http.asking import AUTH, MADE, NOON, OWNER, PHONE, Asker, asker, fix


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asker]:
    with asker(tmp_path) as asked:
        yield asked


# Who may ask


@pytest.mark.parametrize(
    ("headers", "url", "status"),
    [
        ({}, "/device", 401),
        ({"Authorization": "Bearer wrong"}, "/device", 401),
        ({"Authorization": "Basic !"}, "/device", 401),
        ({}, "/device?token=wrong", 401),
        ({}, "/unknown", 401),
        ({"Authorization": f"Bearer {PHONE}"}, "/device", 403),
        ({}, f"/device?token={PHONE}", 403),
        (AUTH, "/device", 200),
        ({"Authorization": "Basic bWU6b3duZXItMDEyMzQ1Njc4OWFiY2RlZg=="}, "/device", 200),
        ({}, f"/device?token={OWNER}", 200),
        (AUTH, "/query/device", 200),
        (AUTH, "/device/", 200),
    ],
)
def test_only_the_owner_may_ask(ask: Asker, headers: Any, url: str, status: int) -> None:
    answer = ask(url, headers=headers)
    assert answer.status_code == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert answer.headers["Cache-Control"] == "no-store"


def test_asking_with_a_renewed_credential_does_not_retire_the_old_one(ask: Asker) -> None:
    ask.node.keyring.change(lambda a: a.with_device(renewed(a.devices["p1"], "new")))
    answer = ask("/device", headers={"Authorization": "Bearer new"})
    assert (answer.status_code, answer.get_json()["detail"][:8]) == (403, "a device")
    assert ask.node.keyring.device(PHONE) is not None


# The last known positions


def test_last_known_position_of_each_device(ask: Asker) -> None:
    ask.put(fix(0, accuracy=5.0, battery=0.5), fix(-60), Status(device="t1", time=NOON, **MADE))
    assert ask("/loc").get_json() == [
        {
            "device": "p1",
            "name": "Phone",
            "time": "2026-11-01T12:00:00Z",
            "lat": 51.5,
            "lon": -0.125,
            "accuracy": 5.0,
            "battery": 0.5,
            "age": 3600.0,
            "last_report": "2026-11-01T12:00:00Z",
        }
    ]


def test_a_later_sign_of_life_tells_when_it_was_last_heard_and_its_battery(ask: Asker) -> None:
    later = NOON + timedelta(minutes=5)
    ask.put(fix(0, battery=0.5), Status(device="p1", time=later, battery=0.25, **MADE))
    (known,) = ask("/loc?device=phone").get_json()
    assert (known["last_report"], known["battery"]) == ("2026-11-01T12:05:00Z", 0.25)
    assert known["time"] == "2026-11-01T12:00:00Z"


def test_positions_and_devices_tell_the_same_of_a_device(ask: Asker) -> None:
    ask.put(fix(0), Status(device="p1", time=NOON - timedelta(hours=1), battery=0.25, **MADE))
    (known,), (state, _) = ask("/loc").get_json(), ask("/device").get_json()
    for told in (known, state):
        assert (told["last_report"], told["battery"]) == ("2026-11-01T12:00:00Z", 0.25)


def test_positions_know_a_device_that_another_process_renamed(tmp_path: Path) -> None:
    """Also where the copy that credentials are checked against may be older."""
    with asker(tmp_path) as ask:
        ask.put(fix(0))
        assert ask("/loc").status_code == 200
        stamp = ask.node.store.stamp()
        ask.node.store.stamp = lambda: stamp  # type: ignore[method-assign] # as in the cloud
        other = Keyring(ask.node.store, ask.node.clock, timedelta(0))
        other.change(lambda now: now.with_device(replace(now.devices["p1"], name="Renamed")))
        assert ask("/loc").get_json()[0]["name"] == "Renamed"
        assert "Renamed" in [state["name"] for state in ask("/device").get_json()]


@pytest.mark.parametrize("url", ["/loc", "/loc?device=t1", "/loc?device=Tablet&format=json"])
def test_without_positions_the_answer_is_empty(ask: Asker, url: str) -> None:
    assert ask(url).get_json() == []


def test_last_known_positions_in_a_format(ask: Asker) -> None:
    ask.put(fix(0), fix(1), fix(0, device="t1"))
    assert [time for _, time in csv_points(ask("/loc?format=csv"))] == [
        "2026-11-01T12:00:01Z",
        "2026-11-01T12:00:00Z",
    ]


# Tracks

Points = list[tuple[str, str]]


def json_points(page: TestResponse) -> Points:
    return [(f["device"], f["time"]) for f in page.get_json()["fixes"]]


def geojson_points(page: TestResponse) -> Points:
    features = json.loads(page.text)["features"]
    return [(f["properties"]["device"], f["properties"]["time"]) for f in features]


def csv_points(page: TestResponse) -> Points:
    return [(r["device"], r["time"]) for r in csv.DictReader(io.StringIO(page.text, newline=""))]


def gpx_points(page: TestResponse) -> Points:
    ids = {"Phone": "p1", "Tablet": "t1"}
    return [
        (ids[track.name or ""], format_rfc3339(point.time or EPOCH))
        for track in gpxpy.parse(page.text).tracks
        for segment in track.segments
        for point in segment.points
    ]


def owntracks_points(page: TestResponse) -> Points:
    messages = [json.loads(line) for line in page.text.splitlines()]
    return [
        (
            m["topic"].rpartition("/")[2],
            format_rfc3339(from_epoch(m["tst"])),
        )
        for m in messages
    ]


POINTS: dict[str, Callable[[TestResponse], Points]] = {
    "json": json_points,
    "geojson": geojson_points,
    "csv": csv_points,
    "gpx": gpx_points,
    "owntracks": owntracks_points,
}
MEDIA_TYPES = {
    "json": "application/json",
    "geojson": "application/geo+json",
    "csv": "text/csv",
    "gpx": "application/gpx+xml",
    "owntracks": "application/x-ndjson",
}


def put_tracks(ask: Asker) -> Points:
    """Fixes of two devices at odd intervals, partly at equal times, in the order of answers."""
    times = [0, 1, 2, 7, 8, 8.5, 20, 21, 59, 60, 61, 600, 605, 1801]
    fixes = [fix(t, device=device) for device in ("p1", "t1") for t in times]
    ask.put(*fixes)
    return [(f.device, format_rfc3339(f.time)) for f in fixes]


@pytest.mark.parametrize("format", POINTS)
@pytest.mark.parametrize("more", ["", "&limit=1", "&limit=5", "&limit=14", "&limit=28"])
def test_pages_joined_are_the_whole_track(ask: Asker, format: str, more: str) -> None:
    expected = put_tracks(ask)
    answers = list(ask.pages(f"/loc?from=0&format={format}{more}"))
    assert [point for page in answers for point in POINTS[format](page)] == expected
    assert {page.mimetype for page in answers} == {MEDIA_TYPES[format]}
    limit = int(more.rpartition("=")[2]) if more else len(expected)
    assert len(answers) == -(-len(expected) // limit)


@pytest.mark.parametrize("format", POINTS)
def test_a_page_ends_when_it_has_enough_bytes(
    ask: Asker, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = put_tracks(ask)
    monkeypatch.setattr(pages, "PAGE_BYTES", 700)
    answers = list(ask.pages(f"/loc?to=2026-11-02T00:00:00Z&format={format}"))
    assert [point for page in answers for point in POINTS[format](page)] == expected
    assert 2 <= len(answers) < len(expected)
    assert all(len(page.data) < 1500 for page in answers)


def test_a_page_of_the_largest_reports_stays_below_8_megabytes(ask: Asker) -> None:
    ask.put(*(fix(n, extra={"note": "x" * 60_000}) for n in range(250)))
    sizes = [len(page.data) for page in ask.pages("/loc?from=0")]
    assert len(sizes) == 3
    assert max(sizes) < 8_000_000


@pytest.mark.parametrize(
    ("every", "seconds"),
    [
        (1, [0, 1, 2, 7, 8, 20, 21, 59, 60, 61, 600, 605, 1801]),
        (10, [0, 20, 59, 60, 600, 1801]),
        (60, [0, 60, 600, 1801]),
        (11, [0, 2, 20, 59, 600, 1801]),  # noon is 9 seconds into one of these
        (31_622_400, [0]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 1000])
@pytest.mark.parametrize("reads", [3, 1000])
def test_every_takes_the_first_of_each_interval_wherever_pages_end(
    ask: Asker,
    every: int,
    seconds: list[float],
    limit: int,
    reads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "PAGE_READS", reads)
    put_tracks(ask)
    url = f"/loc?from=2026-11-01T12:00:00Z&every={every}&limit={limit}"
    points = [point for page in ask.pages(url) for point in json_points(page)]
    times = [format_rfc3339(NOON + timedelta(seconds=s)) for s in seconds]
    assert points == [(device, time) for device in ("p1", "t1") for time in times]


def test_a_page_reads_no_more_than_it_may(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_READS", 4)
    put_tracks(ask)
    answers = list(ask.pages("/loc?from=0&device=p1&every=5"))
    assert [len(json_points(page)) for page in answers] == [2, 3, 3]


@pytest.mark.parametrize(
    ("range", "seconds"),
    [
        ("from=2026-11-01T12:00:01Z&to=2026-11-01T12:00:03Z", [1, 2]),
        ("from=1793534401&to=1793534403", [1, 2]),
        ("from=1793534400.5&to=1793534403", [1, 2]),
        ("from=2026-11-01T13:00:01%2B01:00&to=2026-11-01T06:30:03-05:30", [1, 2]),
        ("from=2026-11-01T13:00:01+01:00&to=2026-11-01T13:00:03+0100", [1, 2]),
        ("from=2026-11-01T12:00:03Z", [3, 4]),
        ("to=2026-11-01T12:00:01Z", [0]),
        ("from=0&to=1e9", []),
        ("to=-1", []),
        ("from=2026-11-01T12:00:01Z&to=2026-11-01T12:00:01Z", []),
        ("from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z", [0, 1, 2, 3, 4]),
    ],
)
def test_ranges_begin_and_do_not_include_their_end(
    ask: Asker, range: str, seconds: list[int]
) -> None:
    for second in (0, 1, 2, 3, 4):
        ask.put(fix(second))
    found = ask(f"/loc?{range}").get_json()["fixes"]
    assert [f["time"][-3:-1] for f in found] == [f"{second:02}" for second in seconds]


@pytest.mark.parametrize("name", ["t1", "Tablet", "tablet"])
def test_one_device_by_name_or_id(ask: Asker, name: str) -> None:
    put_tracks(ask)
    points = [
        p for page in ask.pages(f"/loc?from=0&limit=9&device={name}") for p in json_points(page)
    ]
    assert len(points) == 14
    assert {device for device, _ in points} == {"t1"}


def test_pages_go_on_when_the_device_they_ended_in_is_gone(ask: Asker) -> None:
    put_tracks(ask)
    following = ask("/loc?from=0&limit=5").get_json()["next"]
    ask.node.keyring.change(lambda access: access.without_device("p1"))
    rest = ask(following.removeprefix("http://localhost")).get_json()["fixes"]
    assert [f["device"] for f in rest] == ["t1"] * 5


def test_the_next_page_is_in_the_header_and_in_json_without_the_credential(ask: Asker) -> None:
    put_tracks(ask)
    url = f"/query/loc?from=0&limit=3&device=Phone&token={OWNER}&api_key={OWNER}"
    for format in ("json", "geojson"):
        page = ask(f"{url}&format={format}", headers={})
        following = json.loads(page.text)["next"]
        assert page.headers["Link"] == f'<{following}>; rel="next"'
        assert following.startswith("http://localhost/query/loc?from=0&limit=3&device=Phone&")
        assert OWNER not in following


@pytest.mark.parametrize("url", ["/loc?from=0&limit=1", "/query/loc?from=0&limit=1"])
def test_the_next_page_is_where_outsiders_reach_the_node(tmp_path: Path, url: str) -> None:
    settings = Settings(data=tmp_path, public_base="https://yurt.example/base")
    with asker(tmp_path, settings) as ask:
        put_tracks(ask)
        following = ask(url).get_json()["next"]
    assert following.startswith("https://yurt.example/base/query/loc?from=0&limit=1&cursor=")


def test_a_mounted_node_names_the_next_page_below_its_mount(ask: Asker) -> None:
    put_tracks(ask)
    page = ask("/loc?from=0&limit=1", base_url="http://home:8080/query")
    assert page.get_json()["next"].startswith("http://home:8080/query/loc?")


@pytest.mark.parametrize("host", [None, "", "a b"])
def test_without_a_usable_host_the_next_page_is_relative(ask: Asker, host: str | None) -> None:
    put_tracks(ask)
    environ = create_environ("/loc?from=0&limit=1", headers=AUTH) | {"HTTP_HOST": host}
    if host is None:
        del environ["HTTP_HOST"]
    page = query(ask.node, Request(environ))
    assert json.loads(page.get_data())["next"].startswith("?from=0&limit=1&cursor=")


# Devices, records, rejects


def test_devices_and_what_was_last_heard_of_them(ask: Asker) -> None:
    ask.put(fix(0, battery=0.5))
    phone, tablet = ask("/device").get_json()
    assert (phone["device"], phone["name"], phone["app"]) == ("p1", "Phone", "other")
    assert (phone["last_report"], phone["age"]) == ("2026-11-01T12:00:00Z", 3600.0)
    assert (phone["battery"], phone["paired"]) == (0.5, True)
    assert (tablet["last_report"], tablet["paired"]) == (None, False)
    assert not [name for name in phone if name in ("current", "pending", "sealed_key")]


def reject(number: int, **more: Any) -> Reject:
    at = NOON + timedelta(seconds=number)
    return Reject(id=f"reject:{number}", reason="not JSON", time=at, **{**MADE, **more})


def test_rejects_newest_first_over_pages(ask: Asker) -> None:
    ask.put(*(reject(n, device="p1", size=3, where=f"[{n}]", truncated=True) for n in range(7)))
    found = [r for page in ask.pages("/reject?limit=3") for r in page.get_json()["rejects"]]
    assert [r["id"] for r in found] == [f"reject:{n}" for n in reversed(range(7))]
    assert found[0] == {
        "kind": "reject",
        "id": "reject:6",
        "source": "plain",
        "source_version": 1,
        "time": "2026-11-01T12:00:06Z",
        "reason": "not JSON",
        "device": "p1",
        "size": 3,
        "where": "[6]",
        "truncated": True,
    }


def test_the_bytes_of_a_reject(ask: Asker) -> None:
    ask.put(reject(1, raw="cafe"), raws={"cafe": b"<script>\x00"})
    answer = ask("/reject/reject:1/raw")
    assert answer.data == b"<script>\x00"
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="cafe.bin"'


def test_records_of_one_kind_in_a_range(ask: Asker) -> None:
    for n in range(5):
        at = NOON + timedelta(hours=n)
        ask.put(
            Visit(id=f"visit:{n}", device="p1", time=at, lat=1.0, lon=2.0, **MADE),
            Event(id=f"event:{n}", type="trip", time=at, **MADE),
        )
    url = "/record?kind=visit&from=2026-11-01T13:00:00Z&to=2026-11-01T16:00:00Z&limit=2"
    found = [r for page in ask.pages(url) for r in page.get_json()["records"]]
    assert [r["id"] for r in found] == ["visit:1", "visit:2", "visit:3"]


def test_a_page_of_records_ends_when_it_has_enough_bytes(
    ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", 1000)
    ask.put(*(Place(id=f"place:{n}", name="x" * 300, time=NOON, **MADE) for n in range(10)))
    answers = [page.get_json()["records"] for page in ask.pages("/record?kind=place")]
    assert [r["id"] for page in answers for r in page] == [f"place:{n}" for n in range(10)]
    assert [len(page) for page in answers] == [3, 3, 3, 1]


# What is refused


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/loc?form=gpx", ["'form'", "format"]),
        ("/loc?from=0&form=gpx", ["'form'", "format"]),
        ("/device?limit=1", ["'limit'", "none"]),
        ("/loc?from=0&from=1", ["from", "twice"]),
        ("/loc?from=yesterday", ["from", "'yesterday'", "RFC 3339"]),
        ("/loc?from=2026-11-01T12:00:00", ["from", "RFC 3339 with an offset"]),
        ("/loc?from=2026-11-01", ["from", "RFC 3339"]),
        ("/loc?from=", ["from", "''"]),
        ("/loc?to=nan", ["to", "'nan'"]),
        ("/loc?to=inf", ["to", "'inf'"]),
        ("/loc?to=253402300800", ["to", "'253402300800'"]),
        ("/loc?to=1e300", ["to", "'1e300'"]),
        ("/loc?from=0001-01-01T00:00:00%2B14:00", ["from", "0001-01-01"]),
        ("/loc?from=2&to=1", ["from", "later"]),
        ("/loc?from=0&format=kml", ["format", "'kml'", "geojson, gpx"]),
        ("/loc?from=0&every=0", ["every", "'0'", "seconds"]),
        ("/loc?from=0&every=1.5", ["every", "'1.5'"]),
        ("/loc?from=0&limit=0", ["limit", "'0'", "1000000"]),
        ("/loc?from=0&limit=many", ["limit", "'many'"]),
        ("/loc?from=0&cursor=x", ["cursor", "'x'", "leave it out"]),
        ("/loc?from=0&cursor=OTk5OTk5OTk5OTk5OTk5OTk5CnAx", ["cursor", "leave it out"]),
        ("/loc?limit=1", ["limit", "`from` or `to`"]),
        ("/loc?every=60", ["every", "`from` or `to`"]),
        ("/loc?cursor=MApwMQ", ["cursor", "`from` or `to`"]),
        ("/record", ["kind", "missing", "visit"]),
        ("/record?kind=letter", ["kind", "'letter'", "visit"]),
        ("/record?kind=visit&from=2&to=1", ["from", "later"]),
        ("/record?kind=visit&cursor=x", ["cursor", "'x'"]),
        ("/reject?limit=1001", ["limit", "'1001'", "1000"]),
        ("/reject?cursor=%00", ["cursor"]),
        ("/reject/reject:1/raw?id=2", ["'id'", "none"]),
    ],
)
def test_a_bad_parameter_is_named_with_what_would_do(
    ask: Asker, url: str, words: list[str]
) -> None:
    answer = ask(url)
    assert answer.status_code == 400, answer.text
    assert answer.content_type == "application/problem+json"
    problem = answer.get_json(force=True)
    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert [word for word in words if word not in problem["detail"]] == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/", "/loc"),
        ("/query", "/loc"),
        ("/locs", "/loc"),
        ("/loc/p1", "/loc"),
        ("/reject//raw", "/loc"),
        ("/loc?device=nobody", "/device"),
        ("/loc?from=0&device=nobody", "/device"),
        ("/reject/nothing/raw", "/reject"),
        ("/reject/reject:1/raw", "not kept"),
    ],
)
def test_what_is_not_there_is_a_404_that_says_where_to_look(
    ask: Asker, url: str, words: str
) -> None:
    ask.put(reject(1, raw="gone"))
    answer = ask(url)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert words in answer.get_json(force=True)["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_written(ask: Asker, method: str) -> None:
    answer = ask("/loc", method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_head_says_what_get_would(ask: Asker) -> None:
    put_tracks(ask)
    for url in ("/loc", "/loc?from=0&limit=3&format=csv", "/device", "/reject"):
        get, head = ask(url), ask(url, method="HEAD")
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers == get.headers


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (StoreUnavailable("locked by 4711"), 503, "again later"),
        (NewerData("shape 9; update Yurt"), 503, "update Yurt"),
        (StoreError("give it roles/datastore.user"), 500, "give it roles/datastore.user"),
    ],
    ids=["unavailable", "newer", "broken"],
)
@pytest.mark.parametrize("url", ["/loc", "/loc?from=0", "/device", "/reject", "/record?kind=visit"])
def test_a_store_that_fails_says_whether_asking_again_helps(
    ask: Asker,
    url: str,
    error: StoreError,
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    for name in ("latest", "track", "page"):
        monkeypatch.setattr(ask.node.store, name, fail)
    answer = ask(url)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert ("Retry-After" in answer.headers) == isinstance(error, StoreUnavailable)
    assert words in answer.get_json(force=True)["detail"]
    assert "4711" not in answer.text


@pytest.mark.parametrize(
    ("damage", "url"),
    [
        ("UPDATE fix SET data = x'ff'", "/loc"),
        ("UPDATE fix SET data = x'ff'", "/loc?from=0"),
        ("UPDATE status SET data = x'81'", "/device"),
        ("UPDATE record SET data = '{' WHERE kind = 'reject'", "/reject"),
        ("UPDATE record SET data = '{\"time\":1}' WHERE kind = 'reject'", "/reject/reject:1/raw"),
        ("UPDATE record SET data = x'ff' WHERE kind = 'visit'", "/record?kind=visit"),
        ("UPDATE document SET data = '[]'", "/device"),
    ],
)
def test_a_damaged_record_is_a_fault_that_does_not_pass(
    ask: Asker, tmp_path: Path, damage: str, url: str
) -> None:
    ask.put(fix(0), Status(device="p1", time=NOON, **MADE), reject(1))
    ask.put(Visit(id="visit:1", device="p1", time=NOON, lat=1.0, lon=2.0, **MADE))
    assert ask(url).status_code in (200, 404)
    with closing(sqlite3.connect(tmp_path / "yurt.db")) as connection, connection:
        assert connection.execute(damage).rowcount == 1
    answer = ask(url)
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "damaged" in answer.get_json(force=True)["detail"]
    assert "Retry-After" not in answer.headers


def test_a_track_that_fails_half_way_is_no_half_answer(
    ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> Iterator[Any]:
        yield fix(0)
        raise StoreUnavailable("gone")

    monkeypatch.setattr(ask.node.store, "track", breaks)
    assert ask("/loc?from=0&format=csv").status_code == 503


def test_credentials_that_cannot_be_checked_are_a_503(
    ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(ask.node.store, "read", fail)
    assert ask("/device").status_code == 503


# The table of routes


def test_every_route_is_listed_where_one_is_lost(ask: Asker) -> None:
    detail = ask("/lost").get_json(force=True)["detail"]
    assert [route.path for route in ROUTES if route.path not in detail] == []


def test_a_device_renamed_keeps_its_track(ask: Asker) -> None:
    ask.put(fix(0))
    renamed = replace(ask.node.keyring.access.devices["p1"], name="New phone")
    ask.node.keyring.change(lambda access: access.with_device(renamed))
    (row,) = csv.DictReader(io.StringIO(ask("/loc?from=0&device=new+phone&format=csv").text))
    assert (row["device"], row["name"]) == ("p1", "New phone")
