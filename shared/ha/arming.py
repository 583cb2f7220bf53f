"""Arming: from when on the plan is a promise. Pure.

A node is armed once nothing is missing any more: the plan holds, what was used of the quotas is
known, and each protected collector has run as it is configured now, as both paths say: its control
document has that generation, and the queue has no task of it that waits. What is changed, or
lacks, disarms. That a collector fails does not: that is what the plan is for.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from shared.ha.collectors import Collectors
from shared.ha.planner import Plan
from shared.ha.silence import most_at_once
from shared.model.time import Instant


class Ack(NamedTuple):
    """What is heard of a collector. generation: of the run that ended well last (None: none has).
    queued: whether a task of it waits."""

    generation: int | None
    queued: bool


class Arming(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """generation: of the plan. armed: since when (None: not). acknowledged: by whom, and which
    generation of them. lacks: what is missing, in words."""

    generation: int
    armed: Instant | None = None
    acknowledged: dict[str, int] = {}
    lacks: tuple[str, ...] = ()


def unheard(config: Collectors, before: Arming | None) -> list[str]:
    """Protected collectors of which an acknowledgement is missing."""
    acknowledged = before.acknowledged if before is not None else {}
    return [
        id
        for id, collector in sorted(config.collectors.items())
        if collector.level == "protected"
        and not collector.paused
        and acknowledged.get(id, -1) < collector.generation
    ]


def arm(
    config: Collectors,
    plan: Plan | None,
    lack: str | None,
    acks: Mapping[str, Ack],
    before: Arming | None,
    now: datetime,
) -> Arming:
    """plan: None if there is none. lack: why the ledger cannot be relied on. acks: of those that
    are `unheard`."""
    acknowledged = dict(before.acknowledged) if before is not None else {}
    lacks = [] if lack is None else [lack]
    if plan is None:
        lacks.append("there is no plan: see yurt plan")
    elif not plan.holds:
        lacks.append(f"the quotas do not hold it: {plan.lines[0].dimension} is the tightest")
    protected = plan.protected if plan is not None else 0
    if min(config.tolerate, protected) > most_at_once(_active(config)):
        lacks.append(
            f"{config.tolerate} failures at once would be taken for a silence of everything; "
            "tolerate fewer"
        )
    for id in unheard(config, before):
        ack, wanted = acks.get(id, Ack(None, queued=False)), config.collectors[id].generation
        if ack.generation is None or ack.generation < wanted:
            lacks.append(f"{id} has not run yet as it is configured now")
        elif ack.queued:
            lacks.append(f"a task of {id} still waits")
        else:
            acknowledged[id] = ack.generation
    armed = None
    if not lacks:
        was_armed = before is not None and before.generation == config.generation
        armed = before.armed if was_armed and before is not None and before.armed else now
    return Arming(
        generation=config.generation,
        armed=armed,
        acknowledged={id: at for id, at in acknowledged.items() if id in config.collectors},
        lacks=tuple(lacks),
    )


def _active(config: Collectors) -> int:
    return sum(not collector.paused for collector in config.collectors.values())
