"""From when on the plan is a promise."""

from datetime import timedelta

from msgspec.structs import replace

from shared.ha.arming import Ack, Arming, arm, unheard
from shared.ha.planner import plan
from tests.ha.plans import NOW, collector, config, pool

LATER = NOW + timedelta(minutes=10)
TWO = replace(
    config(
        mail=collector(generation=3),
        people=collector(generation=4),
        photos=collector(level="best-effort", generation=5),
    ),
    generation=5,
)
PLAN = plan(TWO, pool(), NOW)
ALL = {"mail": Ack(3, queued=False), "people": Ack(4, queued=False)}


def test_it_is_armed_once_every_protected_one_has_run_as_it_is_now() -> None:
    assert unheard(TWO, None) == ["mail", "people"]
    first = arm(TWO, PLAN, None, {"mail": Ack(3, queued=False)}, None, NOW)
    assert first.armed is None
    assert first.lacks == ("people has not run yet as it is configured now",)
    assert unheard(TWO, first) == ["people"]
    second = arm(TWO, PLAN, None, {"people": Ack(4, queued=False)}, first, LATER)
    assert second == Arming(
        generation=5, armed=LATER, acknowledged={"mail": 3, "people": 4}, lacks=()
    )


def test_a_run_of_an_earlier_generation_is_no_acknowledgement() -> None:
    old = arm(TWO, PLAN, None, {**ALL, "people": Ack(3, queued=False)}, None, NOW)
    assert (old.armed, old.acknowledged) == (None, {"mail": 3})
    never = arm(TWO, PLAN, None, {**ALL, "people": Ack(None, queued=False)}, None, NOW)
    assert never.armed is None


def test_both_paths_must_agree() -> None:
    queued = arm(TWO, PLAN, None, {**ALL, "mail": Ack(3, queued=True)}, None, NOW)
    assert queued.lacks == ("a task of mail still waits",)
    assert queued.armed is None


def test_what_lacks_disarms_and_what_is_there_again_arms() -> None:
    armed = arm(TWO, PLAN, None, ALL, None, NOW)
    assert armed.armed == NOW
    stays = arm(TWO, PLAN, None, {}, armed, LATER)
    assert stays.armed == NOW
    lost = arm(TWO, PLAN, "nobody knows", {}, armed, LATER)
    assert (lost.armed, lost.lacks) == (None, ("nobody knows",))
    again = arm(TWO, PLAN, None, {}, lost, LATER)
    assert again.armed == LATER


def test_a_change_of_one_is_acknowledged_by_that_one() -> None:
    armed = arm(TWO, PLAN, None, ALL, None, NOW)
    mail = replace(TWO.collectors["mail"], generation=6)
    changed = replace(TWO, collectors={**TWO.collectors, "mail": mail}, generation=6)
    assert unheard(changed, armed) == ["mail"]
    disarmed = arm(changed, PLAN, None, {"mail": Ack(3, queued=False)}, armed, LATER)
    assert disarmed.armed is None
    assert arm(changed, PLAN, None, {"mail": Ack(6, queued=False)}, disarmed, LATER).armed == LATER


def test_a_plan_that_does_not_hold_is_no_promise() -> None:
    full = plan(TWO, pool(used={"firestore.writes": 17_900}), NOW)
    armed = arm(TWO, full, None, ALL, None, NOW)
    assert armed.armed is None
    assert armed.lacks == ("the quotas do not hold it: firestore.writes is the tightest",)
    assert arm(TWO, None, None, ALL, None, NOW).lacks == ("there is no plan: see yurt plan",)


def test_more_failures_than_look_like_silence_cannot_be_tolerated() -> None:
    many = {f"c{n}": collector("every 6h") for n in range(5)}
    three = config(tolerate=3, **many)
    acks = dict.fromkeys(many, Ack(0, queued=False))
    armed = arm(three, plan(three, pool(), NOW), None, acks, None, NOW)
    assert armed.armed is None
    assert "would be taken for a silence of everything" in armed.lacks[0]
    two = config(tolerate=2, **many)
    assert arm(two, plan(two, pool(), NOW), None, acks, None, NOW).armed == NOW


def test_who_is_paused_or_gone_is_not_waited_for() -> None:
    paused = replace(
        TWO,
        collectors={**TWO.collectors, "people": replace(TWO.collectors["people"], paused=True)},
    )
    assert arm(paused, PLAN, None, {"mail": Ack(3, queued=False)}, None, NOW).armed == NOW
    armed = arm(TWO, PLAN, None, ALL, None, NOW)
    gone = replace(TWO, collectors={"mail": TWO.collectors["mail"]})
    assert arm(gone, PLAN, None, {}, armed, LATER).acknowledged == {"mail": 3}
