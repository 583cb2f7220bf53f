"""The one door through which what is configured changes: planned, checked and written in one step.

Two who change it at once cannot both be right about what fits: the second is planned anew.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from shared.ha.changes import Change, Hypothesis, what_if
from shared.ha.collectors import COLLECTORS, Collectors
from shared.ha.planner import Pool
from shared.store.protocol import Conflict, Store


def apply(
    store: Store,
    changes: Sequence[Change],
    pool: Callable[[], Pool],
    clock: Callable[[], datetime],
) -> Hypothesis:
    """Makes the changes, one after another, all or none, and gives what they led to.

    `Overcommitted` if they would leave no plan. `BadChange`, `BadCollector`, `BadSchedule`.
    Whatever is raised, nothing was changed; but after `StoreUnavailable` it may have been.
    """
    while True:
        held = store.read(Collectors, COLLECTORS)
        config = held.document if held else Collectors()
        found = what_if(config, changes, pool(), clock())
        if found.refused is not None:
            raise found.refused
        if found.changed == config:
            return found
        written = replace(found.changed, generation=config.generation + 1)
        try:
            store.write(COLLECTORS, written, over=held.version if held else None)
        except Conflict:
            continue
        return found
