"""Who has to wait near the end of an allowance."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from shared.ha.collectors import Collectors, Held
from shared.ha.planner import plan
from shared.ha.sparing import spare
from tests.ha.plans import NOW, caps, collector, config, pool

EVERY = timedelta(minutes=10)
END = datetime(2026, 11, 26, 8, tzinfo=UTC)


def spared(config: Collectors, writes: float, now: datetime = NOW) -> Held | None:
    made = plan(config, pool(used={"firestore.writes": writes}), now)
    return spare(config, made, now, EVERY)


MIXED = config(
    mail=collector("every 1h", caps=caps(writes=100)),
    photos=collector("every 10m", level="best-effort", caps=caps(writes=100)),
)
# 18,000 may be planned with, of which 18 slots of mail, one of its recoveries (504) and two looks'
# worth of photos, and one that was late, are to be free.
FULL = 18_000 - 1_800 - 504 - 300


def test_nobody_waits_while_there_is_enough() -> None:
    assert spared(MIXED, 0) is None
    assert spared(MIXED, FULL) is None


def test_best_effort_waits_before_what_is_reserved_is_touched() -> None:
    held = spared(MIXED, FULL + 1)
    assert held == Held(
        level="best-effort", dimension="firestore.writes", since=NOW, until=END, generation=0
    )


def test_protected_waits_only_for_what_phones_report() -> None:
    # The margin is theirs, too: all of 20,000 but for one slot with one that was late.
    held = spared(MIXED, 19_801)
    assert held is not None
    assert held.level == "protected"
    others = spared(MIXED, 19_799)
    assert others is not None
    assert others.level == "best-effort"


def test_who_waits_waits_until_the_window_ends() -> None:
    waiting = replace(MIXED, held=spared(MIXED, FULL + 1))
    assert spared(waiting, 0, NOW + timedelta(hours=1)) == waiting.held
    assert spared(waiting, 0, END) is None
    assert spared(replace(waiting, generation=1), 0, NOW + timedelta(hours=1)) is None


def test_it_may_become_worse() -> None:
    waiting = replace(MIXED, held=spared(MIXED, FULL + 1))
    held = spared(waiting, 19_900, NOW + timedelta(minutes=10))
    assert held is not None
    assert held.level == "protected"


def test_nobody_waits_who_has_no_slot_to_come() -> None:
    rare = config(mail=collector("every 1h"), photos=collector("0 3 * * *", level="best-effort"))
    assert spared(rare, 17_900) is None


def test_without_anything_protected_best_effort_waits_as_well() -> None:
    alone = config(photos=collector("every 10m", level="best-effort", caps=caps(writes=100)))
    assert spared(alone, 17_600) is None
    held = spared(alone, 17_900)
    assert held is not None
    assert held.level == "best-effort"


def test_who_is_held_is_said_by_level() -> None:
    held = replace(MIXED, held=spared(MIXED, FULL + 1))
    assert held.is_held("photos", NOW)
    assert not held.is_held("mail", NOW)
    assert not held.is_held("photos", END)
    everybody = replace(MIXED, held=spared(MIXED, 19_900))
    assert everybody.is_held("mail", NOW)
