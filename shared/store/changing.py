"""Reading and changing the node's own documents, whoever else changes them meanwhile."""

from collections.abc import Callable

from shared.store.protocol import Conflict, D, Damaged, Store


def current(store: Store, name: str, default: D) -> D:
    """The document as it is kept; `default` while there is none."""
    held = store.read(type(default), name)
    return held.document if held else default


def mendable(store: Store, name: str, type: type[D]) -> tuple[D | None, str | None]:
    """The document and its version, if there is one; of one that is damaged the version alone, for
    whoever makes it anew and writes over it."""
    try:
        held = store.read(type, name)
    except Damaged as error:
        return None, error.version
    return (held.document, held.version) if held is not None else (None, None)


def change(
    store: Store, name: str, default: D, decide: Callable[[D], D], *, anew: bool = False
) -> D:
    """Writes what `decide` makes of the current document, and gives it.

    Where somebody else was faster, `decide` is asked again, with what they wrote. What it leaves as
    it is kept is not written; a default, which is not kept, is. anew: what is damaged counts as
    there being none, and is written over.
    """
    while True:
        if anew:
            document, over = mendable(store, name, type(default))
        else:
            held = store.read(type(default), name)
            document, over = (held.document, held.version) if held else (None, None)
        decided = decide(document if document is not None else default)
        if document is not None and decided == document:
            return decided
        try:
            store.write(name, decided, over=over)
        except Conflict:
            continue
        return decided
