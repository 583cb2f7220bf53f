"""A server under load from wrk: rates, latencies, and the processor time of each request."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.emulators import Process

_TICK = 1 / os.sysconf("SC_CLK_TCK")


class NoWrk(RuntimeError):
    """The load generator is missing."""


@dataclass(frozen=True)
class Load:
    """requests a second; CPU microseconds of the server for each; latencies in milliseconds."""

    requests: int
    rate: float
    cpu: float
    median: float
    slowest: float


def load(
    server: Process, url: str, script: Path, *, connections: int, seconds: int, env: dict[str, str]
) -> Load:
    """Keeps `connections` busy for `seconds`; raises if any request failed."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise NoWrk("wrk is missing; get it with: make system-deps")
    before = _cpu(server.pid)
    done = subprocess.run(
        [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **env},
    )
    spent = _cpu(server.pid) - before
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    requests, duration, median, slowest, failed = (float(word) for word in line.split()[1:])
    if failed:
        raise RuntimeError(f"{failed:.0f} of {requests:.0f} requests failed:\n{done.stdout}")
    return Load(
        requests=int(requests),
        rate=requests / (duration / 1e6),
        cpu=spent / requests * 1e6,
        median=median,
        slowest=slowest,
    )


def _cpu(pid: int) -> float:
    """Seconds of user and system time; fields 14 and 15 of proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK
