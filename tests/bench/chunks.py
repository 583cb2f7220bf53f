"""What it costs to import in many chunks instead of one, and whether the later cost more."""

import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import mail_corpus, records_json
from tests.bench.importing import Imported, imported, into
from tests.bench.table import print_table

CHUNKS = 60
ROUNDS = 3


def main(points: int = 1_000_000, mails: int = mail_corpus.MAILS, rounds: int = ROUNDS) -> None:
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        records, mbox = folder / "Records.json", folder / "mail.mbox"
        records_json.main(points, records)
        mail_corpus.write_mbox(mbox, mails)
        inputs = {f"{points:,} points": records, f"{mails:,} mails": mbox}
        rows = [_row(name, path, folder / "data", rounds) for name, path in inputs.items()]
    columns = [
        *("", "chunks", "CPU s, one", "CPU s, chunks", "ratio"),
        *("CPU ms/chunk, first tenth", "last tenth", "ratio"),
    ]
    print_table("Imports in chunks beside the same in one", columns, rows)


def _row(name: str, path: Path, data: Path, rounds: int) -> Sequence[str]:
    whole, parted = [], []
    for _ in range(rounds):
        whole.append(_in_one(path, data))
        parted.append(_in_chunks(path, data, whole[-1].told.parts // CHUNKS))
    ratio = statistics.median(
        _cpu(many) / _cpu(one) for many, one in zip(parted, whole, strict=True)
    )
    first, last = _ends(parted)
    return [
        name,
        f"{min(len(run.told.chunks) for run in parted)}",
        f"{statistics.median(map(_cpu, whole)):.2f}",
        f"{statistics.median(map(_cpu, parted)):.2f}",
        f"{ratio:.3f}",
        f"{1e3 * first:.0f}",
        f"{1e3 * last:.0f}",
        f"{last / first:.2f}",
    ]


def _in_one(path: Path, data: Path) -> Imported:
    run = imported(path, into(data), whole=True)
    shutil.rmtree(data)
    return run


def _in_chunks(path: Path, data: Path, parts: int) -> Imported:
    run = imported(path, into(data), parts=parts)
    shutil.rmtree(data)
    return run


def _cpu(run: Imported) -> float:
    return run.spent.cpu


def _ends(parted: Sequence[Imported]) -> tuple[float, float]:
    """CPU seconds of a chunk early and late: medians over all runs. The last is no whole one, and
    the first finds what there is."""
    first: list[float] = []
    last: list[float] = []
    for run in parted:
        chunks = run.told.chunks[1:-1]
        some = max(1, len(chunks) // 10)
        first += chunks[:some]
        last += chunks[-some:]
    return statistics.median(first), statistics.median(last)


if __name__ == "__main__":
    main()
