"""The ledger: what of the platform's counters still counts, and what is forecast of them."""

from datetime import UTC, datetime, timedelta

from shared.collecting.pool import free_tier, pool_of
from shared.ha.ledger import DayOf, Ledger, is_over, with_day

NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 25, 8, tzinfo=UTC)
"""Of the Pacific zone, on a day of winter."""


def ledger(at: datetime = NOW, **more: object) -> Ledger:
    used = {"firestore.writes": 1_200.0, "run.requests": 9_000.0, "storage.stored": 1.5}
    return Ledger(at=at, late=240, used=used, **more)  # type: ignore[arg-type]


def days(number: int, writes: float = 700.0) -> tuple[DayOf, ...]:
    return tuple(
        DayOf(began=MIDNIGHT - timedelta(days=n), besides={"firestore.writes": writes + n})
        for n in range(number, 0, -1)
    )


def test_what_was_used_counts_until_its_window_ends() -> None:
    known = ledger()
    assert known.used_by(free_tier(), NOW + timedelta(hours=1)) == known.used
    tomorrow = known.used_by(free_tier(), datetime(2026, 11, 26, 8, 1, tzinfo=UTC))
    assert tomorrow == {"run.requests": 9_000.0, "storage.stored": 1.5}
    assert known.used_by(free_tier(), datetime(2026, 12, 1, 8, tzinfo=UTC)) == {
        "storage.stored": 1.5
    }


def test_counters_of_just_before_midnight_count_for_the_day_before() -> None:
    """They are late: what they say after it is in part of the old day, and so counted for it."""
    after = ledger(at=MIDNIGHT + timedelta(days=1, minutes=2))
    assert "firestore.writes" not in after.used_by(free_tier(), after.at)


def test_a_plan_counts_from_when_the_counters_are_known() -> None:
    pool = pool_of(1, ledger(), NOW)
    assert pool.known == NOW - timedelta(minutes=4)
    assert pool.used["firestore.writes"] == 1_200


def test_it_is_not_relied_on_when_it_is_old_or_lacks_something() -> None:
    assert ledger().lack(["firestore.writes"], NOW + timedelta(minutes=50)) is None
    old = ledger().lack([], NOW + timedelta(minutes=61))
    assert old == "what was used of the quotas is known up to 2026-11-25 14:30 UTC only"
    ahead = ledger().lack([], NOW - timedelta(minutes=61))
    assert ahead is not None
    unknown = ledger(unknown={"firestore.reads": "403: no permission"})
    assert unknown.lack(["firestore.writes"], NOW) is None
    assert unknown.lack(["firestore.writes", "firestore.reads"], NOW) == (
        "nobody knows how much of firestore.reads was used: 403: no permission"
    )


def test_what_phones_take_is_measured_once_enough_days_are_known() -> None:
    usual = {"firestore.writes": 1_440.0}
    assert ledger(days=days(2)).forecast(usual) == usual
    assert ledger(days=days(3)).forecast(usual) == {"firestore.writes": 703.0}
    # The day with the most of them, since the next may be like it.
    assert pool_of(1, ledger(days=days(3)), NOW).forecast["firestore.writes"] == 703


def test_what_is_counted_by_the_month_is_planned_for_as_usual_all_the_time() -> None:
    few, enough = (pool_of(1, ledger(days=days(number)), NOW) for number in (2, 3))
    for name in ("run.requests", "run.vcpu_seconds", "tasks.operations"):
        assert enough.forecast.get(name) == few.forecast.get(name)
        assert enough.watch[name] == few.watch[name] > 0
    assert "firestore.writes" not in enough.watch  # it is in what was measured


def test_a_day_that_is_over_is_remembered_without_what_runs_took() -> None:
    before = ledger(at=MIDNIGHT + timedelta(hours=23, minutes=50), days=days(7))
    after = MIDNIGHT + timedelta(days=1, minutes=5)
    assert is_over(before, after)
    assert not is_over(before, MIDNIGHT + timedelta(hours=23, minutes=59))
    remembered = with_day(before, free_tier(), {"firestore.writes": 900.0}, after)
    assert len(remembered) == 7
    assert remembered[-1] == DayOf(began=MIDNIGHT, besides={"firestore.writes": 300.0})
    assert remembered[0].began == MIDNIGHT - timedelta(days=6)


def test_runs_that_counted_more_than_the_platform_leave_nothing_besides() -> None:
    before = ledger(at=MIDNIGHT + timedelta(hours=23, minutes=50))
    after = MIDNIGHT + timedelta(days=1, minutes=5)
    (day,) = with_day(before, free_tier(), {"firestore.writes": 5_000.0}, after)
    assert day.besides == {"firestore.writes": 0.0}


def test_a_day_of_which_too_little_is_known_is_not_remembered() -> None:
    before = ledger(at=MIDNIGHT + timedelta(hours=20), days=days(3))
    assert with_day(before, free_tier(), {}, MIDNIGHT + timedelta(days=1, minutes=5)) == days(3)
