"""The plan: what a pool of quotas must hold, and how many failures fit besides. Pure and exact.

A dimension is one bin that all share, so nothing has to be packed. With costs that add up and are
never negative, "whichever k collectors fail, each window holds" is the same as "the k dearest
recoveries fit", one dimension and window at a time. What a failure saves is not counted.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct

from shared.ha.allowances import Allowance, Recurring, Window, began, days_touched, end_of
from shared.ha.collectors import NAMES, Collectors, Level, Limits, Vector, offset_of
from shared.ha.schedules import Schedule

MARGIN = 0.1
"""Of each allowance, which nobody plans with: counters of the platform come late."""

ATTEMPTS = 3
"""Runs that a failed slot is given again within one day; then it waits for the next."""
CATCH_UP = 2
"""Runs more that what it missed takes, of those that a run's caps ended early."""

_SHOWN = 10
"""Recoveries that a plan names at least."""

DAYS, MONTHS = 8, 2
"""Windows that are looked at: this one, which may be partly used, and those to come. Each day of a
week is among them."""

PROTECTED: tuple[Level, ...] = ("protected",)

OVERHEAD: Vector = {
    "firestore.reads": 4,
    "firestore.writes": 4,
    "run.requests": 2,
    "tasks.operations": 4,
}
"""Of an outage besides its runs: it is noticed, told, and noticed to be over."""


class Pool(NamedTuple):
    """allowances: by name. used: of each, since its window began; of a stock, what is kept.

    forecast: what reports and questions of people take, a day. watch: what looking after
    collectors takes by itself, a day. known: up to when `used` is known (None: up to now); what may
    have been taken since is planned for as if it was still to come.
    """

    allowances: Mapping[str, Allowance]
    used: Vector
    forecast: Vector
    watch: Vector
    known: datetime | None = None


class Recovery(Struct, frozen=True):
    """What an outage of one collector takes at most."""

    collector: str
    need: float


class Line(Struct, frozen=True, kw_only=True):
    """One allowance in one window.

    capacity: of the allowance, without the margin. used, forecast, watch: as in `Pool`, the last
    two for the rest of the window. protected: what the slots take that are still to come.
    recoveries: the dearest, the first of them first. tolerated: how many of all fit (None: not even
    none does).
    """

    dimension: str
    window: Window
    start: datetime
    end: datetime
    capacity: float
    used: float
    forecast: float
    watch: float
    protected: float
    recoveries: tuple[Recovery, ...]
    tolerated: int | None

    def need(self, failures: int) -> float:
        dearest = self.recoveries[:failures]
        return self.base + sum(recovery.need for recovery in dearest)

    @property
    def base(self) -> float:
        return self.used + self.forecast + self.watch + self.protected

    def deficit(self, failures: int) -> float:
        return max(0.0, self.need(failures) - self.capacity)

    @property
    def whole(self) -> float:
        """The allowance with its margin."""
        return self.capacity / (1 - MARGIN)

    def left(self, failures: int) -> float:
        """For best-effort and unprotected runs and for imports, once what is reserved is."""
        return self.capacity - self.need(failures)


class Plan(Struct, frozen=True, kw_only=True):
    """failures_tolerated: how many collectors may fail in the same window, whichever they are;
    None where not even what runs without a failure fits. protected: how many there are that may.
    lines: the tightest first."""

    generation: int
    made: datetime
    tolerate: int
    protected: int
    failures_tolerated: int | None
    lines: tuple[Line, ...]

    @property
    def state(self) -> Literal["holds", "overcommitted"]:
        return "holds" if self.holds else "overcommitted"

    @property
    def holds(self) -> bool:
        return self.failures_tolerated is not None and self.failures_tolerated >= self.wanted

    def current(self, now: datetime) -> list[Line]:
        """Of the windows that go on."""
        return [line for line in self.lines if line.start <= now < line.end]

    @property
    def wanted(self) -> int:
        """Failures that must fit: never more than there is to fail."""
        return min(self.tolerate, self.protected)


class Overcommitted(Exception):
    """A change would leave no plan. users: what each collector needs there, the most first."""

    def __init__(self, line: Line, failures: int, tolerated: int | None) -> None:
        self.dimension = line.dimension
        self.window = line.window
        self.need = line.need(failures)
        self.have = line.capacity
        self.failures_tolerated = tolerated
        self.line = line
        super().__init__(f"{line.dimension}: {self.need:g} of {self.have:g}")


class _Span(NamedTuple):
    window: Window
    start: datetime
    end: datetime
    is_now: bool


def plan(config: Collectors, pool: Pool, now: datetime) -> Plan:
    """`BadSchedule` for a schedule that is none; any error means that there is no plan."""
    reckoned = runners(config, PROTECTED)
    lines = list(_lines(config, pool, reckoned, now)) if not config.unlimited else []
    tolerated = _least(line.tolerated for line in lines) if lines else len(reckoned)
    lines.sort(key=lambda line: (-line.need(config.tolerate) / line.capacity, line.dimension))
    return Plan(
        generation=config.generation,
        made=now,
        tolerate=config.tolerate,
        protected=len(reckoned),
        # Where nothing is protected nothing can be lacking.
        failures_tolerated=tolerated if reckoned else 0,
        lines=tuple(lines),
    )


def check_change(before: Plan | None, after: Plan) -> None:
    """`Overcommitted` if a change from the one to the other is to be refused: it leaves no plan.

    Where it did not hold before, whatever makes no lack of anything larger may be done. before:
    None if what was there could not be planned.
    """
    if after.holds:
        return
    if before is None:
        line = after.lines[0]
        raise Overcommitted(line, after.wanted, after.failures_tolerated)
    lacked = {
        (line.dimension, line.start): line.deficit(before.wanted)
        for line in (before.lines if not before.holds else ())
    }
    for line in after.lines:
        deficit = line.deficit(after.wanted)
        if deficit > lacked.get((line.dimension, line.start), 0.0) + _ROUNDING * line.capacity:
            raise Overcommitted(line, after.wanted, after.failures_tolerated)


_ROUNDING = 1e-9


class Reckoned(NamedTuple):
    """A collector. slots, offset: when it runs. cap: of one run. daily: of all runs of a day."""

    id: str
    slots: Schedule
    offset: timedelta
    cap: Vector
    daily: Vector

    def taken(self, start: datetime, end: datetime, dimension: str) -> float:
        """By its slots of that time."""
        count = self.slots.count(start, end, self.offset)
        return self.of(count, days_touched(start, end), dimension)

    def of(self, slots: int, days: int, dimension: str) -> float:
        """By so many slots, on so many days at most."""
        if dimension in self.daily:
            return min(slots, days) * self.daily[dimension]
        return slots * self.cap[dimension]


def runners(config: Collectors, levels: Collection[Level]) -> list[Reckoned]:
    """What those of such a level run that are not paused, by name."""
    found = []
    for id, collector in sorted(config.collectors.items()):
        if collector.level in levels and not collector.paused:
            slots = collector.slots
            cap, daily = _takes(config.limits_of(id))
            found.append(Reckoned(id, slots, offset_of(id, slots), cap, daily))
    return found


def _lines(
    config: Collectors, pool: Pool, reckoned: Sequence[Reckoned], now: datetime
) -> Iterator[Line]:
    """Of each allowance that collectors take of, if there are any."""
    shown = max(config.tolerate, _SHOWN)
    touched = NAMES if config.collectors else ()
    for span in _spans(now, pool.known):
        counts = [each.slots.count(span.start, span.end, each.offset) for each in reckoned]
        missed = _missed(reckoned, span, counts)
        for name in touched:
            allowance = pool.allowances.get(name)
            if allowance is not None and allowance.window == span.window:
                amount = config.quotas.get(name, allowance.amount)
                yield _line(name, amount, shown, span, pool, reckoned, counts, missed)


def _missed(reckoned: Sequence[Reckoned], span: _Span, counts: Sequence[int]) -> Sequence[int]:
    """Slots of the whole window, which an outage may have missed before now."""
    whole = began(span.window, span.start) if span.is_now else None
    if whole is None or whole == span.start:
        return counts
    return [each.slots.count(whole, span.end, each.offset) for each in reckoned]


def _line(
    name: str,
    amount: float,
    shown: int,
    span: _Span,
    pool: Pool,
    reckoned: Sequence[Reckoned],
    counts: Sequence[int],
    missed: Sequence[int],
) -> Line:
    days = (span.end - span.start) / timedelta(days=1)
    used = pool.used.get(name, 0.0) if span.is_now else 0.0
    forecast, watch = (days * daily.get(name, 0.0) for daily in (pool.forecast, pool.watch))
    touched = days_touched(span.start, span.end)
    protected = sum(
        each.of(count, touched, name) for each, count in zip(reckoned, counts, strict=True)
    )
    needs = [
        _recovery(each.cap, each.daily, name, slots, touched) if slots else 0.0
        for each, slots in zip(reckoned, missed, strict=True)
    ]
    capacity = amount * (1 - MARGIN)
    order = sorted(range(len(needs)), key=needs.__getitem__, reverse=True)
    left = capacity - (used + forecast + watch + protected)
    return Line(
        dimension=name,
        window=span.window,
        start=span.start,
        end=span.end,
        capacity=capacity,
        used=used,
        forecast=forecast,
        watch=watch,
        protected=protected,
        recoveries=tuple(Recovery(reckoned[at].id, needs[at]) for at in order[:shown]),
        tolerated=_fitting(left, [needs[at] for at in order]),
    )


def _fitting(left: float, needs: Sequence[float]) -> int | None:
    """How many of the needs fit, the dearest first."""
    if left < 0:
        return None
    for number, need in enumerate(needs):
        left -= need
        if left < 0:
            return number
    return len(needs)


def _least(found: Iterable[int | None]) -> int | None:
    least: int | None = None
    for number in found:
        if number is None:
            return None
        least = number if least is None else min(least, number)
    return least


def _spans(now: datetime, known: datetime | None) -> Iterator[_Span]:
    """The windows that a plan looks at. What is kept is planned for a day: what grows for weeks is
    seen to long before, by its owner."""
    since = min(now, known) if known is not None else now
    yield _Span("stock", since, now + timedelta(days=1), is_now=True)
    recurring: tuple[tuple[Recurring, int], ...] = (("day", DAYS), ("month", MONTHS))
    for window, number in recurring:
        start = max(since, began(window, now) or since)
        is_now = True
        for _ in range(number):
            end = end_of(window, start)
            yield _Span(window, start, end, is_now)
            start, is_now = end, False


def recovery_of(limits: Limits) -> dict[str, float]:
    """What an outage takes at most, besides the slots: of each allowance."""
    cap, daily = _takes(limits)
    return {name: _recovery(cap, daily, name, CATCH_UP, 1) for name in NAMES}


def _recovery(cap: Vector, daily: Vector, name: str, missed: int, days: int) -> float:
    """missed: slots. days: of which each has its own attempts, for as long as it fails. What is
    limited by the day may be taken on those without a slot, too, and on one at least."""
    if name in daily:
        return max(1, days - missed) * daily[name]
    return (days * ATTEMPTS + min(missed, CATCH_UP)) * cap[name] + OVERHEAD.get(name, 0.0)


@lru_cache(maxsize=4096)
def _takes(limits: Limits) -> tuple[Vector, Vector]:
    return limits.vector(), limits.daily()


def users(line: Line, config: Collectors, most: int = 5) -> list[tuple[str, float]]:
    """Who takes most of it: its slots that are still to come."""
    taken = [
        (each.id, each.taken(line.start, line.end, line.dimension))
        for each in runners(config, PROTECTED)
    ]
    return heapq.nlargest(most, taken, key=lambda user: user[1])
