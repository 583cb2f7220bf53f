"""What planning takes, and what looking after collectors costs in documents."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Self
from unittest.mock import patch

from infra.cloud.allowances import allowances
from infra.emulators import Missing, find_firestore, launch
from shared.collecting import slots
from shared.ha.collectors import COLLECTORS, Caps, Collector, Collectors
from shared.ha.planner import Pool, plan
from shared.meter import Meter, metered
from shared.model.steps import Step
from shared.model.time import from_micros
from shared.node import open_node
from shared.queue.protocol import Task
from shared.services.protocol import Asked
from shared.settings import Settings, read_settings
from shared.store import gateway
from shared.workshop import collecting_of, monitor_of
from tests.bench.table import print_table
from tests.collecting.counted import Counted
from tests.inline_queue import InlineQueue

START = datetime(2026, 11, 25, 20, tzinfo=UTC)
"""At noon in California: in the day after it the quotas begin anew."""
MINUTE = timedelta(minutes=1)
FLEET, SWEEP_EACH = 20, 10
SMALL = Caps(
    reads=20,
    writes=5,
    seconds=2,
    megabytes=0.1,
    object_writes=2,
    object_reads=2,
    object_megabytes=5,
)
"""With which so many fit into the quotas, all of them protected."""


def main() -> None:
    _planning()
    _watching()


def _planning() -> None:
    chance, rows = random.Random(1), []
    for number in (10, 100, 1_000):
        collectors = {
            f"c{n}": Collector(
                service="imap",
                schedule=f"every {chance.randint(1, 24)}h",
                created=START,
                caps=Caps(writes=10),
            )
            for n in range(number)
        }
        config, pool = Collectors(collectors=collectors), Pool(allowances(), {}, {}, {})
        lists = [[chance.random() for _ in range(number)] for _ in range(30)]
        planned = _cpu(lambda config=config, pool=pool: plan(config, pool, START))  # type: ignore[misc]
        sorting = _cpu(lambda lists=lists: [sorted(each) for each in lists])  # type: ignore[misc]
        ratio = f"{planned / sorting:.1f}"
        rows.append([f"{number:,} collectors", f"{planned:.1f}", f"{sorting:.2f}", ratio])
    columns = ["", "ms of CPU", "30 sorts of as many", "÷ sorts"]
    print_table("Planning, of which the aim is 50 ms for 1,000", columns, rows)


def _cpu(act: Callable[[], object]) -> float:
    """Milliseconds, the median of nine."""
    taken = []
    for _ in range(9):
        began = time.process_time()
        act()
        taken.append(time.process_time() - began)
    return 1000 * median(taken)


class _Nothing:
    """A service that never has anything new."""

    NAME, VERSION = "nothing", 1

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return dict(options)

    def steps(self, asked: Asked) -> Iterator[Step]:
        return iter(())


def _watching() -> None:
    found = find_firestore()
    if isinstance(found, Missing):
        print(found)
        return
    with (
        patch.object(gateway, "WITHIN", 60.0),  # what is counted does not depend on the machine
        TemporaryDirectory() as name,
        launch(found, Path(name) / "firestore") as emulator,
    ):
        env = {**emulator.env, "YURT_STORE": "firestore", "YURT_PROJECT": "demo-collectors"}
        with patch.dict("os.environ", env), _Watching(read_settings(env)) as watching:
            spent = watching.run()
    rows = []
    for what, meter in spent.items():
        rows.append(
            [
                what,
                f"{meter.reads:,}",
                f"{meter.writes:,}",
                f"{meter.reads / 500:.1f} %",
                f"{meter.writes / 200:.1f} %",
            ]
        )
    columns = ["a day", "reads", "writes", "of the free reads", "of the free writes"]
    title = f"Looking after {FLEET} collectors, each a quarter of an hour, that find nothing new"
    print_table(title, columns, rows)


class _Watching:
    """A day of the three functions, each of which has its own copy of what is configured."""

    def __init__(self, settings: Settings) -> None:
        self._now = START
        self._ticks, self._works, self._sweeps = (
            open_node(settings, lambda: self._now) for _ in range(3)
        )
        self._queue = InlineQueue()
        self._sweeps.__dict__["slots_queue"] = self._works.__dict__["slots_queue"] = self._queue
        self._collecting = collecting_of(self._works, services={"nothing": _Nothing()})
        collectors = {
            f"c{n}": Collector(
                service="nothing",
                schedule="every 15m",
                created=START,
                caps=SMALL,
            )
            for n in range(FLEET)
        }
        self._ticks.store.write(COLLECTORS, Collectors(collectors=collectors), over=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for node in (self._ticks, self._works, self._sweeps):
            node.close()

    def run(self) -> dict[str, Meter]:
        spent = {"ticks": Meter(), "runs": Meter(), "sweeps": Meter()}
        for minute in range(24 * 60):
            self._now = START + minute * MINUTE
            with metered() as meter:
                slots.tick(self._ticks.store, self._queue, self._ticks.configured(), self._now)
            spent["ticks"].add(meter)
            with metered() as meter:
                while (task := self._queue.take()) is not None:
                    self._called(task)
            spent["runs"].add(meter)
            if minute % SWEEP_EACH == 0:
                with metered() as meter:
                    self._swept()
                spent["sweeps"].add(meter)
        total = Meter()
        for meter in spent.values():
            total.add(meter)
        return {**spent, "all": total}

    def _called(self, task: Task) -> None:
        id, slot = str(task.body[slots.FAMILY]), int(task.body["slot"])
        assert self._collecting.begin(id, from_micros(slot)) == "done"

    def _swept(self) -> None:
        collecting, every = collecting_of(self._sweeps, services={}), SWEEP_EACH * MINUTE
        monitor_of(self._sweeps, collecting, every, counters=Counted()).sweep()


if __name__ == "__main__":
    main()
