"""Where unpacking a deflate stream can begin again: between two of its blocks.

The standard library's zlib neither says where blocks end nor begins in the middle of a byte. So
block headers are looked for by their form (RFC 1951, 3.2.7), tried, and believed when they give the
bytes that were there; and to begin at a bit, blocks are put before it that hold nothing.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

WINDOW = 32_768
"""Bytes that a deflate block may refer back to."""
STORED = 8
"""Instead of a bit: the byte is the length of a stored block, whose header ends before it."""

_PROOF = 4_096
"""Bytes that must come out the same, before a place is believed to be a block's beginning."""
_HEADER = 11
"""Bytes that hold the form of a dynamic block's header, wherever in the first byte it begins."""
_EFFORT = 64 * 1024 * 1024
_TRIAL = 4_096
"""Bytes that trials may unpack in all, each counted as so many at least: what was made so that
much looks like a boundary takes no longer than what was not."""


class Boundary(NamedTuple):
    """byte: counted in the packed bytes that were looked at. bit: 0 to 7, or `STORED`.

    after: how many bytes come out from there to the end of what was looked at.
    """

    byte: int
    bit: int
    after: int


def started(window: bytes, byte: int, bit: int) -> "zlib._Decompress":
    """Goes on from a boundary; to be fed with what follows `byte`, whose value this is.

    window: the bytes that came out before it, at most `WINDOW`.
    """
    inflating = zlib.decompressobj(-zlib.MAX_WBITS, zdict=window)
    if bit == STORED:
        inflating.decompress(bytes((0, byte)))
    else:
        before, value = _EMPTY[bit]
        inflating.decompress(before + bytes((value | byte & -1 << bit & 0xFF,)))
    return inflating


def last_boundary(packed: bytes, unpacked: bytes, after: int = 0) -> Boundary | None:
    """The last boundary in the packed bytes that can be proved by what came out last.

    unpacked: what came out up to the end of `packed`, which is not the end of the stream. after:
    how many of these bytes must come after the boundary.
    """
    least, most, effort = max(after, _PROOF), len(unpacked) - WINDOW, _EFFORT
    for byte, bit in _candidates(packed):
        # With any window the right number of bytes comes out, and with it the window is known.
        trial = _unpacked(packed, byte, bit, bytes(WINDOW), most)
        if trial is not None and least <= len(trial):
            middle = len(unpacked) - len(trial)
            window = unpacked[middle - WINDOW : middle]
            if _unpacked(packed, byte, bit, window, most) == unpacked[middle:]:
                return Boundary(byte, bit, len(trial))
        effort -= max(len(trial or b""), _TRIAL)
        if effort < 0:
            break
    return None


def _unpacked(packed: bytes, byte: int, bit: int, window: bytes, most: int) -> bytes | None:
    """None if it cannot be unpacked, or makes more than `most` bytes."""
    try:
        inflating = started(window, packed[byte], bit)
        # Most that only look like a header break at once, before the rest is copied.
        first = inflating.decompress(packed[byte + 1 : byte + 257], most + 1)
        if inflating.eof or len(first) > most:
            return None
        rest = inflating.decompress(packed[byte + 257 :], most + 1 - len(first))
    except zlib.error:
        return None
    return first + rest if len(first) + len(rest) <= most and not inflating.eof else None


def _candidates(packed: bytes) -> Iterator[tuple[int, int]]:
    """Places that look like a block's beginning, the last ones first."""
    for byte in range(len(packed) - _HEADER, 0, -1):
        if packed[byte] ^ packed[byte + 2] == 0xFF == packed[byte + 1] ^ packed[byte + 3]:
            length = packed[byte] | packed[byte + 1] << 8
            # Another block follows, so it is not the last one, which would say so in its header.
            if byte + 4 + length < len(packed):
                yield byte, STORED
        ahead = int.from_bytes(packed[byte : byte + _HEADER], "little")
        for bit in range(7, -1, -1):
            header = ahead >> bit
            # Type 2; at most 286 literals and lengths, and 30 distances.
            if header & 6 == 4 and header & 0xF0 != 0xF0 and header & 0x1E00 != 0x1E00:
                codes = header >> 17 & (1 << 3 * ((header >> 13 & 15) + 4)) - 1
                if _complete(codes):
                    yield byte, bit


def _complete(codes: int) -> bool:
    """Whether code lengths, three bits each, make a complete prefix code, as they must."""
    return (
        _SHARES[codes & 4095]
        + _SHARES[codes >> 12 & 4095]
        + _SHARES[codes >> 24 & 4095]
        + _SHARES[codes >> 36 & 4095]
        + _SHARES[codes >> 48]
        == 128
    )


def _shares() -> list[int]:
    """What four code lengths take of all codes, in 128ths."""
    share = [0, 64, 32, 16, 8, 4, 2, 1]
    return [
        share[four & 7] + share[four >> 3 & 7] + share[four >> 6 & 7] + share[four >> 9]
        for four in range(4096)
    ]


def _empty_blocks() -> list[tuple[bytes, int]]:
    """Blocks without content that end at each bit of a byte: whole bytes, the beginning of one."""
    # Type 1: its end is seven zero bits. Ten bits in all, which moves on by two.
    fixed = "010" + "0000000"
    # Type 2, of 93 bits, which moves on by five. Written in the order of the stream: 257 literals,
    # 1 distance, 18 code lengths of which those of 18, 0 and 1 are two, two and one bits long; then
    # 138 + 118 zeros, a one for the end of the block, a zero, and the end of the block.
    lengths = ["000"] * 18
    lengths[2], lengths[3], lengths[17] = "010", "010", "100"
    dynamic = "001" + "00000" + "00000" + "0111" + "".join(lengths)
    dynamic += "11" + "1111111" + "11" + "1101011" + "0" + "10" + "0"
    empty = []
    for bit in range(8):
        blocks = dynamic + fixed * ((bit - 5) % 8 // 2) if bit % 2 else fixed * (bit // 2)
        value = int(blocks[::-1] or "0", 2)
        whole = len(blocks) // 8
        empty.append(((value & (1 << 8 * whole) - 1).to_bytes(whole, "little"), value >> 8 * whole))
    return empty


_SHARES = _shares()
_EMPTY = _empty_blocks()
