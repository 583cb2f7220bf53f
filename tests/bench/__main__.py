"""`make bench`: every table, or those named: `make bench ARGS="home_ingest export"`."""

import importlib
import os
import platform
import sys
from datetime import UTC, datetime

TABLES = (
    "home_ingest",
    "firestore_costs",
    "cold_start",
    "export",
    "imports",
    "mail",
    "photos",
    "chunks",
    "import_costs",
    "deployment",
    "household",
    "collectors",
    "detection",
    "layers",
)


def main(names: list[str]) -> None:
    unknown = set(names) - set(TABLES)
    if unknown:
        raise SystemExit(f"no such table: {', '.join(sorted(unknown))}; there are {TABLES}")
    today = datetime.now(UTC).date()
    print(f"{today}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in names or TABLES:
        importlib.import_module(f"tests.bench.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
