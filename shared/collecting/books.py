"""The books: what is used of the quotas, and the plan that follows.

Where a platform counts, a ledger is made of its counters at each look; a node at home is counted by
nobody, and plans as if it were in the cloud with nothing used.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shared.collecting import slots
from shared.collecting.pool import free_tier, pool_of, taken_by
from shared.counters.protocol import Counters, Unknown
from shared.ha.allowances import began_day
from shared.ha.collectors import Collectors
from shared.ha.ledger import LEDGER, DayOf, Ledger, is_over, with_day, with_free
from shared.ha.planner import Plan, Pool, plan, runners
from shared.ha.schedules import BadSchedule
from shared.ha.sparing import OTHERS
from shared.store.changing import mendable
from shared.store.protocol import Conflict, Damaged, Store
from shared.work.jobs import FAMILY, Day, Job, every_job

_log = logging.getLogger(__name__)

_ALL = datetime(9999, 1, 1, tzinfo=UTC)
_MOST_JOBS = 1_000


class Account(NamedTuple):
    """plan: None if there is none. lack: why what was used is not known, if it is not."""

    plan: Plan | None
    lack: str | None


@dataclass(slots=True)
class Books:
    """phones: how many report. counters: the platform's; None where nobody counts."""

    store: Store
    phones: Callable[[], int]
    counters: Counters | None

    def look(self, config: Collectors, now: datetime) -> Account:
        """Asks the counters, writes the ledger, and plans. Raises `StoreError`."""
        if self.counters is None:
            return Account(_planned(config, pool_of(self.phones(), None, now), now), None)
        before, over = mendable(self.store, LEDGER, Ledger)
        if before is None and over is not None:
            _log.error("the ledger cannot be read, and is made anew")
        ledger = self._reconciled(self.counters, before, now)
        pool = pool_of(self.phones(), ledger, now)
        made = _planned(config, pool, now)
        if made is not None:
            free = self._free(config, made, now)
            ledger = with_free(ledger, before, free, taken_today(self.store, now))
        try:
            self.store.write(LEDGER, ledger, over=over)
        except Conflict:
            _log.info("somebody else made the ledger anew")
        names = {line.dimension for line in made.lines} if made is not None else set[str]()
        return Account(made, ledger.lack(sorted(names), now))

    def _reconciled(self, counters: Counters, before: Ledger | None, now: datetime) -> Ledger:
        readings = counters.read(free_tier(), now)
        used = {n: found for n, found in readings.items() if not isinstance(found, Unknown)}
        unknown = {n: found.why for n, found in readings.items() if isinstance(found, Unknown)}
        days: tuple[DayOf, ...] = before.days if before is not None else ()
        if before is not None and is_over(before, now):
            counted = self._counted(began_day(before.known))
            days = with_day(before, free_tier(), counted, now)
        late = counters.late.total_seconds()
        return Ledger(at=now, late=late, used=used, unknown=unknown, days=days)

    def _counted(self, day: datetime) -> dict[str, float]:
        """What runs counted themselves on a day."""
        total = dict[str, float]()
        for family in (FAMILY, slots.FAMILY):
            try:
                for found in every_job(self.store, family):
                    _add(total, found.document.days, day)
            except Damaged as error:
                # What is not counted here counts as taken by reports: on the safe side.
                _log.error("not all that runs of %ss took is known: %s", family, error)
        return total

    def _free(self, config: Collectors, made: Plan, now: datetime) -> dict[str, float]:
        """What imports may take today: what is left when everybody else has what is theirs, of a
        month each day its share."""
        free, others = dict[str, float](), runners(config, OTHERS)
        for line in made.current(now):
            slots_of_others = sum(each.taken(now, line.end, line.dimension) for each in others)
            left = max(0.0, line.left(made.wanted) - slots_of_others)
            days = max(1.0, (line.end - now) / timedelta(days=1))
            free[line.dimension] = left / days
        return free


def _add(total: dict[str, float], days: tuple[Day, ...], began: datetime) -> None:
    for day in days:
        if day.began == began:
            for name, amount in taken_by(day).items():
                total[name] = total.get(name, 0.0) + amount


def _planned(config: Collectors, pool: Pool, now: datetime) -> Plan | None:
    try:
        return plan(config, pool, now)
    except BadSchedule as error:
        _log.error("there is no plan: %s", error)
        return None


def taken_today(store: Store, now: datetime) -> dict[str, float]:
    """By jobs that have not ended. Raises `StoreError`."""
    taken = dict[str, float]()
    for found in store.due(Job, FAMILY, _ALL, limit=_MOST_JOBS):
        _add(taken, found.document.days, began_day(now))
    return taken


def ledger_of(store: Store) -> Ledger | None:
    """As it was made last. Raises `Damaged` if it cannot be read."""
    held = store.read(Ledger, LEDGER)
    return held.document if held is not None else None
