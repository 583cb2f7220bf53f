"""Zip archives (PKWARE's APPNOTE, with zip64; Info-ZIP's extra fields).

Members come in the order of the central directory. Where that is missing or broken, which is what
an archive that was cut off looks like, they come from their local headers.
"""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from struct import Struct as Layout
from struct import unpack_from
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.archives.members import SHOWN, Entry, Member, Window, most
from shared.archives.names import BadName, path_of, text_of
from shared.archives.readers import CUT, Deflated, Stored, bomb
from shared.model.steps import Bad, Content

STORED, DEFLATED = 0, 8
_OTHERS = {
    1: "shrink",
    6: "implode",
    9: "deflate64",
    12: "bzip2",
    14: "LZMA",
    20: "zstd",
    93: "zstd",
    95: "xz",
    96: "packed JPEG",
    98: "PPMd",
    99: "AES",
}
_ENCRYPTED, _DESCRIPTOR, _UTF8, _HIDDEN = 1 << 0, 1 << 3, 1 << 11, 1 << 13
_UNIX, _OS_X = 3, 19
_FILE_TYPE, _REGULAR, _FOLDER, _LINK = 0o170000, 0o100000, 0o040000, 0o120000

_LOCAL = Layout("<4s5H3I2H")
_CENTRAL = Layout("<4s6H3I5H2I")
_END = Layout("<4s4H2IH")
_LOCATOR = Layout("<4sIQI")
_END64 = Layout("<4sQ2H2I4Q")
_SIZES, _SIZES64 = Layout("<3I"), Layout("<I2Q")
_LOCAL_SIGN, _CENTRAL_SIGN, _DESCRIPTOR_SIGN = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"
_END_SIGN, _LOCATOR_SIGN, _END64_SIGN = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_AFTER_MEMBERS = (_CENTRAL_SIGN, _END_SIGN, _END64_SIGN, b"PK\x06\x08")
SIGNS = (_LOCAL_SIGN, _END_SIGN, _DESCRIPTOR_SIGN)
"""What a zip begins with; the last where it was meant to be split, with a local header after it."""

_BLOCK = 1024 * 1024
_FULL = 0xFFFFFFFF
_LONGEST_HEADER = 46 + 3 * 0xFFFF
_LONGEST_LOCAL = 30 + 2 * 0xFFFF
_LONGEST_END = 22 + 0xFFFF
_AROUND = 28
"""Bytes of a data descriptor with its sign, and four of what follows it."""
_BEAT = 64 * _BLOCK
"""Bytes that are searched before the listing says how far it is."""
_REPACK = "unpack it with another program and import the folder"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_OF_TICKS = datetime(1601, 1, 1, tzinfo=UTC)
_LAST_TICK = 8_000 * 366 * 86_400 * 10_000_000


class _Place(Struct, frozen=True, array_like=True):
    """Where a listing goes on. at: of the next header. index: of the next member.

    packed, size: of all members so far. walking: by local headers. end: of the member that lies
    last so far. searched: how far from `at` on a sign was looked for.
    """

    at: int
    index: int = 0
    packed: int = 0
    size: int = 0
    walking: bool = False
    end: int = 0
    searched: int = 0


class _Directory(NamedTuple):
    """start, end: of the central directory. shift: by how much all places are larger than told."""

    start: int
    end: int
    shift: int


class _NoDirectory(NamedTuple):
    """reason: why not. walk: whether the members' own headers may still be found."""

    reason: str
    walk: bool = True


class _Header(NamedTuple):
    """What a central or local header says of a member. raw: the header, with all it holds."""

    raw: bytes
    name: bytes
    extra: bytes
    flags: int
    method: int
    when: int
    crc: int | None
    packed: int
    size: int
    at: int
    system: int = 0
    mode: int = 0
    disk: int = 0
    tail: int = 0


class Zip:
    def __init__(self, content: Content) -> None:
        self._content = content
        self._found: _Directory | _NoDirectory | None = None
        self._reader: Stored | Deflated | None = None

    def entries(self, cursor: str | None = None, mark: bytes = b"") -> Iterator[Entry]:  # noqa: ARG002 - a zip needs none
        if self._found is None:
            self._found = _found_directory(self._content)
        place = msgspec.json.decode(cursor, type=_Place) if cursor else None
        if isinstance(self._found, _NoDirectory):
            if place is None:
                place = _Place(0 if self._found.walk else self._content.size, walking=True)
                yield self._entry(place, Bad("the archive", self._found.reason, b"", 0))
            yield from self._walk(place)
        else:
            place = place or _Place(self._found.start)
            yield from self._walk(place) if place.walking else self._list(place, self._found)

    def mark(self) -> bytes:
        return self._reader.mark() if self._reader is not None else b""

    def window(self, member: Member) -> Window | None:
        if member.method != STORED:
            return None
        start = self._start_of(member)
        if isinstance(start, str) or start + member.size > self._content.size:
            return None
        return Window(self._content, start, member.size)

    def reader(self, member: Member, mark: bytes = b"") -> Stored | Deflated:
        start = self._start_of(member)
        of = Stored if member.method == STORED else Deflated
        if isinstance(start, str):
            self._reader = of(Window(self._content, 0, 0), member, mark, start)
        else:
            self._reader = of(Window(self._content, start, member.packed), member, mark)
        return self._reader

    def _start_of(self, member: Member) -> int | str:
        """Where the member's bytes begin, or why there are none."""
        header = self._content.read(member.at, _LOCAL.size)
        if len(header) < _LOCAL.size:
            return CUT
        sign, _, _, method, *_, name, extra = _LOCAL.unpack(header)
        if sign != _LOCAL_SIGN or method != member.method:
            return f"the archive's directory and the member's own header differ; {_REPACK}"
        return member.at + _LOCAL.size + int(name) + int(extra)

    def _entry(self, place: _Place, found: Member | Bad | None) -> Entry:
        self._reader = None
        done = min(self._content.size, max(place.packed, place.at if place.walking else 0))
        return Entry(msgspec.json.encode(place).decode(), done, found)

    # By the central directory

    def _list(self, place: _Place, directory: _Directory) -> Iterator[Entry]:
        ahead, start = b"", place.at
        while place.at < directory.end:
            known = start + len(ahead)
            if place.at + _LONGEST_HEADER > known and (known < directory.end or not ahead):
                start = place.at
                ahead = self._content.read(start, min(_BLOCK, directory.end - start))
            header = _central(ahead, place.at - start)
            if header is None:
                shown = ahead[place.at - start :][:SHOWN]
                where = f"the archive's directory, at byte {place.at}"
                reason = "it is damaged; what it does not tell is looked for; download it again"
                place = replace(place, at=place.end, walking=True)
                yield self._entry(place, Bad(where, reason, shown, len(shown)))
                yield from self._walk(place)
                return
            header = header._replace(at=header.at + directory.shift)
            place = self._after(place, header, place.at + len(header.raw))
            bad = self._too_much(place)
            if bad is not None:
                yield self._entry(replace(place, at=directory.end), bad)
                return
            found = self._found_member(header, place.index)
            if found is not None:
                yield self._entry(place, found)

    def _after(self, place: _Place, header: _Header, at: int) -> _Place:
        least = _LOCAL.size + len(header.name) + header.packed
        return _Place(
            at=at,
            index=place.index + 1,
            packed=place.packed + least,
            # Of one that is cut off only the most is known.
            size=place.size + (header.size if header.crc is not None else 0),
            walking=place.walking,
            end=max(place.end, header.at + least),
        )

    def _too_much(self, place: _Place) -> Bad | None:
        """Members that lie in one another are endless in little space; each alone looks well."""
        where, size = f"the archive, from member {place.index} on", self._content.size
        if place.packed > size and not place.walking:
            reason = f"its members lie in one another, to mislead; {_REPACK}"
        elif place.size > most(size):
            reason = bomb(size)
        else:
            return None
        return Bad(where, reason, b"", 0)

    def _found_member(self, header: _Header, number: int) -> Member | Bad | None:
        """None for a folder."""
        name = _name(header)
        path = path_of(name)
        where = f"member {number} ({name[:200]!r})"
        type = header.mode & _FILE_TYPE if header.system in (_UNIX, _OS_X) else 0
        if name.endswith(("/", "\\")) or type == _FOLDER:
            return None
        reason = _refusal(header, type) or (path.reason if isinstance(path, BadName) else None)
        if reason is None and not 0 <= header.at < self._content.size:
            reason = CUT
        if reason is not None or isinstance(path, BadName):
            return Bad(where, reason or "", header.raw[:SHOWN], header.size)
        modified, local = _times(header)
        return Member(
            path,
            header.size,
            header.packed,
            where,
            header.at,
            modified,
            local,
            header.method,
            header.crc,
        )

    # By the local headers

    def _walk(self, place: _Place) -> Iterator[Entry]:
        while place.at < self._content.size:
            head = self._content.read(place.at, _LONGEST_LOCAL)
            header = _local(head, place.at)
            if header is not None:
                if not _measured(header):
                    header, place = self._measure(header, place)
                if header is None:
                    yield self._entry(place, None)
                    continue
                place = self._after(
                    place, header, header.at + len(header.raw) + header.packed + header.tail
                )
                found = self._too_much(place) or self._found_member(header, place.index)
                if found is not None:
                    yield self._entry(place, found)
            elif head[:4] in _AFTER_MEMBERS:
                return
            else:
                place, found = self._pass_over(place)
                yield self._entry(place, found)

    def _measure(self, header: _Header, place: _Place) -> tuple[_Header | None, _Place]:
        """Finds the end of a member whose header was written before it was packed.

        What follows the member tells its size, and is believed where that is how far it is.
        """
        start = header.at + len(header.raw)
        begin = start + place.searched
        for at, around in self._signs(begin, begin + _BEAT):
            told = _descriptor(around, at - start)
            if told is not None:
                return header._replace(**told._asdict()), place
        if begin + _BEAT < self._content.size:
            return None, replace(place, searched=place.searched + _BEAT)
        rest = self._content.size - start
        size = rest if header.method == STORED else most(rest)
        return header._replace(crc=None, packed=rest, size=size), place

    def _pass_over(self, place: _Place) -> tuple[_Place, Bad | None]:
        """Goes to the next local header, a stretch at a time."""
        begin = place.at + place.searched
        for at, around in self._signs(begin, begin + _BEAT):
            if around[_AROUND : _AROUND + 4] == _LOCAL_SIGN and at > place.at:
                return replace(place, at=at, searched=0), self._gap(place.at, at)
        if begin + _BEAT < self._content.size:
            return replace(place, searched=place.searched + _BEAT), None
        end = self._content.size
        return replace(place, at=end, searched=0), self._gap(place.at, end)

    def _gap(self, start: int, end: int) -> Bad:
        data = self._content.read(start, min(SHOWN, end - start))
        reason = "there is no member here that can be read; download the archive again"
        return Bad(f"the archive, at byte {start}", reason, data, end - start)

    def _signs(self, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Places from `begin` on where a header may begin, with `_AROUND` bytes on both sides."""
        while begin < min(end, self._content.size):
            first = max(0, begin - _AROUND)
            block = self._content.read(first, _BLOCK + 2 * _AROUND)
            stop = min(begin + _BLOCK, end) - first
            found = block.find(b"PK", begin - first, stop + 1)
            while found >= 0:
                around = block[max(0, found - _AROUND) : found + _AROUND]
                yield first + found, around.rjust(len(around) + max(0, _AROUND - found), b"\0")
                found = block.find(b"PK", found + 1, stop + 1)
            begin += _BLOCK


class _Told(NamedTuple):
    """What follows a member. tail: its length."""

    crc: int
    packed: int
    size: int
    tail: int


def _descriptor(around: bytes, distance: int) -> _Told | None:
    """What is told of a member by what lies `distance` after its beginning, if anything is.

    around: `_AROUND` bytes on both sides. The sign before it may be missing (APPNOTE 4.3.9.3).
    """
    sign, after = around[_AROUND : _AROUND + 4], around[_AROUND + 4 :]
    found = []
    if sign == _DESCRIPTOR_SIGN:
        if len(after) >= 20 and after[20:22] in (b"PK", b""):
            found.append((_told(_SIZES64, after, 0, 24), distance))
        if len(after) >= 12:
            found.append((_told(_SIZES, after, 0, 16), distance))
    elif sign in (_LOCAL_SIGN, *_AFTER_MEMBERS):
        for sizes in (_SIZES64, _SIZES):
            told = _told(sizes, around, _AROUND - sizes.size, sizes.size)
            found.append((told, distance - sizes.size))
    return next((told for told, packed in found if told.packed == packed), None)


def _told(sizes: Layout, data: bytes, at: int, tail: int) -> _Told:
    crc, packed, size = sizes.unpack_from(data, at)
    return _Told(crc, packed, size, tail)


def _measured(header: _Header) -> bool:
    return not header.flags & _DESCRIPTOR or bool(header.packed)


def _central(data: bytes, start: int) -> _Header | None:
    """The header that begins there."""
    if len(data) < start + _CENTRAL.size:
        return None
    fields = _CENTRAL.unpack_from(data, start)
    sign, made_by, _, flags, method, time, date, crc, packed, size = fields[:10]
    name, extra, comment, disk, _, mode, at = fields[10:]
    end = start + _CENTRAL.size + name + extra + comment
    if sign != _CENTRAL_SIGN or len(data) < end:
        return None
    raw = data[start:end]
    extras = raw[_CENTRAL.size + name :][:extra]
    told = iter(_sizes64(extras))
    # In this order, and only those for which there was no room (APPNOTE 4.5.3).
    size = next(told, size) if size == _FULL else size
    packed = next(told, packed) if packed == _FULL else packed
    at = next(told, at) if at == _FULL else at
    return _Header(
        raw=raw,
        name=raw[_CENTRAL.size :][:name],
        extra=extras,
        flags=flags,
        method=method,
        when=date << 16 | time,
        crc=crc,
        packed=packed,
        size=size,
        at=at,
        system=made_by >> 8,
        mode=mode >> 16,
        disk=disk if disk != 0xFFFF else 0,
    )


def _local(data: bytes, at: int) -> _Header | None:
    if len(data) < _LOCAL.size:
        return None
    sign, _, flags, method, time, date, crc, packed, size, name, extra = _LOCAL.unpack_from(data)
    length = _LOCAL.size + name + extra
    if sign != _LOCAL_SIGN or len(data) < length:
        return None
    extras = data[_LOCAL.size + name :][:extra]
    if _FULL in (packed, size):
        size, packed = (*_sizes64(extras), size, packed)[:2]
    return _Header(
        raw=data[:length],
        name=data[_LOCAL.size :][:name],
        extra=extras,
        flags=flags,
        method=method,
        when=date << 16 | time,
        crc=crc,
        packed=packed,
        size=size,
        at=at,
    )


def _extras(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        kind, size = unpack_from("<2H", data)
        yield kind, data[4 : 4 + size]
        data = data[4 + size :]


def _sizes64(extras: bytes) -> list[int]:
    for kind, data in _extras(extras):
        if kind == 1:
            return [unpack_from("<Q", data, at)[0] for at in range(0, min(24, len(data) & ~7), 8)]
    return []


def _name(header: _Header) -> str:
    for kind, data in _extras(header.extra):
        # Info-ZIP's path in UTF-8, with a checksum of the one that it is for.
        if kind == 0x7075 and data[:5] == b"\x01" + zlib.crc32(header.name).to_bytes(4, "little"):
            return text_of(data[5:])
    return text_of(header.name)


def _times(header: _Header) -> tuple[datetime | None, datetime | None]:
    """When the file was modified, and what the clock showed."""
    instant = None
    for kind, data in _extras(header.extra):
        if kind == 0x5455 and len(data) >= 5 and data[0] & 1:
            instant = _EPOCH + timedelta(seconds=unpack_from("<i", data, 1)[0])
        elif kind == 0x000A and data[4:8] == b"\x01\x00\x18\x00" and len(data) >= 16:
            ticks = unpack_from("<Q", data, 8)[0]
            if ticks < _LAST_TICK:
                instant = instant or _EPOCH_OF_TICKS + timedelta(microseconds=ticks // 10)
    when = header.when
    year, month, day = 1980 + (when >> 25), when >> 21 & 15, when >> 16 & 31
    try:
        clock = datetime(year, month, day, when >> 11 & 31, when >> 5 & 63, 2 * (when & 31))  # noqa: DTZ001 - it has none
    except ValueError:
        return instant, None
    return instant, clock


def _refusal(header: _Header, type: int) -> str | None:
    """Why a member cannot be read, whatever it is called."""
    if type == _LINK:
        return "it is a symbolic link, which is not followed"
    if type not in (0, _REGULAR):
        return "it is not a file"
    if header.flags & (_ENCRYPTED | _HIDDEN):
        return f"it is encrypted; {_REPACK}"
    if header.method not in (STORED, DEFLATED):
        other = _OTHERS.get(header.method, f"method {header.method}")
        return f"it is packed with {other}, which is not read here; {_REPACK}"
    if header.disk:
        return "it lies in another part of the archive; join the parts with `zip -s 0`"
    if header.method == STORED and header.packed != header.size:
        return f"it is stored, and yet its two sizes differ; {_REPACK}"
    return bomb(header.packed) if header.size > most(header.packed) else None


def _found_directory(content: Content) -> _Directory | _NoDirectory:
    start = max(0, content.size - _LONGEST_END)
    tail = content.read(start, _LONGEST_END)
    found = tail.rfind(_END_SIGN)
    while found >= 0:
        if len(tail) - found >= _END.size:
            _, disk, first, here, count, size, at, comment = _END.unpack_from(tail, found)
            if found + _END.size + comment <= len(tail):
                return _told_directory(content, start + found, disk, first, here, count, size, at)
        found = tail.rfind(_END_SIGN, 0, found)
    return _NoDirectory(
        "it is cut off: its directory, which is at its end, is missing; what is there is read, "
        "download it again for the rest"
    )


def _told_directory(
    content: Content, end: int, disk: int, first: int, here: int, count: int, size: int, at: int
) -> _Directory | _NoDirectory:
    """The directory that ends where its end record is, which says the rest."""
    if disk not in (0, 0xFFFF) or first not in (0, 0xFFFF) or here != count:
        return _NoDirectory(
            "it is one part of several that are one archive; join them with "
            "`zip -s 0 ARCHIVE.zip --out WHOLE.zip` and import that",
            walk=False,
        )
    if count == 0xFFFF or _FULL in (size, at):
        far = _end64(content, end)
        if far is not None:
            end, size, at = far
    # Where something was put before the archive, all places are larger than told.
    for begin in (end - size, at):
        told = content.read(begin, 4) if 0 <= begin < content.size else b""
        nothing = not size and begin == end and content.read(0, 4) != _LOCAL_SIGN
        if told == _CENTRAL_SIGN or nothing:
            return _Directory(begin, begin + size, begin - at)
    return _NoDirectory(
        "its directory is damaged; its members are looked for; download it again if one is missing"
    )


def _end64(content: Content, end: int) -> tuple[int, int, int] | None:
    """Of the zip64 record before the end record: where it is, the directory's size and place."""
    locator = content.read(max(0, end - _LOCATOR.size), _LOCATOR.size)
    if len(locator) < _LOCATOR.size or locator[:4] != _LOCATOR_SIGN:
        return None
    told = _LOCATOR.unpack(locator)[2]
    for at in (told, end - _LOCATOR.size - _END64.size):
        record = content.read(at, _END64.size) if 0 <= at < end else b""
        if len(record) == _END64.size and record[:4] == _END64_SIGN:
            size, start = _END64.unpack(record)[-2:]
            return at, size, start
    return None
