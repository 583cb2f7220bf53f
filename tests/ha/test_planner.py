"""The plan against brute force, and against figures that were reckoned by hand."""

import random
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import combinations
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from infra.cloud.allowances import allowances
from shared.ha.collectors import Collector, Collectors, Vector, offset_of
from shared.ha.planner import (
    ATTEMPTS,
    CATCH_UP,
    MARGIN,
    OVERHEAD,
    Line,
    Overcommitted,
    Plan,
    Pool,
    Recovery,
    check_change,
    plan,
    users,
)
from tests.ha.plans import NOW, caps, collector, config, pool

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Bin(NamedTuple):
    """A window as the oracle finds it. whole: its real beginning, also before now."""

    kind: str
    whole: datetime
    start: datetime
    end: datetime
    is_now: bool


@cache
def bins(now: datetime) -> list[Bin]:
    """Midnights in California, found hour by hour."""
    zone = ZoneInfo("America/Los_Angeles")
    hours = [now.replace(minute=0) + timedelta(hours=n) for n in range(-32 * 24, 64 * 24)]
    midnights = [hour for hour in hours if hour.astimezone(zone).hour == 0]
    firsts = [hour for hour in midnights if hour.astimezone(zone).day == 1]
    found = [Bin("stock", now, now, now + timedelta(days=1), True)]
    for kind, edges, number in (("day", midnights, 8), ("month", firsts, 2)):
        at = max(n for n, edge in enumerate(edges) if edge <= now)
        for n in range(number):
            start = max(now, edges[at + n])
            found.append(Bin(kind, edges[at + n], start, edges[at + n + 1], n == 0))
    return found


def slots_of(known: Collectors, now: datetime) -> dict[str, list[datetime]]:
    found: dict[str, list[datetime]] = {}
    for id, each in known.collectors.items():
        every = each.slots.every
        assert every is not None
        slot = (
            EPOCH
            + offset_of(id, each.slots)
            + every * ((now - timedelta(days=32) - EPOCH) // every)
        )
        found[id] = []
        while slot < now + timedelta(days=64):
            found[id].append(slot)
            slot += every
    return found


def count(slots: Sequence[datetime], start: datetime, end: datetime) -> int:
    return bisect_left(slots, end) - bisect_left(slots, start)


def needed(
    known: Collectors,
    given: Pool,
    window: Bin,
    name: str,
    failed: Sequence[str],
    slots: Mapping[str, Sequence[datetime]],
) -> float:
    """What one window must hold of one allowance if these collectors fail in it."""
    days = (window.end - window.start).total_seconds() / 86400
    total = given.used.get(name, 0.0) if window.is_now else 0.0
    total += days * (given.forecast.get(name, 0.0) + given.watch.get(name, 0.0))
    for id, each in known.collectors.items():
        if each.level != "protected" or each.paused:
            continue
        number, missed = (
            count(slots[id], start, window.end) for start in (window.start, window.whole)
        )
        by_day = each.limits.daily().get(name, 0.0)
        days = number_of_days(window.start, window.end)
        total += by_day * min(number, days)
        cap = each.limits.vector().get(name, 0.0)
        total += cap * number
        if id in failed and missed:
            runs = ATTEMPTS * days + min(CATCH_UP, missed)
            total += runs * cap + OVERHEAD.get(name, 0.0)
            total += by_day * max(1, days - missed)
    return total


@cache
def number_of_days(start: datetime, end: datetime) -> int:
    """On which the clocks of California are, hour by hour."""
    found, at = set[date](), start
    while at < end:
        found.add(at.astimezone(ZoneInfo("America/Los_Angeles")).date())
        at += timedelta(minutes=30)
    return len(found)


def by_force(known: Collectors, given: Pool, now: datetime) -> int | None:
    """Tries whichever fail."""
    slots = slots_of(known, now)
    protected = [
        id for id, c in known.collectors.items() if c.level == "protected" and not c.paused
    ]
    names = {name for id in protected for name in all_names(known.collectors[id])}
    for k in range(len(protected) + 1):
        for failed in combinations(protected, k):
            for window in bins(now):
                for name in names:
                    allowance = given.allowances[name]
                    if allowance.window != window.kind:
                        continue
                    amount = known.quotas.get(name, allowance.amount)
                    if needed(known, given, window, name, failed, slots) > amount * (1 - MARGIN):
                        return k - 1 if k else None
    return len(protected)


def all_names(each: Collector) -> set[str]:
    return {*each.limits.vector(), *each.limits.daily()}


def random_pool(chance: random.Random) -> tuple[Collectors, Pool, datetime]:
    levels = ["protected", "protected", "protected", "best-effort", "unprotected"]
    collectors = {
        f"c{n}": collector(
            f"every {chance.choice([3, 5, 6, 7, 12, 24, 100, 200])}h",
            level=chance.choice(levels),
            paused=chance.random() < 0.1,
            caps=caps(
                writes=chance.choice([10, 200, 900, 3000]),
                reads=chance.choice([10, 5000]),
                seconds=chance.choice([5, 100, 900]),
                megabytes=chance.choice([0.1, 20, 100]),
                object_writes=chance.choice([0, 3, 60]),
            ),
        )
        for n in range(chance.randint(0, 5))
    }
    used: Vector = {
        "firestore.writes": chance.choice([0, 5_000, 17_900]),
        "firestore.stored": chance.choice([0, 0.5, 0.89]),
        "storage.class_a": chance.choice([0, 3_000]),
    }
    quotas = {"firestore.reads": 9_000.0} if chance.random() < 0.3 else {}
    now = datetime(
        2026,
        chance.choice([3, 7, 11]),
        chance.randint(1, 28),
        chance.randint(0, 23),
        30,
        tzinfo=UTC,
    )
    return (
        Collectors(collectors=collectors, tolerate=chance.randint(0, 3), quotas=quotas),
        pool(used, forecast={"firestore.writes": chance.choice([0, 6_000])}),
        now,
    )


def test_it_is_what_brute_force_finds() -> None:
    chance, seen = random.Random(8), set[int | None]()
    for number in range(2_000):
        known, given, now = random_pool(chance)
        found, expected = plan(known, given, now).failures_tolerated, by_force(known, given, now)
        assert found == expected, f"pool {number}: {known} {given} {now}"
        seen.add(found)
    assert seen >= {None, 0, 1, 2, 3}


def line(made: Plan, name: str, number: int = 0) -> Line:
    """Of an allowance, in its window of that number from now."""
    found = sorted((each for each in made.lines if each.dimension == name), key=lambda x: x.start)
    return found[number]


def test_figures_reckoned_by_hand() -> None:
    known = config(mail=collector("every 1h", caps=caps(writes=100)))
    made = plan(known, pool({"firestore.writes": 1_000}, {"firestore.writes": 5_760}), NOW)
    today, tomorrow = line(made, "firestore.writes"), line(made, "firestore.writes", 1)
    # From half past six in California seventeen and a half hours are left.
    assert (today.start, today.end) == (NOW, datetime(2026, 11, 26, 8, tzinfo=UTC))
    assert (today.capacity, today.used, today.forecast) == (18_000, 1_000, 5_760 * 17.5 / 24)
    assert today.protected in (1_700, 1_800)
    assert (tomorrow.used, tomorrow.forecast, tomorrow.protected) == (0, 5_760, 2_400)
    # Three attempts and two to catch up, and four writes around them.
    assert tomorrow.recoveries == (Recovery("mail", 504),)
    assert tomorrow.need(1) == 5_760 + 2_400 + 504
    assert made.failures_tolerated == 1


@pytest.mark.parametrize(
    ("now", "hours"),
    [(datetime(2026, 3, 8, 8, tzinfo=UTC), 23), (datetime(2026, 11, 1, 7, tzinfo=UTC), 25)],
)
def test_days_on_which_the_clocks_change(now: datetime, hours: int) -> None:
    made = plan(config(mail=collector("every 1h", caps=caps(writes=100))), pool(), now)
    assert line(made, "firestore.writes").protected == 100 * hours


def test_what_does_not_fit_and_what_tolerates_nothing_are_two_things() -> None:
    known = config(mail=collector("every 1h", caps=caps(writes=100)))

    def tolerated(used: float) -> int | None:
        return plan(known, pool({"firestore.writes": used}), NOW).failures_tolerated

    protected = line(plan(known, pool(), NOW), "firestore.writes").protected
    assert tolerated(18_000 - protected - 504) == 1
    assert tolerated(18_000 - protected - 503) == 0
    assert tolerated(18_000 - protected) == 0
    assert tolerated(18_001 - protected) is None


@pytest.mark.parametrize(
    "other",
    [
        collector("every 1m", level="best-effort", caps=caps(writes=9_000)),
        collector("every 1m", level="unprotected", caps=caps(writes=9_000)),
        collector("every 1m", paused=True, caps=caps(writes=9_000)),
    ],
)
def test_what_is_not_protected_takes_nothing_of_the_plan(other: Collector) -> None:
    alone = plan(config(mail=collector()), pool(), NOW)
    assert plan(config(mail=collector(), other=other), pool(), NOW) == alone


def test_nothing_to_fail_is_no_failure_to_tolerate() -> None:
    made = plan(config(tolerate=3), pool(), NOW)
    assert (made.failures_tolerated, made.holds) == (0, True)


def rank(made: Plan) -> int:
    """The worse, the smaller."""
    return -1 if made.failures_tolerated is None else made.failures_tolerated


def test_it_falls_with_what_is_asked_and_rises_with_what_is_given() -> None:
    chance = random.Random(5)
    for _ in range(300):
        known, given, now = random_pool(chance)
        found = rank(plan(known, given, now))
        wider = {name: 10.0 * allowance.amount for name, allowance in allowances().items()}
        assert rank(plan(replace(known, quotas=wider), given, now)) >= found
        dearer = {
            id: replace(each, caps=replace(each.caps, writes=2 * each.limits.writes))
            for id, each in known.collectors.items()
        }
        assert rank(plan(replace(known, collectors=dearer), given, now)) <= found


# Changes


def test_a_change_that_leaves_no_plan_is_refused_with_what_lacks() -> None:
    held = config(mail=collector("every 1h", caps=caps(writes=100)))
    wanted = config(
        mail=collector("every 1h", caps=caps(writes=100)),
        photos=collector("every 15m", caps=caps(writes=200, object_writes=0)),
    )
    after = plan(wanted, pool(), NOW)
    with pytest.raises(Overcommitted) as refused:
        check_change(plan(held, pool(), NOW), after)
    error = refused.value
    assert (error.dimension, error.window) == ("firestore.writes", "day")
    assert (error.have, error.failures_tolerated) == (18_000, None)
    assert error.need > 19_200
    assert users(error.line, wanted) == [("photos", 19_200.0), ("mail", 2_400.0)]


def test_where_nothing_fits_what_makes_it_no_worse_is_allowed() -> None:
    held = plan(config(a=collector("every 1m"), b=collector()), pool(), NOW)
    assert held.failures_tolerated is None
    check_change(held, plan(config(a=collector("every 1m")), pool(), NOW))
    check_change(held, held)
    worse = plan(config(a=collector("every 1m"), b=collector("every 30m")), pool(), NOW)
    with pytest.raises(Overcommitted):
        check_change(held, worse)
