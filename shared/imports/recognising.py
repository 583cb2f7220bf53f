"""Which source reads a file: decided by its first bytes, the path only helps."""

from collections.abc import Mapping, Sequence

from shared.model.steps import Source
from shared.sources import (
    eml,
    google_edits,
    google_ios,
    google_photos,
    google_records,
    google_semantic,
    google_timeline,
    maildir,
    mbox,
    movie,
    photo,
)

SOURCES: Sequence[Source] = (
    photo,
    movie,
    google_photos,
    google_records,
    google_semantic,
    google_timeline,
    google_ios,
    google_edits,
    mbox,
    maildir,
    eml,
)
"""In the order they are asked: those that know their files for certain come first."""


def source_of(path: str, head: bytes, sources: Sequence[Source] = SOURCES) -> Source | None:
    """The source of a file that begins with `head` (its first `HEAD` bytes), if there is one."""
    return next((source for source in sources if source.recognise(path, head)), None)


def versions(sources: Sequence[Source] = SOURCES) -> Mapping[str, int]:
    return {source.NAME: source.VERSION for source in sources}
