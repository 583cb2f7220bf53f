"""Fleets of collectors among faults: what must always hold, and that all are up in the end."""

import logging
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.sim.fleet import Fleet
from tests.sim.fleet_ports import POSITIONS
from tests.sim.world import Faults

SEEDS = int(os.environ.get("SIM_FLEETS", "32"))
ONE = os.environ.get("SIM_SEED")

SOMETIMES = {
    "armed",
    "a refused change",
    "a run beside a slot",
    "alert: overcommitted",
    "alert: fits",
    "alert: held",
    "alert: late",
    "alert: failed",
    "alert: recovered",
    "alert: stuck",
    "alert: suspended",
    "alert: silence",
    "alert: heard",
    "late, then failed",
    "suspect",
    "outcome fenced",
    "a slot while a run goes on",
    "outcome stale",
    "caught up by a restart",
    "a slot begun while a run was stuck",
    "a slot by the clock while clocks change",
    "a sweep that could not look",
    "a tick that could not look",
    "the queue was silent",
    "a commit whose answer was lost",
    "a write whose answer was lost",
    "a document in conflict",
    "a commit that took effect late",
    "a late commit that was refused",
    "a task called twice",
    "a refused name",
    "an alert told again",
    "a channel that took nothing",
    "a wrong clock",
    "killed",
    "the store was away, and is back",
    "a run that hangs after the renewal its lease",
    *(f"a run that hangs {position} its lease" for position in POSITIONS),
    *(f"a task {position} the grace" for position in POSITIONS),
}
"""What the lives of fleets are made of: where one of these is never seen, they lost their teeth."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(0)
def test_whatever_fails_every_invariant_holds_and_all_are_up_in_the_end() -> None:
    seen = Counter[str]()
    for seed in range(SEEDS) if ONE is None else [int(ONE)]:
        lived = Fleet(seed).play()
        seen += lived.seen
        assert not lived.wrong, f"SIM_SEED={seed} pytest tests/sim replays it: {lived.wrong}"
    if ONE is None:
        assert SOMETIMES - seen.keys() == set()


def test_without_faults_nobody_is_accused() -> None:
    armed = 0
    for seed in range(10):
        lived = Fleet(seed, faults=Faults()).play()
        armed += lived.seen["armed"]
        assert not lived.wrong, f"seed {seed}: {lived.wrong}"
        accused = {f"alert: {kind}" for kind in ("late", "failed", "stuck", "silence")}
        assert lived.seen.keys().isdisjoint(accused)
    assert armed


def test_a_seed_is_one_life() -> None:
    for seed in range(2):
        first, second = Fleet(seed), Fleet(seed)
        assert first.play() == second.play()
        assert first.store.kept == second.store.kept
        assert first.store.documents == second.store.documents
