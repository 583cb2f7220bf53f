"""What the free tier gives, held to the figures it was written from; and sums over it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.cloud.allowances import (
    BadQuotas,
    Charge,
    added,
    allowances,
    bill,
    shares,
)
from shared.ha.allowances import began, ends

FIGURES = {
    "firestore.reads": (50_000, "documents", "day", "project", 0.03 / 100_000),
    "firestore.writes": (20_000, "documents", "day", "project", 0.09 / 100_000),
    "firestore.deletes": (20_000, "documents", "day", "project", 0.01 / 100_000),
    "firestore.stored": (1, "GiB", "stock", "project", 0.15),
    "firestore.egress": (10, "GiB", "month", "project", 0.12),
    "run.requests": (2_000_000, "requests", "month", "billing account", 0.4 / 1_000_000),
    "run.vcpu_seconds": (180_000, "vCPU-seconds", "month", "billing account", 0.000024),
    "run.gib_seconds": (360_000, "GiB-seconds", "month", "billing account", 0.0000025),
    "run.egress": (1, "GiB", "month", "billing account", 0.12),
    "tasks.operations": (1_000_000, "operations", "month", "billing account", 0.4 / 1_000_000),
    "storage.stored": (5, "GB", "stock", "billing account", 0.02),
    "storage.class_a": (5_000, "operations", "month", "billing account", 0.005 / 1_000),
    "storage.class_b": (50_000, "operations", "month", "billing account", 0.0004 / 1_000),
    "storage.egress": (100, "GB", "month", "billing account", 0.12),
    "secrets.versions": (6, "versions", "stock", "billing account", 0.06),
    "secrets.accesses": (10_000, "accesses", "month", "billing account", 0.03 / 10_000),
    "artifacts.stored": (0.5, "GB", "stock", "billing account", 0.10),
    "build.minutes": (2_500, "minutes", "month", "billing account", 0.006),
    "scheduler.jobs": (3, "jobs", "stock", "billing account", 0.10),
    "pubsub.volume": (10, "GB", "month", "billing account", 0.04),
    "logging.volume": (50, "GiB", "month", "project", 0.50),
    "compute.hours": (744, "hours", "month", "billing account", 0.0084),
    "compute.disk": (30, "GB", "stock", "billing account", 0.04),
}


def test_the_figures() -> None:
    read = {
        name: (given.amount, given.unit, given.window, given.scope, given.unit_price)
        for name, given in allowances().items()
    }
    assert read == FIGURES
    assert {given.beyond for given in allowances().values()} == {"billed"}


ENTRY = """
  firestore.reads:
    title: documents read
    amount: 50_000
    unit: documents
    window: day
    scope: project
    beyond: billed
    price: 0.03
    per: 100_000
    source: https://example.org
"""
FILE = f"collected: 2026-11-22\nallowances:{ENTRY}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("allowances: [", "while parsing"),
        ("", "got `null`"),
        ("collected: 2026-11-22", "missing required field `allowances`"),
        (FILE + "others: 1", "unknown field `others`"),
        (FILE.replace("window: day", "window: week"), "'week'"),
        (FILE.replace("50_000", "-1"), "> 0.0"),
        (FILE.replace("amount: 50_000", "amount: many"), "got `str`"),
        (FILE.replace("    unit: documents\n", ""), "missing required field `unit`"),
        (FILE.replace("https://example.org", "somewhere"), "matching regex"),
        (FILE.replace("firestore.reads", "reads"), "'reads' is no name of an allowance"),
        (FILE + ENTRY, "'firestore.reads' is there twice"),
        (FILE + "    unit: others\n", "'unit' is there twice"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "quotas.yaml"
    path.write_text(text)
    with pytest.raises(BadQuotas) as refused:
        allowances(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert says in str(refused.value)


def test_a_whole_file_is_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "quotas.yaml"
    path.write_text(FILE)
    assert list(allowances(path)) == ["firestore.reads"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadQuotas, match="it says what the free tier gives"):
        allowances(tmp_path / "quotas.yaml")


def test_within_everything_is_free() -> None:
    whole = {name: given.amount for name, given in allowances().items()}
    assert bill(whole, allowances()) == (0, (), "firestore.reads", 1)


def test_nothing_is_tight_when_nothing_is_used() -> None:
    assert bill({"run.requests": 0}, allowances()) == (0, (), "", 0)
    assert bill({}, allowances()) == (0, (), "", 0)


def test_what_is_beyond_is_billed_the_dearest_first() -> None:
    spending = {
        "firestore.writes": 30_000.0,  # 10,000 more than free, on each of 31 days
        "run.vcpu_seconds": 280_000.0,
        "storage.stored": 7.0,
        "firestore.reads": 49_999.0,
    }
    total = bill(spending, allowances())
    charged = [(charge.name, charge.excess, round(charge.usd, 6)) for charge in total.charges]
    assert charged == [
        ("run.vcpu_seconds", 100_000, 2.4),
        ("firestore.writes", 10_000, 0.279),
        ("storage.stored", 2, 0.04),
    ]
    assert total.usd == pytest.approx(2.719)
    assert total.tightest == "run.vcpu_seconds"
    assert total.share == pytest.approx(280 / 180)


def test_a_bill_for_some_days_as_busy() -> None:
    spending = {"firestore.writes": 30_000.0, "storage.class_a": 6_000.0}
    # What is free each day is free on each of them; a month's is not.
    assert bill(spending, allowances(), days=1).usd == pytest.approx(0.009 + 0.005)


def test_what_is_refused_costs_nothing_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "quotas.yaml"
    path.write_text(FILE.replace("beyond: billed", "beyond: refused"))
    total = bill({"firestore.reads": 60_000}, allowances(path))
    assert (total.usd, total.charges) == (0, (Charge("firestore.reads", 10_000, 0),))


def test_an_allowance_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"no allowance is called firestore\.looks"):
        shares({"firestore.looks": 1}, allowances())


def test_spendings_add_up() -> None:
    assert added({"a.b": 1, "a.c": 2}, {"a.c": 3}, {}) == {"a.b": 1, "a.c": 5}


def utc(*of: int) -> datetime:
    return datetime(*of, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("now", "began_at", "ends_at"),
    [
        (utc(2026, 11, 22, 7, 59, 59), utc(2026, 11, 21, 8), utc(2026, 11, 22, 8)),
        (utc(2026, 11, 22, 8), utc(2026, 11, 22, 8), utc(2026, 11, 23, 8)),
        (utc(2026, 7, 1, 6, 59), utc(2026, 6, 30, 7), utc(2026, 7, 1, 7)),
        # Clocks go forward at two o'clock: the day has 23 hours.
        (utc(2026, 3, 8, 20), utc(2026, 3, 8, 8), utc(2026, 3, 9, 7)),
        # They go back: 25, of which one o'clock is there twice.
        (utc(2026, 11, 1, 8, 30), utc(2026, 11, 1, 7), utc(2026, 11, 2, 8)),
        (utc(2026, 11, 1, 9, 30), utc(2026, 11, 1, 7), utc(2026, 11, 2, 8)),
        (utc(2026, 11, 2, 7, 59), utc(2026, 11, 1, 7), utc(2026, 11, 2, 8)),
    ],
)
def test_days_of_the_pacific_zone(now: datetime, began_at: datetime, ends_at: datetime) -> None:
    assert (began("day", now), ends("day", now)) == (began_at, ends_at)


@pytest.mark.parametrize(
    ("now", "began_at", "ends_at"),
    [
        (utc(2026, 11, 1, 6, 59), utc(2026, 10, 1, 7), utc(2026, 11, 1, 7)),
        # It begins in summer time and ends in winter time.
        (utc(2026, 11, 1, 7), utc(2026, 11, 1, 7), utc(2026, 12, 1, 8)),
        (utc(2026, 12, 31, 23), utc(2026, 12, 1, 8), utc(2027, 1, 1, 8)),
        (utc(2027, 1, 1, 7, 59), utc(2026, 12, 1, 8), utc(2027, 1, 1, 8)),
        (utc(2028, 2, 29, 12), utc(2028, 2, 1, 8), utc(2028, 3, 1, 8)),
    ],
)
def test_months_of_the_pacific_zone(now: datetime, began_at: datetime, ends_at: datetime) -> None:
    assert (began("month", now), ends("month", now)) == (began_at, ends_at)


def test_a_stock_has_no_window() -> None:
    assert began("stock", utc(2026, 11, 22)) is None
    assert ends("stock", utc(2026, 11, 22)) is None
