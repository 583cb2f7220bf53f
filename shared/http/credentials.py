"""Who is asking: the tokens that a request offers."""

import base64
import binascii
from collections.abc import Iterator

from werkzeug.wrappers import Request

URL_PARAMETERS = ("token", "api_key")
"""Where a token may stand in a URL; `api_key` is what apps made for Dawarich send."""


def tokens_in(request: Request) -> Iterator[str]:
    """The tokens a request offers: Basic's password or user, bearer, the URL."""
    header = request.environ.get("HTTP_AUTHORIZATION", "")
    scheme, value = (*header.split(None, 1), "", "")[:2]
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        yield value
    elif scheme.lower() == "basic" and value:
        yield from _basic(value)
    if request.environ.get("QUERY_STRING"):
        for name in URL_PARAMETERS:
            yield from filter(None, request.args.getlist(name))


def _basic(value: str) -> Iterator[str]:
    padding = "=" * (-len(value) % 4)
    try:
        decoded = base64.b64decode(value + padding, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        # Overland's OwnTracks mode forgets to encode what it sends.
        decoded = value
    user, _, password = decoded.partition(":")
    if password or user:
        yield password or user
    if padding and decoded != value:
        # Without its padding it may also be a token that was not encoded.
        yield value
