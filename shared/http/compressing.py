"""Answers packed with gzip for who takes them so: of what the free tier gives, what is sent from
functions is least. A track is a tenth as long then."""

import zlib
from collections.abc import Iterable, Iterator

from werkzeug.wrappers import Request, Response

_LEVEL = 1  # of what the slowest level saves of a track, this saves nearly all, in a third the time
_GZIP = 31  # zlib's word for its own window, with the head and end of a gzip file
_SHORTEST = 1000
"""Bytes. What is shorter fits one packet anyway."""

_KINDS = (
    "text/",
    "application/json",
    "application/x-ndjson",
    "application/geo+json",
    "application/gpx+xml",
)
"""Photos and the like are packed already, and may be asked for in parts."""


def compressed(request: Request, response: Response) -> Response:
    """The same answer, packed if that is worth it and the client asked for it."""
    if response.status_code != 200 or not (response.mimetype or "").startswith(_KINDS):
        return response
    response.vary.add("Accept-Encoding")
    length = response.calculate_content_length()
    if not request.accept_encodings["gzip"] or (length is not None and length < _SHORTEST):
        return response
    response.response = _packed(response.iter_encoded())
    response.headers["Content-Encoding"] = "gzip"
    response.headers.pop("Content-Length", None)
    return response


def _packed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """In pieces as they come: a million fixes need no memory."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    try:
        for piece in pieces:
            if packed := packer.compress(piece):
                yield packed
        yield packer.flush()
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
