"""What a node may spend, and what it spends besides its collectors."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

import msgspec

from shared.ha.allowances import Allowance
from shared.ha.collectors import Vector, vector_of
from shared.ha.ledger import Ledger
from shared.ha.planner import Pool
from shared.work.jobs import Spending

FREE_TIER = Path(__file__).with_name("free_tier.json")
"""Made from `infra/quotas.yaml` by `make schemas`, since functions get nothing of `infra`."""

PHONE: Vector = {
    # A report each minute is one write; each is a request of a tenth of a second.
    "firestore.writes": 1_440,
    "run.requests": 1_440,
    "run.vcpu_seconds": 144,
    "run.gib_seconds": 72,
}
"""What one paired phone takes, a day."""

QUESTIONS: Vector = {
    "firestore.reads": 2_000,
    "run.requests": 100,
    "run.vcpu_seconds": 50,
    "run.gib_seconds": 25,
}
"""What its owner's questions take, a day."""

WATCH: Vector = {
    # Every other tick reads what is configured. Each ten minutes it is marked, and two sweeps
    # look what is overdue, one of them in a task, which is added and called. Both look which tasks
    # there are, and the other asks the platform's counters for about a second, and where to give a
    # sign of life.
    "firestore.reads": 720 + 18 * 144,
    "firestore.writes": 3 * 144,
    "run.requests": 1_440 + 2 * 144,
    "run.vcpu_seconds": 0.1 * 1_440 + 2 * 144,
    "run.gib_seconds": 0.5 * (0.1 * 1_440 + 2 * 144),
    "tasks.operations": 4 * 144,
}
"""What looking after collectors takes by itself, a day."""


@cache
def free_tier() -> Mapping[str, Allowance]:
    """Each allowance by its name."""
    return msgspec.json.decode(FREE_TIER.read_bytes(), type=dict[str, Allowance])


def pool_of(phones: int, ledger: Ledger | None, now: datetime) -> Pool:
    """phones: that are paired. ledger: what is known of what was used; nothing was if None."""
    usual = dict(QUESTIONS)
    for name, amount in PHONE.items():
        usual[name] = usual.get(name, 0.0) + phones * amount
    if ledger is None:
        return Pool(free_tier(), {}, usual, WATCH)
    used = ledger.used_by(free_tier(), now)
    # What watching takes is in what was counted besides runs.
    measured = ledger.measured()
    watch = {name: amount for name, amount in WATCH.items() if name not in measured}
    return Pool(free_tier(), used, ledger.forecast(usual), watch, ledger.known)


def taken_by(spent: Spending) -> dict[str, float]:
    """What runs took, in the units of allowances."""
    return vector_of(**{name: getattr(spent, name) for name in Spending.__struct_fields__})
