"""The command as its user meets it: what it prints, where, and how it ends."""

import base64
import json
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from infra.cli.commands import COMMANDS
from infra.cli.main import main
from infra.cli.session import Session
from shared.model.records import Fix
from shared.node import open_node
from shared.settings import Settings

NOW = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)

Yurt = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def yurt(data: Path) -> Yurt:
    """Calls the command on data of its own, at a fixed time, in London."""

    def call(*arguments: str, environ: dict[str, str] | None = None) -> Result:
        known = {"TZ": "Europe/London", "YURT_DATA": str(data), **(environ or {})}
        session = Session(environ=known, clock=lambda: NOW)
        return CliRunner().invoke(main, list(arguments), obj=session)

    return call


@pytest.fixture
def phone(yurt: Yurt, data: Path) -> str:
    """The id of a paired device that has reported."""
    id = str(answer(yurt("pair", "phone", "--url", "https://y.example", "--json"))["device"])
    node = open_node(Settings(data=data))
    node.store.put([fix(id, hours) for hours in (1, 30)])
    node.close()
    return id


def fix(device: str, hours_ago: int) -> Fix:
    return Fix(
        source="owntracks",
        source_version=1,
        device=device,
        time=NOW - timedelta(hours=hours_ago),
        lat=51.5,
        lon=-0.12,
        accuracy=12.0,
        battery=0.54,
    )


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(result: Result, status: int, *words: str) -> None:
    """One sentence on stderr, nothing on stdout, no traceback."""
    assert result.exit_code == status, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    for word in words:
        assert word in last


def test_alone_it_says_what_to_do_next(yurt: Yurt) -> None:
    assert "Next: start a node with `yurt up`." in yurt().stdout
    yurt("token", "laptop")
    assert "Next: connect your phone with `yurt pair phone`." in yurt().stdout
    yurt("pair", "phone")
    assert "Next: see where you are with `yurt where`." in yurt().stdout
    assert yurt().exit_code == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(yurt: Yurt, name: str) -> None:
    help = yurt(name, "--help")
    assert help.exit_code == 0
    assert f"yurt {name}" in help.stdout.partition("Example")[2]
    assert all(len(line) <= 80 for line in help.stdout.splitlines())
    assert main.get_command(click.Context(main), name) is not None


def test_reading_leaves_no_data_behind(yurt: Yurt, data: Path) -> None:
    for name in ("where", "devices", "token", "export", "profile"):
        refused(yurt(name), 1, "there is no data in", "yurt up")
    refused(yurt("unpair", "phone"), 1, "there is no data in")
    assert yurt("doctor").exit_code == 0
    assert not data.exists()


def test_data_is_where_the_option_says_before_or_after_the_command(
    yurt: Yurt, data: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert yurt("--data", str(one), "token", "laptop").exit_code == 0
    assert yurt("--data", str(one), "token", "laptop", "--data", str(other)).exit_code == 0
    assert (one / "yurt.db").exists()
    assert (other / "yurt.db").exists()
    assert not data.exists()


def test_what_is_begun_is_said(yurt: Yurt, data: Path) -> None:
    begun = f"There is no data in {data} yet: it is begun now.\n"
    assert begun in yurt("token", "laptop", "--json").stderr
    assert begun not in yurt("pair", "phone").stderr


@pytest.mark.parametrize(
    ("arguments", "next_steps"),
    [
        ([], ["pair phone"]),
        (["token"], ["token laptop"]),
        (["token", "two words"], ["token 'two words' --revoke"]),
        (["devices"], ["pair phone"]),
        (["pair", "phone"], ["up --host 0.0.0.0\n", "pair phone --url https://yurt.example.org"]),
        (["unpair", "tablet"], ["where --device tablet"]),
        (["where"], ["doctor"]),
        (["where", "--device", "x"], []),
        (["doctor"], ["up\n", "profile --zone\n"]),
        (["token", "--revoke"], ["token NAME --revoke"]),
    ],
)
def test_next_steps_can_be_typed_as_they_are_printed(
    tmp_path: Path, arguments: list[str], next_steps: list[str]
) -> None:
    folder = tmp_path / "our data"

    def call(*arguments: str) -> str:
        session = Session(
            environ={"TZ": "Europe/London"}, clock=lambda: NOW, program=".venv/bin/yurt"
        )
        given = ["--data", str(folder), *arguments]
        return CliRunner().invoke(main, given, obj=session).output

    call("profile", "--units", "metric")
    if arguments[:1] in (["unpair"], ["where"]):
        call("pair", "tablet", "--app", "other")
    shown = call(*arguments)
    for step in next_steps:
        words = f".venv/bin/yurt --data '{folder}' {step}"
        assert " ".join(words.split()) in " ".join(shown.split())
    assert not re.search(r"(?<![\w/])yurt (up|pair|token|where|doctor|devices)\b", shown)


def test_a_program_on_the_path_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "yurt"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Session().program == str(program)
    monkeypatch.setenv("PATH", str(program.parent))
    assert Session().program == "yurt"


def test_what_cannot_be_opened_or_written_ends_with_a_sentence(
    yurt: Yurt, phone: str, data: Path, tmp_path: Path
) -> None:
    refused(yurt("export", "-o", str(tmp_path / "none" / "a")), 1, "No such file or directory")
    (data / "master.key").mkdir()
    refused(yurt("pair", "tablet", "--encrypt"), 1, "master.key cannot be read")
    bad = {"YURT_MASTER_KEY": "5e"}
    refused(yurt("pair", "tablet", "--encrypt", environ=bad), 1, "YURT_MASTER_KEY is not 64")
    (tmp_path / "file").write_text("")
    refused(yurt("token", "a", environ={"YURT_DATA": str(tmp_path / "file")}), 1, "database")


@pytest.mark.parametrize(
    "base", ["http://a b", "http://y.example:99999", "https://y.example?x", "y.example"]
)
def test_a_public_base_is_held_to_what_a_url_must_be(yurt: Yurt, base: str) -> None:
    refused(yurt("pair", "phone", environ={"YURT_PUBLIC_BASE": base}), 2, "YURT_PUBLIC_BASE")


def test_settings_that_cannot_be_meant_are_a_misuse(yurt: Yurt) -> None:
    refused(yurt("devices", environ={"YURT_STORE": "postgres"}), 2, "YURT_STORE")


def test_newer_data_is_left_alone_with_a_sentence(yurt: Yurt, data: Path) -> None:
    yurt("token", "laptop")
    with closing(sqlite3.connect(data / "yurt.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    refused(yurt("token"), 1, "newer version", "update Yurt")
    result = yurt("doctor", "--json")
    assert result.exit_code == 1
    (database,) = (check for check in json.loads(result.stdout) if check["check"] == "database")
    assert "newer version" in database["detail"]
    assert database["fix"].startswith("update Yurt")


def test_a_damaged_database_ends_with_a_sentence(yurt: Yurt, data: Path) -> None:
    data.mkdir()
    (data / "yurt.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    refused(yurt("devices"), 1, "database")


def test_a_node_in_the_cloud_is_acted_on_by_the_same_commands(
    yurt: Yurt, data: Path, firestore_project: str
) -> None:
    cloud = {
        "YURT_STORE": "firestore",
        "YURT_PROJECT": firestore_project,
        "YURT_PUBLIC_BASE": "http://127.0.0.1:9",
        "YURT_MASTER_KEY": "5e" * 32,
        "FIRESTORE_EMULATOR_HOST": "set",
    }
    assert answer(yurt("devices", "--json", environ=cloud)) == []
    paired = answer(yurt("pair", "phone", "--encrypt", "--json", environ=cloud))
    assert paired["url"] == "http://127.0.0.1:9/ingest/pub"
    assert len(answer(yurt("token", "laptop", "--json", environ=cloud))) == 2
    refused(yurt("where", environ=cloud), 1, "no position is known yet")
    assert yurt("unpair", "phone", environ=cloud).exit_code == 0
    found = {
        check["check"]: check
        for check in json.loads(yurt("doctor", "--json", environ=cloud).stdout)
    }
    assert (found["store"]["status"], found["master key"]["status"]) == ("ok", "ok")
    assert "on the emulator" in found["cloud"]["detail"]
    assert not data.exists()


# Pairing


def test_pair_says_all_that_the_phone_needs(yurt: Yurt) -> None:
    paired = answer(yurt("pair", "phone", "--url", "https://y.example", "--encrypt", "--json"))
    assert list(paired) == [
        *("device", "name", "app", "renewed", "url", "username", "password", "token", "setup_link"),
        *("encryption_key", "warning"),
    ]
    assert list(answer(yurt("pair", "script", "--app", "other", "--json"))) == list(paired)
    config = json.loads(base64.b64decode(paired["setup_link"].split("inline=")[1]))
    assert config["url"] == paired["url"] == "https://y.example/ingest/pub"
    assert config["password"] == paired["password"]
    assert config["encryptionKey"] == paired["encryption_key"]


def test_pair_shows_link_and_code_in_eighty_columns(yurt: Yurt) -> None:
    shown = yurt(
        "pair", "the family tablet", "--encrypt", "--url", "https://europe-west1-y.example"
    ).stdout
    lines = shown.splitlines()
    code = [line for line in lines if "▀" in line or "█" in line]
    assert len(code) > 20
    assert max(map(len, code)) <= 80
    assert any(line.startswith("owntracks:///config?inline=") for line in lines)


def test_pair_by_a_public_base(yurt: Yurt) -> None:
    there = {"YURT_PUBLIC_BASE": "https://y.example/"}
    assert answer(yurt("pair", "phone", "--json", environ=there))["url"] == (
        "https://y.example/ingest/pub"
    )


def test_pair_on_loopback_makes_the_device_but_no_link(yurt: Yurt) -> None:
    result = yurt("pair", "phone", "--json")
    paired = answer(result)
    assert paired["url"] == "http://127.0.0.1:8080/ingest/pub"
    assert paired["setup_link"] is None
    assert "cannot reach" in paired["warning"]
    assert [device["device"] for device in answer(yurt("devices", "--json"))] == [paired["device"]]

    shown = yurt("pair", "phone")
    assert "cannot reach" in shown.stderr
    assert "yurt up --host 0.0.0.0" in shown.stdout
    assert "yurt pair phone --url https://" in shown.stdout
    assert "owntracks://" not in shown.output
    assert "█" not in shown.output


def test_pair_with_loopback_asked_for_obeys_and_warns_first(yurt: Yurt) -> None:
    result = yurt("pair", "phone", "--url", "http://localhost.:8080")
    assert "owntracks:///config" in result.stdout
    assert "cannot reach" in result.stderr
    assert result.output.index("cannot reach") < result.output.index("█")
    assert "Install" not in result.stdout


def test_pair_in_the_cloud_advises_nothing_about_a_home_node(
    yurt: Yurt, firestore_project: str
) -> None:
    emulated = {
        "YURT_STORE": "firestore",
        "YURT_PROJECT": firestore_project,
        "YURT_PUBLIC_BASE": "http://127.0.0.1:9",
        "FIRESTORE_EMULATOR_HOST": "set",
    }
    shown = yurt("pair", "phone", environ=emulated).stdout
    assert "  yurt up --emulated --host 0.0.0.0 --port 9\n" in shown
    del emulated["FIRESTORE_EMULATOR_HOST"]
    shown = yurt("pair", "phone", environ=emulated).stdout
    assert "yurt up" not in shown
    assert "yurt pair phone --url https://" in shown


def test_pair_refuses_what_it_cannot_do(yurt: Yurt) -> None:
    refused(yurt("pair", "phone", "--url", "y.example"), 2, "https://y.example")
    refused(yurt("pair", "phone", "--app", "other", "--encrypt"), 2, "cannot encrypt")
    refused(yurt("pair", " "), 2, "1 to 64")
    refused(yurt("pair", "phone", "--app", "myspace"), 2)
    refused(yurt("pair"), 2, "NAME")
    assert answer(yurt("devices", "--json")) == []


# Devices


def test_devices_and_what_is_done_to_them(yurt: Yurt, phone: str) -> None:
    yurt("pair", "tablet", "--url", "https://y.example")
    (state, tablet) = answer(yurt("devices", "--json"))
    assert (state["name"], state["device"], state["battery"]) == ("phone", phone, 0.54)
    assert (state["last_report"], state["age"]) == ("2026-11-22T15:30:00Z", 3600.0)
    assert "phone   " in yurt("devices").stdout
    assert "1 hour ago" in yurt("devices").stdout

    shared = answer(yurt("share", "phone", "--with", "tablet", "--json"))
    assert shared["sees"] == [tablet["device"]]
    assert "is shown: tablet" in yurt("share", "phone").stdout
    assert "is shown: nobody" in yurt("share", "phone", "--none").stdout
    refused(yurt("share", "phone", "tablet"), 2)

    assert answer(yurt("send", "phone", "dump", "--json"))["waiting"] == ["dump"]
    refused(yurt("send", "phone", "explode"), 2, "reportLocation")

    gone = yurt("unpair", "phone")
    assert "What it reported stays" in gone.stdout
    assert [state["name"] for state in answer(yurt("devices", "--json"))] == ["tablet"]
    assert [state["name"] for state in answer(yurt("devices", "--all", "--json"))] == [
        "phone",
        "tablet",
    ]
    refused(yurt("unpair", "nobody"), 2, "there is: phone, tablet")


# Where, profile, tokens


def test_where(yurt: Yurt, phone: str) -> None:
    found = answer(yurt("where", "--json"))
    assert found == {
        "device": phone,
        "name": "phone",
        "time": "2026-11-22T15:30:00Z",
        "lat": 51.5,
        "lon": -0.12,
        "accuracy": 12.0,
        "age": 3600.0,
        "asked": "2026-11-22T16:30:00Z",
        "altitude": None,
        "speed": None,
        "course": None,
        "battery": 0.54,
    }
    then = answer(yurt("where", "yesterday", "15:00", "--json"))
    assert (then["time"], then["age"]) == ("2026-11-21T10:30:00Z", 4.5 * 3600)
    assert answer(yurt("where", "2026-11-21", "--device", phone, "--json"))["age"] == 13.5 * 3600


def test_where_in_words(yurt: Yurt, phone: str) -> None:
    assert yurt("where").stdout == (
        "phone was last at 51.50000, -0.12000, within 12 m.\n"
        "Reported Sunday 22 November 2026 at 15:30:00 GMT, 1 hour ago.\n"
        "Its battery was at 54%.\n"
        "Map: https://www.openstreetmap.org/?mlat=51.50000&mlon=-0.12000\n"
    )
    yurt("profile", "--zone", "America/New_York", "--units", "imperial")
    assert yurt("where", "last", "saturday", "noon").stdout.splitlines()[:3] == [
        "phone was at 51.50000, -0.12000, within 39 ft.",
        "Reported Saturday 21 November 2026 at 05:30:00 EST.",
        "That is 6 hours 30 minutes before Saturday 21 November 2026 at 12:00:00 EST.",
    ]


def test_where_ends_well_or_says_why_not(yurt: Yurt, phone: str) -> None:
    refused(yurt("where", "2019"), 1, "yurt where")
    refused(yurt("where", "banana"), 2, "last friday noon")
    refused(yurt("where", "tomorrow"), 2, "future")
    refused(yurt("where", "--device", "nobody"), 2, "there is: phone")


def test_profile(yurt: Yurt) -> None:
    saved = answer(yurt("profile", "--home-region", "gb", "--json"))
    assert saved == {
        "zone": "Europe/London",
        "home_region": "GB",
        "units": "metric",
        "saved": True,
    }
    assert answer(yurt("profile", "--json")) == saved
    assert "Europe/London" in yurt("profile").stdout
    refused(yurt("profile", "--zone", "Europe/Lundon"), 2, "Europe/London")
    refused(yurt("profile", "--units", "cubits"), 2)


@pytest.mark.parametrize(
    ("tz", "zone"), [("Asia/Tokyo", "Asia/Tokyo"), (":Asia/Tokyo", "Asia/Tokyo"), ("UTC", "UTC")]
)
def test_the_machines_zone(tz: str, zone: str) -> None:
    assert Session(environ={"TZ": tz}).machine_zone() == zone


@pytest.mark.parametrize("tz", ["", "EST5EDT4,M3", "/etc/passwd", "../x", "Nowhere/Land"])
def test_a_zone_of_the_machine_that_is_none_is_passed_over(tz: str) -> None:
    assert Session(environ={"TZ": tz}).machine_zone() == Session(environ={}).machine_zone()


def test_tokens(yurt: Yurt) -> None:
    made = answer(yurt("token", "laptop", "--json"))
    assert made["name"] == "laptop"
    assert len(made["token"]) >= 22
    assert [token["name"] for token in answer(yurt("token", "--json"))] == ["laptop"]
    assert "laptop" in yurt("token").stdout
    assert made["token"] not in yurt("token").output
    refused(yurt("token", "laptop"), 2, "already")
    assert answer(yurt("token", "laptop", "--revoke", "--json")) == {"name": "laptop"}
    assert answer(yurt("token", "--json")) == []
    refused(yurt("token", "--revoke"), 2, "which one")


# Export


def test_export_by_words_and_by_device(yurt: Yurt, phone: str, tmp_path: Path) -> None:
    assert len(yurt("export", "--format", "csv").stdout.splitlines()) == 3
    lines = yurt("export", "--format", "csv", "--from", "today").stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"{phone},phone,2026-11-22T15:30:00Z,51.5,-0.12")

    collection = json.loads(yurt("export", "--to", "2026-11-22 15:30").stdout)
    assert len(collection["features"]) == 1, "the end is not included"

    target = tmp_path / "track.gpx"
    written = yurt("export", "--format", "gpx", "-o", str(target), "--device", "phone")
    assert "2 positions" in written.stderr
    assert target.read_text().count("<trkpt") == 2
    assert list(tmp_path.glob("*.part")) == []


def test_export_writes_through_links_and_pipes(yurt: Yurt, phone: str, tmp_path: Path) -> None:
    target, link, pipe = (tmp_path / name for name in ("kept.csv", "link.csv", "pipe"))
    link.symlink_to(target)
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    printed = yurt("export", "--format", "csv", "-o", "-")
    for output in (link, link, pipe):
        assert yurt("export", "--format", "csv", "-o", str(output)).exit_code == 0
    piped = os.read(reading, 65536)
    os.close(reading)
    assert link.is_symlink()
    assert pipe.is_fifo()
    assert target.read_bytes() == piped == printed.stdout_bytes
    assert printed.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("data", "kept.csv", "link.csv", "pipe")
    ]


def test_export_refuses_ranges_and_devices_that_are_none(yurt: Yurt, phone: str) -> None:
    refused(yurt("export", "--to", "1960"), 2, '--to "1960" is before 1970')
    refused(yurt("export", "--from", "today", "--to", "2019"), 2, "exchange")
    refused(yurt("export", "--from", "banana"), 2, "banana")
    refused(yurt("export", "--device", "nobody"), 2, "there is: phone")
    refused(yurt("export", "--format", "xls"), 2)


# Doctor


def test_doctor_on_a_node_that_is_not_running(yurt: Yurt, phone: str) -> None:
    found = {check["check"]: check for check in answer(yurt("doctor", "--json"))}
    assert found["node"]["status"] == "warn"
    assert found["database"]["status"] == "ok"
    assert "reach" not in found
    assert all(list(check) == ["check", "status", "detail", "fix"] for check in found.values())
    assert "-> start it: yurt up" in yurt("doctor").stdout
    loopback = yurt("doctor", environ={"YURT_PUBLIC_BASE": "http://127.0.0.1:9"}).stdout
    assert "warn  reach: phone cannot reach http://127.0.0.1:9" in loopback


def test_doctor_fails_when_something_does_not_work(yurt: Yurt, data: Path) -> None:
    yurt("pair", "phone", "--encrypt", "--url", "https://y.example")
    (data / "master.key").write_text("gone\n")
    result = yurt("doctor", "--json")
    assert result.exit_code == 1
    found = {check["check"]: check["status"] for check in json.loads(result.stdout)}
    assert found["master key"] == "fail"

    (data / "yurt.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    result = yurt("doctor")
    assert result.exit_code == 1
    assert "FAIL  database" in result.stdout


CHECKS = {
    *("python", "data folder", "database", "master key", "node", "time zone", "devices"),
    *("queue", "blobs", "rejects", "jobs", "collectors", "alerts", "refused requests"),
}


def checked(result: Result) -> dict[str, dict[str, Any]]:
    assert isinstance(result.exception, SystemExit | None), result.exception
    return {check["check"]: check for check in json.loads(result.stdout)}


def test_doctor_lists_every_check_when_the_database_does_not_open(
    yurt: Yurt, phone: str, data: Path
) -> None:
    (data / "yurt.db-stamp").unlink()
    (data / "yurt.db-stamp").mkdir()
    result = yurt("doctor", "--json")
    found = checked(result)
    assert (result.exit_code, set(found)) == (1, CHECKS)
    assert found["database"]["status"] == found["devices"]["status"] == "fail"


def test_doctor_lists_every_check_when_one_document_is_damaged(
    yurt: Yurt, phone: str, data: Path
) -> None:
    yurt("profile", "--units", "metric")
    with closing(sqlite3.connect(data / "yurt.db")) as connection:
        connection.execute("UPDATE document SET data = X'00' WHERE name = 'profile'")
        connection.commit()
    found = checked(yurt("doctor", "--json"))
    assert set(found) == CHECKS
    failed = [name for name, check in found.items() if check["status"] == "fail"]
    assert failed == ["time zone"]


def test_doctor_advises_permissions_for_files_it_may_not_use(
    yurt: Yurt, phone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may do everything, whatever a file's mode says.
    allowed = os.access
    monkeypatch.setattr(
        "os.access", lambda path, how: "yurt.db-stamp" not in str(path) and allowed(path, how)
    )
    found = checked(yurt("doctor", "--json"))
    assert set(found) == CHECKS
    assert "chmod u+rw" in found["database"]["fix"]
    assert "backup" not in found["database"]["fix"]


def test_doctor_says_that_a_file_is_no_data_folder(yurt: Yurt, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = yurt("doctor", "--json", environ={"YURT_DATA": str(tmp_path / "file")})
    assert result.exit_code == 1
    assert checked(result)["data folder"]["status"] == "fail"


def test_doctor_leaves_what_is_not_ours_as_it_is(yurt: Yurt, data: Path) -> None:
    data.mkdir()
    database = data / "yurt.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE cheese (name)")
        connection.commit()
    for content in (database.read_bytes(), b""):
        database.write_bytes(content)
        result = yurt("doctor", "--json")
        assert result.exit_code == 1
        assert checked(result)["database"]["status"] == "fail"
        assert database.read_bytes() == content
        assert list(data.iterdir()) == [database]


def test_doctor_unseals_every_key(yurt: Yurt, data: Path) -> None:
    for name in ("phone", "tablet"):
        yurt("pair", name, "--encrypt", "--url", "https://y.example")
    key = data / "master.key"
    assert checked(yurt("doctor", "--json"))["master key"]["status"] == "ok"
    key.chmod(0o644)
    assert checked(yurt("doctor", "--json"))["master key"]["status"] == "warn"
    key.unlink()
    refused(yurt("pair", "laptop", "--encrypt", "--json"), 1, "master.key is missing")
    assert checked(yurt("doctor", "--json"))["master key"]["status"] == "fail"
    assert not key.exists()
    key.write_text("5e" * 32)
    lost = checked(yurt("doctor", "--json"))["master key"]
    assert lost["status"] == "fail"
    assert "phone, tablet" in lost["detail"]


def test_a_key_of_this_machine_seals_nothing_for_a_node_in_the_cloud(
    yurt: Yurt, data: Path, firestore_project: str
) -> None:
    cloud = {
        "YURT_STORE": "firestore",
        "YURT_PROJECT": firestore_project,
        "FIRESTORE_EMULATOR_HOST": os.environ["FIRESTORE_EMULATOR_HOST"],
    }
    pair = ("pair", "phone", "--encrypt", "--url", "https://y.example")
    refused(yurt(*pair, environ=cloud), 1, "YURT_MASTER_KEY is not set", "as `yurt deploy` shows")
    assert not (data / "master.key").exists()
    given = yurt(*pair, environ={**cloud, "YURT_MASTER_KEY": "5e" * 32})
    assert given.exit_code == 0, given.output
