"""What happens around an import while it runs: each ends in a sentence that says what to do, and the
same command goes on."""

import contextlib
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.cli.main import main
from infra.cli.session import Session
from infra.running import turn_at_jobs
from shared.imports.beginning import begin_path
from shared.model.profile import Profile
from shared.model.time import EPOCH
from shared.node import open_node
from shared.settings import Settings
from shared.workshop import engine_of
from tests.emulators import Serve
from tests.eventually import eventually
from tests.infra.test_cli_import import large
from tests.system.test_home import Phone, stored, token_of
from tests.system.test_import_killed import LAST, YURT, imported, job, opened
from tests.takeout import mail

COUNT = 60_000
TAG = "google-1234567890"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A location history that takes a second or two."""
    return large(tmp_path_factory.mktemp("history"), COUNT)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@contextlib.contextmanager
def importing(data: Path, path: Path, *prefix: str) -> Iterator["subprocess.Popen[str]"]:
    """The command, once something of the import is stored."""
    with subprocess.Popen(
        [*prefix, str(YURT), "import", str(path), "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            eventually(lambda: (data / "yurt.db").exists() and brought(data) > 0)
            yield process
        finally:
            process.kill()


def brought(data: Path) -> int:
    found = job(data)
    return found.progress.new.get("fix", 0) if found is not None else 0


def goes_on(data: Path, path: Path) -> None:
    """The same command brings all there is, and each once."""
    done = imported(data, path)
    assert done.returncode == 0, done.stderr
    found = job(data)
    assert found is not None
    assert (found.state, brought(data)) == ("done", COUNT)
    assert positions(data) == COUNT


def positions(data: Path) -> int:
    with opened(data) as node:
        return sum(1 for _ in node.store.track(TAG, EPOCH, LAST))


def test_two_signals_at_once_are_one(data: Path, history: Path) -> None:
    with importing(data, history) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Paused: Records.json, after " in errors
    assert "The same command goes on where it was" in errors
    goes_on(data, history)


def test_a_second_one_ends_it_at_once(data: Path, history: Path) -> None:
    """The first has to wait: somebody else is writing to the database."""
    with (
        importing(data, history) as process,
        contextlib.closing(sqlite3.connect(data / "yurt.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Ended at once. Nothing is lost: the same command goes on." in errors
    goes_on(data, history)


def test_the_terminal_is_closed(data: Path, history: Path) -> None:
    ours, theirs = pty.openpty()
    command = [str(YURT), "import", str(history), "--data", str(data)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        eventually(lambda: (data / "yurt.db").exists() and brought(data) > 0)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        process.wait(30)
    found = job(data)
    assert found is not None
    assert found.state == "paused"
    goes_on(data, history)


def taken_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("disturb", "said"),
    [
        (taken_away, "is gone; import it from where it is now"),
        (cut_short, "was changed since its import began; import it again"),
    ],
)
def test_the_file_is_taken_away(
    data: Path, history: Path, tmp_path: Path, disturb: Callable[[Path], None], said: str
) -> None:
    path = tmp_path / "Records.json"
    shutil.copy2(history, path)
    with importing(data, path) as process:
        process.send_signal(signal.SIGSTOP)
        disturb(path)
        process.send_signal(signal.SIGCONT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 1, output + errors
    assert said in output
    shutil.copy2(history, path)
    os.utime(path)  # for Yurt it is another file, most of which it knows
    assert imported(data, path).returncode == 0
    assert positions(data) == COUNT


def test_a_file_that_was_changed_between_two_runs_is_another(
    data: Path, history: Path, tmp_path: Path
) -> None:
    path = tmp_path / "Records.json"
    shutil.copy2(history, path)
    with importing(data, path) as process:
        process.kill()
    path.write_bytes(path.read_bytes() + b"\n")
    assert imported(data, path).returncode == 0
    assert positions(data) == COUNT


def test_the_disk_is_full_for_a_while(data: Path, history: Path) -> None:
    """Files that may not grow stand for it: the database can be written, but not with all that."""
    command = ["prlimit", "--fsize=2000000:unlimited", str(YURT), "import", str(history)]
    with subprocess.Popen(
        [*command, "--data", str(data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        eventually(lambda: (data / "yurt.db").exists() and trouble(data) is not None)
        assert "the database cannot be used just now" in (trouble(data) or "")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert "Paused: Records.json" in errors
    assert "It waited after an error: the database cannot be used just now" in errors
    goes_on(data, history)


def trouble(data: Path) -> str | None:
    found = job(data)
    return found.last_error if found is not None else None


def test_two_at_once_and_one_is_killed(data: Path, history: Path) -> None:
    with importing(data, history) as first, importing(data, history) as second:
        time.sleep(0.1)
        first.kill()
        output, errors = second.communicate(timeout=30)
    assert second.returncode == 0, errors
    assert f"{COUNT:,} positions" in output
    goes_on(data, history)


def test_beside_a_node_to_which_phones_report(
    serve: Serve, data: Path, history: Path, tmp_path: Path
) -> None:
    """The command is killed in the middle: the node goes on by itself, and answers all the time."""
    node = serve(lambda port: [str(YURT), "up", "--port", str(port), "--data", str(data)])
    token, now, stop = token_of(data), int(time.time()), threading.Event()
    answers: dict[int, tuple[int, float]] = {}

    def report() -> None:
        with contextlib.closing(Phone(node.port, token)) as phone:
            while not stop.is_set():
                tst, began = now - 1_000_000 + len(answers), time.monotonic()
                answers[tst] = phone.report(tst), time.monotonic() - began

    phone = threading.Thread(target=report)
    phone.start()
    try:
        with importing(data, history) as process:
            process.kill()
        eventually(lambda: brought(data) == COUNT)
        mails = tmp_path / "mail"
        mails.write_text("".join(map(mail, range(20))), newline="")
        assert imported(data, mails).returncode == 0
    finally:
        stop.set()
        phone.join()
    assert {status for status, _ in answers.values()} == {200}
    assert max(seconds for _, seconds in answers.values()) < 8
    assert answers.keys() <= stored(data)
    assert positions(data) == COUNT


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(days=400)])
@pytest.mark.parametrize("state", ["ready", "running"])
def test_the_clock_was_ahead(data: Path, tmp_path: Path, ahead: timedelta, state: str) -> None:
    """A process died, and then somebody set the clock right."""
    now, mails = datetime.now(UTC), tmp_path / "mail"
    mails.write_text("".join(map(mail, range(3))), newline="")
    settings = Settings(data=data)
    with contextlib.closing(open_node(settings, lambda: now + ahead)) as node:
        engine = engine_of(node)
        id = begin_path(engine, mails, now + ahead, Profile()).id
        if state == "running":
            engine._claim(id, 1, None)  # type: ignore[arg-type] # a run that dies at once
    began = time.monotonic()
    result = CliRunner().invoke(main, ["import", str(mails)], obj=Session({"YURT_DATA": str(data)}))
    assert (result.exit_code, "new           3 messages" in result.stdout) == (0, True)
    assert time.monotonic() - began < 20


def test_another_import_goes_before(data: Path, history: Path) -> None:
    """Whoever has the turn runs jobs; the others wait, say so, and are next."""
    data.mkdir()
    with turn_at_jobs(data) as turn:
        assert turn.taken()
        with subprocess.Popen(
            [str(YURT), "import", str(history), "--data", str(data)],
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            eventually(lambda: (data / "yurt.db").exists() and job(data) is not None)
            time.sleep(0.7)
            assert brought(data) == 0
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        assert "Paused: Records.json" in errors
    goes_on(data, history)
