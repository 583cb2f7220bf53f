"""Reading and changing the node's own documents, whoever else changes them meanwhile."""

from collections.abc import Callable

from shared.store.protocol import Conflict, D, Store


def current(store: Store, name: str, default: D) -> D:
    """The document as it is kept; `default` while there is none."""
    held = store.read(type(default), name)
    return held.document if held else default


def change(store: Store, name: str, default: D, decide: Callable[[D], D]) -> D:
    """Writes what `decide` makes of the current document, and gives it.

    Where somebody else was faster, `decide` is asked again, with what they wrote. What it leaves as
    it is kept is not written; a default, which is not kept, is.
    """
    while True:
        held = store.read(type(default), name)
        decided = decide(held.document if held else default)
        if held is not None and decided == held.document:
            return decided
        try:
            store.write(name, decided, over=held.version if held else None)
        except Conflict:
            continue
        return decided
