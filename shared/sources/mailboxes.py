"""Address headers: names and addresses as people's programs write them, not as RFC 5322 does."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from shared.sources.mime import decoded_words

# A quotation or angle that never ends goes to the end, so that no search begins twice.
_TOKEN = re.compile(
    r'"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|<([^<>]*+)>?|([(),;:])|([^"<(),;:]+|.)', re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = r"[^\s<>()\[\],;:\"'@]"
# Begun only where such letters do: a long text without `@` would be searched from each of them.
_ADDRESS = re.compile(rf"(?<!{_PLAIN}){_PLAIN}++@{_PLAIN}++")


class Mailbox(NamedTuple):
    name: str
    address: str


def mailboxes(value: str) -> Iterator[Mailbox]:
    """Those of a header's value, whose encoded words are not decoded yet: a decoded name may hold
    a comma. Groups give their members. What has no `@` is given as the address too."""
    for name, address, plain in _elements(value):
        if not address and "@" not in plain and "=?" in plain:
            plain = decoded_words(plain)  # encoded as a whole, which is not allowed
        text = "".join((address or plain).split())
        if _ADDRESS.fullmatch(text):
            yield Mailbox(_shown(name), text)
            continue
        found = _ADDRESS.findall(f"{name} {plain} {address}")
        for one in found:
            yield Mailbox("", one)
        if text and not found:
            yield Mailbox(_shown(name), (address or plain).strip())


def _elements(value: str) -> Iterator[tuple[str, str, str]]:
    """Of each mailbox: its name or else its comment, what stands in `<>`, what stands without."""
    name: list[str] = []
    plain: list[str] = []
    comment: list[str] = []
    address, depth = "", 0
    for quoted, angle, sign, text in _TOKEN.findall(value):
        if sign in ("(", ")") and sign:
            depth = max(0, depth + (1 if sign == "(" else -1))
        elif depth:
            comment.append(quoted or angle or sign or text)
        elif sign == ":" and not address:
            name, plain = [], []  # the name of a group
        elif sign:
            yield "".join(name if address else comment), address, "".join(plain)
            name, plain, comment, address = [], [], [], ""
        elif angle:
            address = angle
        elif quoted:
            name.append(_ESCAPED.sub(r"\1", quoted))
            plain.append(f'"{quoted}"')
        else:
            name.append(text)
            plain.append(text)
    yield "".join(name if address else comment), address, "".join(plain)


def _shown(name: str) -> str:
    return " ".join(decoded_words(name).split()).strip("'")
