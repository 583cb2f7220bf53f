"""The work `seal`, driven as the engine drives it, on a store that says what it was asked."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from shared.commands.access import access_of
from shared.commands.pairing import Base, pair
from shared.node import Node, open_node
from shared.settings import Settings
from shared.store.protocol import Store
from shared.upkeep import sealing
from shared.upkeep.sealing import SealWork

NOW = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)


class Sealed:
    """A store in which each device takes so many stretches to seal."""

    def __init__(self, store: Store, stretches: int) -> None:
        self._store, self._stretches = store, stretches
        self.asked: list[tuple[str, datetime, str | None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def seal(self, device: str, before: datetime, cursor: str | None) -> str | None:
        self.asked.append((device, before, cursor))
        following = int(cursor or 0) + 1
        return str(following) if following < self._stretches else None


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with closing(open_node(Settings(data=tmp_path), lambda: NOW)) as node:
        for name in ("phone", "tablet"):
            pair(node, name, None, Base("https://yurt.example.org"))
        yield node


def work_of(node: Node) -> tuple[SealWork, Sealed]:
    store = Sealed(node.store, 3)
    return SealWork(cast(Store, store)), store


def every_stretch(node: Node) -> list[tuple[str, datetime, str | None]]:
    devices = sorted(access_of(node).devices)
    return [(each, NOW - sealing.OLD, cursor) for each in devices for cursor in (None, "1", "2")]


def test_every_stretch_of_every_device_that_is_old_is_sealed(node: Node) -> None:
    work, store = work_of(node)
    parts = list(work.parts("seal-1", sealing.spec(NOW), None))
    assert store.asked == every_stretch(node)
    assert [(part.done, part.total) for part in parts][-1] == (2, 2)


@pytest.mark.parametrize("at", range(6))
def test_it_goes_on_after_any_part(node: Node, at: int) -> None:
    work, _ = work_of(node)
    cursor = list(work.parts("seal-1", sealing.spec(NOW), None))[at].cursor
    work, store = work_of(node)
    list(work.parts("seal-1", sealing.spec(NOW), cursor))
    assert store.asked == every_stretch(node)[at + 1 :]
