"""How imports keep to what is free: a chunk begins while something is left for today.

A long import is stretched over as many days as it takes, and says when it will be done. How much is
free today was found out at the last look at the quotas; what imports took since they know
themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.collecting.books import taken_today
from shared.collecting.pool import vector_of
from shared.ha.allowances import began_day, end_of
from shared.ha.collectors import Vector
from shared.ha.ledger import LEDGER, Ledger
from shared.store.protocol import Damaged, Store
from shared.work.engine import Pace
from shared.work.jobs import Job, Spending
from shared.work.runs import Budget

LOOKS_EACH = timedelta(minutes=10)
"""How often somebody looks at the quotas in the cloud."""
SHARE = 4
"""A chunk takes at most so small a part of what is left today, since others may have taken some of
it that is not counted yet."""
_LEAST = vector_of(Spending(writes=100, reads=100, seconds=5, chunks=1))
"""Of a chunk: fewer are not worth beginning."""
_ANY = 1e9


@dataclass(slots=True)
class Pacing:
    store: Store
    clock: Callable[[], datetime]

    def __call__(self, job: Job) -> Pace | None:
        """What a chunk of the job may take; None for as much as any. Raises `StoreError`."""
        now = self.clock()
        try:
            held = self.store.read(Ledger, LEDGER)
        except Damaged:
            return Pace(later=now + LOOKS_EACH, why="the quotas are looked at first")
        if held is None or held.document.free is None:
            return None
        if began_day(held.document.at) != began_day(now):
            return Pace(later=now + LOOKS_EACH, why="the quotas of the new day are looked at first")
        return _paced(job, held.document, taken_today(self.store, now), now)


def _paced(job: Job, ledger: Ledger, taken: Vector, now: datetime) -> Pace:
    share = {
        name: amount + ledger.counted.get(name, 0.0) for name, amount in (ledger.free or {}).items()
    }
    left = {name: amount - taken.get(name, 0.0) for name, amount in share.items()}
    for name, amount in left.items():
        if amount >= _LEAST.get(name, 0.0) * SHARE:
            continue
        why = f"today's share of {name} is used"
        if taken.get(name, 0.0) > ledger.counted.get(name, 0.0):
            return Pace(later=now + LOOKS_EACH, why=f"{why}, as far as is known")
        tomorrow = end_of("day", now)
        return Pace(later=tomorrow, why=why, done=_done(job, name, share[name], tomorrow))
    return Pace(
        budget=Budget(
            seconds=left.get("run.vcpu_seconds", _ANY) / SHARE,
            reads=int(left.get("firestore.reads", _ANY) / SHARE),
            writes=int(left.get("firestore.writes", _ANY) / SHARE),
        )
    )


def _done(job: Job, name: str, each_day: float, tomorrow: datetime) -> datetime | None:
    """When it will be, if each day has as much free of what is short as this one."""
    progress = job.progress
    took = vector_of(progress).get(name, 0.0)
    if not (progress.done and progress.total and took and each_day > 0):
        return None
    days = took / progress.done * max(0, progress.total - progress.done) / each_day
    return tomorrow + timedelta(days=min(days, 36_500))
