"""A home node under load, beside the same server answering a constant.

Every report is synced to the disk before its answer; afterwards the stored fixes are counted.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from shared.model.time import from_epoch
from shared.node import open_node
from shared.settings import Settings
from tests.bench.load import Load, load
from tests.bench.table import print_table
from tests.emulators import Server

YURT = Path(sys.executable).with_name("yurt")
HERE = Path(__file__).parent
ROUNDS = 5
SECONDS = 4
FIRST = 1_400_000_000
BATCH = 200


def main() -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        data = Path(folder) / "data"
        node = Server(
            lambda port: [str(YURT), "up", "--port", str(port), "--data", str(data)],
            log=Path(folder) / "node.log",
        )
        constant = Server(
            lambda port: [sys.executable, "-m", "tests.bench.constant", str(port)],
            log=Path(folder) / "constant.log",
        )
        node.start()
        constant.start()
        try:
            _compare(node, constant, data)
        finally:
            node.end()
            constant.end()


def _compare(node: Server, constant: Server, data: Path) -> None:
    made = [str(YURT), "pair", "phone", "--json", "--data", str(data)]
    paired = json.loads(subprocess.run(made, check=True, capture_output=True).stdout)
    times = _Times(paired["token"])
    singly = HERE / "owntracks.lua"
    rows = []
    sent = 0
    for connections in (8, 64):
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(times.load(node, singly, connections))
            theirs.append(times.load(constant, singly, connections))
        sent += sum(one.requests for one in ours)
        share = statistics.median(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))
        name = f"single fixes, {connections} connections"
        rows.append([name, *_figures(ours, 1), f"{share:.2f}"])
        rows.append([f"  a constant, {connections} connections", *_figures(theirs, 1), "1"])
    batches = [times.load(node, HERE / "overland.lua", 8, BATCH) for _ in range(ROUNDS)]
    sent += BATCH * sum(one.requests for one in batches)
    rows.append([f"batches of {BATCH} fixes, 8 connections", *_figures(batches, BATCH), ""])
    columns = ["", "fixes/s", "lowest", "CPU µs/fix", "p50 ms", "p99 ms", "÷ constant"]
    print_table("Home node, every answer after its sync", columns, rows)
    stored = _stored(data, paired["device"])
    print(f"acknowledged {sent:,} fixes, stored {stored:,}")
    if stored < sent:
        raise SystemExit("fixes are missing")


class _Times:
    """Gives every request of all rounds a second of its own, so that none is a duplicate."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._first = FIRST

    def load(self, server: Server, script: Path, connections: int, batch: int = 1) -> Load:
        env = {"TOKEN": self._token, "FIRST": str(self._first)}
        result = load(server, server.url, script, connections=connections, seconds=SECONDS, env=env)
        self._first += (result.requests + 2 * connections) * batch
        return result


def _figures(loads: list[Load], fixes: int) -> list[str]:
    return [
        f"{_median(loads, _rate) * fixes:,.0f}",
        f"{min(map(_rate, loads)) * fixes:,.0f}",
        f"{_median(loads, lambda one: one.cpu) / fixes:.1f}",
        f"{_median(loads, lambda one: one.median):.1f}",
        f"{_median(loads, lambda one: one.slowest):.1f}",
    ]


def _median(loads: list[Load], figure: Callable[[Load], float]) -> float:
    return statistics.median(map(figure, loads))


def _rate(one: Load) -> float:
    return one.rate


def _stored(data: Path, device: str) -> int:
    node = open_node(Settings(data=data))
    try:
        track = node.store.track(device, from_epoch(0), from_epoch(FIRST * 2))
        return sum(1 for _ in track)
    finally:
        node.close()
