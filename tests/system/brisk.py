"""`yurt`, but for its pace: it ticks and sweeps each second, and tries again what failed after three
instead of two minutes: `python -m tests.system.brisk up`."""

from datetime import timedelta
from functools import partial
from unittest.mock import patch

from infra.cli.main import main
from infra.crew import Crew

EACH = 1.0
"""Seconds."""

if __name__ == "__main__":
    with (
        patch("infra.home.Crew", partial(Crew, sweep_each=EACH, tick_each=EACH)),
        patch("shared.collecting.collecting.AGAIN_AFTER", timedelta(seconds=3 * EACH)),
    ):
        main()
