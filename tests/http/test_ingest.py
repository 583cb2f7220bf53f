"""The delivery contract: what phones really send goes in over HTTP, and what they hear comes back."""

import base64
import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.secret import SecretBox
from werkzeug.test import TestResponse

from shared.http.ingest import BODY_LIMIT, SOURCES, ingest
from shared.model import packing
from shared.model.access import rekeyed, renewed
from shared.model.ids import content_id
from shared.model.records import (
    NAMED_KINDS,
    AnyRecord,
    Fix,
    Person,
    Place,
    Reject,
    Status,
    canonical,
)
from shared.model.time import from_epoch
from shared.node import Node
from shared.sources import owntracks
from shared.sources.push import MOST_PARTS, Push, with_rejects
from shared.store.protocol import NOTHING, Settle, StoreUnavailable
from shared.store.sqlite import SqliteStore
from tests.http import phones
from tests.http.phones import NOW, OWNTRACKS, TOKEN, a_device, a_node, basic, client, deliver

EVER = datetime(2000, 1, 1, tzinfo=UTC), NOW + timedelta(days=2)
OVERLAND = b"""{"locations":[{"type":"Feature","geometry":{"type":"Point","coordinates":[-0.12,51.5]},
"properties":{"timestamp":"2023-11-14T22:13:20Z","horizontal_accuracy":8,"speed":-1,
"battery_level":0.89,"battery_state":"charging","motion":["driving"],"wifi":"home"}}]}"""
PLAIN = b'{"time":"1700000000","lat":"51.5","lon":"-0.12","accuracy":"8.0"}'
BODIES = {"owntracks": OWNTRACKS, "overland": OVERLAND, "plain": PLAIN}


@pytest.fixture(params=[ingest, phones.answer_soon], ids=["waiting", "soon"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All holds for both ways of answering: that of the cloud, and that of a home node."""
    monkeypatch.setattr(phones, "answer", request.param)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with a_node(tmp_path) as node:
        yield node


def fixes(node: Node) -> list[Fix]:
    return list(node.store.track("phone1", *EVER))


def rejects(node: Node) -> list[Reject]:
    return node.store.page(Reject).records


def said(answer: TestResponse) -> Any:
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    return json.loads(answer.data)


# Paths

HEARD = {
    "owntracks": [],
    "overland": {"result": "ok"},
    "plain": {"result": "ok", "stored": 1, "rejected": []},
}


@pytest.mark.parametrize("prefix", ["", "/ingest"], ids=["stripped", "mounted"])
@pytest.mark.parametrize("path", SOURCES)
def test_every_path(node: Node, path: str, prefix: str) -> None:
    app = SOURCES[path].NAME
    assert said(deliver(node, BODIES[app], prefix + path)) == HEARD[app]
    (fix,) = fixes(node)
    assert (fix.source, fix.lat, fix.lon, fix.accuracy) == (app, 51.5, -0.12, 8)
    assert fix.time == from_epoch(1700000000)


def test_mounted_by_the_server(node: Node) -> None:
    assert said(deliver(node, OWNTRACKS, "/pub", base_url="http://localhost/ingest")) == []
    assert said(deliver(node, OWNTRACKS, "/pub/?u=me&d=phone")) == []
    assert len(fixes(node)) == 1


@pytest.mark.parametrize("path", SOURCES)
def test_get_says_the_name_of_the_device(node: Node, path: str) -> None:
    assert said(client(node).get(path, headers=basic("me", TOKEN))) == {"name": "Phone"}
    url = f"{path}?u=me&d=phone&token={TOKEN}"
    assert said(client(node).get(url)) == {"name": "Phone"}
    assert dump(node) == NOTHING_AT_ALL


@pytest.mark.parametrize("path", ["//pub", "/ingest//pub", "/ingest/pub//", "//ingest///pub"])
def test_slashes_too_many(node: Node, path: str) -> None:
    assert said(deliver(node, OWNTRACKS, environ_overrides={"PATH_INFO": path})) == []
    assert len(fixes(node)) == 1


@pytest.mark.parametrize("path", ["/", "/ingest", "/ingest/", "//"])
@pytest.mark.parametrize("headers", [basic("me", TOKEN), {}], ids=["known", "unknown"])
def test_a_phone_that_knows_only_the_host_keeps_its_reports(
    node: Node, path: str, headers: dict[str, str]
) -> None:
    there = {"PATH_INFO": path}
    answer = deliver(node, OWNTRACKS, headers=headers, environ_overrides=there)
    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert "/pub" in json.loads(answer.data)["detail"]
    assert client(node).get("/", environ_overrides=there).status_code == 404


@pytest.mark.parametrize("path", ["/pubs", "/ingestpub", "/ingest/ingest/pub"])
def test_nothing_is_delivered_elsewhere(node: Node, path: str) -> None:
    answer = deliver(node, OWNTRACKS, path)
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert "/pub" in json.loads(answer.data)["detail"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT"])
def test_other_methods_with_a_body_deliver_too(node: Node, method: str) -> None:
    answer = client(node).open("/pub", method=method, headers=basic("me", TOKEN), data=OWNTRACKS)
    assert said(answer) == []
    assert len(fixes(node)) == 1


def test_a_method_that_delivers_nothing(node: Node) -> None:
    answer = client(node).delete("/pub", headers=basic("me", TOKEN), data=OWNTRACKS)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, PATCH, POST, PUT"
    assert fixes(node) == []


# Reports in the URL

IN_URL = "lat=51.5&lon=-0.12&time=1700000000"


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST", "PUT"])
@pytest.mark.parametrize(
    "query",
    [
        f"{IN_URL}&token={TOKEN}",
        f"u=me&d=phone&api_key={TOKEN}&{IN_URL}&",
        f"%74oken={TOKEN}&{IN_URL}",
    ],
)
def test_a_report_in_the_url(node: Node, method: str, query: str) -> None:
    answer = client(node).open(f"/report?{query}", method=method)
    assert said(answer) == {"result": "ok", "stored": 1, "rejected": []}
    (fix,) = fixes(node)
    assert (fix.source, fix.lat, fix.lon, fix.extra) == ("plain", 51.5, -0.12, {})
    assert fix.time == from_epoch(1700000000)


def test_the_url_of_gpslogger(node: Node) -> None:
    url = (
        "/ingest/report?lat=51.5&lon=-0.12&time=2023-11-14T22:13:20.000Z&accuracy=8.0&speed=1.25"
        f"&altitude=35.5&course=270.0&battery_percent=53&token={TOKEN}"
    )
    assert said(client(node).get(url))["stored"] == 1
    (fix,) = fixes(node)
    assert (fix.time, fix.accuracy, fix.speed) == (from_epoch(1700000000), 8, 1.25)
    assert (fix.altitude, fix.course, fix.battery) == (35.5, 270, 0.53)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("path", SOURCES)
def test_a_url_that_cannot_be_read_is_kept_without_its_token(
    node: Node, path: str, method: str
) -> None:
    url = f"{path}?token={TOKEN}&lat=51.5&Token={TOKEN}&lon=%3F"
    said(client(node).open(url, method=method, headers=basic("me", TOKEN)))
    (reject,) = rejects(node)
    assert node.store.raw(reject.raw or "") == b"lat=51.5&lon=%3F"
    assert fixes(node) == []


@pytest.mark.parametrize("path", SOURCES)
def test_head_delivers_nothing(node: Node, path: str) -> None:
    answer = client(node).head(f"{path}?{IN_URL}&token={TOKEN}")
    assert answer.status_code == 200
    assert dump(node) == NOTHING_AT_ALL


def test_a_body_counts_more_than_the_url(node: Node) -> None:
    said(deliver(node, PLAIN, "/report?lat=1&lon=2&time=1600000000"))
    assert [fix.lat for fix in fixes(node)] == [51.5]


# Apps as they really send


def test_owntracks_android(node: Node) -> None:
    body = (
        b'{"_type":"location","SSID":"home","acc":13,"batt":53,"bs":1,"conn":"w","lat":51.5,'
        b'"lon":-0.12,"m":1,"tid":"me","topic":"owntracks/me/phone","tst":1700000000,"vel":54}'
    )
    headers = basic("me", TOKEN) | {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Owntracks-Android/gms/420412000",
        "X-Limit-U": "me",
        "X-Limit-D": "phone",
    }
    assert said(deliver(node, body, headers=headers)) == []
    (fix,) = fixes(node)
    assert (fix.speed, fix.network, fix.wifi, fix.battery) == (15, "wifi", "home", 0.53)


def test_overland_ios_batch(node: Node) -> None:
    point = json.loads(OVERLAND)["locations"][0]
    body = {
        "locations": [
            point | {"properties": {"timestamp": f"2026-10-01T08:{i // 60:02}:{i % 60:02}Z"}}
            for i in range(200)
        ]
    }
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json",
        "User-Agent": "Overland/1.4 CFNetwork/1474 Darwin/23.0.0",
    }
    path = "/api/v1/overland/batches"
    assert said(deliver(node, json.dumps(body).encode(), path, headers=headers)) == {"result": "ok"}
    assert len(fixes(node)) == 200


def test_overland_in_owntracks_mode_with_its_unencoded_credential(node: Node) -> None:
    body = b'{"_type":"location","lat":51.5,"lon":-0.12,"tst":721692800,"acc":8,"vel":3,"t":"u"}'
    headers = {
        "Authorization": f"Basic {TOKEN}:",
        "User-Agent": "Overland/1.4 CFNetwork/1474 Darwin/23.0.0",
    }
    assert said(deliver(node, body, headers=headers)) == []
    assert fixes(node)[0].time == from_epoch(1700000000)


def test_gpslogger_template_without_a_content_type(node: Node) -> None:
    body = (
        b'{"_type":"location","lat":"51.5","lon":"-0.12","tst":"1700000000","acc":"8.0",'
        b'"batt":"53.0","bs":"true","vel":"18","tid":"gp"}'
    )
    assert said(deliver(node, body)) == []
    (fix,) = fixes(node)
    assert (fix.speed, fix.power, fix.battery) == (5, "charging", 0.53)


def test_gpslogger_dawarich_sender(node: Node) -> None:
    answer = deliver(node, OVERLAND, f"/api/v1/overland/batches?api_key={TOKEN}", headers={})
    assert said(answer) == {"result": "ok"}
    assert len(fixes(node)) == 1


@pytest.mark.parametrize("path", ["/pub", "/api/v1/overland/batches", "/report"])
def test_an_empty_body_is_acknowledged_and_leaves_nothing(node: Node, path: str) -> None:
    said(deliver(node, b"", path))
    assert dump(node) == NOTHING_AT_ALL


# Credentials


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (basic("me", TOKEN), ""),
        (basic(TOKEN, ""), ""),
        ({"Authorization": f"Bearer {TOKEN}"}, ""),
        ({}, f"?token={TOKEN}"),
        ({}, f"?api_key={TOKEN}"),
        (basic("me", "wrong"), f"?token={TOKEN}"),
        ({}, f"?token=wrong&token={TOKEN}"),
    ],
    ids=["basic password", "basic user", "bearer", "token", "api_key", "second", "third"],
)
def test_known_credentials(node: Node, headers: dict[str, str], query: str) -> None:
    assert said(deliver(node, OWNTRACKS, f"/pub{query}", headers=headers)) == []
    assert len(fixes(node)) == 1


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, ""),
        (basic("me", "wrong"), ""),
        (basic(TOKEN, "wrong"), ""),
        ({"Authorization": "Bearer"}, ""),
        ({"Authorization": "\xff\xfe"}, ""),
        ({}, "?token=wrong"),
        ({}, "?Token=" + TOKEN),
    ],
    ids=str,
)
def test_an_unknown_credential_leaves_only_a_count(
    node: Node, headers: dict[str, str], query: str
) -> None:
    before = dump(node, "document")
    answer = deliver(node, OWNTRACKS, f"/pub{query}", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert answer.content_type == "application/problem+json"
    assert dump(node) == NOTHING_AT_ALL
    assert dump(node, "document") == before
    assert node.store.counters() == {"ingest.unauthorized": 1}


def test_a_flood_of_wrong_credentials_is_one_write_a_minute(node: Node) -> None:
    for _ in range(5):
        deliver(node, OWNTRACKS, headers=basic("me", "wrong"))
    assert node.store.counters() == {"ingest.unauthorized": 1}
    node.counts.flush()
    assert node.store.counters() == {"ingest.unauthorized": 5}


def test_a_revoked_device_is_out_at_once(node: Node) -> None:
    said(deliver(node, OWNTRACKS))
    node.keyring.change(lambda access: access.without_device("phone1"))
    assert deliver(node, OWNTRACKS).status_code == 401


def test_a_renewed_credential(node: Node) -> None:
    node.keyring.change(
        lambda access: access.with_device(renewed(access.devices["phone1"], "new-token"))
    )
    said(deliver(node, OWNTRACKS))
    said(deliver(node, OWNTRACKS, headers=basic("me", "new-token")))
    assert deliver(node, OWNTRACKS).status_code == 401


def test_no_log_holds_a_token_or_a_body(
    node: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)

    def broken(*_: Any) -> Any:
        raise KeyError(OWNTRACKS.decode())

    deliver(node, OWNTRACKS, f"/pub?token={TOKEN}", headers={})
    deliver(node, OWNTRACKS, f"/elsewhere?token={TOKEN}", headers={})
    deliver(node, OWNTRACKS, "/pub?token=wrong-token", headers={})
    with monkeypatch.context() as patch:
        patch.setattr(owntracks, "decode", broken)
        deliver(node, OWNTRACKS, f"/pub?token={TOKEN}", headers={})
    with monkeypatch.context() as patch:
        patch.setattr(node.store, "put", broken_store)
        patch.setattr(node.store, "put_soon", broken_store)
        deliver(node, OWNTRACKS, f"/pub?token={TOKEN}", headers={})
    assert "cannot decode" in caplog.text
    assert "could not be stored" in caplog.text
    for secret in (TOKEN, "wrong-token", "51.5", "tst"):
        assert secret not in caplog.text


# Failures


def broken_store(*_: Any) -> None:
    raise StoreUnavailable("the disk is full")


def settled_broken(_records: Any, _raws: Any, settle: Any) -> None:
    settle(StoreUnavailable("the disk is full"))


@pytest.mark.parametrize(
    "broken",
    [
        {"read": broken_store},
        {"put": broken_store, "put_soon": broken_store},
        {"put": broken_store, "put_soon": settled_broken},
    ],
    ids=["credentials", "put", "commit"],
)
def test_a_store_that_is_unavailable_is_503(
    node: Node, broken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for method, instead in broken.items():
        monkeypatch.setattr(node.store, method, instead)
    answer = deliver(node, OWNTRACKS)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"
    assert answer.content_type == "application/problem+json"


def test_a_decoder_that_fails_loses_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr(owntracks, "decode", broken)
    assert said(deliver(node, OWNTRACKS)) == []
    (reject,) = rejects(node)
    assert reject.reason == "cannot be decoded: RecursionError"
    assert node.store.raw(reject.raw or "") == OWNTRACKS


def test_a_record_that_cannot_be_written_loses_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = packing.pack

    def picky(report: Fix | Status) -> bytes:
        if isinstance(report, Fix):
            raise OverflowError
        return pack(report)

    monkeypatch.setattr(packing, "pack", picky)
    said(deliver(node, PLAIN, "/report"))
    (reject,) = rejects(node)
    assert reject.reason == "cannot be written: OverflowError"
    assert node.store.raw(reject.raw or "") == PLAIN


@pytest.mark.parametrize("path", ["/pub", "/api/v1/overland/batches", "/report"])
def test_a_body_beyond_the_limit_is_kept_up_to_it(node: Node, path: str) -> None:
    body = OWNTRACKS + b" " * BODY_LIMIT
    said(deliver(node, body, path))
    (reject,) = rejects(node)
    assert reject.truncated
    assert node.store.raw(reject.raw or "") == body[:BODY_LIMIT]
    assert fixes(node) == []


def test_a_body_at_the_limit_is_read(node: Node) -> None:
    said(deliver(node, OWNTRACKS + b" " * (BODY_LIMIT - len(OWNTRACKS))))
    assert len(fixes(node)) == 1


def test_a_body_of_nothing_but_poison_is_one_reject(node: Node) -> None:
    body = b"[" + b"0," * 100_000 + b"0]"
    said(deliver(node, body))
    (reject,) = rejects(node)
    assert node.store.raw(reject.raw or "") == body


def test_a_client_that_went_away_stores_nothing(node: Node) -> None:
    announced = {"CONTENT_LENGTH": str(len(OWNTRACKS) + 10)}
    assert deliver(node, OWNTRACKS, environ_overrides=announced).status_code == 400
    assert dump(node) == NOTHING_AT_ALL


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"_type":"card","name":"Ada"}', Person),
        (b'{"_type":"waypoint","desc":"Home","rid":"ab"}', Place),
    ],
)
def test_what_says_no_time_is_listed_too(
    node: Node, body: bytes, kind: type[Person | Place]
) -> None:
    said(deliver(node, body))
    assert len(node.store.page(kind, end=NOW + timedelta(seconds=1)).records) == 1


# Friends and commands

FACE = b"\x89PNG\r\n\x1a\nface"
COMMAND = {"_type": "cmd", "action": "reportLocation"}
ADA = {"tid": "Ad", "topic": "owntracks/ada1/ada1"}
ADAS_PLACE = {
    "_type": "location",
    "lat": 51.5,
    "lon": -0.12,
    "tst": 1700000000,
    "acc": 8,
} | ADA


@pytest.fixture
def household(tmp_path: Path) -> Iterator[Node]:
    ada = a_device(id="ada1", name="Ada's phone", current="")
    ada = a_device(id="ada1", name="Ada's phone", current=renewed(ada, "ada-token").pending)
    mine = a_device(sees=("ada1", "gone1"), commands=(COMMAND,))
    with a_node(tmp_path, mine, ada) as node:
        yield node


def test_the_reply_carries_friends_and_commands(household: Node) -> None:
    adas = basic("ada", "ada-token")
    card = {"_type": "card", "name": "Ada's phone"} | ADA
    assert said(deliver(household, OWNTRACKS)) == [card, COMMAND]
    assert said(deliver(household, OWNTRACKS)) == [card], "a command is handed out once"
    face = base64.b64encode(FACE).decode()
    body = json.dumps({"_type": "card", "name": "Ada", "face": face, "tid": "al"}).encode()
    assert said(deliver(household, body, headers=adas)) == [], "sharing is one-way"
    said(deliver(household, OWNTRACKS, headers=adas))
    heard = said(deliver(household, OWNTRACKS))
    assert heard == [card | {"name": "Ada", "face": face}, ADAS_PLACE]
    assert said(deliver(household, b"")) == heard, "an empty body is answered too"


def test_commands_wait_for_the_device_they_are_for(household: Node) -> None:
    assert said(deliver(household, OWNTRACKS, headers=basic("ada", "ada-token"))) == []
    assert COMMAND in said(deliver(household, OWNTRACKS))


def test_a_command_reaches_a_device_without_friends(tmp_path: Path) -> None:
    with a_node(tmp_path, a_device(commands=(COMMAND,))) as node:
        assert said(deliver(node, OWNTRACKS)) == [COMMAND]
        assert said(deliver(node, OWNTRACKS)) == []
        assert len(fixes(node)) == 1


def test_a_report_is_acknowledged_though_friends_cannot_be_read(
    household: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(household.store, "latest", broken_store)
    assert said(deliver(household, OWNTRACKS)) == []
    assert len(fixes(household)) == 1


KEY = b"correct horse"
BOX = SecretBox(KEY.ljust(32, b"\0"))


@pytest.fixture
def sealed_household(household: Node) -> Node:
    sealed = household.sealing_key().seal(KEY)
    household.keyring.change(
        lambda access: access.with_device(
            a_device(sees=("ada1",), commands=(COMMAND,), sealed_key=sealed)
        )
    )
    return household


def encrypted(message: bytes, box: SecretBox = BOX) -> bytes:
    data = base64.b64encode(box.encrypt(message, bytes(range(24)))).decode()
    return json.dumps({"_type": "encrypted", "data": data}).encode()


def test_the_reply_to_a_device_that_encrypts_is_encrypted(sealed_household: Node) -> None:
    nonces = set()
    card = {"_type": "card", "name": "Ada's phone"} | ADA
    for expected in ([card, COMMAND], [card], [card]):
        heard = said(deliver(sealed_household, encrypted(OWNTRACKS)))
        assert heard["_type"] == "encrypted"
        data = base64.b64decode(heard["data"])
        assert json.loads(BOX.decrypt(data)) == expected
        nonces.add(data[:24])
    assert len(nonces) == 3
    assert len(fixes(sealed_household)) == 1


def test_a_ciphertext_under_another_key_is_kept(sealed_household: Node) -> None:
    body = (
        b'{"_type":"encrypted","data":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXAAAAAAAAAAAAAAAAAAAAAAAA"}'
    )
    said(deliver(sealed_household, body))
    (reject,) = rejects(sealed_household)
    assert sealed_household.store.raw(reject.raw or "") == body


def test_without_its_master_key_a_node_lets_the_phone_keep_its_report(
    sealed_household: Node,
) -> None:
    (sealed_household.settings.data / "master.key").write_text("00" * 32)
    assert deliver(sealed_household, encrypted(OWNTRACKS)).status_code == 503


def test_a_new_key_leaves_the_old_one_in_use(sealed_household: Node) -> None:
    node, headers = sealed_household, basic("me", "new-token")
    new_box = SecretBox(b"new".ljust(32, b"\0"))
    sealed = node.sealing_key().seal(b"new")
    node.keyring.change(
        lambda access: access.with_device(
            renewed(rekeyed(access.devices["phone1"], sealed), "new-token")
        )
    )

    def opens(answer: TestResponse, box: SecretBox) -> bool:
        return bool(json.loads(box.decrypt(base64.b64decode(said(answer)["data"]))))

    assert opens(deliver(node, encrypted(OWNTRACKS)), BOX)
    second, third = (OWNTRACKS.replace(b"1700000000", b"170000000%d" % n) for n in (1, 2))
    assert opens(deliver(node, encrypted(second, new_box), headers=headers), new_box)
    # What waited in the phone's queue: the phone itself has the new key.
    assert opens(deliver(node, encrypted(third), headers=headers), new_box)
    assert len(fixes(node)) == 3
    assert rejects(node) == []


def test_an_earlier_key_that_is_lost_jams_no_phone(sealed_household: Node) -> None:
    lost = a_device(earlier_keys=("AAAA", sealed_household.sealing_key().seal(KEY)))
    sealed_household.keyring.change(lambda access: access.with_device(lost))
    assert said(deliver(sealed_household, encrypted(OWNTRACKS))) == []
    assert len(fixes(sealed_household)) == 1
    (sealed_household.settings.data / "master.key").unlink()
    del sealed_household.master_key
    said(deliver(sealed_household, OWNTRACKS))
    said(deliver(sealed_household, encrypted(OWNTRACKS)))
    assert [reject.reason[:9] for reject in rejects(sealed_household)] == ["encrypted"]


# Whatever comes

NOTHING_AT_ALL: dict[str, list[Any]] = {"fix": [], "status": [], "record": [], "raw": []}
PAYLOADS: list[tuple[str, bytes]] = [
    ("/pub", OWNTRACKS),
    (
        "/pub",
        (
            b'{"_type":"location","lat":"51.5","lon":"-0.12","tst":"1700000000.5","acc":"8","alt":-1,'
            b'"vel":5,"cog":-1,"batt":50,"bs":"true","conn":"w","p":101.3,"t":"u","SSID":"x",'
            b'"motionactivities":["walking"],"image":"iVBORw0KGgo=","inregions":["Home"],"m":1}'
        ),
    ),
    (
        "/pub",
        (
            b'{"_type":"transition","event":"enter","desc":"Home","tst":1700000000,"wtst":1600000000,'
            b'"lat":1,"lon":2,"acc":3,"rid":"ab"}'
        ),
    ),
    (
        "/pub",
        (
            b'{"_type":"waypoints","waypoints":[{"_type":"waypoint","desc":"Home","lat":1,"lon":2,'
            b'"rad":50,"tst":1600000000},{"desc":"Work","rid":"cd"}]}'
        ),
    ),
    ("/pub", b'{"_type":"card","name":"Ada","face":"iVBORw0KGgo=","tid":"ad"}'),
    ("/pub", b'{"_type":"status","android":{"wifi":0,"ps":1}}'),
    ("/pub", b'{"_type":"steps","tst":1700000000,"steps":5,"from":1699990000,"to":1700000000}'),
    ("/pub", b'{"_type":"beacon","tst":1700000000,"uuid":"x","major":1,"minor":2}'),
    ("/pub", b'{"_type":"dump","configuration":{"deviceId":"x","password":"y","a":[{"b":1}]}}'),
    ("/pub", b'{"_type":"lwt","tst":1700000000}'),
    ("/pub", b'{"_type":"encrypted","data":"AAAA"}'),
    (
        "/pub",
        (
            b'[[{"_type":"location","tst":1700000000}],{"_type":"waypoints","topic":"t",'
            b'"waypoints":[{"rid":"ef","desc":"x"}]}]'
        ),
    ),
    ("/pub", b"[%b,%b]" % (OWNTRACKS, OWNTRACKS.replace(b"1700000000", b"1700000001"))),
    ("/api/v1/overland/batches", OVERLAND),
    (
        "/api/v1/overland/batches",
        (
            b'{"locations":[{"geometry":{"type":"Point","coordinates":[1,2,3]},"properties":{'
            b'"timestamp":"2026-10-01T08:00:00+0200","action":"visit",'
            b'"arrival_date":"2026-10-01T08:00:00Z","departure_date":null,"horizontal_accuracy":5}},'
            b'{"properties":{"timestamp":"2026-10-01T08:00:00Z","action":"will_resume"}},'
            b'{"properties":{"type":"trip","start":"2026-10-01T07:00:00Z","end":"2026-10-01T08:00:00Z",'
            b'"distance":5}}],"device":"x","trip":{"start":"2026-10-01T09:00:00Z","mode":"walking"},'
            b'"current":{"geometry":{"type":"Point","coordinates":[1,2]},"properties":{'
            b'"timestamp":"2026-10-01T10:00:00Z","speed":"1","battery_level":50}}}'
        ),
    ),
    ("/report", PLAIN),
    (
        "/report",
        (
            b'{"device":"x","reports":[{"time":"2026-10-01T08:00:00Z","lat":1,"lon":2,"motion":["walking"],'
            b'"extra":{"a":1},"charging":true},{"time":1700000000123,"battery":0.5}]}'
        ),
    ),
]

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(
            None,
            True,
            False,
            "",
            "abc",
            "1",
            "NaN",
            "1e400",
            "51,5",
            "\0",
            "/",
            "ä€😀",
            "x" * 70_000,
        ),
        *(-1, 0, -0.0, 0.5, 1e308, 5e-324, 2**63, 2**64, -(2**63) - 1, 10**40, 1700000000),
        *([], {}, [[]], {"": ""}, ["a", 1], {"a": {"b": [None, 10**40]}}, "2026-10-01T08:00:00Z"),
    ]
) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TOKENS = [b"NaN", b"1e400", b'"\\ud800"', b"\xff", b"\xe9", b"[" * 2000, b"9" * 5000, b'"', b"}"]
TOKENS += [b"\x00", b"\xef\xbb\xbf", b"null", b"-", b",", b"\xff\xfe", b'"lat":1,']


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for name, item in value.items():
            yield from paths_in(item, (*path, name))


@st.composite
def with_an_odd_value(draw: st.DrawFn) -> tuple[str, bytes]:
    path, body = draw(st.sampled_from(PAYLOADS))
    value: Any = {"": json.loads(body)}
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([p for p in paths_in(value) if p]))
        holder = value
        for step in way:
            holder = holder[step]
        if last != "" and draw(st.booleans()) and draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = deepcopy(draw(ODD))
    return path, json.dumps(value[""], ensure_ascii=draw(st.booleans())).encode(
        "utf-8", "surrogatepass"
    )


@st.composite
def with_odd_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    path, body = draw(st.sampled_from(PAYLOADS))
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 20)))
    odd = draw(st.sampled_from(TOKENS) | st.binary(max_size=4) | st.just(b""))
    return path, body[:start] + odd + body[end:]


@st.composite
def in_another_encoding(draw: st.DrawFn) -> tuple[str, bytes]:
    path, body = draw(st.sampled_from(PAYLOADS))
    encoding = draw(st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7"]))
    return path, body.decode().encode(encoding)[: draw(st.none() | st.integers(0, len(body)))]


ANYTHING = (
    with_an_odd_value()
    | with_odd_bytes()
    | in_another_encoding()
    | st.tuples(st.sampled_from(list(SOURCES)), st.binary() | st.sampled_from(TOKENS))
)


class Watched(SqliteStore):
    """Remembers what it was given."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.records: list[AnyRecord] = []

    def put(self, records: Sequence[AnyRecord], raws: Mapping[str, bytes] = NOTHING) -> None:
        super().put(records, raws)
        self.records += records

    def put_soon(
        self, records: Sequence[AnyRecord], raws: Mapping[str, bytes], settle: Settle
    ) -> None:
        super().put_soon(records, raws, settle)
        self.records += records


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING)
def test_no_body_is_refused_or_lost(pushed: tuple[str, bytes]) -> None:
    path, body = pushed
    with TemporaryDirectory() as folder:
        store = Watched(Path(folder) / "yurt.db")
        with a_node(Path(folder), store=store) as node:
            assert deliver(node, body, path).status_code == 200
            assert bool(store.records) == bool(body)
            assert len([r for r in store.records if isinstance(r, Reject)]) <= MOST_PARTS
            for record in store.records:
                assert_reads_back(store, record, body)


def assert_reads_back(store: Watched, record: AnyRecord, body: bytes) -> None:
    rivals = [r for r in store.records if type(r) is type(record) and r.id == record.id]
    if isinstance(record, Fix | Status):
        latest = store.latest(record.device, record.time + timedelta(microseconds=1))
        found: AnyRecord | None = latest.fix if isinstance(record, Fix) else latest.status
    else:
        found = store.get(type(record), record.id)
    assert found in rivals
    if isinstance(record, Reject):
        raw = store.raw(record.raw or "")
        assert raw is not None
        assert raw in body
        assert record.where or raw == body
        assert record.size == len(raw)
        # Those are for faults of ours.
        assert not record.reason.startswith(("cannot be decoded", "cannot be written"))


MARK = "MARKED"


def marked() -> Iterator[tuple[str, bytes]]:
    """Every payload with a mark in the place of each value, and as a new member of each object."""
    for path, body in PAYLOADS:
        for way in paths_in(json.loads(body)):
            value: Any = {"": json.loads(body)}
            *most, last = ("", *way)
            holder = value
            for step in most:
                holder = holder[step]
            if isinstance(holder[last], dict):
                holder[last]["odd"] = MARK
                yield path, json.dumps(value[""]).encode()
            holder[last] = MARK
            yield path, json.dumps(value[""]).encode()


def test_nothing_that_is_said_is_lost() -> None:
    for path, body in marked():
        push, source = Push(body=body, device="phone1", received=NOW), SOURCES[path]
        decoded = with_rejects(source, push, source.decode(push))
        kept = [*map(canonical, decoded.records), *decoded.raws.values()]
        lost = b'"password": "MARKED"' in body  # as it must be
        assert (MARK.encode() not in b"".join(kept)) == lost, body


# Order


def dump(node: Node, *tables: str) -> dict[str, list[Any]]:
    """All that the store holds besides counters and documents, whatever order it came in."""
    tables = tables or ("fix", "status", "record", "raw")
    connection = sqlite3.connect(node.settings.data / "yurt.db")
    try:
        return {t: sorted(connection.execute(f"SELECT * FROM {t}").fetchall()) for t in tables}
    finally:
        connection.close()


REWRITTEN = [
    ("/pub", OWNTRACKS.replace(b'"acc":8', b'"acc":4')),
    ("/pub", b'{"_type":"card","name":"Ada L."}'),
    (
        "/api/v1/overland/batches",
        (
            b'{"locations":[{"geometry":{"type":"Point","coordinates":[1,2]},"properties":{'
            b'"timestamp":"2026-10-01T09:00:00Z","action":"visit",'
            b'"arrival_date":"2026-10-01T08:00:00Z","departure_date":"2026-10-01T09:00:00Z"}},'
            b'{"properties":{"type":"trip","start":"2026-10-01T09:00:00Z","end":"2026-10-01T11:00:00Z"}'
            b"}]}"
        ),
    ),
    ("/pub", b"not JSON"),
]


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_order_and_repetition_change_nothing(data: st.DataObject) -> None:
    once = PAYLOADS + REWRITTEN
    again = data.draw(st.lists(st.sampled_from(once), max_size=10))
    assert store_after(once) == store_after([*again, *data.draw(st.permutations(once))])


def store_after(pushes: Sequence[tuple[str, bytes]]) -> dict[str, list[Any]]:
    with TemporaryDirectory() as folder, a_node(Path(folder)) as node:
        for path, body in pushes:
            assert deliver(node, body, path).status_code == 200
        return dump(node)


def test_every_kind_of_record_is_among_the_payloads(node: Node) -> None:
    for path, body in PAYLOADS:
        deliver(node, body, path)
    kinds = {kind for (kind, *_) in dump(node)["record"]}
    assert kinds == NAMED_KINDS.keys() - {"message", "note"}
    assert content_id(b'{"_type":"encrypted","data":"AAAA"}') in {s for s, *_ in dump(node)["raw"]}
