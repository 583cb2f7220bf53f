"""Who is asking: the tokens that a request offers."""

import base64
import binascii
from collections.abc import Iterator

from werkzeug.wrappers import Request

from shared.http.errors import Problem, unauthorized
from shared.model.access import Access, token_hash
from shared.node import Node

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


def check_owner(node: Node, request: Request, function: str) -> None:
    """Returns if the request has a credential of the owner. `Problem` 401 or 403 otherwise.

    function: under whose name those who come without are counted.
    """
    offered = list(tokens_in(request))
    if any(node.keyring.owner(token) is not None for token in offered):
        return
    if any(_is_of_a_device(node.keyring.access, token) for token in offered):
        raise Problem(
            403, "a device's credential can only add reports; `yurt token NAME` makes one to ask"
        )
    node.counts.add(f"{function}.unauthorized")
    if offered:
        raise unauthorized("this credential is not known; `yurt token NAME` makes one")
    raise unauthorized("no credential was sent; `yurt token NAME` makes one")


def _is_of_a_device(access: Access, token: str) -> bool:
    # Not asked of the keyring: a renewed credential counts as used only when its phone uses it.
    hashed = token_hash(token)
    return any(hashed in (d.current, d.pending) for d in access.devices.values())


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
