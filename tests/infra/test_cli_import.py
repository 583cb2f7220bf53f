"""`yurt import`, `yurt jobs` and `yurt rejects` as their user meets them."""

import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from infra.cli.main import main
from infra.cli.progress import Progress
from infra.cli.session import Session
from infra.uploading import NotReached, Sent, Uploader
from shared.imports.importing import ImportWork
from shared.model.time import EPOCH
from shared.node import Node, open_node
from shared.settings import Settings
from shared.work.jobs import FAMILY, LEASE, Job
from shared.workshop import engine_of
from tests import takeout
from tests.infra.test_cli_process import YURT, environment

TAG = "google-1234567890"
LAST = datetime(9999, 1, 1, tzinfo=UTC)

Yurt = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def yurt(data: Path) -> Yurt:
    def call(*arguments: object, **environ: str) -> Result:
        known = {"TZ": "Europe/London", "YURT_DATA": str(data), **environ}
        return CliRunner().invoke(main, [*map(str, arguments)], obj=Session(environ=known))

    return call


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """A small Takeout in three zips."""
    folder = tmp_path / "takeout"
    folder.mkdir()
    for name, content in takeout.parts().items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


@contextlib.contextmanager
def opened(data: Path) -> Iterator[Node]:
    with closing(open_node(Settings(data=data))) as node:
        yield node


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(result: Result, status: int, *words: str) -> None:
    assert result.exit_code == status, result.output
    assert isinstance(result.exception, SystemExit)
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.output


def mbox(folder: Path, count: int = 3) -> Path:
    path = folder / "mail"
    path.write_text("".join(map(takeout.mail, range(count))), newline="")
    return path


# What comes in


def test_a_takeout_in_parts_and_what_it_brought(yurt: Yurt, parts: list[Path]) -> None:
    result = yurt("import", *parts)
    assert result.exit_code == 0, result.output
    for line in (
        f"{parts[0].name}: done in ",
        "  new           300 positions, 2 photos and movies, 1 description of a photo",
        "  not read      1 .html (no source reads these files)",
        "In all, 3 imports in ",
    ):
        assert line in result.stdout
    assert re.search(r"already here  10 messages", result.stdout)
    assert "rejects" not in result.stdout
    assert answer(yurt("where", "--device", TAG, "--json"))["lat"] == 51.5299
    assert re.search(rf"{TAG} +{TAG} +archive .* ago +- +from an archive\n", yurt("devices").stdout)


def test_json_has_every_job_and_the_sums(yurt: Yurt, parts: list[Path]) -> None:
    found = answer(yurt("import", *parts, "--json"))
    assert [job["state"] for job in found["jobs"]] == ["done"] * 3
    assert (found["new"]["message"], found["known"]["message"]) == (41, 10)
    assert (found["new"]["fix"], found["unread"], found["rejects"]) == (300, {".html": 1}, 0)


def test_what_was_imported_is_read_again_only_when_asked(yurt: Yurt, tmp_path: Path) -> None:
    path = mbox(tmp_path)
    yurt("import", path)
    before = yurt("import", path)
    assert (before.exit_code, "mail: imported before, on " in before.stdout) == (0, True)
    assert answer(yurt("import", path, "--json"))["new"] == {}
    again = yurt("import", path, "--again")
    assert "  new           nothing\n  already here  3 messages" in again.stdout


def test_each_thing_counts_once_however_it_is_named(yurt: Yurt, parts: list[Path]) -> None:
    folder = parts[0].parent
    link = folder.with_name("link")
    link.symlink_to(folder)
    found = answer(yurt("import", folder, f"{folder}/.", link, parts[1], "--json"))
    assert [job["title"] for job in found["jobs"]] == [part.name for part in parts]


def test_a_folder_is_one_job_and_each_archive_in_it_another(yurt: Yurt, parts: list[Path]) -> None:
    folder = parts[0].parent
    (folder / "old").mkdir()
    mbox(folder / "old")
    with zipfile.ZipFile(folder / "essay.docx", "w") as document:
        document.writestr("[Content_Types].xml", "<Types/>")
    found = answer(yurt("import", folder, "--json"))
    assert [job["title"] for job in found["jobs"]] == ["takeout", *(part.name for part in parts)]
    assert found["unread"] == {".html": 1, ".docx": 1}


def test_a_folder_is_read_again_once_something_in_it_changed(yurt: Yurt, tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    mbox(folder, 2)
    assert answer(yurt("import", folder, "--json"))["new"]["message"] == 2
    assert answer(yurt("import", folder, "--json"))["jobs"][0]["known"] == {}
    (folder / "more").write_text(takeout.mail(7), newline="")
    assert answer(yurt("import", folder, "--json"))["new"]["message"] == 1


def test_a_file_that_nobody_reads_fails_and_the_others_are_imported(
    yurt: Yurt, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("nothing that anybody reads")
    result = yurt("import", notes, mbox(tmp_path))
    assert result.exit_code == 1
    assert "notes.txt: not imported: no source reads notes.txt" in result.stdout
    assert "mail: done in" in result.stdout


def test_names_do_not_command_the_terminal(yurt: Yurt, tmp_path: Path) -> None:
    evil = tmp_path / "a\x1b[2Jb\u202e.txt"
    evil.write_text("nothing that anybody reads")
    for result in (yurt("import", evil), yurt("jobs"), yurt("import", "--dry-run", evil)):
        assert "\x1b" not in result.output
        assert "\u202e" not in result.output


def test_names_need_not_be_text(yurt: Yurt, tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    path = folder / os.fsdecode(b"caf\xe9.mbox")
    path.write_text(takeout.mail(1), newline="")
    (dry,) = answer(yurt("import", "--dry-run", path, "--json"))
    assert dry["path"].endswith("caf\\xe9.mbox")
    assert answer(yurt("import", path, "--json"))["new"]["message"] == 1
    assert answer(yurt("import", folder, "--json"))["known"]["message"] == 1
    assert "caf\\xe9.mbox" in yurt("jobs").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["Missing argument 'PATH"]),
        (["nowhere.zip"], ["there is no file or folder nowhere.zip"]),
        (["/dev/null"], ["/dev/null is neither a file nor a folder"]),
        ([".", "--token-file", "/etc/hostname"], ["--to URL"]),
        ([".", "--to", "yurt.example.org"], ["https://yurt.example.org"]),
        ([".", "--to", "http://yurt.example.org"], ["use https://"]),
        ([".", "--to", "https://yurt.example.org"], ["--token-file", "yurt token NAME"]),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_begins(
    yurt: Yurt, data: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    mbox(tmp_path)
    with contextlib.chdir(tmp_path):
        refused(yurt("import", *arguments), 2, *words)
    assert not data.exists()


def test_the_data_themselves_are_not_imported(yurt: Yurt, data: Path, tmp_path: Path) -> None:
    mbox(tmp_path)
    yurt("profile", "--units", "metric")
    refused(yurt("import", tmp_path), 2, f"your own data in {data} is in {tmp_path}")


def test_a_node_in_the_cloud_is_sent_to(yurt: Yurt, tmp_path: Path) -> None:
    cloud = {"YURT_STORE": "firestore", "YURT_PROJECT": "demo", "YURT_PUBLIC_BASE": "https://y.ex"}
    refused(yurt("import", mbox(tmp_path), **cloud), 2, "--to https://y.ex")


# What it would be


def test_a_dry_run_says_what_it_would_import_and_writes_nothing(
    yurt: Yurt, data: Path, parts: list[Path]
) -> None:
    folder = parts[0].parent
    (folder / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    mbox(folder)
    found = answer(yurt("import", "--dry-run", folder, "--json"))
    assert [(Path(each["path"]).name, each["sources"], each["unread"]) for each in found] == [
        ("takeout", {"mbox": 1}, {}),
        (parts[0].name, {"google_records": 1, "photo": 2, "google_photos": 1}, {".html": 1}),
        (parts[1].name, {"mbox": 1, "google_photos": 2}, {}),
        (parts[2].name, {"mbox": 1, "photo": 1}, {}),
    ]
    assert [each["archive"] for each in found] == [False, True, True, True]
    assert found[1]["size"] == parts[0].stat().st_size
    shown = yurt("import", "--dry-run", folder).stdout
    assert "  would be read  2 photos, 1 description of a photo, 1 location history\n" in shown
    assert "  problem        a.7z: it is a 7z archive" in shown
    assert not data.exists()


# To another node


def test_where_nobody_answers_one_file_is_tried_and_not_all(
    yurt: Yurt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def send(_: Uploader, path: Path, **__: object) -> Sent:
        tried.append(path)
        raise NotReached("127.0.0.1:9 does not answer")

    monkeypatch.setattr(Uploader, "send", send)
    folder = tmp_path / "Maildir" / "cur"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"{number}:2,S").write_text("From: a@example.org\nSubject: Hello\n\nHello")
    there = ("--to", "http://127.0.0.1:9")
    result = yurt("import", folder.parent, *there, YURT_TOKEN="secret")
    assert (result.exit_code, len(tried)) == (1, 1)
    assert "the folder of a mail" in result.stderr
    assert result.stdout.count("not sent: 127.0.0.1:9 does not answer") == 20
    assert "and 10 more like these\nIn all, 0 of 30 files imported" in result.stdout


# Jobs that stop


def test_what_fails_for_the_moment_is_waited_for(
    yurt: Yurt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full twice; the clock runs faster than this test."""
    parts_of, failures = ImportWork.parts, [1, 2]

    def failing(self: ImportWork, *arguments: Any) -> Iterator[Any]:
        if failures:
            failures.pop()
            raise OSError(errno.ENOSPC, "No space left on device")
        return parts_of(self, *arguments)

    began = time.monotonic()

    def clock() -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(
            seconds=1000 * (time.monotonic() - began)
        )

    monkeypatch.setattr(ImportWork, "parts", failing)
    session = Session(environ={"YURT_DATA": str(tmp_path / "data")}, clock=clock)
    result = CliRunner().invoke(main, ["import", str(mbox(tmp_path))], obj=session)
    assert (result.exit_code, failures) == (0, [])
    assert "  new           3 messages" in result.stdout


def begun(data: Path, path: Path, state: str) -> str:
    """The id of a job on a file that another process has left in this state."""
    from shared.imports.beginning import begin_path
    from shared.model.profile import Profile

    with opened(data) as node:
        engine = engine_of(node)
        id = begin_path(engine, path, node.clock(), Profile()).id
        if state == "paused":
            engine.pause(id)
        elif state != "ready":
            engine._claim(id, 1, None)  # type: ignore[arg-type] # a run that dies at once
    return id


@pytest.mark.parametrize("state", ["ready", "paused", "running"])
def test_what_others_began_is_gone_on_with_at_once(
    yurt: Yurt, data: Path, tmp_path: Path, state: str
) -> None:
    path = mbox(tmp_path)
    yurt("profile", "--units", "metric")
    id = begun(data, path, state)
    assert answer(yurt("jobs", "--json"))[0]["state"] == state
    began = time.monotonic()
    found = answer(yurt("import", path, "--json"))
    assert time.monotonic() - began < LEASE.total_seconds() / 4
    assert [(job["job"], job["state"]) for job in found["jobs"]] == [(id, "done")]


def test_jobs_are_listed_newest_first_with_what_to_do(
    yurt: Yurt, data: Path, tmp_path: Path
) -> None:
    yurt("profile", "--units", "metric")
    assert "There is no job yet. To begin one: yurt import PATH" in yurt("jobs").stdout
    notes = tmp_path / "notes.txt"
    notes.write_text("nothing that anybody reads")
    yurt("import", mbox(tmp_path))
    yurt("import", notes)
    failed, done = answer(yurt("jobs", "--json"))
    assert (done["title"], done["state"], done["new"]["message"]) == ("mail", "done", 3)
    assert (failed["title"], failed["state"]) == ("notes.txt", "failed")
    listed = yurt("jobs").stdout
    assert listed.index("notes.txt") < listed.index("mail")
    assert f"\n  -> mend that, then: yurt jobs resume {failed['job']}" in listed
    check = next(c for c in json.loads(yurt("doctor", "--json").stdout) if c["check"] == "jobs")
    assert (check["status"], "no source reads" in check["detail"]) == ("fail", True)
    assert yurt("doctor").exit_code == 1


def test_a_job_is_paused_resumed_and_cancelled_by_a_beginning_of_its_name(
    yurt: Yurt, data: Path, tmp_path: Path
) -> None:
    yurt("profile", "--units", "metric")
    id = begun(data, mbox(tmp_path), "ready")
    assert yurt("jobs", "pause", "ma").stdout == "mail is paused.\n"
    assert "yurt jobs resume" in yurt("jobs").stdout
    resumed = yurt("jobs", "resume", id[:12]).stdout
    assert resumed.startswith("mail goes on once the node runs (yurt up)")
    assert answer(yurt("jobs", "cancel", id.partition("-")[2], "--json"))["state"] == "cancelled"
    refused(yurt("jobs", "resume", "mail"), 1, "mail was cancelled", "yurt import PATH")
    refused(yurt("jobs", "pause", "mail"), 1, "cannot be paused: it was cancelled")
    refused(yurt("jobs", "pause", "other"), 2, 'there is no job "other"')
    refused(yurt("jobs", "pause"), 2, "yurt jobs pause JOB")


def test_a_name_that_may_be_several_jobs_is_refused(yurt: Yurt, data: Path, tmp_path: Path) -> None:
    yurt("profile", "--units", "metric")
    for count in (1, 2):
        begun(data, mbox(tmp_path, count), "ready")
    refused(yurt("jobs", "pause", "mail"), 2, '"mail" may be import-', "say more of the id")


def test_doctor_knows_a_job_that_nobody_works_on(yurt: Yurt, data: Path, tmp_path: Path) -> None:
    yurt("profile", "--units", "metric")
    id = begun(data, mbox(tmp_path), "ready")
    with opened(data) as node:
        held = node.store.control(Job, FAMILY, id)
        assert held is not None
        from msgspec.structs import replace

        late = replace(held.document, due=node.clock() - timedelta(hours=1))
        node.store.commit(FAMILY, id, held.version, lambda _: late)
    check = next(c for c in json.loads(yurt("doctor", "--json").stdout) if c["check"] == "jobs")
    assert (check["status"], check["detail"]) == ("warn", "nobody works on mail")
    assert "stuck" in yurt("jobs").stdout


@pytest.mark.parametrize(
    ("name", "content", "check"),
    [("queue.db", b"no database at all" * 99, "queue"), ("blobs", b"", "blobs")],
)
def test_doctor_says_what_jobs_cannot_use(
    yurt: Yurt, data: Path, tmp_path: Path, name: str, content: bytes, check: str
) -> None:
    yurt("profile", "--units", "metric")
    (data / name).write_bytes(content)
    found = {c["check"]: c for c in json.loads(yurt("doctor", "--json").stdout)}
    assert (found[check]["status"], "move it aside" in found[check]["fix"]) == ("fail", True)
    if check == "blobs":
        result = yurt("import", mbox(tmp_path))
        assert (result.exit_code, result.stderr.splitlines()[-1][:7]) == (1, "Error: ")
        assert "None" not in result.stderr


# Rejects


def test_rejects_say_why_and_where(yurt: Yurt, tmp_path: Path) -> None:
    yurt("profile", "--units", "metric")
    assert "everything could be read" in yurt("rejects").stdout
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../outside.eml", b"Subject: a\r\n\r\nb")
        archive.writestr("inside.mbox", takeout.mail(2))
    brought = yurt("import", path)
    assert "  rejects       1, which are kept; to see why: yurt rejects\n" in brought.stdout
    (reject,) = answer(yurt("rejects", "--json"))
    assert "leads out of the archive" in reject["reason"]
    assert answer(yurt("rejects", "--source", "mbox", "--json")) == []
    assert 'of the source "mbox"' in yurt("rejects", "--source", "mbox").stdout
    short = reject["id"].partition(":")[2][:12]
    assert yurt("rejects").stdout.startswith(short)
    assert reject["reason"] in yurt("rejects").stdout
    assert f"Where     {reject['where']}" in yurt("rejects", short[:6]).stdout
    raw = yurt("rejects", short, "--raw")
    assert b"../outside.eml" in raw.stdout_bytes
    refused(yurt("rejects", "zzz"), 2, 'there is no reject "zzz"')
    refused(yurt("rejects", "--raw"), 2, "yurt rejects ID --raw")


# Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_in_a_terminal_is_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("TERM", "xterm")
    times, output = iter((0.0, 0.0, 2.0, 2.0)), Terminal()
    with Progress("a.zip", monotonic=lambda: next(times), output=output) as progress:
        progress.show("reading", 0, 100_000_000)
        progress.show("reading", 50_000_000, 100_000_000, records=1234, said="x" * 200)
    line = output.getvalue().split("\r\x1b[K")[2]
    assert line.startswith(
        "a.zip: reading [##########----------] 50% of 100.0 MB, 25.0 MB/s, 2 seconds left, "
        "1,234 records  xxx"
    )
    assert len(line) == 109
    assert output.getvalue().endswith("\r\x1b[K")


def test_progress_elsewhere_is_a_line_each_ten_seconds() -> None:
    now, output = [0.0], io.StringIO()
    with Progress("a.zip", monotonic=lambda: now[0], output=output) as progress:
        for second in range(25):
            now[0] = second
            progress.show("unpacking", 1_000_000 * second, None)
    assert output.getvalue().splitlines() == [
        "a.zip: unpacking 10.0 MB, 1.0 MB/s",
        "a.zip: unpacking 20.0 MB, 1.0 MB/s",
    ]


# In processes of their own


def large(folder: Path, count: int = 100_000) -> Path:
    """A location history that takes some seconds."""
    path = folder / "Records.json"
    with path.open("w") as file:
        file.write('{"locations": [')
        for number in range(count):
            file.write(
                f'{"," if number else ""}{{"latitudeE7": {515000000 + number}, "longitudeE7": '
                f'-1250000, "accuracy": 12, "deviceTag": 1234567890, "timestamp": '
                f'"{datetime.fromtimestamp(1562234400 + 60 * number, UTC):%Y-%m-%dT%H:%M:%SZ}"}}\n'
            )
        file.write("]}")
    return path


def started(data: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [YURT, *arguments],
        env=environment(data),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def under_way(data: Path) -> Job:
    """The only job, once something of it is stored."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (data / "yurt.db").exists():
            with opened(data) as node:
                for found in node.store.controls(Job, FAMILY):
                    if found.document.progress.new.get("fix"):
                        return found.document
        time.sleep(0.05)
    raise AssertionError("no job went on")


def fixes(data: Path) -> int:
    with opened(data) as node:
        return sum(1 for _ in node.store.track(TAG, EPOCH, LAST))


def test_ctrl_c_pauses_and_the_same_command_goes_on(data: Path, tmp_path: Path) -> None:
    path = large(tmp_path)
    process = started(data, "import", str(path))
    assert under_way(data).state == "running"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Paused: Records.json, after " in errors
    assert "The same command goes on where it was" in errors
    assert output == ""
    assert under_way(data).state == "paused"
    before = fixes(data)
    assert 0 < before < 100_000
    done = started(data, "import", str(path), "--json")
    output, errors = done.communicate(timeout=60)
    assert done.returncode == 0, errors
    assert json.loads(output)["new"]["fix"] == 100_000
    assert fixes(data) == 100_000


def test_a_second_ctrl_c_ends_at_once_and_loses_nothing(data: Path, tmp_path: Path) -> None:
    path = large(tmp_path, 60_000)
    process = started(data, "import", str(path))
    under_way(data)
    process.send_signal(signal.SIGSTOP)  # so that it gets both at once, before it has paused
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "The same command goes on" in errors or "the same command goes on" in errors
    done = started(data, "import", str(path), "--json")
    errors = done.communicate(timeout=60)[1]
    assert (done.returncode, fixes(data)) == (0, 60_000), errors


def test_a_killed_import_is_gone_on_with_at_once(data: Path, tmp_path: Path) -> None:
    path = large(tmp_path)
    process = started(data, "import", str(path))
    under_way(data)
    process.kill()
    process.communicate(timeout=30)
    job = under_way(data)
    assert (job.state, job.lease is not None) == ("running", True)
    began = time.monotonic()
    done = started(data, "import", str(path), "--json")
    output, errors = done.communicate(timeout=60)
    assert done.returncode == 0, errors
    assert time.monotonic() - began < LEASE.total_seconds() / 2
    assert json.loads(output)["jobs"][0]["new"]["fix"] == 100_000
    assert fixes(data) == 100_000


def test_two_commands_on_one_file_share_the_work(data: Path, tmp_path: Path) -> None:
    path = large(tmp_path, 60_000)
    processes = [started(data, "import", str(path), "--json") for _ in range(2)]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert json.loads(output)["jobs"][0]["state"] == "done"
    assert fixes(data) == 60_000


# To another node


@pytest.fixture
def other(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Another node that runs: its URL, and a file with a token for it."""
    folder = tmp_path / "other"
    process = started(folder, "up", "--port", "0")
    deadline = time.monotonic() + 30
    while not (folder / "node.json").exists():
        assert process.poll() is None, process.stderr
        assert time.monotonic() < deadline
        time.sleep(0.02)
    port = json.loads((folder / "node.json").read_bytes())["port"]
    made = started(folder, "token", "laptop", "--json").communicate(timeout=30)[0]
    token = tmp_path / "token"
    token.write_text(json.loads(made)["token"] + "\n")
    yield f"http://127.0.0.1:{port}", token
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    process.communicate()


def test_files_are_sent_to_another_node(
    yurt: Yurt, parts: list[Path], data: Path, other: tuple[str, Path]
) -> None:
    url, token = other
    folder = parts[0].parent
    (folder / "notes.txt").write_text("nothing that anybody reads")
    mbox(folder, 2)
    where = ("--to", url, "--token-file", token)
    result = yurt("import", folder, *where)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("imported\n") == 4
    assert f"{parts[0].name}: sent 5.0 kB, imported\n  new           300 positions" in result.stdout
    assert "Not sent, because no source reads these files: 1 .txt" in result.stdout
    again = answer(yurt("import", parts[1], "--json", "--to", url, YURT_TOKEN=token.read_text()))
    assert [(file["state"], file["moved"], file["new"]["message"]) for file in again] == [
        ("done", 0, 38)  # two were in the other file
    ]
    lone = folder / "lone.txt"
    lone.write_text("nothing that anybody reads either")
    failed = yurt("import", lone, *where)
    assert (failed.exit_code, "no source reads lone.txt" in failed.stdout) == (1, True)
    assert "yurt jobs resume import-" in failed.stdout
    token.write_text("wrong")
    wrong = yurt("import", parts[1], *where)
    assert (wrong.exit_code, "this credential is not known" in wrong.stdout) == (1, True)
    assert not data.exists()


def test_a_node_that_runs_shows_what_was_imported_beside_it(
    data: Path, tmp_path: Path, other: tuple[str, Path]
) -> None:
    url, token = other
    folder = tmp_path / "other"
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(takeout.photo((9, 9, 9), "2019:07:04 12:00:00") + bytes(9_000_000))
    brought = started(folder, "import", str(photo), "--json").communicate(timeout=60)[0]
    assert json.loads(brought)["new"]["media"] == 1

    def asked(path: str) -> bytes:
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
        request = urllib.request.Request(f"{url}/query{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            found: bytes = response.read()
            assert len(found) == int(response.headers["Content-Length"])
            return found

    (media,) = json.loads(asked("/record?kind=media"))["records"]
    assert asked(f"/blob/{media['id']}") == photo.read_bytes()
    assert asked(f"/blob/{media['thumbnail']}").startswith(b"\xff\xd8\xff")
    assert json.loads(asked("/job"))[0]["title"] == "photo.jpg"


def test_what_was_imported_is_found_by_its_words(yurt: Yurt, tmp_path: Path) -> None:
    yurt("import", mbox(tmp_path))
    shown = yurt("search", "from:ada", "bridge").stdout
    assert "message  ada@example.org  Walk number 2\n  See you on the bridge.\n" in shown
    assert shown.index("number 2") < shown.index("number 0")
    found = answer(yurt("search", "walk", "--limit", "2", "--json"))
    assert ([hit["kind"] for hit in found["hits"]], found["cursor"] is None) == (
        ["message"] * 2,
        False,
    )
    assert "There may be more" in yurt("search", "walk", "--limit", "2").stdout
    assert "Nothing says that" in yurt("search", "nowhere").stdout
    refused(yurt("search", " "), 2, "yurt search WORDS")


def test_a_device_known_from_an_archive_can_be_paired(yurt: Yurt, parts: list[Path]) -> None:
    yurt("import", parts[0])
    check = next(c for c in json.loads(yurt("doctor", "--json").stdout) if c["check"] == "devices")
    assert check["detail"] == "no device is paired"
    paired = answer(yurt("pair", TAG, "--json"))
    assert (paired["device"], paired["app"], paired["renewed"]) == (TAG, "owntracks", False)
    assert answer(yurt("devices", "--json"))[0]["app"] == "owntracks"
