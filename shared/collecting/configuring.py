"""The one door through which what is configured changes: planned, checked and written in one step.

Two who change it at once cannot both be right about what fits: the second is planned anew.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from shared.ha.changes import Change, Hypothesis, what_if
from shared.ha.collectors import COLLECTORS, BadCollector, Collectors, Limits, larger
from shared.ha.planner import Pool
from shared.store.changing import mendable
from shared.store.protocol import Conflict, Store


def apply(
    store: Store,
    changes: Sequence[Change],
    pool: Callable[[], Pool],
    clock: Callable[[], datetime],
    *,
    anew: bool = False,
) -> Hypothesis:
    """Makes the changes, one after another, all or none, and gives what they led to.

    anew: what is there may be damaged, since nothing of it is kept.

    `Overcommitted` if they would leave no plan. `BadChange`, `BadCollector`, `BadSchedule`.
    Whatever is raised, nothing was changed; but after `StoreUnavailable` it may have been.
    """
    while True:
        now = clock()
        config, over = _held(store, anew, now)
        found = what_if(config, changes, pool(), now)
        if found.refused is not None:
            raise found.refused
        if found.changed == config:
            return found
        made = _readable(_generation(config, found.changed))
        try:
            store.write(COLLECTORS, made, over=over)
        except Conflict:
            continue
        return found


def _held(store: Store, anew: bool, now: datetime) -> tuple[Collectors, str | None]:
    if not anew:
        held = store.read(Collectors, COLLECTORS)
        return (held.document, held.version) if held is not None else (Collectors(), None)
    config, over = mendable(store, COLLECTORS, Collectors)
    if config is None and over is not None:
        # A number that none of those that cannot be read had: runs tell with which they were begun.
        return Collectors(generation=int(now.timestamp())), over
    return config or Collectors(), over


def _readable(made: Collectors) -> Collectors:
    """`BadCollector` for what could not be read back: some numbers are none in JSON."""
    try:
        msgspec.json.decode(msgspec.json.encode(made), type=Collectors)
    except (msgspec.DecodeError, OverflowError) as error:
        raise BadCollector(f"that cannot be kept: {error}") from None
    return made


def _generation(before: Collectors, after: Collectors) -> Collectors:
    """The next one, which all have that are not as they were."""
    number = max(before.generation, *(c.generation for c in before.collectors.values()), 0) + 1
    made = {
        id: collector
        if collector == before.collectors.get(id)
        else replace(collector, generation=number)
        for id, collector in after.collectors.items()
    }
    return replace(after, collectors=made, generation=number)


def note_measured(store: Store, id: str, took: Limits) -> None:
    """A slot took more than it may: from now on it is planned with that. Raises `StoreError`."""
    while True:
        held = store.read(Collectors, COLLECTORS)
        if held is None or id not in held.document.collectors:
            return
        config = held.document
        known = larger(config.limits_of(id), took)
        if known == config.limits_of(id):
            return
        made = replace(
            config, measured={**config.measured, id: known}, generation=config.generation + 1
        )
        try:
            store.write(COLLECTORS, made, over=held.version)
        except Conflict:
            continue
        return
