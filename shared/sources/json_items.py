"""JSON of any size, item by item: elements of the lists that a format keeps its things in.

An export is one JSON text of up to gigabytes: `{"locations": [...]}`. It is read in windows. Where
a window may be cut is learned from the text: neighbouring items are mostly held apart by the same
bytes. A cut at a wrong place cannot decode, because what stands before a comma is a whole list
only if that comma parts two elements; so a cut that decodes is right, and after one that does not
the brackets are counted. In a damaged text the same bytes tell where the next item begins, so that
a broken one costs no other.

What is not in one of the lists comes as one value with its path. Members may stand in any order.
Memory is bounded by the window and `ITEM_LIMIT`, whatever the text.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import EllipsisType
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from shared.model.records import AnyRecord
from shared.model.steps import STEP_RECORDS, Bad, Content, Step
from shared.sources.push import BYTE_ORDER_MARK, Fault, Path, parse_json

WINDOW = 256 * 1024
"""Bytes that are decoded at once. Larger ones are no faster and cost more where one item is odd."""
ITEM_LIMIT = 1024 * 1024
"""Bytes of the largest item that is read; decoded it may take thirty times as much."""
MOST_BAD = 100
"""Bad items of a window that are told one by one; the rest of them become one `Bad`."""

_KEPT = 64 * 1024
_NAME_LIMIT = 1024
_LONGEST_REASON = 200
_CUTS = 3
_RESYNCS = 16
_SEPARATOR_LIMIT = 256

Pattern = tuple[str | EllipsisType, ...]
"""The path of a list of items; `...` stands for any index: `("chats", "list", ..., "messages")`."""
Lists = Mapping[Pattern, "msgspec.json.Decoder[list[Any]]"]
"""The lists whose elements are the items, each with a decoder for any number of its elements."""


class Run(NamedTuple):
    """Neighbouring elements of one list, or (`first` is None) one other value.

    values: as the list's decoder made them; None for one that it could not read, which may be
    another shape than usual or broken: `text(n)` has its bytes. bad: what is no item at all.
    """

    path: Path
    first: int | None
    values: Sequence[Any]
    data: bytes
    slices: Sequence[bytes] | None
    bad: Sequence[Bad] = ()

    def where(self, n: int) -> str:
        path = self.path if self.first is None else (*self.path, self.first + n)
        return _where(path)

    def texts(self) -> Sequence[bytes]:
        if self.slices is not None:
            return self.slices
        return [bytes(item) for item in _raw_list.decode(self.data)]


class Found(NamedTuple):
    """What a run holds for the store."""

    records: list[AnyRecord]
    bad: list[Bad]
    raws: dict[str, bytes]


def steps(
    content: Content, cursor: str | None, lists: Lists, convert: Callable[[Run], Found]
) -> Iterator[Step]:
    """Reads a text from the cursor on, each run through `convert`.

    A run is a function of the text and of where it begins, so reading on from any cursor gives the
    same as reading without stopping.
    """
    place = _place.decode(cursor.encode()) if cursor is not None else _Place()
    window = _Window(content)
    while not place.ended:
        run, following = _advance(window, replace(place, given=0), lists)
        yield from _steps_of(convert(run), run, place, following)
        place = following


def read_each(run: Run, read: Callable[[Any, str, Found], None]) -> Found:
    """The records of a run whose values are read one by one: a bad one costs no other.

    read: adds to `Found` what a value at a place says; `ValueError` where it cannot be read.
    """
    found = Found([], [], {})
    texts: Sequence[bytes] | None = None
    for n, value in enumerate(run.values):
        try:
            if value is None:
                texts = texts or run.texts()
                value = parse_json(texts[n])
            read(value, run.where(n), found)
        except (ValueError, RecursionError) as error:
            texts = texts or run.texts()
            found.bad.append(bad_item(run.where(n), str(error), texts[n]))
    return found


def not_known(run: Run) -> Found:
    """For what stands in a text beside the lists of its format."""
    reason = "no part of this format that is known; it is kept as it came"
    bad = [bad_item(run.where(n), reason, text) for n, text in enumerate(run.texts())]
    return Found([], bad, {})


def bad_item(where: str, reason: str, data: bytes) -> Bad:
    return Bad(where, reason[:_LONGEST_REASON], data, len(data))


class Outline(NamedTuple):
    """The names of members in the beginning of a text.

    is_list: whether the text is a list. members: the object's own, each with those below it as far
    as they can be seen; of a list, those in its elements under the name "".
    """

    is_list: bool
    members: dict[str, set[str]]


def outline(head: bytes) -> Outline | None:
    """What the first bytes show; None if they begin no JSON object or list."""
    begin = _BEGIN.match(head)
    if begin is None:
        return None
    is_list = begin[1] == b"["
    members: dict[str, set[str]] = {}
    top, depth = "", 0
    for token in _TOKEN.finditer(head, begin.start(1)):
        char = head[token.start()]
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif char == _QUOTE and _COLON.match(head, token.end()):
            name = token.group()[1:-1].decode("utf-8", "replace")
            if depth == 1 and not is_list:
                top = name
                members.setdefault(top, set())
            else:
                members.setdefault(top, set()).add(name)
        if depth <= 0:
            break
    return Outline(is_list, members)


class _Skipped(Struct, frozen=True, array_like=True):
    """A value too large to hold: where it began, and where in it reading is."""

    start: int
    depth: int
    in_string: bool


class _Place(Struct, frozen=True, omit_defaults=True):
    """Where reading goes on: what a cursor says.

    at: bytes from the beginning. kinds: the containers that it is in, outermost first, as `{` and
    `[`. path: for each of them the member's name, or the index of the next element. separator: what
    parts the elements of this list, as Latin-1. given: how many of the next run's records and bad
    items were already given.
    """

    at: int = 0
    kinds: str = ""
    path: tuple[str | int, ...] = ()
    separator: str = ""
    skipped: _Skipped | None = None
    given: int = 0
    closed: bool = False
    ended: bool = False


class _Scan(NamedTuple):
    """end: where the value ends, if it does; else where to go on, and how deep that is."""

    end: int | None
    at: int
    depth: int
    in_string: bool


_place = msgspec.json.Decoder(_Place)
_raw_list = msgspec.json.Decoder(list[Raw])
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+'
_TOKEN = re.compile(_STRING + rb'("?)|[\[\]{},]', re.DOTALL)
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+("?)', re.DOTALL)
_NAME = re.compile(rb"(" + _STRING + rb'")[ \t\r\n]*+:', re.DOTALL)
_FIRST_NAME = re.compile(rb'\{[ \t\r\n]{0,50}+"[^"\\]{0,100}"')
_BEFORE_NEXT = re.compile(rb",[ \t\r\n]*+\Z")
_NEXT = re.compile(rb'\}[ \t\r\n]*+(,[ \t\r\n]{0,200}+\{[ \t\r\n]{0,50}+"[^"\\]{0,100}")')
_BEGIN = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+([\[{])")
_COLON = re.compile(rb"[ \t\r\n]*+:")
_SPACE = re.compile(rb"[ \t\r\n]*+")
# More commas than there should be cost nothing: what they part is there.
_GAP = re.compile(rb"[ \t\r\n,]*+")
_CLOSERS = {"{": b"}", "[": b"]"}
_OPEN, _CLOSE, _QUOTE, _COMMA = b"[{", b"]}", ord('"'), ord(",")


class _Window:
    """Content of which the last piece read is remembered: small things stand side by side."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.size = content.size
        self._start = 0
        self._piece = b""

    def read(self, start: int, size: int) -> bytes:
        offset = start - self._start
        end = min(start + size, self.size)
        if offset < 0 or end > self._start + len(self._piece):
            self._start, offset = start, 0
            self._piece = self._content.read(start, max(size, WINDOW))
        return self._piece[offset : offset + size]


def _steps_of(found: Found, run: Run, place: _Place, following: _Place) -> Iterator[Step]:
    bad = _told([*run.bad, *found.bad])
    total = len(bad) + len(found.records)
    start, stop = place.given, 0
    while stop < total or not stop:
        stop = start + STEP_RECORDS
        after = following if stop >= total else replace(place, given=stop)
        yield Step(
            cursor=msgspec.json.encode(after).decode(),
            done=after.at,
            records=found.records[max(0, start - len(bad)) : max(0, stop - len(bad))],
            raws=found.raws if start == 0 else {},
            bad=bad[start:stop],
        )
        start = stop


def _told(bad: list[Bad]) -> list[Bad]:
    """Many bad items of one window as few."""
    if len(bad) <= MOST_BAD:
        return bad
    rest = bad[MOST_BAD - 1 :]
    first, last = rest[0], rest[-1]
    together = Bad(
        f"{first.where} to {last.where}",
        f"{len(rest)} items, of which the first: {first.reason}",
        b",".join(item.data for item in rest),
        sum(item.size for item in rest),
    )
    return [*bad[: MOST_BAD - 1], together]


def _advance(window: _Window, place: _Place, lists: Lists) -> tuple[Run, _Place]:
    """The run that begins at a place, and the place after it."""
    if place.skipped is not None:
        return _skip(window, place, place.skipped)
    text = window.read(place.at, WINDOW)
    gap = len(BYTE_ORDER_MARK) if place.at == 0 and text.startswith(BYTE_ORDER_MARK) else 0
    gap = _end(_GAP if place.kinds else _SPACE, text, gap)
    if gap == len(text):
        if place.at + gap < window.size:
            return _nothing(place), replace(place, at=place.at + gap)
        return _end_of_text(place, window.size)
    if place.closed:
        return _lost(window, place, place.at + gap, "the text has ended before this")
    decoder = _decoder(lists, place.path[:-1]) if place.kinds.endswith("[") else None
    if decoder is not None:
        return _elements(window, place, text, gap, decoder)
    return _value(window, place, text, gap, lists)


def _end(pattern: re.Pattern[bytes], text: bytes, start: int) -> int:
    """Where a pattern that matches nothing too ends."""
    found = pattern.match(text, start)
    return found.end() if found else start


def _nothing(place: _Place, *bad: Bad) -> Run:
    return Run(place.path, None, (), b"", (), bad)


def _end_of_text(place: _Place, size: int) -> tuple[Run, _Place]:
    ended = replace(place, at=size, ended=True)
    if place.closed:
        return _nothing(place), ended
    reason = (
        "the file ends here, before its end: it was cut; copy it again"
        if place.kinds
        else ("there is nothing in the file")
    )
    return _nothing(place, Bad(_where(place.path), reason, b"", 0)), ended


def _lost(window: _Window, place: _Place, at: int, reason: str) -> tuple[Run, _Place]:
    bad = Bad(_where(place.path), reason, window.read(at, _KEPT), window.size - at)
    return _nothing(place, bad), replace(place, at=window.size, ended=True)


def _value(
    window: _Window, place: _Place, text: bytes, start: int, lists: Lists
) -> tuple[Run, _Place]:
    """A value that is not in a list of items: enters what leads to one, else gives it whole."""
    at = place.at + start
    if text[start : start + 1] == _closer(place):
        return _nothing(place), _left(place, at + 1)
    if place.kinds.endswith("{"):
        name = _name(text, start)
        if name is None:
            if start:
                return _nothing(place), replace(place, at=at)
            return _lost(window, place, at, "no member of an object begins here; the rest is lost")
        place = replace(place, path=(*place.path[:-1], name[0]))
        at = place.at + name[1]
        text = window.read(at, WINDOW)
        start = _end(_SPACE, text, 0)
        at += start
    kind = text[start : start + 1].decode("latin-1")
    if kind and kind in "{[" and _leads(lists, place.path, kind):
        inside = (*place.path, "" if kind == "{" else 0)
        return _nothing(place), replace(place, at=at + 1, kinds=place.kinds + kind, path=inside)
    return _single(window, place, at, None)


def _name(text: bytes, start: int) -> tuple[str, int] | None:
    found = _NAME.match(text, start, start + _NAME_LIMIT)
    if found is None:
        return None
    try:
        return msgspec.json.decode(found[1], type=str), found.end()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return found[1][1:-1].decode("utf-8", "replace"), found.end()


def _closer(place: _Place) -> bytes:
    """What ends the innermost container."""
    return _CLOSERS.get(place.kinds[-1:], b"")


def _left(place: _Place, at: int) -> _Place:
    """The place after the end of the innermost container."""
    outside = replace(
        place, at=at, kinds=place.kinds[:-1], path=place.path[:-1], separator="", closed=False
    )
    return _passed(outside, at)


def _passed(place: _Place, at: int, count: int = 1) -> _Place:
    """The place after so many values of the innermost container."""
    if not place.kinds:
        return replace(place, at=at, skipped=None, closed=True)
    path = place.path
    if place.kinds[-1] == "[":
        path = (*path[:-1], int(path[-1]) + count)
    return replace(place, at=at, path=path, skipped=None)


def _leads(lists: Lists, path: Path, kind: str) -> bool:
    """Whether a container at a path is a list of items or holds one, at any depth."""
    for pattern in lists:
        if not _matches(pattern[: len(path)], path):
            continue
        below = pattern[len(path) : len(path) + 1]
        if below == () or below == (...,):
            if kind == "[":
                return True
        elif kind == "{":
            return True
    return False


def _decoder(lists: Lists, path: Path) -> "msgspec.json.Decoder[list[Any]] | None":
    for pattern, decoder in lists.items():
        if _matches(pattern, path):
            return decoder
    return None


def _matches(pattern: Pattern, path: Path) -> bool:
    return len(pattern) == len(path) and all(
        isinstance(step, int) if wanted is ... else step == wanted
        for wanted, step in zip(pattern, path, strict=True)
    )


def _where(path: Path) -> str:
    return Fault("", path).where or "the file"


def _elements(
    window: _Window,
    place: _Place,
    text: bytes,
    start: int,
    decoder: "msgspec.json.Decoder[list[Any]]",
) -> tuple[Run, _Place]:
    """As many elements of a list of items as stand whole in the window."""
    separator = place.separator.encode("latin-1")
    if not separator or separator not in text:
        separator = _learned(text, start) or separator
        place = replace(place, separator=separator.decode("latin-1"))
    found = _cut(place, text, start, separator, decoder) if separator else None
    return found or _counted(window, place, text, start, separator, decoder)


def _learned(text: bytes, start: int) -> bytes:
    """What parts this element from the next: a comma, and the first name in the next.

    Only a guess, which decoding proves.
    """
    beginning = _FIRST_NAME.match(text, start)
    name = beginning.group() if beginning else b"{"
    at = start
    for _ in range(_CUTS if beginning else 0):
        at = text.find(name, at + 1)
        if at < 0:
            break
        before = _BEFORE_NEXT.search(text, max(start, at - _SEPARATOR_LIMIT), at)
        if before is not None:
            return text[before.start() : at + len(name)]
    after = _NEXT.search(text, start)
    return after[1] if after else b""


def _cut(
    place: _Place,
    text: bytes,
    start: int,
    separator: bytes,
    decoder: "msgspec.json.Decoder[list[Any]]",
) -> tuple[Run, _Place] | None:
    """The elements before the last separator, or one of the last, that proves to be one."""
    end = len(text)
    for _ in range(_CUTS):
        comma = text.rfind(separator, start, end)
        if comma < 0:
            return None
        data = b"[%b]" % text[start:comma]
        values = _decoded(data, decoder)
        if values is not None:
            run = Run(place.path[:-1], int(place.path[-1]), values, data, None)
            return run, _passed(place, place.at + comma, len(values))
        end = comma
    return None


def _decoded(data: bytes, decoder: "msgspec.json.Decoder[list[Any]]") -> Sequence[Any] | None:
    """The values of a list, None for each that is odd; None as a whole if it is no JSON."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        items = _raw_list.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    return [_only(bytes(item), decoder) for item in items]


def _only(item: bytes, decoder: "msgspec.json.Decoder[list[Any]]") -> Any:
    try:
        values = decoder.decode(b"[%b]" % item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return values[0] if len(values) == 1 else None


def _counted(
    window: _Window,
    place: _Place,
    text: bytes,
    start: int,
    separator: bytes,
    decoder: "msgspec.json.Decoder[list[Any]]",
) -> tuple[Run, _Place]:
    """The same by counting brackets, whatever the text."""
    slices, end = _slices(text, start, separator, place.kinds)
    if not slices:
        at = place.at + end
        if text[end : end + 1] == b"]":
            return _nothing(place), _left(place, at + 1)
        return _single(window, place, at, decoder)
    data = b"[%b]" % b",".join(slices)
    try:
        values: Sequence[Any] = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        values = ()
    if len(values) != len(slices):
        values = [_only(item, decoder) for item in slices]
    run = Run(place.path[:-1], int(place.path[-1]), values, data, slices)
    return run, _passed(place, place.at + end, len(slices))


def _slices(text: bytes, start: int, separator: bytes, kinds: str) -> tuple[list[bytes], int]:
    """The elements that end in the text, and where the first that does not begins (or what ends
    the list, or the end of the text)."""
    slices: list[bytes] = []
    damaged = False
    while True:
        start = _end(_GAP, text, start)
        if start == len(text) or (
            text[start] == ord("]") and not _goes_on(text, start, separator, kinds)
        ):
            return slices, start
        limit = _after_separators(text, start, separator) if damaged else len(text)
        end = _scan(text[:limit] if damaged else text, start, kinds, separator).end
        inner = _separated(text, start, separator)
        if inner is not None and _hides(text, start, end, inner, limit):
            end = inner
            damaged = True
        if end is None:
            return slices, start
        slices.append(text[start:end].rstrip())
        start = end


def _hides(text: bytes, start: int, end: int | None, inner: int, limit: int) -> bool:
    """Whether what seems to be one element is a broken one and others behind it."""
    if end is None:
        return limit < len(text) or _is_malformed(text[start:])
    return inner < end and _is_broken(text[start:end])


def _separated(text: bytes, start: int, separator: bytes) -> int | None:
    """Where the next separator is."""
    found = text.find(separator, start) if separator else -1
    return None if found < 0 else found


def _after_separators(text: bytes, start: int, separator: bytes) -> int:
    """Where at the latest an element of a damaged text ends: counting on for each broken one would
    take a time that grows with their square."""
    for _ in range(_RESYNCS):
        found = text.find(separator, start)
        if found < 0:
            return len(text)
        start = found + len(separator)
    return start


def _is_broken(item: bytes) -> bool:
    try:
        parse_json(item)
    except ValueError:
        return True
    return False


def _goes_on(text: bytes, bracket: int, separator: bytes, kinds: str) -> bool:
    """Whether another element follows what seems to be the end of the list, where in no JSON text
    one could."""
    if not separator:
        return False
    at = bracket
    while kinds and text[at : at + 1] == _CLOSERS[kinds[-1]]:
        kinds = kinds[:-1]
        at = _end(_SPACE, text, at + 1)
    return not kinds.endswith("[") and text.startswith(separator, at)


def _scan(
    text: bytes,
    start: int,
    kinds: str,
    separator: bytes,
    depth: int = 0,
    in_string: bool = False,
) -> _Scan:
    """Finds the end of a value: a comma or the closer of its container on the value's own level."""
    if in_string:
        rest = _REST_OF_STRING.match(text, start)
        if rest is None or not rest[1]:
            return _Scan(None, rest.end() if rest else start, depth, True)
        start = rest.end()
    closer = _CLOSERS[kinds[-1]][0] if kinds else None
    for token in _TOKEN.finditer(text, start):
        at = token.start()
        char = text[at]
        if char in _OPEN:
            depth += 1
        elif char == _QUOTE:
            if not token[1]:
                return _Scan(None, token.end(), depth, True)
        elif depth:
            depth -= char != _COMMA
        elif char == _COMMA or (char == closer and not _goes_on(text, at, separator, kinds)):
            return _Scan(at, at, 0, False)
    return _Scan(None, len(text), depth, False)


def _single(
    window: _Window, place: _Place, at: int, decoder: "msgspec.json.Decoder[list[Any]] | None"
) -> tuple[Run, _Place]:
    """One value by counting brackets: an item if there is a decoder for it, or another value."""
    path = place.path if decoder is None else place.path[:-1]
    first = None if decoder is None else int(place.path[-1])
    separator = place.separator.encode("latin-1")
    scan = _Scan(None, 0, 0, False)
    for size in (WINDOW, ITEM_LIMIT):
        text = window.read(at, size)
        if decoder is not None and not separator:
            separator = _learned(text, 0)
        is_rest = at + len(text) >= window.size
        scan = _scan(text, 0, place.kinds, separator)
        end = scan.end
        if end is None and is_rest and not place.kinds and not scan.depth and not scan.in_string:
            end = len(text)
        if end is None and separator and _is_malformed(text):
            end = _separated(text, 0, separator)
        if end is not None:
            item = text[:end].rstrip()
            value = _only(item, decoder) if decoder is not None else None
            run = Run(path, first, (value,), b"", (item,))
            return run, _passed(place, at + end)
        if is_rest:
            return _lost(window, place, at, "the file ends inside of it: it was cut; copy it again")
    skipped = _Skipped(at, scan.depth, scan.in_string)
    return _nothing(place), replace(place, at=at + scan.at, skipped=skipped)


def _is_malformed(text: bytes) -> bool:
    """Whether it is the beginning of no JSON value at all, however it may go on."""
    try:
        # A number may have been cut where it is none yet.
        _raw_list.decode(b"[" + text.rstrip(b"0123456789+-.eE"))
    except msgspec.DecodeError as error:
        return "truncated" not in str(error)
    except RecursionError:
        return False
    return True


def _skip(window: _Window, place: _Place, skipped: _Skipped) -> tuple[Run, _Place]:
    """A window further in a value that is too large to hold."""
    text = window.read(place.at, WINDOW)
    scan = _scan(text, 0, place.kinds, b"", skipped.depth, skipped.in_string)
    is_rest = place.at + len(text) >= window.size
    if scan.end is None and not is_rest:
        further = _Skipped(skipped.start, scan.depth, scan.in_string)
        return _nothing(place), replace(place, at=place.at + scan.at, skipped=further)
    end = len(text) if scan.end is None else scan.end
    size = place.at + end - skipped.start
    reason = f"it is {size} bytes large, and {ITEM_LIMIT} are read at once"
    bad = Bad(_where(place.path), reason, window.read(skipped.start, _KEPT), size)
    following = _passed(place, place.at + end)
    return _nothing(place, bad), replace(following, ended=scan.end is None)
