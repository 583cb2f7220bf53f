"""`yurt up --emulated`, as a user runs it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.emulators import Startable
from infra.runtime import environment
from infra.staging import functions
from tests.emulators import Emulator, Process, free_port, new_project
from tests.system.test_staged import NOON, ask, report

YURT = Path(sys.executable).with_name("yurt")


class Emulated(Process):
    """The command at a free port, with what it prints in its log."""

    def __init__(self, folder: Path, environ: dict[str, str], port: int | None = None) -> None:
        self.port = port or free_port()
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("YURT_", "FIRESTORE_"))},
            "PYTHONUNBUFFERED": "1",
            **environ,
        }
        super().__init__(
            [str(YURT), "up", "--emulated", f"--port={self.port}"],
            log=folder / "emulated.log",
            env=self.environ,
            cwd=folder,
        )

    def printed(self, text: str) -> str:
        """What it has said, as soon as `text` is in it."""
        assert eventually(lambda: text in self.log.read_text() or self.status is not None), self
        assert text in self.log.read_text(), self
        return self.log.read_text()

    def ended(self) -> int | None:
        """The status it ended with."""
        assert eventually(lambda: self.status is not None), self
        return self.status

    def yurt(self, *arguments: str) -> dict[str, object]:
        """What a command says in a second terminal, after the lines that the first one prints."""
        exports = re.findall(r"^  (export .*)$", self.printed("Ctrl-C stops it."), re.MULTILINE)
        script = "\n".join([*exports, 'exec "$0" "$@"'])
        command = ["sh", "-ec", script, str(YURT), *arguments, "--json"]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        assert isinstance(answer, dict)
        return answer


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    """The first time that takes long: no test shall wait for it and give up."""
    for function in functions():
        environment(function)


@pytest.fixture
def emulated(
    request: pytest.FixtureRequest, firestore_emulator: Emulator, tmp_path: Path
) -> Iterator[Emulated]:
    """A node on the emulator of the session, which spares starting another."""
    environ = {"YURT_PROJECT": new_project(), **firestore_emulator.env}
    with Emulated(tmp_path, environ) as node:
        yield node


def eventually(what: Callable[[], bool], within: float = 60) -> bool:
    deadline = time.monotonic() + within
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)
    return what()


def processes() -> dict[int, tuple[int, str]]:
    """pid -> (parent, command line) of all that are not zombies."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(path.name)] = int(parent), line
    return found


def below(pid: int) -> dict[int, str]:
    """Everything that the process started, and what those started: pid -> command line."""
    everyone = processes()
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        above = waiting.pop()
        children = {child: line for child, (parent, line) in everyone.items() if parent == above}
        found |= children
        waiting += children
    return found


def gone(pids: dict[int, str]) -> bool:
    return eventually(lambda: not pids.keys() & processes().keys(), within=15)


def test_the_whole_way_and_a_clean_end(startable_firestore: Startable, tmp_path: Path) -> None:
    with Emulated(tmp_path, {}) as node:
        phone = node.yurt("pair", "phone")
        base = f"http://127.0.0.1:{node.port}"
        assert phone["url"] == f"{base}/ingest/pub"
        token = str(phone["token"])

        assert ask(f"{phone['url']}?token={token}", "", report(NOON)) == (200, b"[]")
        assert ask(f"{base}/ingest/pub", token, report(NOON + 1)) == (200, b"[]")
        assert ask(f"{base}/ingest/pub", "wrong", report(NOON))[0] == 401
        assert ask(f"{base}/upload", "wrong", b"{}")[0] == 401
        assert ask(f"{base}/monitor", "", b"")[0] == 404
        where = node.yurt("where", "2026-01-01T12:00:00Z")
        assert (where["lat"], where["lon"]) == (51.5007, -0.1246)

        owner = str(node.yurt("token", "laptop")["token"])
        status, body = ask(f"{base}/query/loc", owner)
        assert status == 200
        assert json.loads(body)[0]["time"] == "2026-01-01T12:00:01Z"

        logs = re.search(r"Its logs are in (.*)\.", node.printed("logs"))
        assert logs
        for log in (node.log, *(tmp_path / logs[1]).rglob("*.log")):
            assert token not in log.read_text(errors="replace"), log

        started = below(node.pid)
        for part in ("--target=ingest", "--target=query", "firestore"):
            assert any(part in line for line in started.values()), started
        os.kill(node.pid, signal.SIGTERM)
        assert node.ended() == 0
        assert gone(started)
        assert node.tail(1) == "Stopped."
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", node.port))


def test_a_function_that_dies_ends_the_whole_and_is_named(emulated: Emulated) -> None:
    emulated.printed("Ctrl-C stops it.")
    started = below(emulated.pid)
    (master,) = (
        pid
        for pid, line in started.items()
        if "--target=query" in line and processes()[pid][0] == emulated.pid
    )
    os.kill(master, signal.SIGKILL)
    assert emulated.ended() == 1
    said = emulated.printed("the function query ended with status -9")
    assert "last lines of" in said
    assert "Traceback" not in said
    assert gone(started)


def test_killed_it_takes_all_with_it(emulated: Emulated) -> None:
    emulated.printed("Ctrl-C stops it.")
    started = below(emulated.pid)
    assert len([line for line in started.values() if "--target=" in line]) >= len(functions())
    os.kill(emulated.pid, signal.SIGKILL)
    assert gone(started)


def test_interrupted_while_it_starts_it_ends_cleanly(emulated: Emulated) -> None:
    emulated.printed("Starting query")
    started = below(emulated.pid)
    os.kill(emulated.pid, signal.SIGINT)
    assert emulated.ended() == 0
    assert gone(started)


def test_without_an_emulator_it_says_what_to_install(tmp_path: Path) -> None:
    with Emulated(tmp_path, {"PATH": str(tmp_path), "JAVA_HOME": ""}) as node:
        assert node.ended() == 1
        assert "no Firestore emulator: Java is missing; run `make system-deps`" in node.tail()


def test_a_taken_port_is_said_at_once(startable_firestore: Startable, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with Emulated(tmp_path, {}, port) as node:
            assert node.ended() == 1
            assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in node.tail()
