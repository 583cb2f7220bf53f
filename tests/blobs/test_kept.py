"""What is kept by its content, and what a job has in hand; both on nothing but the port."""

import contextlib
import hashlib
from pathlib import Path

import pytest

from shared.blobs import kept as kept_module
from shared.blobs import spool as spool_module
from shared.blobs.files import FileObjects
from shared.blobs.kept import Kept
from shared.blobs.protocol import BlobsError, BlobsUnavailable
from shared.blobs.spool import Spool
from shared.meter import metered
from tests.reading import Bytes

PART = 1_000
DATA = bytes(range(256)) * 10
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "PART", PART)
    monkeypatch.setattr(spool_module, "PART", PART)


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path)


@pytest.fixture
def kept(objects: FileObjects) -> Kept:
    return Kept(objects)


def test_the_same_bytes_are_kept_once(kept: Kept) -> None:
    assert kept.put(DATA) == SHA256
    with metered() as meter:
        assert kept.put(DATA) == SHA256
        assert kept.put_content(Bytes(DATA)) == SHA256
        assert kept.put_content(Bytes(DATA), SHA256) == SHA256
    assert meter.object_writes == 0
    assert kept.size(SHA256) == len(DATA)
    assert kept.read(SHA256, 5, 3) == DATA[5:8]
    assert b"".join(kept.stream(SHA256) or ()) == DATA
    kept.delete(SHA256)
    assert kept.size(SHA256) is None
    assert kept.content(SHA256) is None
    assert kept.stream(SHA256) is None
    assert kept.read(SHA256, 0, 1) is None


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 2_500])
@pytest.mark.parametrize("known", [False, True])
def test_a_content_of_any_size_is_kept(
    kept: Kept, objects: FileObjects, size: int, known: bool
) -> None:
    data = DATA[:size]
    sha256 = hashlib.sha256(data).hexdigest()
    source = Bytes(data)
    assert kept.put_content(source, sha256 if known else None) == sha256
    assert max((asked for _, asked in source.reads), default=0) <= PART
    content = kept.content(sha256)
    assert content is not None
    assert (content.size, content.read(0, size + 1)) == (size, data)
    assert list(objects.names("")) == [f"kept/{sha256[:2]}/{sha256}"]


def test_a_call_that_was_cut_short_goes_on(
    kept: Kept, objects: FileObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, left = objects.put, 2

    def put_two(name: str, data: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise BlobsUnavailable("not now")
        put(name, data)

    monkeypatch.setattr(objects, "put", put_two)
    with pytest.raises(BlobsUnavailable):
        kept.put_content(Bytes(DATA))
    assert kept.size(SHA256) is None
    left = 1
    assert kept.put_content(Bytes(DATA)) == SHA256
    assert b"".join(kept.stream(SHA256) or ()) == DATA


@pytest.mark.parametrize("deleted", range(4))
def test_parts_that_a_call_left_are_removed_when_it_is_made_again(
    kept: Kept, objects: FileObjects, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    delete, left = objects.delete, deleted

    def delete_some(name: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise BlobsUnavailable("not now")
        delete(name)

    with monkeypatch.context() as patched, contextlib.suppress(BlobsUnavailable):
        patched.setattr(objects, "delete", delete_some)
        kept.put_content(Bytes(DATA))
    assert kept.put_content(Bytes(DATA)) == SHA256
    assert list(objects.names("")) == [f"kept/{SHA256[:2]}/{SHA256}"]


def test_what_is_not_what_it_is_said_to_be_is_not_kept(kept: Kept, objects: FileObjects) -> None:
    with pytest.raises(BlobsError, match="was to be kept"):
        kept.put_content(Bytes(DATA[::-1]), SHA256)
    assert list(objects.names("")) == []


def test_a_content_that_ends_too_early_is_an_error(kept: Kept) -> None:
    source = Bytes(DATA)
    source._data = DATA[:1_500]
    short = type("Short", (Bytes,), {"size": len(DATA)})(DATA[:1_500])
    with pytest.raises(OSError, match="ends at byte 1500"):
        kept.put_content(short)


@pytest.mark.parametrize("sha256", ["", "x", "../" + "0" * 61, "A" * 64])
def test_what_is_no_hash_is_refused(kept: Kept, sha256: str) -> None:
    with pytest.raises(ValueError, match="is not a SHA-256"):
        kept.read(sha256, 0, 1)


def test_writing_a_piece_stops_after_any_part_and_goes_on(objects: FileObjects) -> None:
    for number, start in enumerate(range(0, len(DATA), PART)):
        # Another process each time, which may write its part again.
        for _ in range(2):
            Spool(objects, "job-1").put_part("piece", number, DATA[start : start + PART])
        content = Spool(objects, "job-1").content("piece")
        assert content is not None
        assert content.size == min(len(DATA), start + PART)
        assert content.read(0, len(DATA)) == DATA[: start + PART]
        assert content.read(start - 3, 6) == DATA[start - 3 : start + 3] if start else True


@pytest.mark.parametrize("removed", range(3))
def test_a_piece_that_lacks_a_part_is_none(objects: FileObjects, removed: int) -> None:
    """The last may be still to come."""
    spool = Spool(objects, "job")
    for number in range(3):
        spool.put_part("piece", number, DATA[number * PART :][:PART])
    objects.delete(list(objects.names("spool/job/piece/"))[removed])
    assert (spool.content("piece") is None) == (removed < 2)


def test_small_reads_ask_for_more_at_once(objects: FileObjects) -> None:
    spool = Spool(objects, "job")
    for number in range(3):
        spool.put_part("piece", number, DATA[number * PART :][:PART])
    content = spool.content("piece")
    assert content is not None
    with metered() as meter:
        assert b"".join(content.read(at, 100) for at in range(0, 2_600, 100)) == DATA
    assert meter.object_reads == 3


def test_pieces_are_the_jobs_own_until_it_forgets_them(objects: FileObjects) -> None:
    one, other = Spool(objects, "job-1"), Spool(objects, "job-11")
    one.put("a", b"1")
    one.put("a", b"2")
    one.put("a.b", b"3")
    other.put("a", b"4")
    assert (one.get("a"), one.get("a.b"), other.get("a"), one.get("b")) == (b"2", b"3", b"4", None)
    one.drop("a")
    assert (one.content("a"), one.get("a.b")) == (None, b"3")
    one.forget()
    assert one.get("a.b") is None
    assert other.get("a") == b"4"


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "x" * 81])
def test_what_cannot_be_a_name_is_refused(objects: FileObjects, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be part"):
        Spool(objects, name)
    with pytest.raises(ValueError, match="cannot be part"):
        Spool(objects, "job").put(name, b"")
    with pytest.raises(ValueError, match="larger than"):
        Spool(objects, "job").put("a", bytes(PART + 1))


def test_what_vanished_is_said_to_be_gone(objects: FileObjects) -> None:
    spool = Spool(objects, "job")
    spool.put("a", b"123")
    content = spool.content("a")
    assert content is not None
    spool.forget()
    with pytest.raises(BlobsError, match="is gone"):
        content.read(0, 3)
