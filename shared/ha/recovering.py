"""What would run if these collectors failed at that time, and whether the quotas hold it. Pure.

The plan says that any so many failures fit; this says of some what would happen: when each is
noticed, when it is begun again, and what of the quotas that may take.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.ha.changes import find
from shared.ha.collectors import Collector, Collectors, offset_of
from shared.ha.planner import Line, Plan, recovery_of
from shared.ha.watching import AGAIN_AFTER, restarts_of


class Recovering(NamedTuple):
    """missed: the first slot that is not done. noticed: when it is seen at the latest. restarts:
    when it is begun again until it works, at the latest; never, if nothing but its own slots brings
    it back. short: the allowance that does not hold that, and lasting: until when; None if all do.
    """

    collector: str
    missed: datetime
    noticed: datetime
    restarts: tuple[datetime, ...]
    short: str | None
    lasting: datetime | None


def recoveries(
    config: Collectors, made: Plan, failed: Iterable[str], at: datetime, every: timedelta
) -> list[Recovering]:
    """In the order in which they are begun again. made: the plan. every: how often somebody looks.

    `BadCollector` if there is none of such a name.
    """
    chosen = {id: find(config, id) for id in failed}
    left = {(line.dimension, line.start): line.capacity - line.base for line in made.lines}
    order = sorted(chosen, key=lambda id: _order(id, chosen[id]))
    return [_recovering(config, made, id, at, every, left) for id in order]


def _order(id: str, collector: Collector) -> tuple[bool, int, str]:
    return collector.level != "protected", collector.priority, id


def _recovering(
    config: Collectors,
    made: Plan,
    id: str,
    at: datetime,
    every: timedelta,
    left: dict[tuple[str, datetime], float],
) -> Recovering:
    collector = config.collectors[id]
    slots = collector.slots
    missed = slots.next(at - timedelta(microseconds=1), offset_of(id, slots))
    patience = min(collector.grace, collector.start_limit or collector.grace)
    noticed = missed + timedelta(seconds=patience) + every
    number = restarts_of(collector.level)
    restarts = tuple(noticed + turn * max(AGAIN_AFTER, every) for turn in range(number))
    if not restarts:
        return Recovering(id, missed, noticed, (), None, None)
    need = recovery_of(config.limits_of(id))
    lines = [line for line in made.lines if line.start <= restarts[-1] and noticed < line.end]
    short = _short(lines, need, left)
    if short is not None and collector.level != "protected":
        return Recovering(id, missed, noticed, (), short.dimension, short.end)
    for line in lines:
        left[line.dimension, line.start] -= need.get(line.dimension, 0.0)
    if short is not None:
        return Recovering(id, missed, noticed, restarts, short.dimension, short.end)
    return Recovering(id, missed, noticed, restarts, None, None)


def _short(
    lines: Iterable[Line], need: Mapping[str, float], left: Mapping[tuple[str, datetime], float]
) -> Line | None:
    for line in lines:
        if need.get(line.dimension, 0.0) > left[line.dimension, line.start]:
            return line
    return None
