"""What was found in something that is imported: pages of entries, written once."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from shared.blobs.spool import Spool
from shared.model.ids import content_id
from shared.model.time import Instant
from shared.work.works import CannotGoOn

PAGE = 500
"""Entries of a page: of some hundred bytes each."""


Where = Literal["kept", "piece", "file", "input", "window"]


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that a source will read.

    path: inside its export. at, ref: where its bytes are: `kept` by their hash, a `piece` in the
    spool, a `file` below the folder, the `input` itself, or a `window` of the input, as
    `start+size`.
    """

    path: str
    source: str
    size: int
    at: Where
    ref: str = ""
    modified: Instant | None = None


_pages = msgspec.json.Decoder(list[Entry])


def write_page(spool: Spool, entries: Sequence[Entry]) -> str:
    """Its name: made of its content, so that a run that lost its lease overwrites nothing."""
    data = msgspec.json.encode(entries)
    name = f"m-{content_id(data)[:32]}"
    spool.put(name, data)
    return name


def write_names(spool: Spool, names: Sequence[str]) -> str:
    """As `write_page`, of anything that has names."""
    data = msgspec.json.encode(names)
    name = f"n-{content_id(data)[:32]}"
    spool.put(name, data)
    return name


def read_names(spool: Spool, name: str) -> list[str]:
    return msgspec.json.decode(_read(spool, name), type=list[str])


def read_pages(spool: Spool, names: Sequence[str]) -> Iterator[list[Entry]]:
    for name in names:
        yield _pages.decode(_read(spool, name))


def _read(spool: Spool, name: str) -> bytes:
    data = spool.get(name)
    if data is None:
        raise lost(f"the list {name} of what was found")
    return data


def lost(what: str) -> CannotGoOn:
    """The end of an import of which a piece is gone, since somebody deleted objects of the node."""
    return CannotGoOn(
        f"{what} is missing from the node's objects; cancel the import with `yurt jobs cancel` and "
        "import it again"
    )
