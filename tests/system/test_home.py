"""The home node as a process: how it starts, stops, shares, and what survives its death."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.emulators import Serve, Server
from tests.eventually import eventually

YURT = Path(sys.executable).with_name("yurt")
NOW = int(time.time())


def location(tst: int) -> bytes:
    return (
        b'{"_type":"location","tid":"ph","lat":52.51,"lon":13.41,"acc":12,"batt":81,"tst":%d}' % tst
    )


class Phone:
    """Posts one location after another over one kept connection, as OwnTracks does."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def report(self, tst: int) -> int:
        self._connection.request("POST", "/pub", location(tst), self._headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        self._connection.close()


Start = Callable[..., Server]
Connect = Callable[[int, str], Phone]


@pytest.fixture
def connect() -> Iterator[Connect]:
    with contextlib.ExitStack() as phones:

        def connect(port: int, token: str) -> Phone:
            phone = Phone(port, token)
            phones.callback(phone.close)
            return phone

        yield connect


def yurt(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(YURT), *arguments, "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def token_of(data: Path, name: str = "phone") -> str:
    made = yurt(data, "pair", name, "--json")
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["token"])


def stored(data: Path) -> set[int]:
    made = yurt(data, "export", "--format", "owntracks", "--from", "2020-01-01", "--to", "now")
    assert made.returncode == 0, made.stderr
    return {json.loads(line)["tst"] for line in made.stdout.splitlines()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(serve: Serve, data: Path) -> Start:
    def start(*prefix: str) -> Server:
        return serve(
            lambda port: [*prefix, str(YURT), "up", "--port", str(port), "--data", str(data)]
        )

    return start


def test_a_report_is_kept_over_a_clean_stop(start: Start, connect: Connect, data: Path) -> None:
    node = start()
    assert connect(node.port, token_of(data)).report(NOW - 60) == 200
    os.kill(node.pid, signal.SIGTERM)
    os.kill(node.pid, signal.SIGTERM)  # as `make` and a terminal do: one each
    node.end()
    assert node.status == 0, node
    assert not (data / "node.json").exists()
    assert stored(data) == {NOW - 60}


def test_a_second_node_on_the_same_data_says_so(start: Start, connect: Connect, data: Path) -> None:
    node = start()
    second = yurt(data, "up", "--port", "0")
    assert second.returncode == 1
    assert f"already at http://127.0.0.1:{node.port} (process {node.pid})" in second.stderr


def test_a_taken_port_says_so(data: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = yurt(data, "up", "--port", str(port))
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in refused.stderr


def test_data_of_a_newer_version_is_refused_and_left_alone(data: Path) -> None:
    yurt(data, "profile", "--zone", "UTC")
    change_database(data, "PRAGMA user_version = 999")
    refused = yurt(data, "up", "--port", "0")
    assert refused.returncode == 1
    assert "newer version of Yurt" in refused.stderr
    assert "update Yurt" in refused.stderr


def change_database(data: Path, sql: str) -> None:
    import sqlite3

    with contextlib.closing(sqlite3.connect(data / "yurt.db")) as connection:
        connection.execute(sql)
        connection.commit()


def test_a_revoked_device_is_shut_out_at_once(start: Start, connect: Connect, data: Path) -> None:
    node = start()
    phone = connect(node.port, token_of(data))
    assert phone.report(NOW - 30) == 200
    assert yurt(data, "unpair", "phone").returncode == 0
    assert phone.report(NOW - 29) == 401
    assert stored(data) == {NOW - 30}


def test_commands_work_beside_a_busy_node(start: Start, connect: Connect, data: Path) -> None:
    node = start()
    token = token_of(data)
    with reports(node.port, token, phones=4) as acknowledged:
        for name in ("a", "b", "c"):
            assert yurt(data, "pair", name).returncode == 0
        assert len(json.loads(yurt(data, "devices", "--json").stdout)) == 4
        assert json.loads(yurt(data, "where", "--json").stdout)["lat"] == 52.51
    assert acknowledged
    assert acknowledged <= stored(data)


def test_every_acknowledged_fix_survives_kill_9_under_load(
    start: Start, connect: Connect, data: Path
) -> None:
    node = start()
    token = token_of(data)
    acknowledged: set[int] = set()
    for round_ in range(3):
        with reports(node.port, token, phones=16, first=round_ * 1_000_000) as heard:
            eventually(lambda heard=heard: len(heard) >= 400)  # type: ignore[misc]
            node.kill()
        acknowledged |= heard
        node.start()
    assert len(acknowledged) >= 1_200
    assert acknowledged <= stored(data)


@contextlib.contextmanager
def reports(port: int, token: str, phones: int, first: int = 0) -> Iterator[set[int]]:
    """Phones that report without a pause until the block ends; the times that were answered 200."""
    heard: set[int] = set()
    stop = threading.Event()

    def report(number: int) -> None:
        tst = NOW - 40_000_000 + first + number * 50_000
        with (
            contextlib.closing(Phone(port, token)) as phone,
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            while not stop.is_set():
                tst += 1
                if phone.report(tst) == 200:
                    heard.add(tst)

    threads = [threading.Thread(target=report, args=(n,)) for n in range(phones)]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_locked_database_is_a_503_within_8_seconds_and_loses_nothing(
    start: Start, connect: Connect, data: Path
) -> None:
    import sqlite3

    node = start()
    phone = connect(node.port, token_of(data))
    assert phone.report(NOW - 10) == 200
    with contextlib.closing(sqlite3.connect(data / "yurt.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert phone.report(NOW - 9) == 503
        assert time.monotonic() - began < 8
        other.execute("ROLLBACK")
    assert phone.report(NOW - 9) == 200
    assert stored(data) == {NOW - 10, NOW - 9}


def test_a_full_disk_is_a_503_and_loses_nothing(start: Start, connect: Connect, data: Path) -> None:
    """Files that may not grow stand for a disk that is full: writing fails in the same place."""
    token = token_of(data)
    node = start("prlimit", "--fsize=1000000:unlimited")
    phone = connect(node.port, token)
    answers = {tst: phone.report(tst) for tst in range(NOW - 9_000, NOW - 8_000)}
    assert set(answers.values()) == {200, 503}
    subprocess.run(["prlimit", "--pid", str(node.pid), "--fsize=unlimited"], check=True)
    assert phone.report(NOW - 5) == 200
    acknowledged = {tst for tst, status in answers.items() if status == 200}
    assert acknowledged | {NOW - 5} <= stored(data)


def test_every_answer_follows_a_sync_of_what_it_acknowledges(
    start: Start, connect: Connect, data: Path, tmp_path: Path
) -> None:
    """Read in a trace of system calls: report received, log synced, answer sent, in this order."""
    strace = "/usr/bin/strace"
    if not Path(strace).exists():
        pytest.skip("strace is missing; get it with: make system-deps")
    token = token_of(data)
    trace = tmp_path / "trace"
    node = start(strace, "-f", "-yy", "-s", "24", "-o", str(trace), "-e", f"trace={_TRACED}")
    phones = [connect(node.port, token) for _ in range(8)]
    threads = [
        threading.Thread(target=lambda p=p, n=n: [p.report(NOW - 500 * n - i) for i in range(25)])
        for n, p in enumerate(phones, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    node.end()
    synced = answers_after_sync(trace.read_text(errors="replace").splitlines())
    assert len(synced) == 200
    assert all(synced)


_TRACED = "read,readv,recvfrom,write,writev,sendto,fdatasync,fsync"
_BEGUN = re.compile(r"^(\d+) +(\w+)\((\d+<.*?>)(?=[,) ])(.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")


def answers_after_sync(trace: list[str]) -> list[bool]:
    """For each answer to a report: whether the log was synced since the report was received.

    A call that another thread interrupts is printed in two lines: what it is about in the first,
    what came of it in the second.
    """
    received: dict[str, int] = {}
    pending: dict[str, tuple[int, str]] = {}
    syncs: list[tuple[int, int]] = []
    answers = []
    for number, line in enumerate(trace):
        if begun := _BEGUN.match(line):
            thread, call, file, rest = begun.groups()
            began = number
            if rest.endswith("<unfinished ...>"):
                pending[thread] = (number, file)
        elif resumed := _RESUMED.match(line):
            thread, call, rest = resumed.groups()
            began, file = pending.pop(thread)
        else:
            continue
        if call in ("fdatasync", "fsync") and rest.endswith("= 0"):
            syncs.append((began, number))
        elif '"POST ' in rest:
            received[file] = number
        elif '"HTTP/1.1 200' in rest and file in received:
            since = received.pop(file)
            answers.append(any(start > since and end < began for start, end in syncs))
    return answers


def test_the_reading_of_a_trace_tells_an_answer_before_its_sync() -> None:
    honest = [
        '7 recvfrom(9<TCP:[a]>, "POST /pub HTTP/1.1", 8192, 0, NULL, NULL) = 330',
        "8 fdatasync(5</data/yurt.db-wal> <unfinished ...>",
        "7 recvfrom(10<TCP:[b]>,  <unfinished ...>",
        "8 <... fdatasync resumed>) = 0",
        '7 <... recvfrom resumed>"POST /pub HTTP/1.1", 8192, 0, NULL, NULL) = 330',
        '7 writev(9<TCP:[a]>, [{iov_base="HTTP/1.1 200 OK", iov_len=90}], 1) = 90',
    ]
    early = '7 writev(10<TCP:[b]>, [{iov_base="HTTP/1.1 200 OK", iov_len=90}], 1) = 90'
    assert answers_after_sync(honest) == [True]
    assert answers_after_sync([*honest, early]) == [True, False]
