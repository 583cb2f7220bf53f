"""Waiting for another process to get somewhere, without guessing how long it takes."""

import time
from collections.abc import Callable


def eventually(true: Callable[[], bool], within: float = 30) -> None:
    """Returns as soon as it is true; fails after `within` seconds."""
    until = time.monotonic() + within
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.002)
