"""Tar archives, as they are and inside gzip."""

import gzip
import io
import struct
import tarfile
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.archives import members, tar
from shared.archives.archive import opened_archive
from shared.archives.members import Member
from shared.model.steps import Bad
from tests.archives.reading import (
    Read,
    archive_of,
    bad_of,
    contents_by_steps,
    contents_of,
    entries_of,
    members_of,
)
from tests.archives.test_zip import LINES, damaged
from tests.reading import Bytes

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
THREE = [("a.txt", b"first"), ("folder/b.mbox", LINES), ("c.bin", bytes(range(256)) * 40)]


def tar_of(
    *files: tuple[str | tarfile.TarInfo, bytes],
    format: int = tarfile.PAX_FORMAT,
    encoding: str = "utf-8",
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, encoding=encoding) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = info.size or len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def info(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("step", [100_000, 1 << 22])
def test_members_are_read_in_order(format: int, packed: bool, step: int) -> None:
    data = tar_of(*THREE, format=format)
    data = gzip.compress(data) if packed else data
    expected = [(name, Read(content, None)) for name, content in THREE]
    assert contents_of(data, step) == expected
    assert contents_by_steps(data, step) == expected
    assert bad_of(data) == {}


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(
    "path", ["Fotos/Grüße ☃ 日本.jpg", "long/" * 60 + "name", "n" * 255, "Gru\u0308n"]
)
def test_long_and_foreign_names(format: int, path: str) -> None:
    [member] = members_of(tar_of((path, b"x"), format=format))
    assert member.path == path.replace("Gru\u0308n", "Grün")


def test_old_encodings_and_paths_in_two_parts() -> None:
    data = tar_of(("Grüße", b"x"), format=tarfile.USTAR_FORMAT, encoding="cp437")
    assert [member.path for member in members_of(data)] == ["Grüße"]
    path = "d" * 90 + "/" + "f" * 80
    assert members_of(tar_of((path, b""), format=tarfile.USTAR_FORMAT))[0].path == path


def test_when_it_was_modified() -> None:
    made = info("a", mtime=1_709_210_000.5)
    expected = datetime.fromtimestamp(1_709_210_000.5, UTC)
    assert members_of(tar_of((made, b"")))[0].modified == expected
    assert members_of(tar_of((info("a", mtime=0), b"")))[0].modified is None


def test_bytes_are_read_where_they_are() -> None:
    data = tar_of(*THREE)
    archive = archive_of(data)
    window = archive.window(members_of(data)[1])
    assert window is not None
    assert data[window.start :][: window.size] == LINES
    packed = gzip.compress(data)
    assert archive_of(packed).window(members_of(packed)[1]) is None


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (info("../x"), "leads out"),
        (info("/etc/passwd"), "absolute"),
        (info("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "symbolic link"),
        (info("hard", type=tarfile.LNKTYPE, linkname="before"), "hard link to 'before'"),
        (info("device", type=tarfile.CHRTYPE), "device"),
        (info("pipe", type=tarfile.FIFOTYPE), "pipe"),
        (info("odd", type=b"Q"), "kind that is not known, 'Q'"),
        (info("hole", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), "sparse"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_member_that_is_refused_keeps_nothing_else_back(
    member: tarfile.TarInfo, reason: str, packed: bool
) -> None:
    data = tar_of(("before", b"1"), (member, b""), ("after", b"2"))
    data = gzip.compress(data) if packed else data
    [text] = bad_of(data).values()
    assert reason in text
    assert contents_of(data) == [("before", Read(b"1", None)), ("after", Read(b"2", None))]


def test_a_sparse_file_of_ten_gigabytes_costs_nothing() -> None:
    sparse = bytearray(tar_of((info("hole"), b"stored part"))[:1024])
    sparse[156:157] = b"S"
    sparse[482] = 1
    sparse[483:495] = b"\x80\0\0\0" + struct.pack(">Q", 10 << 30)
    sparse[148:156] = b"%06o\0 " % (sum(sparse[:148]) + sum(sparse[156:512]) + 256)
    more = bytes(512)
    data = bytes(sparse[:512]) + more + bytes(sparse[512:]) + tar_of(("after", b"2"))
    assert ["sparse" in text for text in bad_of(data).values()] == [True]
    assert contents_of(data) == [("after", Read(b"2", None))]


def test_a_size_in_bytes_and_one_that_is_more_than_there_is() -> None:
    large = info("huge", size=10 << 40).tobuf(tarfile.GNU_FORMAT)
    data = tar_of(("a", b"1"))[:1024] + large + bytes(512)
    found = dict(contents_of(data))
    assert found["a"] == Read(b"1", None)
    assert "cut off" in (found["huge"].fault or "")
    assert ["may be cut off" in text for text in bad_of(data).values()] == [True]


def test_what_is_left_of_one_that_was_cut_off() -> None:
    data = tar_of(*THREE)
    cut = data[: len(data) // 2]
    (_, first), (_, half) = contents_of(cut)
    assert first == Read(b"first", None)
    assert LINES.startswith(half.data)
    assert "cut off" in (half.fault or "")
    assert ["may be cut off" in text for text in bad_of(cut).values()] == [True]
    packed = gzip.compress(data)[:-3_000]
    assert ["cut off" in text for text in bad_of(packed).values()] == [True]
    assert contents_of(packed)[0] == ("a.txt", Read(b"first", None))


def test_a_damaged_header_loses_its_own_member_alone() -> None:
    data = bytearray(tar_of(*THREE))
    at = data.index(b"folder/b.mbox")
    data[at : at + 4] = b"\xff\xff\xff\xff"
    for whole in (bytes(data), gzip.compress(bytes(data))):
        assert [path for path, _ in contents_of(whole)] == ["a.txt", "c.bin"]
        assert contents_by_steps(whole, 100_000) == contents_of(whole, 100_000)
        assert list(bad_of(whole)) == [f"the archive, at byte {at}"]


def test_several_archives_one_after_another() -> None:
    data = tar_of(("a", b"1")) + tar_of(("b", b"2"))
    streams = gzip.compress(tar_of(("a", b"1"))) + gzip.compress(tar_of(("b", b"2"))) + bytes(99)
    for whole in (data, streams, data + b"garbage" * 200):
        assert [path for path, _ in contents_of(whole)] == ["a", "b"]
        assert bad_of(whole) == {}


def test_a_wrong_checksum_of_the_stream() -> None:
    data = bytearray(gzip.compress(tar_of(*THREE)))
    data[-8] ^= 1
    assert ["checksum" in text for text in bad_of(bytes(data)).values()] == [True]
    assert [path for path, _ in contents_of(bytes(data))] == [path for path, _ in THREE]


def test_a_bomb_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "FREE", 1 << 20)
    data = gzip.compress(tar_of(("zeros", bytes(40 << 20)), ("a", b"1")), 9)
    assert ["no export does" in text for text in bad_of(data).values()] == [True]
    [(_, read)] = contents_of(data)
    assert "no export does" in (read.fault or "")
    assert len(read.data) < 18 << 20


def test_a_chain_of_long_names_has_an_end() -> None:
    name = tar_of(("n" * 200, b""), format=tarfile.GNU_FORMAT)[:1536]
    chain = name[:1024] * 100 + tar_of(("after", b"2"))
    assert any("headers tell of it" in text for text in bad_of(chain).values())
    assert ("n" * 200, Read(b"2", None)) in contents_of(chain)


def test_a_listing_that_passes_over_a_large_member_can_stop_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tar, "_BEAT", 64_000)
    data = gzip.compress(tar_of(("large", LINES[:200_000]), ("after", b"2")), 1)
    listed = [(entry.found and type(entry.found), entry.done) for entry in entries_of(data)]
    assert [kind for kind, _ in listed] == [Member, None, None, None, Member]
    assert [done for _, done in listed] == sorted(done for _, done in listed)


@pytest.mark.parametrize("packed", [False, True])
def test_nothing_raises_wherever_it_is_cut(packed: bool) -> None:
    data = tar_of(("a" * 120, b"x" * 600), ("b", b"y"))
    data = gzip.compress(data) if packed else data
    for end in range(0, len(data), 1 if packed else 37):
        if not isinstance(opened_archive(Bytes(data[:end])), (Bad, type(None))):
            contents_of(data[:end])


@settings(max_examples=150, deadline=None)
@given(
    damaged(lambda: tar_of(("a" * 120, b"12345"), ("b", LINES[:600])))
    | damaged(lambda: tar_of(("a" * 120, b"12345"), ("b", LINES[:600]), format=tarfile.GNU_FORMAT))
    | damaged(lambda: gzip.compress(tar_of(("a" * 120, b"12345"), ("b", LINES[:600]))))
)
def test_nothing_raises_whatever_is_damaged(data: bytes) -> None:
    if not isinstance(opened_archive(Bytes(data)), (Bad, type(None))):
        done = [entry.done for entry in entries_of(data)]
        assert done == sorted(done)
        assert all(place <= len(data) for place in done)
        assert contents_by_steps(data, 200) == contents_of(data, 200)


@settings(max_examples=30, deadline=None)
@given(
    files=st.lists(
        st.tuples(
            st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=150),
            st.binary(max_size=3_000) | st.integers(0, 200_000),
        ),
        min_size=1,
        max_size=4,
    ),
    format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    packed=st.integers(0, 2),
    step=st.integers(1_000, 300_000),
)
def test_all_that_was_written_is_read(
    files: list[tuple[str, bytes | int]], format: int, packed: int, step: int
) -> None:
    made = [(n, LINES[:d] if isinstance(d, int) else d) for n, d in files]
    data = tar_of(*made, format=format)
    if packed == 1:
        data = gzip.compress(data)
    if packed == 2:  # as parallel programs write it
        data = b"".join(gzip.compress(data[at : at + 5_000]) for at in range(0, len(data), 5_000))
    assert [r for _, r in contents_by_steps(data, step)] == [Read(c, None) for _, c in made]


def test_gzip_without_a_tar_and_other_packers_are_named() -> None:
    for head, kind in [
        (gzip.compress(b"a letter"), "gzip file without a tar"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "7z"),
        (b"Rar!\x1a\x07\1\0", "RAR"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
    ]:
        refused = opened_archive(Bytes(head))
        assert isinstance(refused, Bad)
        assert kind in refused.reason
    for head in (b"", b"From a@b", bytes(512), b"\xff\xd8\xff\xe0", b"PK", zlib.compress(b"x")):
        assert opened_archive(Bytes(head)) is None
