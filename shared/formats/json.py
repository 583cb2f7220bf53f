"""Yurt's own JSON: the fixes as they are kept, nothing left out (`schemas/fix.schema.json`)."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct

from shared.model.records import Fix

MEDIA_TYPE = "application/json"
EXTENSION = "json"

_encoder = msgspec.json.Encoder()


class FixPage(Struct, frozen=True, kw_only=True):
    """Fixes by device, oldest first. next: the URL of the next page, or null."""

    fixes: list[Fix]
    next: str | None


def write(
    fixes: Iterable[Fix],
    names: Mapping[str, str],  # noqa: ARG001 - the protocol's; a fix names its device by id
    following: Callable[[], str | None] | None = None,
) -> Iterator[bytes]:
    """One `FixPage`, one fix a line."""
    encode = _encoder.encode
    before = b'{"fixes":[\n'
    for fix in fixes:
        yield before + encode(fix)
        before = b",\n"
    if before != b",\n":
        yield before
    yield b'\n],"next":' + encode(following() if following else None) + b"}\n"
