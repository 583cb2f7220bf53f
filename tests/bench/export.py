"""Exporting a long track: rate, and memory beside an export of a tenth of it."""

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.model.access import Device
from shared.model.records import Fix
from shared.node import open_node
from shared.settings import Settings
from tests.bench.table import print_table

YURT = Path(sys.executable).with_name("yurt")
START = datetime(2016, 1, 1, tzinfo=UTC)
FIXES = 1_000_000
STEP = timedelta(minutes=5)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        data = Path(folder)
        _fill(data)
        rows = []
        for form in ("csv", "geojson", "gpx", "owntracks"):
            few, many = _export(data, form, FIXES // 10), _export(data, form, FIXES)
            rows.append(
                [
                    form,
                    f"{FIXES / many.cpu:,.0f}",
                    f"{many.size / 1e6:,.0f}",
                    f"{few.peak / 1e6:.1f}",
                    f"{many.peak / 1e6:.1f}",
                    f"{many.peak / few.peak:.2f}",
                ]
            )
    columns = ["", "fixes/CPU s", "MB written", "peak MB, 100,000", "peak MB, 1,000,000", "ratio"]
    print_table("yurt export of 1,000,000 fixes", columns, rows)


class _Export:
    def __init__(self, cpu: float, peak: int, size: int) -> None:
        self.cpu = cpu
        self.peak = peak
        self.size = size


def _export(data: Path, form: str, fixes: int) -> _Export:
    out = data / f"out.{form}"
    until = (START + fixes * STEP).isoformat()
    command = [str(YURT), "export", "--format", form, "--from", START.isoformat(), "--to", until]
    with out.open("wb") as file:
        process = subprocess.Popen([*command, "--data", str(data)], stdout=file)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"yurt export ended with {process.returncode}")
    size = out.stat().st_size
    if size < 40 * fixes:  # no format says a position in less
        raise SystemExit(f"yurt export wrote {size} bytes for {fixes} fixes")
    out.unlink()
    return _Export(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, size)


def _fill(data: Path) -> None:
    node = open_node(Settings(data=data))
    try:
        device = Device(id="d1", name="phone", app="owntracks", created=START)
        node.keyring.change(lambda access: access.with_device(device))
        for first in range(0, FIXES, 5_000):
            node.store.put([_fix(number) for number in range(first, first + 5_000)])
    finally:
        node.close()


def _fix(number: int) -> Fix:
    return Fix(
        source="owntracks",
        source_version=1,
        device="d1",
        time=START + number * STEP,
        lat=round(48 + number % 1_000_003 / 1e6, 6),
        lon=round(11 + number % 999_983 / 1e6, 6),
        accuracy=float(number % 40),
        altitude=float(number % 900),
        speed=1.5,
        battery=0.8,
        extra={"tid": "me"},
    )
