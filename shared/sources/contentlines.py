"""The content lines that vCards and iCalendar share (RFC 2425, 5545, 6350; vCard 2.1 before them).

The grammar is icalendar's, which is kept up and reads both. Its components and values are not used:
a zone in a calendar may be made to recur each second, and it keeps zones for all that is read later
under names that any calendar may choose, so that what one says would depend on what came before.

Nothing here raises for any bytes. Time grows with the size alone: only the beginning of a line,
where name and parameters are, is read character by character.
"""

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from shared.sources.mime import text_of

if TYPE_CHECKING:
    from icalendar.parser import Contentline

MOST_LINES = 20_000
"""Lines of one object that are read; what follows stays in its raw bytes alone."""
VALUE_LIMIT = 64 * 1024
"""Bytes of a text that are read."""

_HEAD = 4 * 1024
_MOST_PARAMETERS = 20
_PARAMETER = 500
_DEEPEST = 10

_SOFT_BREAK = re.compile(r"^[^:]*;(?:ENCODING=)?QUOTED-PRINTABLE[;:]", re.IGNORECASE)
_ENCODINGS = frozenset({"quoted-printable", "base64", "8bit", "7bit", "b", "q"})
_TOKEN = re.compile(r"[a-z0-9-]{1,100}")


class Line(NamedTuple):
    """One property. name, and those of parameters: in lower case. group: what binds it to others
    (`item1`). value: as it stands there, escapes included."""

    name: str
    value: str
    parameters: Mapping[str, Sequence[str]] = {}
    group: str = ""

    def parameter(self, name: str) -> str:
        """The first value of a parameter; empty if there is none."""
        return next(iter(self.parameters.get(name, ())), "")

    @property
    def encoding(self) -> str:
        return self.parameter("encoding").lower()

    def data(self) -> bytes:
        """The value's bytes as they came, in whatever charset."""
        return _bytes(self.value)

    def text(self) -> str:
        """The value decoded, escapes still in it."""
        data = self.data()[:VALUE_LIMIT]
        if self.encoding in ("quoted-printable", "q"):
            data = binascii.a2b_qp(data)
        return text_of(data, self.parameter("charset") or None, VALUE_LIMIT)

    def plain(self) -> str:
        """As a person reads it."""
        from icalendar.parser import unescape_backslash

        plain: str = unescape_backslash(self.text())
        return plain.strip()

    def fields(self) -> list[str]:
        """Of a structured value (`;`), each as a person reads it."""
        from icalendar.parser import split_on_unescaped_semicolon

        return [field.strip() for field in split_on_unescaped_semicolon(self.text())]

    def items(self) -> list[str]:
        """Of a list (`,`), each as a person reads it, without empty ones."""
        from icalendar.parser import split_on_unescaped_comma

        items = (item.strip() for item in split_on_unescaped_comma(self.text()))
        return list(filter(None, items))


class Component(NamedTuple):
    """What stands between BEGIN and END: its own lines, and the components in it.

    name: in lower case. cut: it has more lines, or deeper components, than are read.
    """

    name: str
    lines: list[Line]
    components: "list[Component]"
    cut: bool = False


def components(data: bytes) -> Iterator[Component]:
    """The outermost components. One that does not end, ends with the bytes; what stands outside of
    any is passed over."""
    begun = _Begun()
    for number, line in enumerate(lines(data)):
        if number == MOST_LINES:
            yield from (one._replace(cut=True) for one in begun.stack[:1])
            return
        ended = begun.take(line)
        if ended is not None:
            yield ended
    yield from begun.stack[:1]


class _Begun:
    """The components that have begun and not ended, outermost first."""

    def __init__(self) -> None:
        self.stack: list[Component] = []
        self._too_deep = 0

    def take(self, line: Line) -> Component | None:
        """The outermost component, if the line ends it."""
        if line.name == "begin":
            self._begin(line.value.strip().lower())
        elif line.name == "end" and self._too_deep:
            self._too_deep -= 1
        elif line.name == "end" and self.stack:
            ended = self.stack.pop()
            return None if self.stack else ended
        elif self.stack and not self._too_deep:
            self.stack[-1].lines.append(line)
        return None

    def _begin(self, name: str) -> None:
        if len(self.stack) == _DEEPEST:
            self._too_deep += 1
            return
        component = Component(name, [], [])
        if self.stack:
            self.stack[-1].components.append(component)
        self.stack.append(component)


def lines(data: bytes) -> Iterator[Line]:
    """All lines that can be read; others are passed over."""
    from icalendar.parser import Contentlines

    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    # Some line ends of old Macs, and none of a form that would end lines for the parser alone.
    unfolded = Contentlines.from_ical(  # type: ignore[no-untyped-call]
        text.replace("\r\n", "\n").replace("\r", "\n")
    )
    for line in _joined(unfolded):
        found = _line(line)
        if found is not None:
            yield found


def _joined(unfolded: "Sequence[Contentline]") -> "Iterator[str]":
    """With the soft line breaks of quoted-printable undone, which vCard 2.1 uses for folding."""
    held: list[str] = []
    for line in unfolded:
        if held:
            held.append(line)
        elif _SOFT_BREAK.match(line[:_HEAD]):
            held = [str(line)]
        else:
            yield line
            continue
        if not line.endswith("="):
            yield "\n".join(held).replace("=\n", "")
            held = []
    if held:
        yield "\n".join(held).replace("=\n", "")


def _line(line: str) -> Line | None:
    from icalendar.parser import Contentline, q_split

    head = line[:_HEAD]
    colon = Contentline(head).value_separator_index()  # type: ignore[no-untyped-call]
    if colon < 1:
        return None
    name, *stated = q_split(head[:colon], ";")
    group, _, name = name.strip().lower().rpartition(".")
    if not _TOKEN.fullmatch(name) or (group and not _TOKEN.fullmatch(group)):
        return None
    parameters: dict[str, list[str]] = {}
    for key, values in map(_parameter, stated[:_MOST_PARAMETERS]):
        if _TOKEN.fullmatch(key):
            parameters.setdefault(key, []).extend(values)
    return Line(name, line[colon + 1 :], parameters, group)


def _parameter(stated: str) -> tuple[str, list[str]]:
    """Its name and values. One may come several times, as Apple's cards have `type`, and vCard 2.1
    has those that are a value alone (`TEL;HOME;VOICE:`): icalendar's own reading loses both."""
    from icalendar.parser import q_split, rfc_6868_unescape

    name, equals, text = stated.partition("=")
    if not equals:
        name, text = "encoding" if stated.strip().lower() in _ENCODINGS else "type", stated
    values = [
        text_of(_bytes(rfc_6868_unescape(value.strip().strip('"'))), None, _PARAMETER)
        for value in q_split(text, ",")[:_MOST_PARAMETERS]
    ]
    return name.strip().lower(), list(filter(None, values))


def _bytes(text: str) -> bytes:
    """Of what was decoded without a look at its charset."""
    return text.encode("utf-8", "surrogateescape")
