"""A stretch of time of a fleet of collectors, with all that goes wrong in it; the same for a seed.

What befalls a slot (how late its call is, how long it takes, how often it fails at first) is drawn
for that slot, so that it does not depend on who watches, or on what is begun again.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal, NamedTuple

from shared.ha.collectors import Collector, Level, offset_of

START = datetime(2027, 1, 1, tzinfo=UTC)
"""On both hemispheres clocks change twice in the year after it."""

Place = Literal["store", "queue", "ticks", "node"]
PLACES: tuple[Place, ...] = ("store", "queue", "ticks", "node")

LATEST_CALL = 180.0
"""Seconds from a tick until its task is called, at most."""
LONGEST_RUN = 1_500.0

_HOUR, _DAY = 3_600.0, 86_400.0


class Away(NamedTuple):
    """start <= time < end: it cannot be reached. where: a place all need, or the collector whose
    service it is."""

    where: str
    start: datetime
    end: datetime


class Fate(NamedTuple):
    """Of a slot. delay: seconds from the tick to the call. takes: seconds. fails: attempts that
    fail before one works. hangs: its run ends without a word. lost: its task is never called."""

    delay: float
    takes: float
    fails: int
    hangs: bool
    lost: bool


class Kind(NamedTuple):
    """number: collectors. schedules, zones: that they have in turn. grace: seconds. takes: seconds,
    the median. spread: of the logarithm of that."""

    number: int
    schedules: Sequence[str]
    zones: Sequence[str]
    grace: int
    takes: float
    spread: float


KINDS = {
    "often": Kind(5, ["every 15m"], ["UTC"], 600, 10, 0.7),
    "hourly": Kind(5, ["every 1h"], ["UTC"], 900, 20, 0.7),
    # About ten of its runs in a year take longer than its grace.
    "slow": Kind(1, ["every 1h"], ["UTC"], 900, 60, 0.9),
    "quarter": Kind(6, ["every 6h"], ["UTC"], 1_800, 60, 0.7),
    "daily": Kind(
        9,
        ["0 7 * * *", "30 2 * * *", "15 1 * * *"],
        [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kolkata",
            "America/St_Johns",
        ],
        3_600,
        240,
        0.7,
    ),
    "weekly": Kind(
        4, ["0 6 * * 1", "30 2 * * 0"], ["Europe/Berlin", "America/New_York"], 3_600, 400, 0.7
    ),
}
"""Thirty collectors."""


@dataclass(frozen=True)
class Timeline:
    """away: what could not be reached when. pauses: of collectors, planned by their owner."""

    start: datetime
    end: datetime
    collectors: Mapping[str, Collector]
    slots: Mapping[str, Sequence[datetime]]
    fates: Mapping[tuple[str, datetime], Fate]
    away: Sequence[Away]
    pauses: Sequence[Away]

    def spans(self, *where: str) -> "Spans":
        return Spans(each for each in self.away if each.where in where)


class Spans:
    """Times at which something is away; those that touch are one."""

    def __init__(self, given: Iterable[Away]) -> None:
        self.starts, self.ends = list[datetime](), list[datetime]()
        for _, start, end in sorted(given, key=lambda each: each.start):
            if self.ends and start <= self.ends[-1]:
                self.ends[-1] = max(end, self.ends[-1])
            else:
                self.starts.append(start)
                self.ends.append(end)

    def holds(self, at: datetime) -> bool:
        found = bisect_right(self.starts, at) - 1
        return found >= 0 and at < self.ends[found]

    def over(self, at: datetime) -> datetime:
        """The first time from then on at which it is not away."""
        found = bisect_right(self.starts, at) - 1
        return max(at, self.ends[found]) if found >= 0 else at

    def following(self, at: datetime) -> datetime | None:
        """The first time from then on at which it is away."""
        found = bisect_right(self.ends, at)
        return max(at, self.starts[found]) if found < len(self.starts) else None

    def meets(self, start: datetime, end: datetime) -> bool:
        """Whether it is away at any time with start <= time <= end."""
        found = bisect_right(self.starts, end) - 1
        return found >= 0 and start < self.ends[found]


class Rates(NamedTuple):
    """How many there are in a year, all collectors together."""

    services: float = 60
    hangs: float = 24
    lost: float = 12
    pauses: float = 12
    store: float = 10
    queue: float = 6
    ticks: float = 4
    node: float = 12


USUAL = Rates()


def timeline(seed: int, days: int, rates: Rates = USUAL, start: datetime = START) -> Timeline:
    chance, end = Random(seed), start + timedelta(days=days)
    collectors = _collectors(start)
    slots = {
        id: list(each.slots.slots(start, end, offset_of(id, each.slots)))
        for id, each in collectors.items()
    }
    fates = {
        (id, slot): _fate(chance, KINDS[id.rpartition("-")[0]])
        for id, given in slots.items()
        for slot in given
    }
    for number, hangs in ((rates.hangs, True), (rates.lost, False)):
        for _ in range(_number(chance, number, days)):
            id = chance.choice(sorted(collectors))
            at = (id, chance.choice(slots[id]))
            fates[at] = fates[at]._replace(hangs=hangs, lost=not hangs, fails=0)
    away = [
        _away(chance, start, chance.choice(sorted(collectors)), days, 1 * _HOUR, 3 * _DAY)
        for _ in range(_number(chance, rates.services, days))
    ]
    for place in PLACES:
        longest = 10 * _HOUR if place == "node" else 2 * _HOUR
        for _ in range(_number(chance, getattr(rates, place), days)):
            away.append(_away(chance, start, place, days, 600, longest))
    pauses = [
        _away(chance, start, chance.choice(sorted(collectors)), days, 1 * _DAY, 10 * _DAY)
        for _ in range(_number(chance, rates.pauses, days))
    ]
    return Timeline(start, end, collectors, slots, fates, away, _apart(pauses))


def _collectors(start: datetime) -> dict[str, Collector]:
    levels: Sequence[Level] = ("protected", "protected", "protected", "best-effort", "unprotected")
    return {
        f"{name}-{n}": Collector(
            service="imap",
            schedule=kind.schedules[n % len(kind.schedules)],
            zone=kind.zones[n % len(kind.zones)],
            level=levels[n % len(levels)],
            grace=kind.grace,
            created=start,
        )
        for name, kind in KINDS.items()
        for n in range(kind.number)
    }


def _fate(chance: Random, kind: Kind) -> Fate:
    fails = chance.random()
    return Fate(
        delay=min(LATEST_CALL, chance.lognormvariate(math.log(4), 1.2)),
        takes=min(LONGEST_RUN, chance.lognormvariate(math.log(kind.takes), kind.spread)),
        fails=2 if fails < 0.001 else 1 if fails < 0.01 else 0,
        hangs=False,
        lost=False,
    )


def _number(chance: Random, rate: float, days: int) -> int:
    """Of a rate in a year: the whole part, and one more as often as the rest says."""
    wanted = rate * days / 365
    return int(wanted) + (chance.random() < wanted % 1)


def _away(
    chance: Random, begins: datetime, where: str, days: int, shortest: float, longest: float
) -> Away:
    start = begins + timedelta(seconds=chance.uniform(0.5 * _DAY, (days - 0.5) * _DAY))
    # As often between one hour and two as between two and four.
    seconds = math.exp(chance.uniform(math.log(shortest), math.log(longest)))
    return Away(where, start, start + timedelta(seconds=seconds))


def _apart(pauses: Sequence[Away]) -> list[Away]:
    """Without those of a collector that is paused already."""
    kept = list[Away]()
    for each in sorted(pauses, key=lambda pause: pause.start):
        if all(other.where != each.where or other.end < each.start for other in kept):
            kept.append(each)
    return kept
