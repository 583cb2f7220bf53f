"""What photos and movies have in common: a file that is kept whole and named by its bytes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from shared.model.records import AnyRecord, Media
from shared.model.steps import Bad, Content, File, Step
from shared.sources import google_photos

_PIECE = 1 << 20
_NOTHING: Mapping[str, bytes] = MappingProxyType({})


def content_sha256(file: File) -> str:
    """The id of the media. Who keeps the file knows it already."""
    return file.sha256 or _digest(file.content)


def _digest(content: Content) -> str:
    digest = hashlib.sha256()
    for start in range(0, content.size, _PIECE):
        digest.update(content.read(start, _PIECE))
    return digest.hexdigest()


def only_step(
    file: File,
    media: Media,
    raws: Mapping[str, bytes] = _NOTHING,
    bad: Sequence[Bad] = (),
) -> Iterator[Step]:
    """The media with what the export tells of it beside the file."""
    records: Sequence[AnyRecord] = google_photos.with_sidecar(file, media)
    yield Step(cursor="end", done=file.content.size, records=records, raws=raws, bad=bad)
