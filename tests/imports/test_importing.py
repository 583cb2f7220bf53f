"""Imports through their door, on the ports of a home node."""

import io
import itertools
import os
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.imports.places import place_of
from shared.model.access import ACCESS, Access
from shared.model.records import AnyRecord, Media, Message, Reject
from shared.store.changing import current
from shared.work.runs import Budget
from tests import takeout
from tests.imports.conftest import Home, home_in

TAG = "google-1234567890"
TINY = Budget(seconds=0)
"""Ends a chunk after each part."""


def written(folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for name, data in takeout.parts().items():
        paths.append(folder / name)
        paths[-1].write_bytes(data)
    return paths


def unpacked(folder: Path) -> Path:
    for files in takeout.files():
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    return folder


def stored(home: Home) -> list[AnyRecord]:
    """All that is asked for later, but notes, which only wait for each other."""
    return [
        *home.records(Message),
        *home.records(Media),
        *home.records(Reject),
        *home.track(TAG),
    ]


def test_a_takeout_in_three_parts(home: Home, tmp_path: Path) -> None:
    jobs = [home.imported(path) for path in written(tmp_path / "parts")]
    assert [job.state for job in jobs] == ["done"] * 3
    assert len(home.track(TAG)) == 300
    assert len(home.records(Message)) == 41
    assert {
        (media.name, media.time, media.lat, media.people)
        for media in home.records(Media)
        if isinstance(media, Media)
    } == {
        ("IMG_1.jpg", datetime(2019, 7, 4, 11, tzinfo=UTC), 51.5, ("Ada",)),
        ("IMG_2.jpg", datetime(2019, 7, 4, 12, tzinfo=UTC), 48.8, ("Grace",)),
        ("IMG_3.jpg", datetime(2019, 7, 4, 13, tzinfo=UTC), None, ()),
    }
    assert home.records(Reject) == []
    assert jobs[0].progress.new["fix"] == 300
    assert jobs[1].progress.new["message"] == 40
    assert (jobs[2].progress.new["message"], jobs[2].progress.known["message"]) == (1, 10)
    assert place_of(jobs[0].cursor).unread == {".html": 1}
    assert place_of(jobs[0].cursor).found == {"google_records": 1, "photo": 2, "google_photos": 1}
    assert TAG in current(home.store, ACCESS, Access()).devices


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:])
def test_the_order_of_the_parts_does_not_matter(
    home: Home, tmp_path: Path, order: tuple[int, ...]
) -> None:
    paths = written(tmp_path / "parts")
    for path in paths:
        home.imported(path)
    other = home_in(tmp_path / "other")
    for number in order:
        other.imported(paths[number])
    assert stored(other) == stored(home)
    other.store.close()


def test_the_smallest_chunks_give_the_same(home: Home, tmp_path: Path) -> None:
    other = home_in(tmp_path / "other", TINY)
    for path in written(tmp_path / "parts"):
        home.imported(path)
        assert other.imported(path).progress.chunks > 3
    assert stored(other) == stored(home)
    other.store.close()


def test_a_folder_gives_what_the_archives_give(home: Home, tmp_path: Path) -> None:
    for path in written(tmp_path / "parts"):
        home.imported(path)
    other = home_in(tmp_path / "other", TINY)
    job = other.imported(unpacked(tmp_path / "unpacked"))
    assert job.state == "done"
    # A photo beside its sidecar is joined at once; what the records say is the same.
    assert {r.id for r in other.records(Message)} == {r.id for r in home.records(Message)}
    assert other.track(TAG) == home.track(TAG)
    assert other.records(Media) == home.records(Media)
    other.store.close()


def test_a_tar_gives_what_the_zip_gives(home: Home, tmp_path: Path) -> None:
    tar = tmp_path / "takeout-20260101T000000Z-001.tgz"
    with tarfile.open(tar, "w:gz") as archive:
        for files in takeout.files():
            for path, data in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    assert home.imported(tar).state == "done"
    assert len(home.track(TAG)) == 300
    assert len(home.records(Message)) == 41
    assert len(home.records(Media)) == 3


def test_a_single_file_is_read_where_it_is(home: Home, tmp_path: Path) -> None:
    mbox = tmp_path / "mail"
    mbox.write_text("".join(takeout.mail(number) for number in range(3)), newline="")
    assert home.imported(mbox).state == "done"
    assert len(home.records(Message)) == 3
    assert list(home.objects.names("")) == []


def test_photos_are_kept_whole_and_what_was_unpacked_is_not(home: Home, tmp_path: Path) -> None:
    for path in written(tmp_path / "parts"):
        home.imported(path)
    names = list(home.objects.names(""))
    assert sorted(name.rpartition("/")[2] for name in names) == sorted(
        media.id for media in home.records(Media)
    )


def test_the_same_file_again_is_one_job(home: Home, tmp_path: Path) -> None:
    path = written(tmp_path / "parts")[0]
    first = home.imported(path)
    assert home.imported(path) == first
    again = home.imported(path, again=True)
    assert again.progress.known == {"fix": 300, "media": 2, "note": 1}
    assert again.progress.new == {}


def test_a_changed_file_is_another_job(home: Home, tmp_path: Path) -> None:
    mbox = tmp_path / "mail"
    mbox.write_text(takeout.mail(1), newline="")
    home.imported(mbox)
    mbox.write_text(takeout.mail(1) + takeout.mail(2), newline="")
    os.utime(mbox, (1, 1))
    assert home.imported(mbox).progress.new["message"] == 1


def test_a_file_that_changes_while_it_is_imported_stops_its_job(home: Home, tmp_path: Path) -> None:
    mbox = tmp_path / "mail"
    mbox.write_text(takeout.mail(1), newline="")
    begun = home.begun(mbox)
    mbox.write_text(takeout.mail(1) + takeout.mail(2), newline="")
    job = home.driven(begun)
    assert job.state == "failed"
    assert job.last_error == f"{mbox} was changed since its import began; import it again"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + b"\0" * 100, "a.7z: it is a 7z archive"),
        ("notes.txt", b"nothing that anybody reads", "no source reads notes.txt"),
        ("empty", b"", "no source reads empty"),
    ],
)
def test_what_nobody_reads_is_said(
    home: Home, tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    job = home.imported(path)
    assert job.state == "failed"
    assert (job.last_error or "").startswith(reason)


def test_an_archive_that_was_cut_off_gives_what_is_there(home: Home, tmp_path: Path) -> None:
    data = takeout.parts()["takeout-20260101T000000Z-002.zip"]
    path = tmp_path / "takeout-20260101T000000Z-002.zip"
    path.write_bytes(data[: len(data) - 300])
    job = home.imported(path)
    assert job.state == "done"
    assert job.progress.new["message"] == 40
    assert any("cut" in r.reason for r in home.records(Reject) if isinstance(r, Reject))


def test_links_and_ways_out_are_refused_and_the_rest_is_read(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../outside.eml", takeout.mail(1).partition("\r\n")[2])
        link = zipfile.ZipInfo("link.eml")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("inside.mbox", takeout.mail(2))
    job = home.imported(path)
    assert job.state == "done"
    assert job.progress.new["message"] == 1
    assert job.progress.new["reject"] == 2
    assert not (tmp_path.parent / "outside.eml").exists()


def test_cancelled_leaves_nothing_in_hand(home: Home, tmp_path: Path) -> None:
    other = home_in(tmp_path / "other", TINY)
    begun = other.begun(written(tmp_path / "parts")[1])
    for _ in range(2):
        task = other.queue.take()
        assert task is not None
        other.engine.run(str(task.body["job"]), int(task.body["token"]))
    assert any(name.startswith("spool/") for name in other.objects.names(""))
    assert other.engine.cancel(begun.id).state == "cancelled"
    assert not any(name.startswith("spool/") for name in other.objects.names(""))
    other.store.close()
