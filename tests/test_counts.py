"""Counters that cost at most one write a minute, and lose nothing while the store is away."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.counts import Counts
from shared.store.protocol import StoreError, StoreUnavailable
from shared.store.sqlite import SqliteStore

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Moody(SqliteStore):
    """Counts how often it is written to, and does not take it while it is `away`."""

    writes = 0
    away: StoreError | None = None

    def count(self, counts: Mapping[str, int]) -> None:
        self.writes += 1
        if self.away is not None:
            raise self.away
        super().count(counts)


@pytest.fixture
def store(tmp_path: Path) -> Moody:
    return Moody(tmp_path / "yurt.db")


@pytest.mark.parametrize(
    ("seconds", "writes", "written"),
    [
        ([0], 1, 1),
        ([0, 1, 59.9], 1, 1),
        ([0, 1, 60], 2, 3),
        ([0, 60, 120], 3, 3),
        ([0, -1], 2, 2),  # the clock was set back
        ([0, -86_400, -86_399], 2, 2),
    ],
    ids=str,
)
def test_it_is_written_at_most_once_a_minute(
    store: Moody, seconds: list[float], writes: int, written: int
) -> None:
    now = NOON
    counts = Counts(store, lambda: now)
    for after in seconds:
        now = NOON + timedelta(seconds=after)
        counts.add("refused")
    assert (store.writes, store.counters()) == (writes, {"refused": written})
    counts.flush()
    assert store.counters() == {"refused": len(seconds)}
    store.close()


@pytest.mark.parametrize("error", [StoreUnavailable("locked"), StoreError("damaged")])
def test_what_could_not_be_written_is_kept(store: Moody, error: StoreError) -> None:
    now = NOON
    counts = Counts(store, lambda: now)
    store.away = error
    for name in ("one", "one", "two"):
        counts.add(name)
    counts.flush()
    store.away = None
    now += timedelta(minutes=1)
    counts.add("two")
    assert store.counters() == {"one": 2, "two": 2}
    store.close()


def test_nothing_to_say_is_no_write(store: Moody) -> None:
    counts = Counts(store, lambda: NOON)
    counts.flush()
    assert store.writes == 0
    store.close()
