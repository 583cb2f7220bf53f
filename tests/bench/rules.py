"""What watchers would tell of the same signals: Healthchecks, Uptime Kuma's push monitors, Yurt.

The rules of the two others are those of their code: Healthchecks (29b5ec2, `hc/api/models.py`) asks
for a ping in each period, or after each slot of cron, and gives grace; a start that is not followed
by a success in time counts as well. Uptime Kuma (6398a95) knows one interval, and gives a second.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.ha.collectors import Collector
from shared.ha.outbox import Alert
from tests.bench.fleet import Signal

_NO_OFFSET = timedelta(0)


class Down(NamedTuple):
    """at: when it was told. until: when it was told to be up again; None if it was not."""

    collector: str
    at: datetime
    until: datetime | None


def healthchecks(
    id: str, collector: Collector, signals: Iterable[Signal], end: datetime
) -> list[Down]:
    """Of one check, with the same schedule and grace as the collector."""
    schedule, grace = collector.slots, timedelta(seconds=collector.grace)
    downs, down = list[Down](), None
    ping: datetime | None = None
    start: datetime | None = None
    paused = False
    for at, sign in [*signals, Signal(end, "pause")]:
        began = [start] if start is not None else []
        if ping is not None:
            every = schedule.every
            began.append(ping + every if every else schedule.next(ping, _NO_OFFSET))
        if down is None and began and min(began) + grace < at:
            down = min(began) + grace
        if sign == "fail" and down is None and not paused:
            down = at
        if sign in ("pause", "success") and down is not None:
            downs.append(Down(id, down, at if sign == "success" else None))
            down = None
        if sign in ("pause", "resume"):
            ping, start, paused = None, None, sign == "pause"
        elif not paused:
            ping, start = (ping, at) if sign == "start" else (at, None)
    return downs


def sign_of_life(missed: Sequence[datetime], every: timedelta, grace: timedelta) -> list[datetime]:
    """When Healthchecks tells that pings are late, of which one comes after each sweep.

    missed: when there should have been sweeps that were not completed.
    """
    none, told = set(missed), list[datetime]()
    for first in missed:
        if first - every in none:
            continue
        following = first + every
        while following in none:
            following += every
        if following > first + grace:
            told.append(first + grace)
    return told


def uptime_kuma(
    id: str, longest: timedelta, signals: Iterable[Signal], end: datetime
) -> list[Down]:
    """Of one push monitor. longest: between two slots, which is its interval."""
    downs = list[Down]()
    push: datetime | None = None
    paused = False
    for at, sign in [*signals, Signal(end, "pause")]:
        if sign in ("start", "fail"):
            continue
        down = push + longest + timedelta(seconds=1) if push is not None else at
        if down < at:
            downs.append(Down(id, down, at if sign == "success" else None))
        paused = sign == "pause" or (paused and sign == "success")
        push = None if paused else at
    return downs


def yurt(told: Sequence[tuple[datetime, Alert]]) -> list[Down]:
    """Of all collectors; what was told of everything at once is not among them."""
    downs, down = list[Down](), dict[str, datetime]()
    for at, alert in told:
        id = alert.collector
        if id is None:
            continue
        if alert.kind in ("late", "failed"):
            down.setdefault(id, at)
        elif alert.kind == "stuck" and id not in down:
            downs.append(Down(id, at, at))
        elif alert.kind == "recovered" and id in down:
            downs.append(Down(id, down.pop(id), at))
    return [*downs, *(Down(id, at, None) for id, at in down.items())]
