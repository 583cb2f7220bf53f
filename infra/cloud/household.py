"""What a household needs of the free tier in a month. Pure: what it does, times what each of that
costs, which `tests/bench/household.py` measures.

Assumed, because no emulator tells it; each is meant to be on the dear side:

- A request is billed from its arrival to its answer, in whole tenths of a second; an instance that
  waits is not (request-based billing, https://cloud.google.com/run/pricing#billable_time). No two
  requests share an instance.
- A vCPU of the cloud takes `SLOWER` times as long as the processor that was measured on, a request
  to Firestore `STORE_CALL` seconds and one to Cloud Storage `OBJECT_CALL`, one after another.
- Every object that a function writes is told to `media`, as an event of `EVENT` bytes that is
  published and delivered, and costs a request of a tenth of a second.
- A chunk of a job is three operations of Cloud Tasks: adding it, calling it, and calling it again.
- Each request writes `LOGGED` bytes to the log.
- `COLD_STARTS` instances a day begin for each function, `STARTING` seconds each, and read the
  function's secrets.
- What a month leaves behind is there all the month.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from infra.cloud.allowances import Spending, added
from shared.ha.allowances import BYTES, LONGEST_MONTH, Allowance

SLOWER = 2.0
STORE_CALL = 0.05
OBJECT_CALL = 0.1
TENTH = 0.1
EVENT = 2_000
"""Bytes: metadata of an object and of the event; less than 1,000 are counted as so many."""
OPERATIONS_OF_CHUNK = 3
LOGGED = 2_000
COLD_STARTS = 24
STARTING = 2.0
"""Seconds; about half a second of processor time was measured (`tests/bench/cold_start.py`)."""


class Size(NamedTuple):
    """Of an instance. memory: GiB."""

    vcpu: float
    memory: float


class Request(NamedTuple):
    """What answering one took. cpu: seconds of the processor measured on. calls, object_calls:
    requests to Firestore and to Cloud Storage."""

    cpu: float
    calls: float
    object_calls: float = 0


class Cost(NamedTuple):
    """Of one of something, such as a report, or a mail that is imported.

    requests: to functions; seconds: that they are billed. reads, writes, deletes: documents.
    class_a, class_b: on objects. operations: of Cloud Tasks. sent: bytes, to the internet. stored,
    kept: bytes that are there afterwards, in Firestore with its indexes and as objects.
    """

    requests: float = 0
    seconds: float = 0
    reads: float = 0
    writes: float = 0
    deletes: float = 0
    class_a: float = 0
    class_b: float = 0
    operations: float = 0
    sent: float = 0
    stored: float = 0
    kept: float = 0

    def per(self, number: float) -> "Cost":
        """Of one, where this is of so many."""
        return Cost(*(figure / number for figure in self))


class Activity(NamedTuple):
    """number: of `what` in a month, evenly on so many of its days."""

    what: str
    number: float
    days: float = LONGEST_MONTH


class Household(NamedTuple):
    """activities: beside the sweeps and ticks of every node. days: on how many days of the month as
    much is done as on the busiest."""

    title: str
    activities: Sequence[Activity]
    days: int = LONGEST_MONTH


class Deployed(NamedTuple):
    """secrets: versions; secrets_read: by one instance of each function, together. sweeps, ticks: a
    day.
    images: GB. built: minutes in a month."""

    size: Size
    functions: int
    secrets: int
    secrets_read: int
    jobs: int
    sweeps: float
    ticks: float
    images: float
    built: float


SWEEP, TICK = "a sweep", "a tick"


def billed(requests: Iterable[Request]) -> float:
    """Seconds."""
    return sum(_seconds(request) for request in requests)


def spending(household: Household, costs: Mapping[str, Cost], node: Deployed) -> Spending:
    """In a month of 31 days. Allowances by the day: of the busiest, on which everything falls that
    is not for each day. Stocks: what one such month leaves behind, beside what is deployed."""
    sweeps = Activity(SWEEP, node.sweeps * LONGEST_MONTH)
    ticks = Activity(TICK, node.ticks * LONGEST_MONTH)
    activities = [*household.activities, sweeps, ticks]
    done = [_spent(costs[each.what], each, node.size) for each in activities]
    return added(_deployed(node), *done)


def months_until_full(
    left_behind: Spending, node: Deployed, given: Mapping[str, Allowance]
) -> tuple[str, float]:
    """The stock that is used up first, if every month leaves behind what one did, and when;
    nothing and infinity if none ever is."""
    there = _deployed(node)
    months = {
        name: (given[name].amount - there.get(name, 0)) / grown
        for name, used in left_behind.items()
        if given[name].window == "stock" and (grown := used - there.get(name, 0)) > 0
    }
    first = min(months, key=lambda name: months[name], default="")
    return first, months.get(first, math.inf)


def _seconds(request: Request) -> float:
    waits = request.calls * STORE_CALL + request.object_calls * OBJECT_CALL
    tenths = round((request.cpu * SLOWER + waits) / TENTH, 6)  # 0.3 / 0.1 is a little below 3
    return max(1, math.ceil(tenths)) * TENTH


def _spent(cost: Cost, each: Activity, size: Size) -> Spending:
    number, busiest = each.number, each.number / each.days
    events = cost.class_a
    seconds = cost.seconds + events * TENTH
    return {
        "firestore.reads": cost.reads * busiest,
        "firestore.writes": cost.writes * busiest,
        "firestore.deletes": cost.deletes * busiest,
        "firestore.stored": cost.stored * number / BYTES["GiB"],
        "run.requests": (cost.requests + events) * number,
        "run.vcpu_seconds": seconds * size.vcpu * number,
        "run.gib_seconds": seconds * size.memory * number,
        "run.egress": cost.sent * number / BYTES["GiB"],
        "tasks.operations": cost.operations * number,
        "storage.stored": cost.kept * number / BYTES["GB"],
        "storage.class_a": cost.class_a * number,
        "storage.class_b": cost.class_b * number,
        "logging.volume": (cost.requests + events) * LOGGED * number / BYTES["GiB"],
        "pubsub.volume": 2 * events * EVENT * number / BYTES["GB"],
    }


def _deployed(node: Deployed) -> Spending:
    starts = node.functions * COLD_STARTS * LONGEST_MONTH
    return {
        "run.vcpu_seconds": starts * STARTING * node.size.vcpu,
        "run.gib_seconds": starts * STARTING * node.size.memory,
        "secrets.versions": node.secrets,
        "secrets.accesses": COLD_STARTS * LONGEST_MONTH * node.secrets_read,
        "scheduler.jobs": node.jobs,
        "artifacts.stored": node.images,
        "build.minutes": node.built,
    }
