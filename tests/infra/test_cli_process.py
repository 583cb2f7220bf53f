"""The installed command in processes of its own, beside a running node."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

YURT = str(Path(sys.executable).with_name("yurt"))


def environment(data: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("YURT_")}
    return {**inherited, "YURT_DATA": str(data), "TZ": "Europe/London"}


def yurt(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [YURT, *arguments],
        env=environment(data),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def answer(data: Path, *arguments: str) -> Any:
    done = yurt(data, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def deliver(paired: dict[str, str], lat: float) -> int:
    """The answer's status. Each latitude has a second of its own, or the fixes would be one."""
    seconds = int(time.time()) - 1000 + int(lat * 10)
    body = {"_type": "location", "lat": lat, "lon": -0.12, "tst": seconds, "tid": "ph"}
    credential = b64encode(f"{paired['username']}:{paired['password']}".encode()).decode()
    request = urllib.request.Request(
        paired["url"], json.dumps(body).encode(), {"Authorization": f"Basic {credential}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Path]:
    """The data folder of a running node."""
    log = (tmp_path / "up.log").open("w")
    process = subprocess.Popen(
        [YURT, "up", "--port", "0"], env=environment(tmp_path), stdout=log, stderr=log
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "node.json").exists():
        assert process.poll() is None, (tmp_path / "up.log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "up.log").read_text()
        time.sleep(0.02)
    yield tmp_path
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0, (tmp_path / "up.log").read_text()
    log.close()


def test_from_pairing_to_where_beside_a_running_node(node: Path) -> None:
    paired = answer(node, "pair", "phone")
    assert deliver(paired, 51.5) == 200
    assert answer(node, "where")["lat"] == 51.5
    assert answer(node, "profile")["zone"] == "Europe/London"

    renewed = answer(node, "pair", "phone")
    assert renewed["device"] == paired["device"]
    assert (deliver(paired, 51.6), deliver(renewed, 51.7), deliver(paired, 51.8)) == (200, 200, 401)

    checks = {check["check"]: check["status"] for check in answer(node, "doctor")}
    assert checks["node"] == "ok"
    assert checks["refused requests"] == "warn"

    assert yurt(node, "unpair", "phone").returncode == 0
    assert deliver(renewed, 51.9) == 401
    assert len(yurt(node, "export", "--format", "csv").stdout.splitlines()) == 4


def test_a_second_node_on_the_same_data_says_so(node: Path) -> None:
    second = yurt(node, "up", "--port", "0")
    assert second.returncode == 1
    assert "already" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_reader_that_goes_away_ends_an_export_quietly(tmp_path: Path) -> None:
    assert yurt(tmp_path, "token", "laptop").returncode == 0
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        [YURT, "export", "--format", "csv"],
        env=environment(tmp_path),
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert process.communicate(timeout=60)[1] == b""


def test_an_output_that_takes_nothing_ends_an_export_with_a_sentence(tmp_path: Path) -> None:
    assert yurt(tmp_path, "token", "laptop").returncode == 0
    (tmp_path / "read-only").write_text("")
    with (tmp_path / "read-only").open("rb") as closed_to_writing:
        for command in ([YURT, "export"], [YURT, "devices"]):
            done = subprocess.run(
                command,
                env=environment(tmp_path),
                stdout=closed_to_writing,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 1
            assert done.stderr == "Error: the output cannot be used: Bad file descriptor\n"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" export >&-', YURT],
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: there is no output to write to")
    assert len(done.stderr.splitlines()) == 1


def test_a_store_out_of_reach_stops_a_node_before_it_listens(tmp_path: Path) -> None:
    cloud = {"YURT_STORE": "firestore", "YURT_PROJECT": "demo-yurt"}
    nowhere = {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}
    done = subprocess.run(
        [YURT, "up", "--port", "0"],
        env={**environment(tmp_path / "data"), **cloud, **nowhere},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_help_and_version_load_no_slow_library(tmp_path: Path) -> None:
    slow = ("dateparser", "uvicorn", "google.api_core", "phonenumbers", "segno", "werkzeug")
    code = (
        "import sys; from click.testing import CliRunner; from infra.cli.main import main\n"
        "print(CliRunner().invoke(main, ['--help']).output)\n"
        f"print([name for name in {slow!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
