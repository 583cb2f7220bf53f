"""Tar archives (POSIX pax, GNU, and what was before them), as they are or inside gzip.

A damaged header loses what it describes; the next one that is whole is looked for.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.archives.gzip import Gzip
from shared.archives.inflate import Ahead
from shared.archives.members import SHOWN, Entry, Member, Window
from shared.archives.names import BadName, path_of, text_of
from shared.archives.readers import CUT, Stored, marked
from shared.model.steps import Bad, Content

BLOCK = 512
_BEAT = 64 * 1024 * 1024
"""Bytes that are passed over before the listing says how far it is."""
_LONGEST_EXTENSION = 1024 * 1024
"""Bytes of a long name or of pax's words: of a path and a few dates."""
_MOST_EXTENSIONS = 16
_LONGEST_MAP = 10_000
"""Blocks of a GNU sparse map, each of 21 stretches."""
_REPACK = "unpack it with another program and import the folder"

_FILES = {b"0", b"\0", b"7"}
_NOT_FILES = {
    b"1": "it is a hard link to {link!r}, which is in the archive under that name",
    b"2": "it is a symbolic link, which is not followed",
    b"3": "it is a device",
    b"4": "it is a device",
    b"6": "it is a pipe",
    b"S": f"it is a sparse file; {_REPACK}",
    b"M": f"it began in another archive; {_REPACK}",
}
_IGNORED = {b"5", b"D", b"V", b"g", b"N"}
_LONG_NAME, _LONG_LINK, _PAX = b"L", b"K", b"x"
_EXTENSIONS = {_LONG_NAME, _LONG_LINK, _PAX}
_NO_DATA = {b"1", b"2", b"3", b"4", b"5", b"6"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 8_000 * 366 * 86_400


class _Place(Struct, frozen=True, array_like=True):
    """Where a listing goes on. at: of the next header. index: of the next member.

    lost: where the first block lies that is not a header. ended: zeros were seen, as at the end.
    over: there is nothing more.
    """

    at: int = 0
    index: int = 0
    lost: int | None = None
    ended: bool = False
    over: bool = False


class _Header(NamedTuple):
    name: bytes
    link: bytes
    type: bytes
    size: int
    modified: int | float


class _Extensions:
    """What headers before a header say of it."""

    def __init__(self) -> None:
        self.name: bytes | None = None
        self.link: bytes | None = None
        self.words: dict[bytes, bytes] = {}

    @property
    def sparse(self) -> bool:
        return any(word.startswith(b"GNU.sparse.") for word in self.words)


class _Mark(Struct, frozen=True, array_like=True, tag="tar"):
    at: int
    stream: bytes


class Tar:
    """gzip: what the tar comes out of, if the content is packed."""

    def __init__(self, content: Content, gzip: Gzip | None = None) -> None:
        self._content: Content = gzip or content
        self._ahead = None if gzip else Ahead(content)
        self._total = content.size
        self._gzip = gzip
        self._listed: int | None = None
        self._reader: Stored | Streamed | None = None

    def entries(self, cursor: str | None = None, mark: bytes = b"") -> Iterator[Entry]:
        if mark and self._gzip is not None:
            self._gzip.go_on(marked(mark, _Mark).stream)
        place = msgspec.json.decode(cursor, type=_Place) if cursor else _Place()
        told = place.at
        while not place.over:
            for _ in self._passed(place.at):
                yield self._entry(place, None)
            place, found = self._next(place)
            if found is not None or place.at - told > _BEAT:
                told = place.at
                yield self._entry(place, found)

    def mark(self) -> bytes:
        if self._reader is not None:
            return self._reader.mark()
        if self._gzip is None:
            return b""
        at = self._gzip.at if self._listed is None else min(self._gzip.at, self._listed)
        return msgspec.msgpack.encode(_Mark(0, self._gzip.mark(at)))

    def window(self, member: Member) -> Window | None:
        whole = self._gzip is None and member.at + member.size <= self._content.size
        return Window(self._content, member.at, member.size) if whole else None

    def reader(self, member: Member, mark: bytes = b"") -> "Stored | Streamed":
        if self._gzip is None:
            self._reader = Stored(Window(self._content, member.at, member.size), member, mark)
        else:
            self._reader = Streamed(self._gzip, member, mark)
        return self._reader

    def _entry(self, place: _Place, found: Member | Bad | None) -> Entry:
        self._listed, self._reader = place.at, None
        done = self._gzip.byte if self._gzip is not None else place.at
        return Entry(msgspec.json.encode(place).decode(), min(done, self._total), found)

    def _passed(self, at: int) -> Iterator[None]:
        """Goes on to what is to be read next, a stretch at a time, where that means unpacking."""
        gzip = self._gzip
        while gzip is not None and gzip.at + _BEAT < at:
            before = gzip.at
            gzip.read(before + _BEAT, 0)
            if gzip.at < before + _BEAT:
                return
            yield

    def _read(self, at: int, size: int) -> bytes:
        if self._ahead is None:
            return self._content.read(at, size)
        data = bytearray()
        while len(data) < size:
            more = self._ahead.read(at + len(data), size - len(data))
            if not more:
                break
            data += more
        return bytes(data)

    def _next(self, place: _Place) -> tuple[_Place, Member | Bad | None]:
        """One step on: a member, something bad, or nothing that is to be told."""
        block = self._read(place.at, BLOCK)
        if len(block) < BLOCK:
            return self._end(place, len(block))
        if place.lost is not None:
            return self._look_on(place, place.lost, block)
        if not block.strip(b"\0"):
            return replace(place, at=place.at + BLOCK, ended=True), None
        header = _header(block)
        if header is not None:
            return self._described(replace(place, ended=False), header, block)
        if place.ended:
            return replace(place, over=True), None
        return replace(place, at=place.at + BLOCK, lost=place.at), None

    def _end(self, place: _Place, rest: int) -> tuple[_Place, Bad | None]:
        over = replace(place, over=True, lost=None)
        if place.lost is not None:
            return replace(place, lost=None), self._gap(place.lost, place.at + rest)
        fault = self._gzip.fault if self._gzip is not None else None
        if fault is None and place.ended:
            return over, None
        reason = fault or "it ends without its end mark: it may be cut off; download it again"
        return over, Bad("the archive", reason, b"", 0)

    def _look_on(self, place: _Place, lost: int, block: bytes) -> tuple[_Place, Bad | None]:
        if block[257:262] == b"ustar" and _header(block) is not None:
            return replace(place, lost=None), self._gap(lost, place.at)
        return replace(place, at=place.at + BLOCK), None

    def _gap(self, start: int, end: int) -> Bad:
        data = b"" if self._gzip is not None else self._read(start, min(SHOWN, end - start))
        reason = "there is no member here that can be read; download the archive again"
        return Bad(f"the archive, at byte {start}", reason, data, end - start)

    def _described(
        self, place: _Place, header: _Header, block: bytes
    ) -> tuple[_Place, Member | Bad | None]:
        """The member whose headers begin with this one."""
        at, told = place.at + BLOCK, _Extensions()
        for _ in range(_MOST_EXTENSIONS):
            if header.type not in _EXTENSIONS:
                break
            reason = self._extend(told, header, at)
            at += _padded(header.size)
            if reason is not None:
                return replace(place, at=at), Bad(_where(place, header.name), reason, block, 0)
            block = self._read(at, BLOCK)
            following = _header(block) if len(block) == BLOCK else None
            if following is None:
                # The next step finds out what is there instead.
                reason = "there is no member after its long name; download the archive again"
                return replace(place, at=at), Bad(_where(place, header.name), reason, block, 0)
            header, at = following, at + BLOCK
        return self._member(place, _extended(header, told), at, block, told.sparse)

    def _extend(self, told: _Extensions, header: _Header, at: int) -> str | None:
        """Adds what an extension says; why that cannot be read."""
        if header.size > _LONGEST_EXTENSION:
            return f"what is told of it is longer than {_LONGEST_EXTENSION} bytes"
        data = self._read(at, header.size)
        if header.type == _LONG_NAME:
            told.name = data.rstrip(b"\0")
        elif header.type == _LONG_LINK:
            told.link = data.rstrip(b"\0")
        elif header.type == _PAX:
            words = _words(data)
            if words is None:
                return "what is told of it is damaged; download the archive again"
            told.words.update(words)
        return None

    def _member(
        self, place: _Place, header: _Header, at: int, block: bytes, sparse: bool
    ) -> tuple[_Place, Member | Bad | None]:
        if header.type == b"S":
            at = self._after_map(block, at)
        size = 0 if header.type in _NO_DATA else header.size
        after = _Place(at + _padded(size), place.index + 1)
        name = text_of(header.name)
        if header.type in _IGNORED or (header.type in _FILES and name.endswith("/")):
            return after, None
        where, path = _where(after, header.name), path_of(name)
        reason = _refusal(header, sparse)
        if reason is None and isinstance(path, BadName):
            reason = path.reason
        if reason is not None or isinstance(path, BadName):
            return after, Bad(where, reason or "", block, header.size)
        return after, Member(path, size, size, where, at, _instant(header.modified))

    def _after_map(self, block: bytes, at: int) -> int:
        """Past the blocks that tell where the stretches of a GNU sparse file lie."""
        more = block[482]
        for _ in range(_LONGEST_MAP):
            if not more:
                break
            block = self._read(at, BLOCK)
            at += BLOCK
            more = block[504] if len(block) == BLOCK else 0
        return at


class Streamed:
    """Reads a member of a packed tar, whose stream it moves on."""

    def __init__(self, gzip: Gzip, member: Member, mark: bytes) -> None:
        self.at = 0
        self.fault: str | None = None
        self._gzip = gzip
        self._member = member
        if mark:
            begun = marked(mark, _Mark)
            self.at = begun.at
            gzip.go_on(begun.stream)

    def read(self, size: int) -> bytes:
        wanted = min(size, self._member.size - self.at)
        if self.fault is not None or wanted <= 0:
            return b""
        data = self._gzip.read(self._member.at + self.at, wanted)
        self.at += len(data)
        if len(data) < wanted:
            self.fault = self._gzip.fault or CUT
        return data

    def mark(self) -> bytes:
        stream = self._gzip.mark(min(self._gzip.at, self._member.at + self.at))
        return msgspec.msgpack.encode(_Mark(self.at, stream))


def is_tar(block: bytes) -> bool:
    """Whether this is the first block of a tar."""
    header = _header(block) if len(block) == BLOCK else None
    known = _FILES | _NOT_FILES.keys() | _IGNORED | _EXTENSIONS
    return header is not None and bool(header.name) and header.type in known


def _header(block: bytes) -> _Header | None:
    checksum, size, modified = (
        _number(block[a:b]) for a, b in ((148, 156), (124, 136), (136, 148))
    )
    unsigned = sum(block) - sum(block[148:156]) + 8 * 0x20
    # Some old programs added up signed characters.
    signed = unsigned - 256 * sum(byte >= 128 for byte in (*block[:148], *block[156:]))
    if checksum not in (unsigned, signed) or size is None:
        return None
    name, link = (block[a:b].split(b"\0")[0] for a, b in ((0, 100), (157, 257)))
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0")[0] + b"/" + name
    return _Header(name, link, block[156:157], size, modified or 0)


def _number(field: bytes) -> int | None:
    """Octal digits, or since GNU tar the bytes of a number after one that is no digit."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    if not digits:
        return 0
    return int(digits, 8) if re.fullmatch(rb"[0-7]+", digits) else None


def _words(data: bytes) -> dict[bytes, bytes] | None:
    """Of a pax header: `LENGTH KEY=VALUE` and a line's end, the length being that of it all."""
    words: dict[bytes, bytes] = {}
    while data:
        length = re.match(rb"(\d{1,7}) ", data)
        size = int(length[1]) if length else 0
        if length is None or len(data) < size or not length.end() < size or data[size - 1] != 10:
            return None
        key, equals, value = data[length.end() : size - 1].partition(b"=")
        if not equals:
            return None
        words[key] = value
        data = data[size:]
    return words


def _extended(header: _Header, told: _Extensions) -> _Header:
    words = told.words
    size, modified = words.get(b"size", b""), words.get(b"mtime", b"")
    return header._replace(
        name=words.get(b"path") or told.name or header.name,
        link=words.get(b"linkpath") or told.link or header.link,
        size=int(size) if re.fullmatch(rb"\d{1,18}", size) else header.size,
        modified=float(modified)
        if re.fullmatch(rb"-?\d{1,12}(\.\d{0,20})?", modified)
        else header.modified,
    )


def _refusal(header: _Header, sparse: bool) -> str | None:
    if header.type in _EXTENSIONS:
        return f"more than {_MOST_EXTENSIONS} headers tell of it"
    if sparse:
        return _NOT_FILES[b"S"].format()
    if header.type in _FILES:
        return None
    kind = text_of(header.type)
    return _NOT_FILES.get(header.type, f"it is of a kind that is not known, {kind!r}").format(
        link=text_of(header.link)[:200]
    )


def _instant(seconds: int | float) -> datetime | None:
    return _EPOCH + timedelta(seconds=seconds) if 0 < seconds < _LAST else None


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _where(place: _Place, name: bytes) -> str:
    return f"member {place.index} ({text_of(name)[:200]!r})"
