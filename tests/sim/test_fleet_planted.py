"""The invariants are judged: each of these fleets has one fault, which must be found."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from shared.collecting import monitor, slots
from shared.collecting.monitor import Looked, Monitor
from shared.ha import watching
from shared.ha.collectors import Collectors
from shared.ha.outbox import Outbox
from shared.work.engine import Engine, Outcome
from shared.work.jobs import Job
from shared.work.runs import Run
from tests.sim.fleet import Fleet
from tests.sim.fleet_ports import FleetStore, Post
from tests.sim.world import Faults, World

AT_MOST = 60
"""Lives until a fault is found."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def caught(**options: Any) -> str:
    """What is found first; each begins with the name of an invariant."""
    for seed in range(AT_MOST):
        wrong = Fleet(seed, **options).play().wrong
        if wrong:
            return wrong[0].split(": ", 1)[1]
    return ""


class NoGuard(FleetStore):
    """Whoever comes last, wins."""

    def __init__(self, world: World, every: timedelta) -> None:
        super().__init__(world, every)
        self.guards = False


class NotFenced(Engine):
    """A run that was refused goes on over whatever is there."""

    def _was_ours(self, run: Run) -> bool:
        held = self.store.control(Job, self.kind.family, run.id)
        assert held is not None
        run.version = held.version
        return False


class ToldBefore(Post):
    """An alert is taken out of the outbox, and then it is sent."""

    def __call__(self, outbox: Outbox) -> Iterator[Outbox]:
        for alert in outbox.alerts:
            rest = tuple(held for held in outbox.alerts if held.id != alert.id)
            outbox = replace(outbox, alerts=rest)
            yield outbox
            self.world.effect()
            self.hand_over(alert)


def test_a_store_that_checks_no_version_is_caught() -> None:
    assert caught(store=NoGuard).startswith(("I1", "I2", "I3"))


def test_a_run_that_is_not_fenced_is_caught() -> None:
    assert caught(engine=NotFenced).startswith("I1")


def test_a_slot_that_is_done_and_begun_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_is_retried", lambda job, again: True)
    assert caught().startswith("I3")


def test_an_alert_that_is_marked_before_it_is_sent_is_caught() -> None:
    assert caught(post=ToldBefore).startswith("I14")


def test_who_accuses_while_all_are_silent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "is_silence", lambda late, active: False)
    assert caught().startswith("I12")


def test_restarts_without_a_distance_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "AGAIN_AFTER", timedelta(0))
    assert caught().startswith("R1")


def test_a_stuck_run_that_a_later_one_hides_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    beginning = slots.beginning

    def hides(
        config: Collectors, id: str, slot: datetime, again: int
    ) -> Callable[[Job | None, datetime], Job | Outcome]:
        begun = beginning(config, id, slot, again)

        def hidden(job: Job | None, now: datetime) -> Job | Outcome:
            found = begun(job, now)
            return slots.unstuck(found) if isinstance(found, Job) else found

        return hidden

    monkeypatch.setattr(slots, "beginning", hides)
    assert caught().startswith("T1")


def test_a_node_that_is_armed_unheard_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "unheard", lambda config, before: [])
    monkeypatch.setattr("shared.ha.arming.unheard", lambda config, before: [])
    assert caught().startswith("I13")


def test_a_bucket_that_is_larger_than_planned_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_RESTARTS", dict.fromkeys(watching._RESTARTS, 9))
    assert caught().startswith("I6")


def test_a_collector_whose_slots_never_come_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    due = slots.due

    def without(config: Collectors, now: datetime) -> Iterator[tuple[str, datetime]]:
        return (each for each in due(config, now) if each[0] != "c0")

    monkeypatch.setattr(slots, "due", without)
    assert caught(faults=Faults()).startswith("L2")


def test_a_sign_of_life_before_all_was_looked_at_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep = Monitor.sweep

    def hasty(self: Monitor) -> Looked:
        self.completed()
        return sweep(self)

    monkeypatch.setattr(Monitor, "sweep", hasty)
    assert caught().startswith("L3")
