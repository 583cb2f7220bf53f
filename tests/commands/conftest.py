"""A home node in a folder of its own, at a fixed time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.node import Node, open_node
from shared.settings import Settings

NOW = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = open_node(Settings(data=tmp_path), lambda: NOW)
    yield node
    node.close()
