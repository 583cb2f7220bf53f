"""Pools and collectors for tests of the plan."""

from datetime import UTC, datetime
from typing import Any

from infra.cloud.allowances import allowances
from shared.ha.collectors import Caps, Collector, Collectors, Vector
from shared.ha.planner import Pool

NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
NOTHING: Vector = {}


def collector(schedule: str = "every 1h", **more: Any) -> Collector:
    return Collector(service="imap", schedule=schedule, created=NOW, **more)


def config(tolerate: int = 1, **collectors: Collector) -> Collectors:
    return Collectors(collectors=collectors, tolerate=tolerate)


def pool(used: Vector = NOTHING, forecast: Vector = NOTHING, watch: Vector = NOTHING) -> Pool:
    return Pool(allowances(), used, forecast, watch)


def caps(**more: Any) -> Caps:
    return Caps(**more)
