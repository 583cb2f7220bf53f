"""What a household needs, summed from what each thing costs that it does."""

import math

import pytest

from infra.cloud.allowances import allowances, bill
from infra.cloud.household import (
    SWEEP,
    TICK,
    Activity,
    Cost,
    Deployed,
    Household,
    Request,
    Size,
    billed,
    months_until_full,
    spending,
)

NOTHING = Deployed(Size(1, 0.5), 0, 0, 0, 0, 0, 0, 0, 0)
DEPLOYED = Deployed(
    size=Size(1, 0.5),
    functions=5,
    secrets=1,
    secrets_read=2,
    jobs=1,
    sweeps=144,
    ticks=0,
    images=0.26,
    built=60,
)
REPORT = Cost(requests=1, seconds=0.2, reads=1, writes=1, sent=500, stored=100)
COSTS = {
    "report": REPORT,
    SWEEP: Cost(requests=1, seconds=0.1, reads=3, operations=1),
    TICK: Cost(),
}


@pytest.mark.parametrize(
    ("requests", "seconds"),
    [
        ([], 0),
        ([Request(0, 0)], 0.1),
        ([Request(0.05, 0)], 0.1),  # twice as long there
        ([Request(0.051, 0)], 0.2),
        ([Request(0, 2)], 0.1),
        ([Request(0, 6)], 0.3),
        ([Request(0.001, 2)], 0.2),
        ([Request(0, 0, 3)], 0.3),
        ([Request(0.001, 1, 1), Request(0.001, 1, 1)], 0.4),  # each by itself is rounded up
    ],
)
def test_each_request_is_billed_in_tenths(requests: list[Request], seconds: float) -> None:
    assert billed(requests) == pytest.approx(seconds)


def used(household: Household, deployed: Deployed = NOTHING) -> dict[str, float]:
    return {name: much for name, much in spending(household, COSTS, deployed).items() if much}


def test_a_phone_each_minute() -> None:
    household = Household("a phone", [Activity("report", 44_640)])
    assert used(household) == pytest.approx(
        {
            "firestore.reads": 1_440,
            "firestore.writes": 1_440,
            "firestore.stored": 4_464_000 / 2**30,
            "run.requests": 44_640,
            "run.vcpu_seconds": 8_928,
            "run.gib_seconds": 4_464,
            "run.egress": 22_320_000 / 2**30,
            "logging.volume": 89_280_000 / 2**30,
        }
    )


def test_what_is_done_on_few_days_makes_them_busier() -> None:
    once = Household("once", [Activity("report", 31, days=1)])
    weekly = Household("weekly", [Activity("report", 31, days=4), Activity("report", 31)])
    assert used(once)["firestore.writes"] == 31
    assert used(weekly)["firestore.writes"] == 7.75 + 1
    assert used(weekly)["run.requests"] == 62


def test_an_object_that_is_written_is_told_to_a_function() -> None:
    costs = {"photo": Cost(class_a=2, class_b=3, kept=1.5e6), SWEEP: Cost(), TICK: Cost()}
    household = Household("photos", [Activity("photo", 1_000)])
    found = spending(household, costs, NOTHING)
    assert {name: much for name, much in found.items() if much} == pytest.approx(
        {
            "storage.class_a": 2_000,
            "storage.class_b": 3_000,
            "storage.stored": 1.5,
            "run.requests": 2_000,
            "run.vcpu_seconds": 200,
            "run.gib_seconds": 100,
            "logging.volume": 4_000_000 / 2**30,
            "pubsub.volume": 0.008,
        }
    )


def test_a_node_alone_sweeps_and_starts() -> None:
    assert used(Household("nobody", []), DEPLOYED) == pytest.approx(
        {
            "firestore.reads": 144 * 3,
            "run.requests": 4_464,
            "run.vcpu_seconds": 446.4 + 5 * 24 * 31 * 2,
            "run.gib_seconds": (446.4 + 5 * 24 * 31 * 2) / 2,
            "tasks.operations": 4_464,
            "logging.volume": 4_464 * 2_000 / 2**30,
            "secrets.versions": 1,
            "secrets.accesses": 2 * 24 * 31,
            "scheduler.jobs": 1,
            "artifacts.stored": 0.26,
            "build.minutes": 60,
        }
    )


def test_a_bill_of_one_day_and_of_all() -> None:
    busy = Household("busy", [Activity("report", 30_000, days=1)], days=1)
    spent = spending(busy, COSTS, NOTHING)
    assert bill(spent, allowances(), busy.days).usd == pytest.approx(10_000 * 0.09 / 100_000)
    assert bill(spent, allowances()).usd == pytest.approx(31 * 10_000 * 0.09 / 100_000)


def test_what_is_full_first() -> None:
    spent = {"firestore.stored": 0.1, "storage.stored": 2.0, "storage.class_a": 4_000}
    assert months_until_full(spent, NOTHING, allowances()) == ("storage.stored", 2.5)


def test_what_is_deployed_does_not_grow() -> None:
    spent = spending(Household("nobody", []), COSTS, DEPLOYED)
    assert months_until_full(spent, DEPLOYED, allowances()) == ("", math.inf)


def test_what_shrinks_is_never_full() -> None:
    spent = {"firestore.stored": -0.1}
    assert months_until_full(spent, NOTHING, allowances()) == ("", math.inf)


def test_a_cost_of_one() -> None:
    assert Cost(requests=4, writes=100).per(50) == Cost(requests=0.08, writes=2)
