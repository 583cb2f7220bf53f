"""Zip archives: what the standard library writes, what others write, and what does harm."""

import io
import os
import random
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.archives import members
from shared.archives.archive import opened_archive
from shared.archives.members import FREE, Member
from shared.model.steps import Bad
from tests.archives.reading import (
    Read,
    all_of,
    archive_of,
    bad_of,
    contents_by_steps,
    contents_of,
    entries_of,
    members_of,
)
from tests.reading import Bytes

LINES = b"".join(b"line %d of a mailbox\n" % number for number in range(40_000))


def zip_of(
    *files: tuple[str | zipfile.ZipInfo, bytes],
    method: int = zipfile.ZIP_DEFLATED,
    streamed: bool = False,
    comment: bytes = b"",
) -> bytes:
    """streamed: written where it cannot be sought, so that sizes follow the members."""
    out = Unseekable() if streamed else io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data, compress_type=method)
        archive.comment = comment
    return out.getvalue()


class Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


def info(name: str, **fields: object) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, (2024, 2, 29, 12, 30, 58))
    made.create_system = 3
    for field, value in fields.items():
        setattr(made, field, value)
    return made


THREE = [("a.txt", b"first"), ("folder/b.mbox", LINES), ("c.bin", bytes(range(256)) * 40)]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("step", [100_000, 1 << 22])
def test_members_are_read_in_order(method: int, streamed: bool, step: int) -> None:
    data = zip_of(*THREE, method=method, streamed=streamed, comment=b"by us")
    expected = [(name, Read(content, None)) for name, content in THREE]
    assert contents_of(data, step) == expected
    assert contents_by_steps(data, step) == expected


def test_a_member_is_told_whole() -> None:
    [member] = members_of(zip_of((info("x/é.txt"), LINES)))
    assert member.path == "x/é.txt"
    assert (member.size, member.crc) == (len(LINES), zlib.crc32(LINES))
    assert member.packed < len(LINES) / 3
    assert member.where == "member 1 ('x/é.txt')"
    assert member.modified is None
    assert member.local == datetime(2024, 2, 29, 12, 30, 58)  # noqa: DTZ001


@pytest.mark.parametrize(
    "extra",
    [
        struct.pack("<HHBi", 0x5455, 5, 1, 1_709_210_000),
        struct.pack("<HHIHHQQQ", 10, 32, 0, 1, 24, (1_709_210_000 + 11_644_473_600) * 10**7, 0, 0),
    ],
)
def test_the_instant_is_in_an_extra_field(extra: bytes) -> None:
    [member] = members_of(zip_of((info("x", extra=extra), b"")))
    assert member.modified == datetime.fromtimestamp(1_709_210_000, UTC)


def test_stored_bytes_are_read_where_they_are() -> None:
    data = zip_of(("a", b"first"), ("b", b"second"), method=zipfile.ZIP_STORED)
    archive = archive_of(data)
    window = archive.window(members_of(data)[1])
    assert window is not None
    assert data[window.start :][: window.size] == b"second"
    assert window.read(2, 99) == b"cond"
    assert archive.window(members_of(zip_of(("a", LINES)))[0]) is None


def test_folders_are_no_members() -> None:
    assert members_of(zip_of(("a/", b""), ("a/b/", b""))) == []


@pytest.mark.parametrize(
    ("raw", "flags", "expected"),
    [
        ("Grüße.txt".encode(), 0x800, "Grüße.txt"),
        ("Grüße.txt".encode(), 0, "Grüße.txt"),
        ("Grüße.txt".encode("cp437"), 0, "Grüße.txt"),
        (b"Gr\x81\xe1e.txt", 0x800, "Grüße.txt"),
        ("Gru\u0308ße.txt".encode(), 0x800, "Grüße.txt"),
        (b"Takeout\\Mail\\All.mbox", 0, "Takeout/Mail/All.mbox"),
        (b"./a//b/./c", 0, "a/b/c"),
        (b"..a/b..", 0, "..a/b.."),
    ],
)
def test_names_are_read_whatever_wrote_them(raw: bytes, flags: int, expected: str) -> None:
    placeholder = "n" * len(raw)
    data = zip_of((placeholder, b"x")).replace(placeholder.encode(), raw)
    at = data.index(b"PK\x01\x02") + 8
    data = data[:at] + struct.pack("<H", flags) + data[at + 2 :]
    assert [member.path for member in members_of(data)] == [expected]


def test_a_name_in_unicode_beside_one_of_old() -> None:
    raw = b"Gr_e.txt"
    path = "Größe ☃.txt".encode()
    extra = struct.pack("<HHBI", 0x7075, 5 + len(path), 1, zlib.crc32(raw)) + path
    assert members_of(zip_of((info("Gr_e.txt", extra=extra), b"")))[0].path == "Größe ☃.txt"
    assert members_of(zip_of((info("Other.txt", extra=extra), b"")))[0].path == "Other.txt"


def unix(name: str, mode: int) -> zipfile.ZipInfo:
    return info(name, external_attr=mode << 16)


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ("../../etc/passwd", "leads out"),
        ("a/../../b", "leads out"),
        ("..\\b", "leads out"),
        ("/etc/passwd", "absolute"),
        ("\\\\server\\share", "absolute"),
        ("C:/Windows/x", "drive"),
        ("c:x", "drive"),
        ("a\nb", "characters"),
        ("a" * 5_000, "longer than 4096"),
        ("./.", "no name"),
        (unix("link", stat.S_IFLNK | 0o777), "symbolic link"),
        (unix("device", stat.S_IFBLK), "not a file"),
        ("secret", "encrypted"),
    ],
)
def test_a_member_that_is_refused_keeps_nothing_else_back(
    member: str | zipfile.ZipInfo, reason: str
) -> None:
    data = zip_of(("before", b"1"), (member, b"bad"), ("after", b"2"))
    if member == "secret":
        data = patched(data, 1, 8, struct.pack("<H", 1))
    [text] = bad_of(data).values()
    assert reason in text
    assert contents_of(data) == [("before", Read(b"1", None)), ("after", Read(b"2", None))]


def patched(data: bytes, number: int, field: int, value: bytes) -> bytes:
    """With a field of one member's header in the directory changed."""
    at = -1
    for _ in range(number + 1):
        at = data.index(b"PK\x01\x02", at + 1)
    at += field
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (9, "deflate64"),
        (12, "bzip2"),
        (14, "LZMA"),
        (93, "zstd"),
        (95, "xz"),
        (99, "AES"),
        (77, "77"),
    ],
)
def test_other_ways_of_packing_are_named(method: int, reason: str) -> None:
    data = patched(zip_of(("a", LINES), ("b", b"2")), 0, 10, struct.pack("<H", method))
    [text] = bad_of(data).values()
    assert reason in text
    assert "import the folder" in text
    assert [member.path for member in members_of(data)] == ["b"]


def test_a_wrong_checksum_is_told_at_the_end() -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        data = patched(zip_of(("a", LINES), method=method), 0, 16, b"\1\2\3\4")
        [(_, read)] = contents_of(data)
        assert read.data == LINES
        assert "checksum" in (read.fault or "")
        assert contents_by_steps(data, 200_000) == [("a", read)]


@pytest.mark.parametrize(("size", "fault"), [(1_000, "larger"), (len(LINES) + 1, "smaller")])
def test_a_size_that_lies(size: int, fault: str) -> None:
    data = patched(zip_of(("a", LINES)), 0, 24, struct.pack("<I", size))
    [(_, read)] = contents_of(data)
    assert read.data == LINES[:size]
    assert fault in (read.fault or "")


def test_packed_bytes_that_are_damaged() -> None:
    data = bytearray(zip_of(("a", LINES), ("b", b"2")))
    data[2_000:2_100] = os.urandom(100)
    [(_, read), (_, after)] = contents_of(bytes(data))
    assert read.fault
    assert after == Read(b"2", None)


def test_a_bomb_is_refused_by_what_it_says() -> None:
    data = zip_of(("zeros", bytes(FREE + 1)), ("a", b"1"))
    assert ["which no export does" in text for text in bad_of(data).values()] == [True]


def test_a_bomb_is_stopped_while_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zip_of(("zeros", bytes(40 << 20)))
    [member] = members_of(data)
    monkeypatch.setattr(members, "FREE", 1 << 20)
    read = all_of(archive_of(data), member)
    assert "which no export does" in (read.fault or "")
    assert len(read.data) < 18 << 20


def test_members_in_one_another_are_refused() -> None:
    """Many headers in the directory for the bytes of one member."""
    data = zip_of(("a", LINES))
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    directory = data[start:end] * 50
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 50, 50, len(directory), start, 0)
    bomb = data[:start] + directory + tail
    assert len(members_of(bomb)) < 5
    assert ["in one another" in text for text in bad_of(bomb).values()] == [True]


def test_a_name_may_come_twice() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zip_of(("a", b"1"), ("a", b"2"))
    assert [read.data for _, read in contents_of(data)] == [b"1", b"2"]


def test_a_zip_in_a_zip_is_a_member() -> None:
    inner = zip_of(("x", LINES))
    assert contents_of(zip_of(("in.zip", inner))) == [("in.zip", Read(inner, None))]


def test_something_before_and_after_the_archive() -> None:
    data = zip_of(*THREE)
    assert len(members_of(data + b"\0" * 100)) == 3
    first, *_ = THREE
    # Behind a program that unpacks it, where the places told are those without it.
    archive = opened_archive(Bytes(b"PK\x03\x04" + b"#!" * 50 + data))
    assert archive is not None
    assert not isinstance(archive, Bad)
    found = [entry.found for entry in archive.entries()]
    assert isinstance(found[0], Member)
    assert all_of(archive, found[0]).data == first[1]


def test_sizes_of_64_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    data = zip_of(*THREE)
    assert b"PK\x06\x06" in data
    assert contents_of(data) == [(name, Read(content, None)) for name, content in THREE]
    streamed = zip_of(*THREE, streamed=True)
    cut = streamed[: streamed.index(b"PK\x01\x02")]
    assert contents_of(cut) == [(name, Read(content, None)) for name, content in THREE]


def test_one_of_several_volumes() -> None:
    data = bytearray(zip_of(("a", b"1")))
    at = data.index(b"PK\x05\x06")
    data[at + 4 : at + 8] = struct.pack("<2H", 2, 2)
    assert ["zip -s 0" in text for text in bad_of(bytes(data)).values()] == [True]
    assert members_of(bytes(data)) == []


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_left_of_one_that_was_cut_off(streamed: bool) -> None:
    noise = random.Random(7).randbytes(200_000)
    data = zip_of(("a", LINES), ("b", noise), ("c", LINES), streamed=streamed)
    cut = data[: data.index(noise[-50:]) if noise[-50:] in data else len(data) // 2]
    assert ["cut off" in text for text in bad_of(cut).values()] == [True]
    (first, whole), (second, half) = contents_of(cut)
    assert (first, whole) == ("a", Read(LINES, None))
    assert second == "b"
    assert "cut off" in (half.fault or "")
    assert noise.startswith(half.data)
    assert len(half.data) > 50_000
    assert contents_by_steps(cut, 100_000) == [(first, whole), (second, half)]


def test_what_a_damaged_directory_does_not_tell_is_found() -> None:
    data = bytearray(zip_of(*THREE))
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[at : at + 4] = b"XXXX"
    found = dict(contents_of(bytes(data)))
    assert found["c.bin"] == Read(THREE[2][1], None)
    assert found["a.txt"] == Read(b"first", None)
    assert any("directory" in where for where in bad_of(bytes(data)))


def test_a_million_members_in_little_memory() -> None:
    """Of these a hundredth; what is asked of the content is bounded too."""
    data = zip_of(*((f"{number:06}", b"") for number in range(10_000)))
    content = Bytes(data)
    assert sum(1 for _ in archive_of(content).entries()) == 10_000
    assert len(content.reads) < 20
    assert max(size for _, size in content.reads) <= 1 << 20


@pytest.mark.parametrize("seed", range(3))
def test_nothing_raises_wherever_it_is_cut(seed: int) -> None:
    data = zip_of(("a", b"x" * 50), ("b/ü", bytes(range(90))), streamed=bool(seed % 2))
    for end in range(len(data)):
        if opened_archive(Bytes(data[:end])) is not None:
            assert all(
                read.data in b"x" * 50 + bytes(range(90)) for _, read in contents_of(data[:end])
            )


def damaged(make: Callable[[], bytes]) -> st.SearchStrategy[bytes]:
    whole = make()
    change = st.tuples(st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=8))

    def change_all(changes: list[tuple[int, bytes]]) -> bytes:
        data = bytearray(whole)
        for at, value in changes:
            data[at : at + len(value)] = value
        return bytes(data)

    return st.lists(change, min_size=1, max_size=6).map(change_all)


@settings(max_examples=150, deadline=None)
@given(
    damaged(lambda: zip_of(("a", b"12345" * 30), ("b/c", LINES[:500]), ("d", b"")))
    | damaged(lambda: zip_of(("a", b"12345" * 30), ("b/c", LINES[:500]), streamed=True))
)
def test_nothing_raises_whatever_is_damaged(data: bytes) -> None:
    if not isinstance(opened_archive(Bytes(data)), (Bad, type(None))):
        done = [entry.done for entry in entries_of(data)]
        assert done == sorted(done)
        assert all(place <= len(data) for place in done)
        assert contents_by_steps(data, 64) == contents_of(data, 64)


NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=3_000) | st.integers(0, 200_000), max_size=5),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    streamed=st.booleans(),
    step=st.integers(1_000, 300_000),
)
def test_all_that_was_written_is_read(
    files: dict[str, bytes | int], method: int, streamed: bool, step: int
) -> None:
    made = [(n, LINES[:d] if isinstance(d, int) else d) for n, d in files.items()]
    data = zip_of(*made, method=method, streamed=streamed)
    read = contents_by_steps(data, step) if made else []
    assert [r for _, r in read] == [Read(content, None) for _, content in made]
