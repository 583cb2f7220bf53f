"""The owner's credentials for the API: whoever holds one can read everything."""

import secrets

from shared.commands.access import access_of
from shared.commands.answers import NewToken, Revoked, TokenInfo
from shared.commands.errors import Refused
from shared.model.access import Access, OwnerToken, token_hash
from shared.node import Node


def tokens(node: Node) -> list[TokenInfo]:
    held = access_of(node).tokens.values()
    return [TokenInfo(name=token.name, created=token.created) for token in held]


def make_token(node: Node, name: str) -> NewToken:
    """`Refused` when the name is taken: replacing it would shut out whoever uses it."""
    name = name.strip()
    if not name or len(name) > 64 or not name.isprintable():
        raise Refused("a token needs a name of 1 to 64 printable characters, such as laptop")
    token = secrets.token_urlsafe(24)
    made = OwnerToken(name=name, hash=token_hash(token), created=node.clock())

    def decide(access: Access) -> Access:
        if name in access.tokens:
            raise Refused(
                f'there is a token "{name}" already; choose another name, or first '
                f'revoke it: yurt token "{name}" --revoke'
            )
        return access.with_token(made)

    node.keyring.change(decide)
    return NewToken(name=name, token=token)


def revoke_token(node: Node, name: str) -> Revoked:
    def decide(access: Access) -> Access:
        if name not in access.tokens:
            known = ", ".join(sorted(access.tokens))
            raise Refused(f'there is no token "{name}"; there is: {known or "none"}')
        return access.without_token(name)

    node.keyring.change(decide)
    return Revoked(name=name)
