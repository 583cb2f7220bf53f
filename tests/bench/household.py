"""What a month of the cloud node costs three households, from what its own code spends.

Everything goes through the functions' handlers, in this process, on emulators: the meter counts
documents, objects and requests to either, the clock of the process its own time. What no emulator
tells is assumed in `infra/cloud/household.py`, which adds it up.

Of a month with 31 days: a phone reports each minute, single or, of each second, in batches of 200;
its owner asks where it was. Mail and photos of a day come as one file each. What one imports of
earlier years is spread over the days, or done at once. Nobody looks at the photos themselves.
"""

import contextlib
import dataclasses
import hashlib
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from unittest.mock import patch

import msgspec
from google.cloud import storage
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from infra.cloud.allowances import Bill, Spending, allowances, bill, shares
from infra.cloud.household import (
    OPERATIONS_OF_CHUNK,
    SWEEP,
    TICK,
    Activity,
    Cost,
    Deployed,
    Household,
    Request,
    Size,
    billed,
    months_until_full,
    spending,
)
from infra.declarations import Declaration, declarations
from infra.emulators import (
    HOST,
    Missing,
    Process,
    find_firestore,
    free_port,
    launch,
    wait_until_ready,
)
from shared.blobs.gcs import GcsObjects
from shared.http.ingest import ingest
from shared.http.media import FINALIZED, media
from shared.http.monitor import monitor
from shared.http.query import query
from shared.http.tick import tick
from shared.http.upload import upload
from shared.http.work import work
from shared.imports.beginning import UPLOADS
from shared.meter import metered
from shared.model.access import Access, Device, OwnerToken, token_hash
from shared.node import Node, open_node
from shared.settings import read_settings
from shared.store import gateway
from shared.work.engine import Engine
from shared.workshop import CLOUD, collecting_of, engine_of, lone_monitor_of
from tests.bench import mail_corpus, photo_corpus, records_json
from tests.bench.stored import stored
from tests.bench.table import print_table
from tests.collecting.counted import Counted
from tests.inline_queue import InlineQueue

START = datetime(2026, 10, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
BATCH = 200
MONTH = 31

POINTS, MAILS, PHOTOS = 50_000, 1_000, 100
MAILS_A_DAY, PHOTOS_A_DAY = 30, 10

_PHONES: Mapping[str, Literal["owntracks", "overland"]] = {
    "minutes": "owntracks",
    "seconds": "overland",
}
_PHONE, _OWNER = "phone-0123456789abcdef", "owner-0123456789abcdef"
_HEAD = 500
"""Bytes of an answer beside its body."""

_REPORT, _BATCHED = "a report of one fix", f"a report of {BATCH} fixes"
_WHERE, _DAY, _SECONDS = "where it is", "a day of minutes, drawn", "a day of seconds, drawn"
_SEAL, _SEAL_SECONDS = "sealing 1,000 fixes of minutes", "sealing 1,000 fixes of seconds"
_MAIL_OF_A_DAY = f"a file of {MAILS_A_DAY} mails"
_PHOTOS_OF_A_DAY = f"an archive of {PHOTOS_A_DAY} photos"
_POINTS, _MAILS, _PHOTOS = "1,000 points of a history", "1,000 mails of it", "1,000 photos of it"


def main() -> None:
    found = find_firestore()
    if isinstance(found, Missing):
        print(found)
        return
    with (
        patch.object(gateway, "WITHIN", 60.0),  # what is counted does not depend on the machine
        TemporaryDirectory() as name,
        launch(found, Path(name) / "firestore") as emulator,
        _storage(Path(name)) as url,
    ):
        project = "demo-household"
        env = {
            **emulator.env,
            "STORAGE_EMULATOR_HOST": url,
            "GOOGLE_CLOUD_PROJECT": project,
            "YURT_STORE": "firestore",
            "YURT_PROJECT": project,
            "YURT_BUCKET": f"{project}-bytes",
        }
        with patch.dict("os.environ", env), contextlib.closing(_opened(env)) as measured:
            costs = measured.costs(Path(name))
    _print_costs(costs)
    for household in _households():
        _print_household(household, costs)


# What is measured


@dataclass
class _Tally:
    """Of some requests: what each took, and all spent together."""

    requests: list[Request] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)

    def of(self, number: float, **more: float) -> Cost:
        """For one of so many. more: of all of them, what requests do not tell."""
        whole = self.cost._replace(
            requests=len(self.requests), seconds=billed(self.requests), **more
        )
        return whole.per(number)


@dataclass
class _Measured:
    """A node on emulators, whose clock stands where it is put."""

    node: Node
    bucket: str
    project: str
    now: datetime = START
    queue: InlineQueue = field(default_factory=InlineQueue)

    def close(self) -> None:
        self.node.close()

    def costs(self, folder: Path) -> dict[str, Cost]:
        self._let_in()
        costs = {_REPORT: self._reports(), _BATCHED: self._batches()}
        self.now = START + DAY
        costs |= dict(self._asked())
        costs[SWEEP] = self._swept()
        costs[TICK] = self._ticked()
        costs |= dict(self._imported(folder))
        self.now = START + 50 * DAY
        costs[_SEAL] = self._sealed("minutes", 1_440)
        costs[_SEAL_SECONDS] = self._sealed("seconds", 86_400)
        return costs

    def _let_in(self) -> None:
        devices = {
            id: Device(id=id, name=id, app=app, created=START, current=token_hash(_PHONE + id))
            for id, app in _PHONES.items()
        }
        laptop = OwnerToken(name="laptop", created=START, hash=token_hash(_OWNER))
        access = Access(devices=devices, tokens={"laptop": laptop})
        self.node.keyring.change(lambda _: access)

    def _reports(self) -> Cost:
        """A day of one phone, which finds a warm instance each minute."""
        before, tally = stored(self.project), _Tally()
        for minute in range(1_440):
            self.now = START + minute * MINUTE
            body = _owntracks(self.now, minute)
            self._answered(tally, ingest, "POST", "/pub", body, token=_PHONE + "minutes")
        return tally.of(1_440, stored=stored(self.project) - before)

    def _batches(self) -> Cost:
        before, tally, count = stored(self.project), _Tally(), 86_400 // BATCH
        for number in range(count):
            self.now = START + timedelta(seconds=(number + 1) * BATCH)
            body = _overland(self.now - timedelta(seconds=BATCH))
            path = "/api/v1/overland/batches"
            self._answered(tally, ingest, "POST", path, body, token=_PHONE + "seconds")
        return tally.of(count, stored=stored(self.project) - before)

    def _asked(self) -> Iterator[tuple[str, Cost]]:
        tally = _Tally()
        for _ in range(10):
            self.now += MINUTE
            self._answered(tally, query, "GET", "/loc")
        yield _WHERE, tally.of(10)
        for what, device in ((_DAY, "minutes"), (_SECONDS, "seconds")):
            yield what, self._drawn(device).of(1)

    def _drawn(self, device: str) -> _Tally:
        tally = _Tally()
        url = f"/loc?from=2026-10-01T00:00:00Z&to=2026-10-02T00:00:00Z&device={device}"
        following: str | None = f"{url}&format=geojson"
        while following is not None:
            self.now += MINUTE
            link = self._answered(tally, query, "GET", following).headers.get("Link")
            following = link.partition(">")[0].removeprefix("<") if link else None
        return tally

    def _swept(self) -> Cost:
        self.node.__dict__["queue"] = self.node.__dict__["slots_queue"] = self.queue
        self.node.__dict__["counters"] = Counted()
        self._sweep(_Tally())  # the first one begins to seal, as one does each week
        tally = _Tally()
        for _ in range(10):
            self.now += 10 * MINUTE
            self._sweep(tally)
        # Each adds a task, which is called, and looks which there are.
        return tally.of(10, operations=3 * 10)

    def _sweep(self, tally: _Tally) -> None:
        def swept(node: Node, request: HttpRequest) -> Response:
            return monitor(node, lambda: lone_monitor_of(node), request)

        self._answered(tally, swept, "POST", "/", token=None)
        self._worked_off(tally)

    def _ticked(self) -> Cost:
        tally = _Tally()
        for _ in range(10):
            self.now += MINUTE
            self._answered(tally, tick, "POST", "/", token=None)
        return tally.of(10)

    def _sealed(self, device: str, fixes: int) -> Cost:
        before, tally, cursor = stored(self.project), _Tally(), None
        while True:
            with self._counted(tally):
                cursor = self.node.store.seal(device, self.now, cursor)
            if cursor is None:
                break
        return tally.of(fixes / 1_000, stored=stored(self.project) - before)

    def _imported(self, folder: Path) -> Iterator[tuple[str, Cost]]:
        path = folder / "day.mbox"
        mail_corpus.write_mbox(path, MAILS_A_DAY, seed=2)
        yield _MAIL_OF_A_DAY, self._brought(path, 1)
        photos = photo_corpus.photos(PHOTOS_A_DAY + PHOTOS)
        path = _zipped(folder / "day.zip", islice(photos, PHOTOS_A_DAY))
        yield _PHOTOS_OF_A_DAY, self._brought(path, 1)
        path = folder / "Records.json"
        records_json.main(POINTS, path)
        yield _POINTS, self._brought(path, POINTS / 1_000)
        path = folder / "years.mbox"
        mail_corpus.write_mbox(path, MAILS)
        yield _MAILS, self._brought(path, MAILS / 1_000)
        yield _PHOTOS, self._brought(_zipped(folder / "years.zip", photos), PHOTOS / 1_000)

    def _brought(self, path: Path, number: float) -> Cost:
        """A file that is offered, sent past the functions, and imported to its end."""
        there, kept = stored(self.project), self._kept()
        data, tally = path.read_bytes(), _Tally()
        sha256 = hashlib.sha256(data).hexdigest()
        offer = msgspec.json.encode({"name": path.name, "size": len(data), "sha256": sha256})
        self._answered(tally, self._upload, "POST", "/", offer)
        with contextlib.closing(GcsObjects(self.bucket)) as objects:
            objects.put(UPLOADS + sha256, data)
        told = {"name": UPLOADS + sha256, "bucket": self.bucket}
        with self._counted(tally):
            job = media(self.node, self._engine(self.node), FINALIZED, told)
        self._answered(tally, self._upload, "POST", f"/{sha256}/sent")
        chunks = self._worked_off(tally)
        state = self._engine(self.node).job(job or "").state
        if state != "done":
            raise SystemExit(f"the import of {path.name} is {state}")
        added, left = stored(self.project) - there, self._kept() - kept
        operations = chunks * OPERATIONS_OF_CHUNK
        return tally.of(number, stored=added, kept=left, operations=operations)

    def _upload(self, node: Node, request: HttpRequest) -> Response:
        return upload(node, self._engine, request)

    def _worked_off(self, tally: _Tally) -> int:
        def chunk(node: Node, request: HttpRequest) -> Response:
            return work(node, self._engine, collecting_of, request)

        chunks = 0
        while (task := self.queue.take()) is not None:
            body = msgspec.json.encode(task.body)
            self._answered(tally, chunk, "POST", "/", body, token=None)
            chunks += 1
        return chunks

    def _engine(self, node: Node) -> Engine:
        # This process has made the photos as well, which a function's memory does not hold.
        budget = dataclasses.replace(CLOUD, memory=2**62)
        return dataclasses.replace(engine_of(node, self.queue), budget=budget)

    def _answered(
        self,
        tally: _Tally,
        handler: Callable[[Node, HttpRequest], Response],
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        token: str | None = _OWNER,
    ) -> Response:
        # As every browser asks.
        headers = [("Accept-Encoding", "gzip, deflate, br")]
        headers += [("Authorization", f"Bearer {token}")] if token else []
        builder = EnvironBuilder(path=path, method=method, data=body, headers=headers)
        request = HttpRequest(builder.get_environ())
        with self._counted(tally):
            answer = handler(self.node, request)
            sent = len(answer.get_data())
        if answer.status_code != 200:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.get_data()[:300]!r}")
        if token:  # the platform itself is not the internet
            tally.cost = tally.cost._replace(sent=tally.cost.sent + sent + _HEAD)
        return answer

    @contextlib.contextmanager
    def _counted(self, tally: _Tally) -> Iterator[None]:
        began = time.process_time()
        with metered() as meter:
            yield
        cpu = time.process_time() - began
        on_objects = meter.object_writes + meter.object_reads
        tally.requests.append(Request(cpu, meter.calls, on_objects))
        cost = tally.cost
        tally.cost = cost._replace(
            reads=cost.reads + meter.reads,
            writes=cost.writes + meter.writes,
            deletes=cost.deletes + meter.deletes,
            class_a=cost.class_a + meter.object_writes,
            class_b=cost.class_b + meter.object_reads,
        )

    def _kept(self) -> int:
        with contextlib.closing(storage.Client()) as client:
            return sum(blob.size or 0 for blob in client.list_blobs(self.bucket))


def _opened(env: Mapping[str, str]) -> _Measured:
    with contextlib.closing(storage.Client()) as client:
        client.create_bucket(env["YURT_BUCKET"])
    node = open_node(read_settings(env))
    measured = _Measured(node, env["YURT_BUCKET"], env["YURT_PROJECT"])
    node.clock = lambda: measured.now
    return measured


def _owntracks(time: datetime, number: int) -> bytes:
    return msgspec.json.encode(
        {
            "_type": "location",
            "tid": "an",
            "lat": round(52.5 + number % 97 / 1_000, 6),
            "lon": round(13.4 + number % 89 / 1_000, 6),
            "acc": 3 + number % 37,
            "alt": 30 + number % 30,
            "vac": 3,
            "vel": number % 9,
            "cog": number * 7 % 360,
            "batt": 100 - number // 15,
            "bs": 1,
            "conn": "m",
            "t": "t",
            "m": 2,
            "tst": int(time.timestamp()),
        }
    )


def _overland(first: datetime) -> bytes:
    return msgspec.json.encode(
        {"locations": [_feature(first + timedelta(seconds=n), n) for n in range(BATCH)]}
    )


def _feature(time: datetime, number: int) -> dict[str, object]:
    place = [round(13.4 + number / 10_000, 6), round(52.5 + number / 20_000, 6)]
    properties = {
        "timestamp": time.isoformat(),
        "altitude": 30 + number % 30,
        "speed": number % 9,
        "course": number * 7 % 360,
        "horizontal_accuracy": 3 + number % 37,
        "battery_state": "unplugged",
        "battery_level": 0.8,
        "device_id": "phone",
        "wifi": "home",
    }
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": place},
        "properties": properties,
    }


def _zipped(path: Path, photos: Iterator[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in photos:
            archive.writestr(f"Takeout/Google Photos/Photos from 2015/{name}", data)
    return path


@contextlib.contextmanager
def _storage(folder: Path) -> Iterator[str]:
    """An emulator of Cloud Storage in a process of its own, whose time is none of ours."""
    port = free_port()
    script = str(Path(sys.executable).with_name("gcp-storage-emulator"))
    start = [script, "start", f"--host={HOST}", f"--port={port}"]
    with Process([*start, "--in-memory", "--quiet"], log=folder / "storage.log") as process:
        wait_until_ready(f"http://{HOST}:{port}/", process=process)
        yield f"http://{HOST}:{port}"


# Households


def _households() -> Iterator[Household]:
    yield Household("One phone, each minute", [*_phones(1, asked=5)])
    four = [*_phones(4, asked=20), *_everyday(4)]
    yield Household("Four phones, each minute, with mail and photos", four)
    seconds = [*_phones_by_the_second(4, asked=20), *_everyday(4)]
    yield Household("Four phones, each second in batches, with mail and photos", seconds)
    paced = [*_phones(1, asked=5), *_years(days=MONTH)]
    yield Household("One phone, and years imported over the month", paced)
    at_once = [*_phones(1, asked=5), *_years(days=1)]
    yield Household("The same, all of it imported on one day", at_once, days=1)


def _phones(number: int, *, asked: int) -> Iterator[Activity]:
    """asked: times a day, in two of which a day is drawn."""
    fixes = number * 1_440 * MONTH
    yield Activity(_REPORT, fixes)
    yield Activity(_WHERE, asked * MONTH)
    yield Activity(_DAY, 2 * MONTH)
    yield Activity(_SEAL, fixes / 1_000, days=MONTH / 7)


def _phones_by_the_second(number: int, *, asked: int) -> Iterator[Activity]:
    fixes = number * 86_400 * MONTH
    yield Activity(_BATCHED, fixes / BATCH)
    yield Activity(_WHERE, asked * MONTH)
    yield Activity(_SECONDS, 2 * MONTH)
    yield Activity(_SEAL_SECONDS, fixes / 1_000, days=MONTH / 7)


def _everyday(people: int) -> Iterator[Activity]:
    yield Activity(_MAIL_OF_A_DAY, people * MONTH)
    yield Activity(_PHOTOS_OF_A_DAY, people * MONTH)


def _years(days: float) -> Iterator[Activity]:
    """As much as the other benchmarks of imports read: a million points, 20,000 mails, 2,000 photos."""
    yield Activity(_POINTS, 1_000, days)
    yield Activity(_MAILS, 20, days)
    yield Activity(_PHOTOS, 2, days)


# What is printed


def _deployed() -> Deployed:
    """As the functions are declared. Each is built in three minutes, four times a month; packages
    and sources as `tests/bench/layers.py` measures them, with those of the version before."""
    declared = declarations()
    return Deployed(
        size=_largest(declared.values()),
        functions=len(declared),
        secrets=len({secret for each in declared.values() for secret in each.all_secrets}),
        secrets_read=sum(len(each.all_secrets) for each in declared.values()),
        jobs=sum(len(each.schedule) for each in declared.values()),
        sweeps=144,
        ticks=1_440,
        images=0.33,
        built=len(declared) * 3 * 4,
    )


def _largest(declared: Iterable[Declaration]) -> Size:
    sizes = [(each.cpu, _gib(each.memory)) for each in declared]
    return Size(max(cpu for cpu, _ in sizes), max(memory for _, memory in sizes))


def _gib(memory: str) -> float:
    return float(memory[:-2]) / (1 if memory.endswith("Gi") else 1024)


def _print_costs(costs: Mapping[str, Cost]) -> None:
    columns = ["of one", "requests", "s billed", "reads", "writes", "deletes", "A", "B"]
    rows = [
        [what, *(_figure(figure) for figure in cost[:7]), *_sizes(cost)]
        for what, cost in costs.items()
    ]
    print_table("Measured", [*columns, "kB sent", "kB stored", "MB kept"], rows)


def _sizes(cost: Cost) -> list[str]:
    return [
        _figure(cost.sent / 1e3),
        _figure(cost.stored / 1e3),
        _figure(cost.kept / 1e6),
    ]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _print_household(household: Household, costs: Mapping[str, Cost]) -> None:
    given, node = allowances(), _deployed()
    spent = spending(household, costs, node)
    total = bill(spent, given, household.days)
    rows = [
        [
            name,
            _figure(spent[name]),
            f"{given[name].amount:,.12g}",
            given[name].unit,
            f"{share:.1%}",
        ]
        for name, share in shares(spent, given).items()
        if share
    ]
    print_table(
        f"{household.title}: {_said(total)}; {_tightest(spent)}{_full(spent, node)}",
        ["allowance", "used", "free", "", "share"],
        rows,
    )


def _said(total: Bill) -> str:
    charged = "".join(f", {charge.name} ${charge.usd:.4f}" for charge in total.charges)
    return f"bill ${total.usd:.2f}{charged}"


def _tightest(spent: Spending) -> str:
    """The two: one may be only of what is deployed, and the same for everybody."""
    found = islice(shares(spent, allowances()).items(), 2)
    return "tightest " + ", then ".join(f"{name} {share:.0%}" for name, share in found)


def _full(spent: Spending, node: Deployed) -> str:
    name, months = months_until_full(spent, node, allowances())
    return f"; {name} is full after {months:,.1f} such months" if name else ""


if __name__ == "__main__":
    main()
