"""Nothing lost, nothing twice, nothing asleep for ever: over thousands of histories."""

import os
from collections import Counter

import pytest

from shared.work import engine
from tests.sim.history import History
from tests.sim.world import Faults

SEEDS = int(os.environ.get("SIM_SEEDS", "2000"))
ONE = os.environ.get("SIM_SEED")

SOMETIMES = {
    "two runs at once",
    "outcome done",
    "outcome more",
    "outcome waiting",
    "outcome failed",
    "outcome stopped",
    "outcome taken",
    "outcome fenced",
    "outcome stale",
    "killed",
    "killed between a commit and its task",
    "a long sleep",
    "a conflict",
    "a commit without effect",
    "a commit whose answer was lost",
    "a commit that met itself",
    "a commit that took effect late",
    "a late commit that was refused",
    "a commit in steps",
    "a refused name",
    "a task called twice",
    "a delayed task",
    "a dropped task",
    "an added task whose answer was lost",
    "a jump of the clock",
    "a wrong clock",
    "revived by a sweep",
    "a sweep that could not look",
    "a part that failed",
    "keeps that could not be reached",
    "cancelled",
    "owner: told to try again",
}
"""What histories are made of: where one of these is never seen, they have lost their teeth."""


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine._log, "disabled", True)


@pytest.mark.timeout(0)
def test_every_history_ends_as_one_clean_run() -> None:
    seen = Counter[str]()
    for seed in range(SEEDS) if ONE is None else [int(ONE)]:
        outcome = History(seed).play()
        seen += outcome.seen
        assert not outcome.wrong, f"SIM_SEED={seed} pytest tests/sim replays it: {outcome.wrong}"
    if ONE is None:
        assert seen.keys() >= SOMETIMES


def test_without_faults_nobody_needs_the_sweep() -> None:
    for seed in range(100):
        outcome = History(seed, faults=Faults()).play()
        assert not outcome.wrong, f"seed {seed}: {outcome.wrong}"
        assert outcome.seen.keys().isdisjoint({"two runs at once", "outcome fenced", "a used name"})


def test_a_seed_is_one_history() -> None:
    for seed in range(20):
        first, second = History(seed), History(seed)
        assert first.play() == second.play()
        assert first.world.now == second.world.now
        assert first.store.documents == second.store.documents
