"""Rejects: what could not be read, and why."""

from collections.abc import Iterator
from itertools import islice

from shared.commands.answers import Rejected
from shared.commands.errors import Failed, Refused
from shared.model.records import Reject
from shared.node import Node

LOOKED_THROUGH = 20_000
"""Rejects that are read at most to find some of them: there is no index of their sources or of the
beginnings of their ids."""

_PAGE = 500


def rejects(node: Node, source: str | None = None, limit: int = 20) -> list[Rejected]:
    """The newest, of one source or of any."""
    found = (reject for reject in _newest(node) if source in (None, reject.source))
    return [_rejected(reject) for reject in islice(found, limit)]


def reject(node: Node, name: str) -> Rejected:
    """name: an id, or the beginning of one that only one reject has."""
    return _rejected(_named(node, name))


def reject_bytes(node: Node, name: str) -> bytes:
    """What is kept of it. `Failed` when that is nothing any more."""
    found = _named(node, name)
    raw = node.store.raw(found.raw) if found.raw is not None else None
    if raw is None:
        raise Failed(f"the bytes of the reject {found.id} are not kept any more")
    return raw


def _named(node: Node, name: str) -> Reject:
    exact = node.store.get(Reject, name)
    if exact is not None:
        return exact
    fitting = list(islice((r for r in _newest(node) if _fits(r, name)), 2)) if name else []
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise Refused(f'more than one reject begins with "{name}"; say more of the id')
    raise Refused(f'there is no reject "{name}"; yurt rejects lists those there are')


def _fits(reject: Reject, name: str) -> bool:
    return reject.id.startswith(name) or reject.id.partition(":")[2].startswith(name)


def _newest(node: Node) -> Iterator[Reject]:
    cursor, read = None, 0
    while read < LOOKED_THROUGH:
        page = node.store.page(Reject, newest_first=True, limit=_PAGE, cursor=cursor)
        yield from page.records
        read, cursor = read + len(page.records), page.cursor
        if cursor is None:
            return


def _rejected(reject: Reject) -> Rejected:
    return Rejected(
        id=reject.id,
        time=reject.time,
        source=reject.source,
        reason=reject.reason,
        where=reject.where,
        device=reject.device,
        size=reject.size,
        truncated=reject.truncated,
        kept=reject.raw is not None,
    )
