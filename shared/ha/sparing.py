"""Who has to wait when an allowance comes to its end, so that what matters most goes on. Pure.

Best-effort and unprotected runs wait first: as soon as what is left besides all that is reserved
could be taken by them before somebody looks again. Imports take what is left after that, a share
each day. Protected runs wait only where the whole allowance, its margin too, would not hold them
and what phones report. Reports never wait.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from shared.ha.collectors import Collectors, Held, Level
from shared.ha.planner import PROTECTED, Line, Plan, runners

_LOOKS = 2
"""Looks ahead, since one may be left out."""
OTHERS: tuple[Level, ...] = ("best-effort", "unprotected")


def spare(config: Collectors, made: Plan, now: datetime, every: timedelta) -> Held | None:
    """Who has to wait from now on. made: the plan of now. every: how often somebody looks.

    Who waits goes on waiting until the window ends or something else is configured: what is left of
    a window only becomes less.
    """
    found = _spared(config, made, now, now + _LOOKS * every)
    before = config.held
    if before is None or now >= before.until or before.generation != config.generation:
        return found
    if found is not None and (found.level, before.level) == ("protected", "best-effort"):
        return found
    return before


def _spared(config: Collectors, made: Plan, now: datetime, until: datetime) -> Held | None:
    current = made.current(now)
    for line in current:
        live = line.used + line.forecast + line.watch
        next_ones = _taken(config, PROTECTED, line, now, until)
        if next_ones and live + next_ones > line.whole:
            return _held("protected", line, now, config)
    for line in current:
        next_ones = _taken(config, OTHERS, line, now, until)
        if next_ones and next_ones > line.left(made.wanted):
            return _held("best-effort", line, now, config)
    return None


def _taken(
    config: Collectors, levels: Iterable[Level], line: Line, now: datetime, until: datetime
) -> float:
    """What slots until then may take of it: a little more, with one that was late."""
    some = runners(config, tuple(levels))
    return sum(
        each.taken(now, until, line.dimension) + each.cap.get(line.dimension, 0.0)
        for each in some
        if each.slots.count(now, until, each.offset)
    )


def _held(
    level: Literal["best-effort", "protected"], line: Line, now: datetime, config: Collectors
) -> Held:
    return Held(
        level=level,
        dimension=line.dimension,
        since=now,
        until=line.end,
        generation=config.generation,
    )
