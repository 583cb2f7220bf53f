"""Imports of what nobody sends in good faith, and of what breaks meanwhile: the rest goes in."""

import dataclasses
import io
import os
import socket
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from shared.imports.devices import MOST
from shared.imports.importing import ImportWork
from shared.imports.places import place_of
from shared.model.access import ACCESS, Access
from shared.model.records import AnyRecord, Event, Fix, Message, Reject, Visit
from shared.model.steps import File, Source, Step
from shared.store.changing import current
from shared.work.runs import Budget
from tests.imports.conftest import NOW, Home, home_in

TINY = Budget(seconds=0)
"""Ends a chunk after each part."""


def mail(number: int) -> bytes:
    return (
        b"From ada@example.org Sat Jan  1 00:00:00 2022\n"
        b"From: ada@example.org\nTo: bob@example.org\nSubject: hello\n"
        b"Date: Sat, 01 Jan 2022 00:00:00 +0000\nMessage-ID: <%d@example.org>\n\nhello\n" % number
    )


def zipped(path: Path, members: dict[str, bytes], links: Sequence[str] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
            if name in links:
                file.infolist()[-1].external_attr = 0o120777 << 16
    return path


def rejects(home: Home) -> dict[str, str]:
    found = [record for record in home.records(Reject) if isinstance(record, Reject)]
    return {record.where or "": record.reason for record in found}


# Folders


def test_names_that_are_not_unicode(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"mail\xff")
    folder.mkdir()
    for number, name in enumerate((b"a\xff.mbox", b"b\x80.\xff\xfe", b"c\n%41.mbox")):
        (folder / os.fsdecode(name)).write_bytes(mail(number))
    (folder / os.fsdecode(b"d\xff.7z")).write_bytes(b"7z\xbc\xaf\x27\x1c")
    (folder / os.fsdecode(b"e.\xff")).write_bytes(b"nothing")
    job = home.imported(folder)
    assert (job.state, job.title) == ("done", "mail\\xff")
    assert len(home.records(Message)) == 3
    assert list(rejects(home)) == ["d\\xff.7z: the file"]
    assert place_of(job.cursor).unread == {"without an ending": 1}
    assert home.imported(folder / os.fsdecode(b"a\xff.mbox")).state == "done"


def test_a_folder_that_is_resumed_among_such_names(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in (b"a", b"a\xff", b"a-", b"b%2F"):
        (folder / os.fsdecode(name)).mkdir(parents=True)
        (folder / os.fsdecode(name) / "x.jpg").symlink_to("y")
        (folder / os.fsdecode(name) / "y.mbox").write_bytes(mail(name[-1]))
    home = home_in(tmp_path / "data", TINY)
    assert home.imported(folder).state == "done"
    assert (len(home.records(Message)), len(rejects(home))) == (4, 4)


def test_folders_that_are_deep(home: Home, tmp_path: Path) -> None:
    deep = tmp_path / "in"
    deep.mkdir()
    (deep / "z.mbox").write_bytes(mail(1))
    for _ in range(1_200):
        deep = deep / "d"
        deep.mkdir()
    (deep / "a.mbox").write_bytes(mail(2))
    job = home.imported(tmp_path / "in")
    # Who clears up after tests goes down by calling itself.
    (deep / "a.mbox").unlink()
    while deep != tmp_path / "in":
        deep.rmdir()
        deep = deep.parent
    assert (job.state, len(home.records(Message))) == ("done", 2)


def test_a_folder_too_deep_to_be_opened(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "z.mbox").write_bytes(mail(1))
    at, names = os.open(folder, os.O_RDONLY), []
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=at)
        names.append(at)
        at = os.open("d" * 250, os.O_RDONLY, dir_fd=at)
    job = home.imported(folder)
    for parent in reversed(names):
        os.close(at)
        os.rmdir("d" * 250, dir_fd=parent)
        at = parent
    os.close(at)
    assert (job.state, len(home.records(Message))) == ("done", 1)
    reason = "its path is too long to be opened; move it to a folder less deep"
    assert list(rejects(home).values()) == [reason]


def test_what_is_no_file_is_told_and_never_waited_for(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.mbox")
    (folder / "link.mbox").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(".")
    (folder / "z.mbox").write_bytes(mail(1))
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(folder)  # a socket's path is short
        listening.bind("socket.mbox")
        os.chdir(here)
    assert home.imported(folder).state == "done"
    link, other = "it is a symbolic link, which is not followed", "it is not a file"
    assert rejects(home) == {
        "link.mbox": link,
        "loop": link,
        "pipe.mbox": other,
        "socket.mbox": other,
    }
    assert len(home.records(Message)) == 1
    job = home.imported(folder / "pipe.mbox")
    assert job.state == "failed"
    assert "neither a file nor a folder" in (job.last_error or "")


@pytest.mark.parametrize("becomes", ["gone", "pipe", "folder"])
def test_files_that_are_not_there_any_more(tmp_path: Path, becomes: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.mbox").write_bytes(mail(number))
    home = home_in(tmp_path / "data", TINY)
    begun = home.begun(folder)
    while place_of(home.engine.job(begun.id).cursor).stage == "find":
        task = home.queue.take()
        assert task is not None
        home.engine.run(begun.id, int(task.body["token"]))
    (folder / "2.mbox").unlink()
    if becomes == "pipe":
        os.mkfifo(folder / "2.mbox")
    if becomes == "folder":
        (folder / "2.mbox").mkdir()
    job = home.driven(begun)
    assert (job.state, len(home.records(Message))) == ("done", 3)
    assert job.progress.done == job.progress.total
    (reason,) = rejects(home).values()
    assert "it cannot be read any more" in reason


# Archives


def test_many_members_that_are_bad_among_good_ones(home: Home, tmp_path: Path) -> None:
    names = {f"{number}.mbox": mail(number) for number in range(400)}
    path = zipped(tmp_path / "a.zip", names, links=list(names)[::2])
    job = home.imported(path)
    assert (job.state, len(home.records(Message)), len(rejects(home))) == ("done", 200, 200)
    assert len(place_of(job.cursor).pages) == 1


def test_a_chunk_ends_among_members_that_nobody_reads(tmp_path: Path) -> None:
    home = home_in(tmp_path / "data", TINY)
    names = {f"{number}.e{number}": b"" for number in range(5_100)}
    begun = home.begun(zipped(tmp_path / "a.zip", {**names, "z.mbox": mail(1)}))
    task = home.queue.take()
    assert task is not None
    assert home.engine.run(begun.id, int(task.body["token"])) == "more"
    assert place_of(home.engine.job(begun.id).cursor).stage == "find"
    home.engine.resume(begun.id)
    job = home.driven(begun)
    assert (job.state, len(home.records(Message))) == ("done", 1)
    unread = place_of(job.cursor).unread
    assert (len(unread), sum(unread.values())) == (101, 5_100)


def test_an_archive_of_nothing_but_what_is_bad(home: Home, tmp_path: Path) -> None:
    job = home.imported(zipped(tmp_path / "a.zip", {"a": b"b"}, links=["a"]))
    assert job.state == "failed"
    assert "`yurt rejects`" in (job.last_error or "")
    assert len(rejects(home)) == 1


def test_a_member_whose_size_lies_is_not_taken_for_one_that_nobody_reads(
    home: Home, tmp_path: Path
) -> None:
    path = zipped(tmp_path / "a.zip", {"a.mbox": mail(1), "b.mbox": mail(2)})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.find(b"PK\1\2") + 24, 10)
    path.write_bytes(data)
    assert home.imported(path).state == "done"
    assert rejects(home) == {
        "a.mbox: member 1 ('a.mbox')": "it is larger than the 10 bytes that the archive says"
    }
    assert len(home.records(Message)) == 1


def test_a_directory_that_says_that_it_is_empty(home: Home, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.mbox": mail(1)})
    data = bytearray(path.read_bytes())
    struct.pack_into("<2H2I", data, data.rfind(b"PK\5\6") + 8, 0, 0, 0, 0)
    path.write_bytes(data)
    assert home.imported(path).state == "done"
    assert len(home.records(Message)) == 1
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    (tmp_path / "empty.zip").write_bytes(empty.getvalue())
    assert home.imported(tmp_path / "empty.zip").state == "failed"


# Sources


class Fake:
    """Reads lines: an error for `raise`, a record of each kind that no store keeps for `odd`."""

    NAME = "fake"
    VERSION = 1
    KEEPS = False

    def recognise(self, path: str, head: bytes) -> bool:
        return True

    def read(self, file: File, cursor: str | None) -> Iterator[Step]:
        lines = file.content.read(0, file.content.size).split()
        for number in range(int(cursor or 0), len(lines)):
            if lines[number] == b"raise":
                raise ZeroDivisionError
            records = ODD if lines[number] == b"odd" else [event(lines[number].decode())]
            yield Step(str(number + 1), number + 1, records)


def event(id: str, **fields: object) -> Event:
    return Event(id=id, source="fake", source_version=1, type="x", time=NOW, **fields)  # type: ignore[arg-type]


def fix(**fields: object) -> Fix:
    whole = {"device": "d", "lat": 1.0, "lon": 2.0, **fields}
    return Fix(source="fake", source_version=1, time=NOW, where="there", **whole)  # type: ignore[arg-type]


NAN = float("nan")
ODD: list[AnyRecord] = [
    event("i" * 1_001),
    event("\ud800"),
    event("large", title="x" * 900_000),
    Visit(id="v", source="fake", source_version=1, device="d", time=NOW, lat=NAN, lon=0.0),
    fix(lat=NAN),
    fix(lon=181.0),
    fix(extra={"x": "\udc80"}),
    fix(extra={"x": 2**70}),
    fix(wifi="x" * 900_000),
    fix(),
]


def with_fake(home: Home) -> Home:
    source: Source = Fake()
    work = ImportWork(home.store, home.objects, local=True, sources=[source])
    engine = dataclasses.replace(home.engine, works={"import": work})
    return dataclasses.replace(home, engine=engine)


@pytest.mark.parametrize("budget", [Budget(), TINY])
def test_a_source_that_fails_costs_no_other_file(tmp_path: Path, budget: Budget) -> None:
    home = with_fake(home_in(tmp_path / "data", budget))
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in {"a": "one raise two", "b": "raise", "c": "three"}.items():
        (folder / name).write_text(text)
    job = home.imported(folder)
    assert job.state == "done"
    assert job.progress.done == job.progress.total
    assert {record.id for record in home.records(Event)} == {"one", "three"}
    assert {where: "ZeroDivisionError" in why for where, why in rejects(home).items()} == {
        "a": True,
        "b": True,
    }


def test_records_that_no_store_keeps_become_rejects(home: Home, tmp_path: Path) -> None:
    home = with_fake(home)
    (tmp_path / "a").write_text("before odd after")
    job = home.imported(tmp_path / "a")
    assert job.state == "done"
    assert {record.id for record in home.records(Event)} == {"before", "after"}
    assert home.track("d") == [fix()]
    assert job.progress.new["reject"] == len(ODD) - 1
    assert all("cannot be kept" in reason for reason in rejects(home).values())


def test_devices_without_end_are_not_all_listed(home: Home, tmp_path: Path) -> None:
    point = '{"timestampMs": "15000%08d", "latitudeE7": 1, "longitudeE7": 2, "deviceTag": %d}'
    points = ",".join(point % (number, number) for number in range(MOST + 50))
    (tmp_path / "Records.json").write_text(f'{{"locations": [{points}]}}')
    job = home.imported(tmp_path / "Records.json")
    assert (job.state, job.progress.new["fix"]) == ("done", MOST + 50)
    assert len(current(home.store, ACCESS, Access()).devices) == MOST
    (reason,) = rejects(home).values()
    assert f"of {MOST} devices" in reason
