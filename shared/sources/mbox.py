"""Mailboxes of one file (mbox), as Google Takeout, Thunderbird, mutt and many others write them.

Each mail follows a line that begins with `From `. No two programs agree on more (RFC 4155 lists
the kinds): some put `>` before lines of the text that begin so (and before those with `>From `),
some only before `From `, some never. Here a line is a boundary when it follows a blank line and
either a header follows it or a date ends it as `ctime` writes one. Google's own lines
(`From 1277085061787347926@xxx Tue Aug 05 08:00:23 +0000 2008`) need no blank line before them:
Takeout writes none after a mail whose text does not end its last line.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from shared.model.records import NamedRecord, winner
from shared.model.steps import STEP_BYTES, STEP_RECORDS, Bad, Content, File, Step
from shared.sources import mail
from shared.sources.mail import (
    MAIL_LIMIT,
    SHOWN,
    Keeping,
    Mail,
    looks_like_mail,
    parse_date,
    read_mail,
    too_large,
)

NAME = "mbox"
VERSION = mail.VERSION
KEEPS = False

_WINDOW = 4 * 1024 * 1024
_PASSED = 64 * 1024 * 1024
"""Bytes of a mail that is too large that one step passes over in search of its end."""
_LINE = 1_000  # the longest `From ` line
_DECIDING = 2 * _LINE + 500  # bytes after which it is known whether a line is a boundary

_SHORTER = "the file became shorter while it was read; import it again"

_HEADER = rb"[!-9;-~]{1,100}[ \t]*:"
_CTIME = (
    rb"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]?\d) (\d\d:\d\d(?::\d\d)?)"
    rb"( [+-]\d{4})?(?: [A-Z]{1,5})? (\d{4})"
)
_FROM = re.compile(
    rb"From (?P<sender>[^\r\n ]{0,300}+)[^\n]{0,1000}+\n(?P<more>>?From [^\n]{0,1000}+\n)?"
    rb"(?P<header>(?=" + _HEADER + rb"))?"
)
_DATED = re.compile(_CTIME + rb"(?: remote from [^\r\n]*)?\r?\n")
_GOOGLE = re.compile(rb"From (\d{10,20})@xxx " + _CTIME)
_MOST_QUOTED = 50  # times that one quoted the other
_START = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]{0,1000}")


def recognise(path: str, head: bytes) -> bool:  # noqa: ARG001 - mboxes have any name, or none
    line = _FROM.match(head, _beginning(head))
    if line is None or line["header"] is None:
        return False
    return bool(_DATED.search(line[0])) or looks_like_mail(head[line.end() :])


def read(file: File, cursor: str | None) -> Iterator[Step]:
    """Cursors: where the next mail's `From ` line is; `+` and how far the search for its end is,
    where it is too large to be read."""
    if cursor is None:
        at, passed = _beginning(file.content.read(0, _LINE + 3)), 0
    else:
        at, passed = map(int, f"{cursor}+0".split("+")[:2])
    window = _Window(file.content)
    held = _Held()
    while at < file.content.size:
        end = window.end_of(at) if not passed else None
        if end is None:
            if held.records or held.bad:
                yield held.step(at)
                held = _Held()
            end, passed = _end_of_large(file.content, at, passed)
            if end is None:
                yield Step(f"{at}+{passed}", passed)
                continue
            passed = 0
        found = _mail(file, at, end, window)
        if not held.takes(found):
            yield held.step(at)
            held = _Held()
        held.add(found)
        if end == file.content.size and window.is_short:
            held.add(Bad(f"byte {at}", _SHORTER, b"", 0))
        at = end
    if held.records or held.bad:
        yield held.step(at)


def _beginning(head: bytes) -> int:
    found = _START.match(head)
    return found.end() if found else 0


class _Held:
    """What a step has gathered: each person once, however many mails name them, and of a mail that
    comes twice the copy that stands."""

    def __init__(self) -> None:
        self.records: dict[str, NamedRecord] = {}
        self.raws: dict[str, bytes] = {}
        self.bad: list[Bad] = []
        self._size = 0

    def takes(self, found: Mail | Bad) -> bool:
        if not self.records and not self.bad:
            return True
        if isinstance(found, Bad):
            return self._size + len(found.data) <= STEP_BYTES and len(self.bad) < STEP_RECORDS
        more = len(self.records) + len(found.records)
        return self._size + _size(found) <= STEP_BYTES and more <= STEP_RECORDS

    def add(self, found: Mail | Bad) -> None:
        if isinstance(found, Bad):
            self.bad.append(found)
            self._size += len(found.data)
            return
        for record in found.records:
            held = self.records.get(record.id)
            self.records[record.id] = winner(held, record) if held else record
        self.raws.update(found.raws)
        self._size += _size(found)

    def step(self, at: int) -> Step:
        return Step(str(at), at, list(self.records.values()), self.raws, self.bad)


def _size(found: Mail) -> int:
    # What the text takes is a part of what the mail takes.
    return sum(map(len, found.raws.values())) + 500 * len(found.records)


class _Window:
    """The content around the place of reading."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._start = 0
        self._data = b""
        self._final = False
        self.is_short = False

    def end_of(self, at: int) -> int | None:
        """Where the mail at `at` ends; None when it is larger than the window."""
        end = self._search(at)
        if end is None and at != self._start:
            self._load(at)
            end = self._search(at)
        return end

    def bytes(self, start: int, end: int) -> bytes:
        if self._start <= start and end <= self._start + len(self._data):
            return self._data[start - self._start : end - self._start]
        self._data = b""  # it is held no longer than needed
        return self._content.read(start, end - start)

    def _search(self, at: int) -> int | None:
        if not self._start <= at < self._start + len(self._data):
            self._load(at)
        found, _ = _boundary(self._data, at - self._start + 1, self._final)
        if found is not None:
            return self._start + found
        return self._content.size if self._final else None

    def _load(self, at: int) -> None:
        self._data = b""
        self._start, self._data = at, self._content.read(at, _WINDOW)
        self._final = _is_final(self._content, at, self._data)
        self.is_short = self._final and at + len(self._data) < self._content.size


def _end_of_large(content: Content, at: int, passed: int) -> tuple[int | None, int]:
    """Where the mail at `at` ends, or None and how far the search for it is."""
    position = max(passed, at + 2)
    last = position + _PASSED
    while position < last:
        data = content.read(position - 2, _WINDOW)
        final = _is_final(content, position - 2, data)
        found, searched = _boundary(data, 2, final)
        if found is not None:
            return position - 2 + found, 0
        if final:
            return content.size, 0
        position += searched - 2
    return None, position


def _is_final(content: Content, start: int, data: bytes) -> bool:
    """Whether nothing follows what was read, perhaps because the file became shorter meanwhile."""
    return start + len(data) >= content.size or len(data) < _WINDOW


def _boundary(data: bytes, start: int, final: bool) -> tuple[int | None, int]:
    """The first line from `start` on that begins a mail, or None and where the search goes on.

    final: nothing follows the data; otherwise it may end too early to know.
    """
    at = data.find(b"\nFrom ", start)
    while at >= 0:
        if not final and at + _DECIDING > len(data):
            return None, at
        if _begins_mail(data, at + 1):
            return at + 1, at
        at = data.find(b"\nFrom ", at + 1)
    return None, max(start, len(data) - len(b"\nFrom "))


def _begins_mail(data: bytes, at: int) -> bool:
    line = _FROM.match(data, at)
    if line is None:
        return False
    if line["header"] is not None and _GOOGLE.match(line[0]):
        return True
    after_blank = data[max(0, at - 3) : at - 1].endswith((b"\n", b"\n\r"))
    return after_blank and (line["header"] is not None or bool(_DATED.search(line[0])))


def _mail(file: File, at: int, end: int, window: _Window) -> Mail | Bad:
    where = f"byte {at}"
    if end - at > MAIL_LIMIT:
        return too_large(where, window.bytes(at, at + SHOWN), end - at)
    line, data = _unwrapped(window.bytes(at, end))
    google = _GOOGLE.match(line)
    sender = line[5:305].partition(b" ")[0].decode("latin-1")
    keeping = Keeping(
        source=NAME,
        where=where,
        now=file.now,
        delivered=_delivered(line),
        sender=sender if "@" in sender and not google else None,
        gmail=google[1].decode() if google else None,
        written=file.modified,
        alone=False,
    )
    return read_mail(data, keeping)


def _unwrapped(data: bytes) -> tuple[bytes, bytes]:
    """The `From ` line, and the mail without it, its quoting and the blank line after it."""
    line = _FROM.match(data)
    start = line.start("more") if line and line["more"] else line.end() if line else 0
    blank = 2 if data.endswith(b"\n\r\n") else 1 if data.endswith(b"\n\n") else 0
    beginning = data[:start]
    data = data[start : max(start, len(data) - blank)]
    return beginning, _unquoted(data)


def _unquoted(data: bytes) -> bytes:
    quoted = b"From "
    for _ in range(_MOST_QUOTED):
        plain, quoted = quoted, b">" + quoted
        if quoted not in data:
            break
        data = data.replace(b"\n" + quoted, b"\n" + plain)
    return data


def _delivered(line: bytes) -> datetime | None:
    found = _DATED.search(line)
    if found is None:
        return None
    month, day, clock, zone, year = found.groups(default=b" +0000")
    parsed = parse_date((b"%s %s %s %s%s" % (day, month, year, clock, zone)).decode("latin-1"))
    return parsed[0] if parsed else None
