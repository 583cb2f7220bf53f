"""How far an import is: its job's cursor, for whoever runs it and whoever shows it.

What shows it must not need what reads pictures.
"""

from typing import Literal

import msgspec
from msgspec import Struct


class Place(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The cursor of an import.

    at: where finding goes on. pages: of the manifest, written so far. page, index, within: the
    entry being read, and its source's cursor; then the page of halves being joined. done: bytes of
    what came before. found: files by source. unread: files that no source reads, by the end of
    their names. halves: ids of notes whose other half may be in the store; those of earlier files
    are in halves_pages.
    """

    stage: Literal["find", "read", "join"] = "find"
    at: str | None = None
    pages: tuple[str, ...] = ()
    page: int = 0
    index: int = 0
    within: str | None = None
    done: int = 0
    total: int = 0
    found: dict[str, int] = msgspec.field(default_factory=dict)
    unread: dict[str, int] = msgspec.field(default_factory=dict)
    halves: tuple[str, ...] = ()
    halves_pages: tuple[str, ...] = ()


_places = msgspec.json.Decoder(Place)


def place_of(cursor: str | None) -> Place:
    """What the cursor of an import's job says."""
    return _places.decode(cursor) if cursor else Place()
