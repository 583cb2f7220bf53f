"""Brute force is judged: each of these planners has one fault, which it must find."""

import random

import pytest
from msgspec.structs import replace

from shared.ha import planner
from shared.ha.collectors import Collectors, Limits
from shared.ha.planner import plan
from tests.ha.test_planner import by_force, random_pool

AT_MOST = 500
"""Pools until a fault is found."""


def caught() -> bool:
    chance = random.Random(8)
    return any(
        plan(known, given, now).failures_tolerated != by_force(known, given, now)
        for known, given, now in (random_pool(chance) for _ in range(AT_MOST))
    )


def test_an_average_in_place_of_the_cap_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def average(config: Collectors, id: str) -> Limits:
        limits = config.collectors[id].limits
        return replace(
            limits,
            reads=max(10, limits.reads // 2),
            writes=max(5, limits.writes // 2),
            seconds=max(5, limits.seconds // 2),
            megabytes=limits.megabytes / 2,
            object_writes=limits.object_writes // 2,
        )

    monkeypatch.setattr(Collectors, "limits_of", average)
    assert caught()


def test_a_plan_without_the_attempts_of_a_recovery_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planner, "ATTEMPTS", 1)
    assert caught()


def test_the_cheapest_in_place_of_the_dearest_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    fitting = planner._fitting
    monkeypatch.setattr(planner, "_fitting", lambda left, needs: fitting(left, needs[::-1]))
    assert caught()
