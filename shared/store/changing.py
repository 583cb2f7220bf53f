"""Reading and changing the node's own documents, whoever else changes them meanwhile."""

from collections.abc import Callable

from shared.store.protocol import Conflict, D, Damaged, Store


def current(store: Store, name: str, default: D) -> D:
    """The document as it is kept; `default` while there is none."""
    held = store.read(type(default), name)
    return held.document if held else default


def change(
    store: Store, name: str, default: D, decide: Callable[[D], D], *, anew: bool = False
) -> D:
    """Writes what `decide` makes of the current document, and gives it.

    Where somebody else was faster, `decide` is asked again, with what they wrote. What it leaves as
    it is kept is not written; a default, which is not kept, is. anew: what is damaged counts as
    there being none, and is written over.
    """
    while True:
        try:
            held = store.read(type(default), name)
            over = held.version if held else None
        except Damaged as error:
            if not anew:
                raise
            held, over = None, error.version
        decided = decide(held.document if held else default)
        if held is not None and decided == held.document:
            return decided
        try:
            store.write(name, decided, over=over)
        except Conflict:
            continue
        return decided
