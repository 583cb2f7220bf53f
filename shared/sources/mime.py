"""The bytes of one mail as headers and parts (RFC 5322, 2045 to 2047, 2231), read with forgiveness.

Written for mail as it lies in archives: nothing here raises for any bytes, time grows with the
size alone, and what is looked at is bounded: headers, parts and their nesting. The parsers there
are do not promise that: `email` raises on deep nesting, others take the square of a header's length
or a multiple of a message's size for each level of its nesting.
"""

import binascii
import codecs
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

Headers = dict[bytes, list[bytes]]
"""Values by name in lower case, each as it stands in the mail, folds included."""

MOST_PARTS = 1_000
"""Parts of one mail that are looked at; what follows stays in its raw bytes alone."""
DEEPEST = 20
"""Levels of parts in parts. What is deeper is taken as one part."""

VALUE_LIMIT = 64 * 1024
"""Bytes of one header that are read."""

_MAIL_HEADERS = 256 * 1024
_PART_HEADERS = 16 * 1024
_PARAMETERS = 4 * 1024

# One field with its continuation lines, or a line that is none. It consumes whatever it meets, so
# matches follow each other without a search in between.
_FIELD = re.compile(rb"(?:([!-9;-~]{1,100})[ \t]*:)?([^\n]*+(?:\n[ \t][^\n]*+)*+)(?:\n|\Z)")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_BLANK = re.compile(rb"\n\r?\n")
_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?]*)\?=")
_PARAMETER = re.compile(rb';\s*([^\s=;"]{1,60})\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_MEDIA_TYPE = re.compile(rb"\s*([!#$&^_.+\w-]{1,60}/[!#$&^_.+\w-]{1,60})")

_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09, 0x0A, 0x0D})
_LINES = bytes.maketrans(b"\r", b"\n")
_UNPRINTABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)

_CHARSETS = {
    # Supersets that browsers read these as: senders name the smaller one.
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "ansi_x3.4-1968": "utf-8",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "iso-8859-8-i": "iso-8859-8",
    "x-mac-roman": "mac-roman",
}
_STATEFUL = re.compile(r"utf-?(7|16|32)|iso-?2022|hz|ucs", re.IGNORECASE)
_CHARSET = re.compile(
    r"(utf|iso|windows|cp|koi8|mac|big5|gb|euc|shift|hz|ibm|tis|viscii|ptcp|johab|kz)[\w.-]{0,30}",
    re.IGNORECASE | re.ASCII,
)


class Part(NamedTuple):
    """A part of a mail: its type, and where in the mail's bytes its content lies, still encoded.

    kind: the media type in lower case. children: of a multipart, whose own content is nothing.
    """

    kind: str
    charset: str | None
    name: str | None
    disposition: str
    encoding: str
    start: int
    end: int
    children: "tuple[Part, ...]" = ()


class ContentType(NamedTuple):
    kind: str
    charset: str | None
    boundary: bytes | None
    name: str | None


class Budget:
    """How many parts may still be looked at."""

    def __init__(self) -> None:
        self.parts = MOST_PARTS

    def take(self) -> bool:
        self.parts -= 1
        return self.parts >= 0


def headers_of(data: bytes) -> tuple[Headers, int]:
    """The headers of a mail, and where its content begins."""
    return _headers(data, 0, len(data), _MAIL_HEADERS)


def _headers(data: bytes, start: int, end: int, most: int) -> tuple[Headers, int]:
    body = _after_headers(data, start, end)
    headers: Headers = {}
    for name, value in _FIELD.findall(data, start, min(body, start + most)):
        if name:
            headers.setdefault(name.lower(), []).append(value)
    return headers, body


def _after_headers(data: bytes, start: int, end: int) -> int:
    for empty in (b"\n", b"\r\n"):
        if data.startswith(empty, start, end):
            return start + len(empty)
    blank = _BLANK.search(data, start, end)
    return blank.end() if blank else end


def parts_of(data: bytes, headers: Headers, body: int, budget: Budget) -> Part:
    """The tree of a mail's parts. Mails in a mail are parts that are not looked into."""
    return _part(data, headers, body, len(data), budget, 0, "text/plain")


def _part(
    data: bytes,
    headers: Headers,
    start: int,
    end: int,
    budget: Budget,
    depth: int,
    default: str,
) -> Part:
    type = _content_type(_first(headers, b"content-type")[:_PARAMETERS], default)
    disposition, name = _disposition(_first(headers, b"content-disposition")[:_PARAMETERS])
    encoding = _first(headers, b"content-transfer-encoding").strip().lower()[:40]
    whole = Part(
        type.kind,
        type.charset,
        name or type.name,
        disposition,
        encoding.decode("latin-1"),
        start,
        end,
    )
    if not type.kind.startswith("multipart/"):
        return whole
    if type.boundary and depth < DEEPEST:
        inner = "message/rfc822" if type.kind == "multipart/digest" else "text/plain"
        spans = _spans(data, type.boundary, start, end, budget)
        children = tuple(
            _part(data, *_headers_and_start(data, span), span[1], budget, depth + 1, inner)
            for span in spans
        )
        if children:
            return whole._replace(children=children)
    # Its boundary is missing or never comes: what a person would see is what stands there.
    return whole._replace(kind="text/plain", encoding="")


def _headers_and_start(data: bytes, span: tuple[int, int]) -> tuple[Headers, int]:
    return _headers(data, *span, _PART_HEADERS)


def _spans(
    data: bytes, boundary: bytes, start: int, end: int, budget: Budget
) -> Iterator[tuple[int, int]]:
    """Where the parts between the delimiter lines begin and end."""
    line = b"\n--" + boundary
    # The first delimiter may stand where the content begins, right after the headers' blank line.
    at, begun = data.find(line, max(start - 1, 0), end), -1
    while at >= 0:
        after = at + len(line)
        closing = data.startswith(b"--", after, end)
        newline = data.find(b"\n", after, end)
        rest = data[after + 2 * closing : min(end if newline < 0 else newline, after + 80)]
        if rest.strip():  # a longer boundary that begins like this one, or text
            if not budget.take():
                return
            at = data.find(line, after, end)
            continue
        if begun >= 0:
            yield begun, max(begun, at - (data[at - 1 : at] == b"\r"))
        if closing or newline < 0 or not budget.take():
            return
        begun = newline + 1
        at = data.find(line, newline, end)
    if begun >= 0:
        yield begun, end


def _first(headers: Headers, name: bytes) -> bytes:
    values = headers.get(name)
    return values[0] if values else b""


@lru_cache(maxsize=500)
def _content_type(value: bytes, default: str) -> ContentType:
    found = _MEDIA_TYPE.match(value)
    if found is None:
        return ContentType(default, None, None, None)
    parameters = _parameters(value)
    charset = parameters.get(b"charset", b"").decode("latin-1").strip(" '").lower() or None
    return ContentType(
        found[1].decode("latin-1").lower(),
        charset,
        parameters.get(b"boundary", b"").rstrip() or None,
        _name(parameters, b"name"),
    )


@lru_cache(maxsize=500)
def _disposition(value: bytes) -> tuple[str, str | None]:
    if not value:
        return "", None
    word = value.partition(b";")[0].strip().lower()[:40]
    return word.decode("latin-1"), _name(_parameters(value), b"filename")


def _parameters(value: bytes) -> dict[bytes, bytes]:
    """By name in lower case, with the continuations of RFC 2231 joined, each under its name and
    `*` if its value is percent-encoded."""
    found: dict[bytes, bytes] = {}
    sections: dict[bytes, dict[int, bytes]] = {}
    encoded: set[bytes] = set()
    for name, text in _PARAMETER.findall(_FOLD.sub(b"", value)):
        base, number, is_encoded = _section(name.lower())
        if number is None and not is_encoded:
            found.setdefault(base, _unquoted(text))
            continue
        if is_encoded:
            encoded.add(base)
        sections.setdefault(base, {})[number or 0] = _unquoted(text)
    for base, texts in sections.items():
        joined = b"".join(texts[number] for number in sorted(texts))
        found[base + b"*" if base in encoded else base] = joined
    return found


def _section(name: bytes) -> tuple[bytes, int | None, bool]:
    """The parameter's name, which piece of its value this is, and whether it is encoded."""
    base, star, rest = name.partition(b"*")
    number = rest.rstrip(b"*")
    return (
        base,
        int(number) if number.isdigit() and len(number) < 4 else None,
        bool(star) and (not rest or rest.endswith(b"*")),
    )


def _unquoted(text: bytes) -> bytes:
    text = text.strip()
    if text[:1] == b'"':
        return _ESCAPED.sub(rb"\1", text[1:-1] if text[-1:] == b'"' and len(text) > 1 else text[1:])
    return text


def _name(parameters: dict[bytes, bytes], name: bytes) -> str | None:
    extended = parameters.get(name + b"*")
    if extended is not None:
        # charset'language'text, as it should be.
        charset, *_, text = extended.split(b"'", 2) if extended.count(b"'") > 1 else (b"", extended)
        return text_of(unquote_to_bytes(text), charset.decode("latin-1")) or None
    value = parameters.get(name)
    return header_text(value) or None if value is not None else None


# Text


def value_text(value: bytes) -> str:
    """A header's value in one line, whatever bytes it has, its encoded words still encoded."""
    value = value[:VALUE_LIMIT]
    if b"\n" in value:
        value = _FOLD.sub(b"", value)
    if value.isascii():
        text = value.decode("ascii").strip()
        if text.isprintable():
            return text
    return text_of(value, None).replace("\n", " ").strip()


def header_text(value: bytes) -> str:
    """A header's value as a person reads it."""
    return decoded_words(value_text(value))


def decoded_words(text: str) -> str:
    """With the encoded words of RFC 2047 decoded, also inside quotes and in the middle of words,
    where they do not belong and yet are found."""
    if "=?" not in text:
        return text
    shown: list[str] = []
    pending, charset, end = b"", "", 0
    for word in _WORD.finditer(text):
        between = text[end : word.start()]
        if pending and (between.strip() or word[1].lower() != charset):
            shown.append(text_of(pending, charset))
            pending = b""
        if between.strip() or not end:
            shown.append(between)
        # Some cut a character in two words: bytes are joined before they are decoded.
        pending += _word_bytes(word[2], word[3])
        charset, end = word[1].lower(), word.end()
    shown.append(text_of(pending, charset) if end else "")
    return "".join([*shown, text[end:]]).replace("\n", " ")


def _word_bytes(how: str, text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if how in "bB":
        return from_base64(data)
    return binascii.a2b_qp(data.replace(b" ", b"_"), header=True)


def text_of(data: bytes, charset: str | None, most: int | None = None) -> str:
    """Bytes as text with `\\n` for line ends and nothing unprintable, whatever the charset says.

    Labels are often wrong: what cannot be read as it says is read as UTF-8, then as Windows
    1252. most: bytes that are read of it.
    """
    codec = _codec(charset)
    if _STATEFUL.match(codec):
        return _stateful_text(data[:most], codec)
    cut = most is not None and len(data) > most
    data = data[:most].replace(b"\r\n", b"\n").translate(_LINES, _CONTROLS)
    if data.isascii():
        return data.decode("ascii")
    for name in (codec, "utf-8"):
        try:
            return codecs.getincrementaldecoder(name)().decode(data, not cut)
        except UnicodeError:
            continue
    if codec in ("utf-8", "cp1252"):
        # Five bytes have no meaning in it; as Latin 1 they are at least kept apart.
        return "".join(_cp1252(data))
    return data.decode(codec, "replace")


def _cp1252(data: bytes) -> Iterator[str]:
    try:
        yield data.decode("cp1252")
    except UnicodeDecodeError:
        yield data.decode("latin-1")


def _stateful_text(data: bytes, codec: str) -> str:
    try:
        text = data.decode(codec, "replace")
    except UnicodeError:
        text = data.decode("latin-1")
    return _UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


@lru_cache(maxsize=200)
def _codec(charset: str | None) -> str:
    """Python's name of a charset. Of its codecs, only charsets: others (`punycode`) are slow."""
    name = _CHARSETS.get((charset or "").lower(), charset or "")
    if _CHARSET.fullmatch(name):
        try:
            return codecs.lookup(name).name
        except LookupError:
            pass
    return "utf-8"


# Transfer encodings


def content(data: bytes, part: Part) -> bytes:
    """A part's bytes with the transfer encoding undone."""
    piece = data[part.start : part.end]
    if part.encoding == "base64":
        return from_base64(piece)
    if part.encoding == "quoted-printable":
        return binascii.a2b_qp(piece)
    return piece


def from_base64(data: bytes) -> bytes:
    """All that can be decoded, where it is broken or cut off."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        data = data.translate(None, _NOT_BASE64)
        whole = data[: len(data) - (len(data) % 4 == 1)]
        return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))
