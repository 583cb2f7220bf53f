"""What looking after collectors relies on in a store: the same comes of a sweep on each adapter."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from shared.collecting import slots
from shared.collecting.books import Books
from shared.collecting.collecting import Collecting, kind
from shared.collecting.configuring import apply
from shared.collecting.monitor import Looked, Monitor
from shared.collecting.slots import FAMILY, enrolled
from shared.ha.collectors import COLLECTORS, Collector, Collectors
from shared.ha.outbox import Outbox
from shared.ha.phones import Report
from shared.ha.planner import Pool
from shared.ha.watching import WATCHED, Watched
from shared.meter import metered
from shared.store.protocol import Store
from shared.work.engine import Engine
from shared.work.jobs import Job
from tests.contract.conftest import Opener
from tests.ha.plans import pool
from tests.inline_queue import InlineQueue

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
EVERY = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


class Nowhere:
    """Where nothing large is kept."""

    def put(self, data: bytes) -> str:
        raise AssertionError(f"nothing has {len(data)} bytes here")


def no_phones() -> Mapping[str, Report]:
    return {}


class Watch:
    """The ticks and sweeps of one process, at `now`, and which alerts were told: kind and
    collector."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOON
        self.queue = InlineQueue()
        self.told: list[tuple[str, str | None]] = []
        self.reports: Callable[[], Mapping[str, Report]] = no_phones

    def tick(self) -> None:
        """What it adds to the queue is called at once, and says nothing."""
        slots.tick(self.store, self.queue, self._config(), self.now)
        while self.queue.take() is not None:
            pass

    def sweep(self) -> Looked:
        engine = Engine(
            store=self.store,
            queue=self.queue,
            keeps=Nowhere(),
            works={},
            kind=kind(self._config, lambda id, took: None, self._clock),
            clock=self._clock,
        )
        return Monitor(
            store=self.store,
            collecting=Collecting(self.store, engine, self._config, self._clock),
            clock=self._clock,
            every=EVERY,
            tell=self._tell,
            books=Books(self.store, lambda: 0, None),
            reports=self.reports,
            spares=False,
        ).sweep()

    @property
    def watched(self) -> Watched:
        held = self.store.read(Watched, WATCHED)
        assert held is not None
        return held.document

    @property
    def waiting(self) -> list[str | None]:
        return [slots.collector_in(task.name) for task in self.queue.waiting()]

    def _clock(self) -> datetime:
        return self.now

    def _config(self) -> Collectors:
        held = self.store.read(Collectors, COLLECTORS)
        return held.document if held is not None else Collectors()

    def _tell(self, outbox: Outbox) -> Iterator[Outbox]:
        self.told += [(alert.kind, alert.collector) for alert in outbox.alerts]
        yield Outbox()


def collector(**more: Any) -> Collector:
    """With a slot at each whole hour, which is late ten minutes after it."""
    return Collector(service="imap", schedule="0 * * * *", created=NOON - EVERY, **more)


def configure(store: Store, **collectors: Collector) -> None:
    store.write(COLLECTORS, Collectors(collectors=collectors), over=None)


def begin(store: Store, id: str, given: Collector, **more: Any) -> None:
    """Its control document, as of one whose slot of noon is the next."""
    job = replace(enrolled(id, given, None, NOON - EVERY), **more)
    store.commit(FAMILY, id, None, lambda _: job)


def fleet(store: Store) -> None:
    """Of each kind one that a sweep can meet at 12:14, and two that are well."""
    given = {
        "absent": collector(),
        "dead": collector(),
        "failed": collector(level="unprotected"),
        "paused": collector(paused=True),
        "queued": collector(),
        "runs": collector(),
        "well": collector(),
        "well-too": collector(),
    }
    configure(store, **given)
    began = NOON + 12 * MINUTE
    documents: dict[str, dict[str, Any]] = {
        "absent": {},
        "dead": {"state": "running", "lease": began, "due": began, "token": 4},
        "failed": {"state": "failed", "last_error": "no such folder", "tries": 3, "due": began},
        "paused": {},
        "queued": {},
        "runs": {"state": "running", "lease": NOON + 16 * MINUTE, "due": NOON + 16 * MINUTE},
        "well": {"due": NOON + 70 * MINUTE},
        "well-too": {"due": NOON + 16 * MINUTE},
    }
    for id, more in documents.items():
        begin(store, id, given[id], **more)


def test_a_sweep_finds_who_is_late_and_who_failed_and_begins_them_again(opener: Opener) -> None:
    watch = Watch(opener())
    fleet(watch.store)
    watch.tick()
    watch.now = NOON + 5 * MINUTE
    assert watch.sweep() == Looked()
    watch.queue.add(slots.slot_task("queued", NOON, again=1))
    watch.now = NOON + 14 * MINUTE
    looked = watch.sweep()
    assert (sorted(looked.late), looked.failed) == (["absent", "dead"], ["failed"])
    assert (looked.restarted, looked.told) == (["absent", "dead"], 3)
    told = [("failed", "failed"), ("late", "absent"), ("late", "dead")]
    assert sorted(watch.told) == told
    assert watch.waiting == ["queued", "absent", "dead"]
    # What was found is there for any other process, to the microsecond.
    there = Watch(opener()).watched
    assert {id: (seen.status, seen.since) for id, seen in there.collectors.items()} == {
        "absent": ("late", NOON + 10 * MINUTE),
        "dead": ("late", NOON + 12 * MINUTE),
        "failed": ("failed", NOON + 12 * MINUTE),
        "queued": ("suspect", NOON + 10 * MINUTE),
    }
    assert (there.outbox, there.swept) == (Outbox(), watch.now)
    # The run that was silent commits no more.
    held = watch.store.control(Job, FAMILY, "dead")
    assert held is not None
    assert (held.document.token, held.document.state) == (5, "ready")


def test_what_was_told_is_not_told_again_until_it_is_well(opener: Opener) -> None:
    watch = Watch(opener())
    fleet(watch.store)
    watch.tick()
    watch.sweep()
    watch.now = NOON + 14 * MINUTE
    watch.sweep()
    watch.told.clear()
    watch.now += MINUTE / 2
    after = Watch(opener())
    after.now, after.queue = watch.now, watch.queue
    assert after.sweep().told == 0
    amiss = sorted(after.watched.collectors)
    for id in amiss:
        held = after.store.control(Job, FAMILY, id)
        assert held is not None
        done = replace(held.document, state="done", lease=None, due=None)
        after.store.commit(FAMILY, id, held.version, lambda _, done=done: done)  # type: ignore[misc]
    assert after.store.due(Job, FAMILY, after.now) == []
    after.now += MINUTE
    after.tick()
    after.sweep()
    assert amiss == ["absent", "dead", "failed", "queued"]
    assert sorted(after.told) == [("recovered", id) for id in amiss]
    assert after.watched.collectors == {}


def test_of_two_sweeps_at_once_one_tells_and_begins_again(opener: Opener) -> None:
    one, other = Watch(opener()), Watch(opener())
    fleet(one.store)
    one.now = NOON - 16 * MINUTE
    one.sweep()
    one.now = NOON
    one.tick()
    one.now = other.now = NOON + 14 * MINUTE  # when phones are looked at anew

    def meanwhile() -> Mapping[str, Report]:
        assert other.sweep().told > 0
        return {}

    one.reports, other.queue = meanwhile, one.queue
    assert one.sweep() == Looked()
    assert one.told == []
    told = [("failed", "failed"), ("late", "absent"), ("late", "dead"), ("late", "queued")]
    assert sorted(other.told) == told
    assert other.waiting == ["absent", "dead", "queued"]


def test_of_two_changes_at_once_the_second_is_planned_anew(opener: Opener) -> None:
    one, other = opener(), opener()
    configure(one)

    def adding(id: str) -> Callable[[Collectors], Collectors]:
        return lambda config: replace(
            config, collectors={**config.collectors, id: collector(level="unprotected")}
        )

    pools = list[Pool]()

    def meanwhile() -> Pool:
        if not pools:
            apply(other, [adding("photos")], pool, lambda: NOON)
        pools.append(pool())
        return pools[-1]

    apply(one, [adding("mail")], meanwhile, lambda: NOON)
    held = opener().read(Collectors, COLLECTORS)
    assert held is not None
    config = held.document
    assert (sorted(config.collectors), config.generation) == (["mail", "photos"], 2)
    assert {id: each.generation for id, each in config.collectors.items()} == {
        "photos": 1,
        "mail": 2,
    }
    assert len(pools) == 2


@pytest.mark.parametrize("number", [1, 20])
def test_a_fleet_that_is_well_costs_one_query_and_one_write(opener: Opener, number: int) -> None:
    watch = Watch(opener())
    given = {f"c{n}": collector(level="unprotected") for n in range(number)}
    configure(watch.store, **given)
    for id, each in given.items():
        begin(watch.store, id, each)
    watch.tick()
    watch.sweep()
    watch.now += EVERY
    with metered() as meter:
        watch.sweep()
    # Two documents and a query that finds nothing.
    assert (meter.reads, meter.writes, meter.calls) == (3, 1, 4)


def test_each_that_is_late_costs_two_reads_and_what_is_told_a_write(opener: Opener) -> None:
    watch = Watch(opener())
    given = {f"c{n}": collector(level="unprotected") for n in range(20)}
    configure(watch.store, **given)
    for n, (id, each) in enumerate(given.items()):
        begin(watch.store, id, each, **({} if n < 5 else {"due": NOON + 70 * MINUTE}))
    watch.tick()
    watch.sweep()
    watch.now += 11 * MINUTE
    with metered() as meter:
        assert watch.sweep().told == 5
    # Each is looked at again before it is accused.
    assert (meter.reads, meter.writes) == (2 + 2 * 5, 2)


def test_that_somebody_ticks_is_marked_each_ten_minutes_and_costs_a_read_and_a_write(
    opener: Opener,
) -> None:
    watch = Watch(opener())
    configure(watch.store, mail=collector())
    costs = list[tuple[int, int]]()
    for _ in range(21):
        with metered() as meter:
            watch.tick()
        costs.append((meter.reads, meter.writes))
        watch.now += MINUTE
    # Each reads what is configured.
    marked = [minute for minute, cost in enumerate(costs) if cost == (2, 1)]
    assert (marked, costs.count((1, 0))) == ([0, 10, 20], 18)
    held = opener().read(Collectors, COLLECTORS)
    assert held is not None
    assert held.document.ticked == NOON + 20 * MINUTE
