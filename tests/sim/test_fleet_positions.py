"""Single faults at named places beside a deadline, once or again and again; nothing else fails."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.ha.collectors import Caps, Declared
from shared.store.protocol import StoreUnavailable, Versioned
from shared.work.jobs import LEASE
from tests.sim.fleet import Fleet
from tests.sim.fleet_ports import POSITIONS, FleetStore, at_position
from tests.sim.world import Faults, World

GRACE, EVERY = 60, timedelta(seconds=30)
FIRST, TROUBLE = 600.0, 3_000.0
"""When faults begin, and by when all shall be well."""
WAITS = timedelta(minutes=5)
"""How long a task may wait until it is taken for lost."""
SLACK = timedelta(seconds=10)
"""What the effects of a sweep take, and its clock may be wrong by."""
FLEET = {
    "c0": Declared(
        service="scripted",
        schedule="every 10m",
        grace=GRACE,
        caps=Caps(writes=40, seconds=5, object_writes=0, object_megabytes=0),
    )
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def fleet(**more: Any) -> Fleet:
    return Fleet(1, faults=Faults(), trouble=TROUBLE, wanted=FLEET, **more)


def kinds(fleet: Fleet) -> list[str]:
    """Of what is told of the collector; what a slow run takes may be more than fits the quotas."""
    return [alert.kind for alert in fleet.store.known.made.values() if alert.collector]


def latest(fleet: Fleet) -> timedelta:
    """How long after it was late that was told, at most."""
    known = fleet.store.known
    late = [alert for alert in known.made.values() if alert.kind == "late"]
    return max(known.told[alert.id] - alert.at for alert in late)


def times(fleet: Fleet, repeated: str, which: int = 0) -> Callable[[], bool]:
    """Whether a fault is to befall now: the first time since `FIRST`, or that one, or from then on
    always, until all shall be well."""
    asked = 0

    def now() -> bool:
        nonlocal asked
        if not FIRST <= fleet.world.now < TROUBLE - 600:
            return False
        asked += 1
        return asked > which if repeated == "sticky" else asked == which + 1

    return now


@pytest.mark.parametrize("repeated", ["once", "sticky"])
@pytest.mark.parametrize("position", POSITIONS)
def test_a_task_that_comes_beside_the_grace(position: str, repeated: str) -> None:
    played = fleet()
    befalls = times(played, repeated)
    seconds = at_position(position, GRACE)
    played.queue.delay = lambda name: seconds if befalls() else 0.0
    assert not played.play().wrong
    # Its task waits, and so it is suspect at most: that is not told.
    assert kinds(played) == []


@pytest.mark.parametrize("repeated", ["once", "sticky"])
def test_a_task_that_never_comes_is_missed_in_time(repeated: str) -> None:
    played = fleet()
    befalls = times(played, repeated)
    start = played.queue._start
    played.queue._start = lambda name: (  # type: ignore[method-assign]
        played.queue._end(name) if befalls() else start(name)
    )
    assert not played.play().wrong
    assert set(kinds(played)) >= {"late", "recovered"}
    assert latest(played) <= EVERY + SLACK


@pytest.mark.parametrize("repeated", ["once", "sticky"])
@pytest.mark.parametrize("position", ["after the renewal", *POSITIONS])
def test_a_run_that_hangs_beside_its_lease(position: str, repeated: str) -> None:
    played = fleet()
    befalls, lease = times(played, repeated), LEASE.total_seconds()
    seconds = 0.75 * lease if position == "after the renewal" else at_position(position, lease)
    played.service.scripts["c0"].hangs = lambda: seconds if befalls() else 0.0
    lived = played.play()
    assert not lived.wrong
    # The task is still being called, and nobody else has the run: it may go on.
    assert kinds(played) == []
    assert not lived.seen["outcome fenced"]


@pytest.mark.parametrize("repeated", ["once", "sticky"])
def test_a_run_that_hangs_for_longer_than_a_task_may_wait(repeated: str) -> None:
    played = fleet()
    befalls = times(played, repeated)
    seconds = (LEASE + WAITS).total_seconds() + 90
    played.service.scripts["c0"].hangs = lambda: seconds if befalls() else 0.0
    lived = played.play()
    assert not lived.wrong
    assert set(kinds(played)) >= {"late", "recovered"}
    assert lived.seen["outcome fenced"]
    assert latest(played) <= WAITS + EVERY + SLACK


class Failing(FleetStore):
    """Its commits fail, or its writes. after: they have taken effect by then."""

    after = False
    what = "commit"

    def __init__(self, world: World, every: timedelta) -> None:
        super().__init__(world, every)
        self.befalls: Callable[[], bool] = lambda: False
        self.failed = 0

    def commit(self, *args: Any, **more: Any) -> Versioned[Any]:
        fails = self._fails_before("commit")
        made = super().commit(*args, **more)
        self._fail(fails)
        return made

    def write(self, *args: Any, **more: Any) -> str:
        fails = self._fails_before("write")
        made = super().write(*args, **more)
        self._fail(fails)
        return made

    def _fails_before(self, what: str) -> bool:
        fails = what == self.what and self.befalls()
        self._fail(fails and not self.after)
        return fails

    def _fail(self, fails: bool) -> None:
        if fails:
            self.failed += 1
            raise StoreUnavailable("it fails")


class FailingAfter(Failing):
    after = True


class FailingWrites(Failing):
    what = "write"


class FailingAfterWrites(FailingWrites):
    after = True


@pytest.mark.parametrize("repeated", ["once", "sticky"])
@pytest.mark.parametrize("which", [0, 1], ids=["the first", "the second"])
@pytest.mark.parametrize("store", [Failing, FailingAfter, FailingWrites, FailingAfterWrites])
def test_a_commit_that_fails(store: type[Failing], which: int, repeated: str) -> None:
    """Of a run the first is its claim, the second its end. A claim that is in doubt is left to
    itself until its lease has ended, which is noticed."""
    played = fleet(store=store)
    assert isinstance(played.store, Failing)
    played.store.befalls = times(played, repeated, which)
    assert not played.play().wrong
    assert (played.store.failed == 1) == (repeated == "once")
    if repeated == "once":
        in_doubt = store is FailingAfter and which == 0
        assert kinds(played) == (["late", "recovered"] if in_doubt else [])
