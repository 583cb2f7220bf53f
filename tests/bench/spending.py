"""What a command spends, of time and memory.

It is started by a small process of its own: the peak of a process counts what the one had that it
was forked from, and a benchmark may have loaded much.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Spent(NamedTuple):
    """wall, cpu: seconds, cpu with that of its children. peak: bytes, of the largest process."""

    wall: float
    cpu: float
    peak: int
    out: bytes


def spent(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Spent:
    """Runs the command to its end; `SystemExit` if that was a bad one. env: beside our own."""
    with tempfile.NamedTemporaryFile() as figures:
        starter = [sys.executable, "-m", __name__, figures.name]
        ran = subprocess.run(
            [*starter, *map(str, command)],
            stdout=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            check=False,
        )
        if ran.returncode:
            raise SystemExit(f"{' '.join(map(str, command))[:200]} ended with {ran.returncode}")
        wall, cpu, peak = json.loads(figures.read())
        return Spent(wall, cpu, peak, ran.stdout)


def _start(figures: Path, command: list[str]) -> int:
    begun = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    cpu = usage.ru_utime + usage.ru_stime
    figures.write_text(json.dumps([wall, cpu, usage.ru_maxrss * 1024]))
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode


if __name__ == "__main__":
    sys.exit(_start(Path(sys.argv[1]), sys.argv[2:]))
