"""Documents written and read in Firestore, as it bills them, for typical ways of use; then the
same again after sealing.

Run by hand: `python -m tests.bench.firestore_costs`. Measured by the meter on the emulator.
"""

import os
import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from infra.emulators import Missing, find_firestore, launch
from shared.meter import Meter, metered
from shared.model.ids import content_id
from shared.model.records import Fix
from shared.store import gateway
from shared.store.firestore import FirestoreStore

START = datetime(2026, 11, 22, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


class Row(NamedTuple):
    what: str
    fixes: int
    writes: float
    reads: float
    kilobytes: float
    aim: str


def rows() -> list[Row]:
    """The measured rows; none, with a line that says why, where there is no emulator."""
    found = find_firestore()
    if isinstance(found, Missing):
        print(found)
        return []
    with (
        patch.object(gateway, "WITHIN", 60.0),  # documents are counted: a busy machine may be slow
        tempfile.TemporaryDirectory() as folder,
        launch(found, Path(folder)) as emulator,
    ):
        os.environ.update(emulator.env)
        store = FirestoreStore("demo-bench")
        try:
            written = list(_written(store))
            return [*written, *_read(store), *_sealed(store), *_read(store, " (sealed)")]
        finally:
            store.close()


def _written(store: FirestoreStore) -> Iterator[Row]:
    spent = _put(store, "seconds", START, SECOND, 86_400, batch=200)
    yield _per_thousand("one a second in batches of 200", 86_400, spent, "<= 10 writes")
    spent = _put(store, "minutes", START, MINUTE, 1_440 * 3, batch=1)
    yield _per_thousand("one a minute singly", 1_440 * 3, spent, "1,000 writes, no read")
    spent = _put(store, "month", START, MINUTE, 1_440 * 30, batch=200)
    yield _per_thousand("one a minute in batches of 200", 1_440 * 30, spent, "")
    spent = _put(store, "years", START, DAY / 8, 8 * 3_652, batch=1_000)
    yield _per_thousand("eight a day in batches of 1,000", 8 * 3_652, spent, "")

    yield _raws(store)


def _read(store: FirestoreStore, how: str = "") -> Iterator[Row]:
    years = "< 300 reads" if how else ""
    yield _drawn(store, f"a day, one fix a second{how}", "seconds", DAY, "<= 30 reads")
    yield _drawn(store, f"a day, one fix a minute{how}", "minutes", DAY, "<= 30 reads")
    yield _drawn(store, f"a month, one fix a minute{how}", "month", 30 * DAY, "")
    yield _drawn(store, f"ten years, eight fixes a day{how}", "years", 3_652 * DAY, years)
    with metered() as spent:
        store.latest("minutes")
    yield Row(f"the last fix and status{how}", 1, 0, spent.reads, 0, "")


def _sealed(store: FirestoreStore) -> Iterator[Row]:
    for what, device, fixes in [
        ("a day, one fix a second", "seconds", 86_400),
        ("a month, one fix a minute", "month", 1_440 * 30),
        ("ten years, eight fixes a day", "years", 8 * 3_652),
    ]:
        with metered() as spent:
            cursor = store.seal(device, START + 4_000 * DAY, None)
            while cursor is not None:
                cursor = store.seal(device, START + 4_000 * DAY, cursor)
        yield _per_thousand(f"sealing {what}", fixes, spent, "")


def _raws(store: FirestoreStore) -> Row:
    """Mails whose text shrinks to a half, 200 in a commit."""
    draw = random.Random(0)
    with metered() as spent:
        for _ in range(5):
            mails = [draw.randbytes(600) + bytes(600) for _ in range(200)]
            store.put([], {content_id(mail): mail for mail in mails})
    return _per_thousand("raws of mails in commits of 200", 1_000, spent, "")


def _put(
    store: FirestoreStore, device: str, start: datetime, step: timedelta, count: int, *, batch: int
) -> Meter:
    draw = random.Random(device)
    with metered() as spent:
        for first in range(0, count, batch):
            inside = range(first, min(first + batch, count))
            store.put([_fix(device, start + i * step, draw) for i in inside])
    return spent


def _fix(device: str, time: datetime, draw: random.Random) -> Fix:
    """What OwnTracks says in each report of a walk."""
    return Fix(
        source="owntracks",
        source_version=1,
        device=device,
        time=time,
        lat=round(52.5 + draw.uniform(-0.1, 0.1), 6),
        lon=round(13.4 + draw.uniform(-0.1, 0.1), 6),
        accuracy=float(draw.randint(3, 40)),
        altitude=float(draw.randint(30, 60)),
        altitude_accuracy=3.0,
        speed=draw.randint(0, 8) / 3.6,
        course=float(draw.randint(0, 359)),
        battery=draw.randint(10, 100) / 100,
        power="unplugged",
        network="mobile",
        trigger="t",
        extra={"tid": "an", "m": 2},
    )


def _per_thousand(what: str, fixes: int, spent: Meter, aim: str) -> Row:
    return Row(
        f"{what}, per 1,000",
        fixes,
        spent.writes * 1_000 / fixes,
        spent.reads * 1_000 / fixes,
        spent.sent / fixes,
        aim,
    )


def _drawn(store: FirestoreStore, what: str, device: str, length: timedelta, aim: str) -> Row:
    with metered() as spent:
        fixes = sum(1 for _ in store.track(device, START, START + length))
    return Row(f"drawing {what}", fixes, spent.writes, spent.reads, 0, aim)


def main() -> None:
    print(f"{'':45} {'fixes':>7} {'writes':>8} {'reads':>7} {'kB sent':>8}  aim")
    for row in rows():
        print(
            f"{row.what:45} {row.fixes:7,} {row.writes:8,.1f} {row.reads:7,.1f} "
            f"{row.kilobytes:8,.0f}  {row.aim}"
        )


if __name__ == "__main__":
    main()
