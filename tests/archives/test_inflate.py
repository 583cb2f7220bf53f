"""Unpacking goes on in the middle of a member, at the same cost wherever that is."""

import random
import tracemalloc
import zlib

import pytest

from shared.archives import inflate
from shared.archives.boundaries import last_boundary, started
from shared.archives.inflate import Ahead, Boundary, Inflation
from shared.archives.members import Member
from shared.archives.readers import _DeflatedMark, marked
from shared.archives.zip import Zip
from tests.archives.test_zip import zip_of
from tests.reading import Bytes

CHANCE = random.Random(3)
WORDS = [CHANCE.randbytes(4).hex()[: CHANCE.randint(2, 8)] for _ in range(3_000)]
TEXT = " ".join(CHANCE.choices(WORDS, k=500_000)).encode()
KINDS = {
    "text": TEXT,
    "noise": CHANCE.randbytes(2_000_000),
    "both": b"".join(
        CHANCE.randbytes(9_000) + TEXT[at : at + 9_000] for at in range(0, 900_000, 9_000)
    ),
    "repetition": b"again and " * 900_000,
    "zeros": bytes(9_000_000),
}


def deflated(data: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 8, strategy)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_a_boundary_is_found_and_unpacking_goes_on_from_it(kind: str, level: int) -> None:
    data = KINDS[kind]
    packed = deflated(data, level)
    bits: set[int] = set()
    for tenth in (5, 9):
        end = len(packed) * tenth // 10
        before = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed[:end])
        known = max(0, end - 200_000)
        found = last_boundary(packed[known:end], before)
        if found is None:
            continue
        byte, middle = known + found.byte, len(before) - found.after
        bits.add(found.bit)
        going_on = started(before[middle - 32_768 : middle], packed[byte], found.bit)
        assert going_on.decompress(packed[byte + 1 :]) == data[middle:]
        assert going_on.eof
    assert bits


def test_a_boundary_lies_at_any_bit() -> None:
    """The blocks that are put before a boundary are right for all eight."""
    bits: set[int] = set()
    packed, end = deflated(TEXT), 120_000
    while bits != set(range(8)):
        before = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed[:end])
        found = last_boundary(packed[end - 60_000 : end], before)
        assert found is not None
        byte, middle = end - 60_000 + found.byte, len(before) - found.after
        going_on = started(before[middle - 32_768 : middle], packed[byte], found.bit)
        assert going_on.decompress(packed[byte + 1 : byte + 100_000]) in TEXT[middle:]
        bits.add(found.bit)
        end += 20_000


@pytest.mark.parametrize("kind", ["text", "noise", "both"])
def test_going_on_unpacks_little_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "_NEAR", 300_000)
    data = KINDS[kind]
    whole = zip_of(("a", data))
    member = next(e.found for e in Zip(Bytes(whole)).entries() if isinstance(e.found, Member))
    read, mark = b"", b""
    while len(read) < len(data):
        reader = Zip(Bytes(whole)).reader(member, mark)
        read += reader.read(400_000)
        assert reader.fault is None
        mark = reader.mark()
        assert len(mark) < 34_000
        again = len(read) - marked(mark, _DeflatedMark).boundary.unpacked
        assert again < 600_000 or len(read) == len(data)
    assert read == data


def test_the_place_to_go_on_from_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "_NEAR", 300_000)
    inflation = Inflation(Ahead(Bytes(deflated(TEXT))), Boundary(0))
    while inflation.more():
        if inflation.unpacked > 1_000_000:
            break
    boundary = inflation.boundary(inflation.unpacked)
    assert inflation.unpacked - boundary.unpacked < 200_000
    assert boundary.window == TEXT[boundary.unpacked - 32_768 : boundary.unpacked]
    assert boundary.crc == zlib.crc32(TEXT[: boundary.unpacked])


def test_one_endless_block_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks with the fixed code have no form to be known by."""
    monkeypatch.setattr(inflate, "_NEAR", 600_000)
    monkeypatch.setattr(inflate, "FAR", 1_000_000)
    inflation = Inflation(Ahead(Bytes(deflated(TEXT, strategy=zlib.Z_FIXED))), Boundary(0))
    while inflation.more():
        inflation.boundary(inflation.unpacked)
    assert inflation.problem == "its packed bytes cannot be read in parts"


def test_memory_does_not_grow() -> None:
    packed = deflated(bytes(40 << 20))
    tracemalloc.start()
    inflation = Inflation(Ahead(Bytes(packed)), Boundary(0))
    while inflation.more():
        pass
    inflation.boundary(inflation.unpacked)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert inflation.ended
    assert peak < 64 << 20


@pytest.mark.parametrize("mark", [b"", b"\x90", b"nonsense", b"\xc1" * 40])
def test_what_is_no_mark_is_said_to_be_none(mark: bytes) -> None:
    whole = zip_of(("a", TEXT[:9_000]))
    archive = Zip(Bytes(whole))
    member = next(e.found for e in archive.entries() if isinstance(e.found, Member))
    if mark:
        with pytest.raises(ValueError, match="not a mark"):
            archive.reader(member, mark)
