"""Slots of collectors on a real store and queue, with a service that a test scripts."""

import dataclasses
import hashlib
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from shared.commands import collectors
from shared.ha.collectors import COLLECTORS, Caps, Collectors
from shared.http.errors import Problem
from shared.http.work import Call, called
from shared.meter import metered
from shared.model.records import Reject
from shared.model.steps import Bad, Step
from shared.model.time import to_micros
from shared.services.protocol import Asked, NotLetIn
from shared.store.changing import change
from shared.store.protocol import StoreUnavailable
from tests.collecting.bench import START, Bench, event, raising, titles


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.node.close()


def test_a_slot_is_a_task_and_a_run_that_begins_where_the_last_ended(bench: Bench) -> None:
    bench.service.gives = lambda asked: iter([Step(f"{asked.cursor or ''}x", 10, [event("a")])])
    assert bench.tick(minutes=15) == ["done"]
    assert bench.tick(minutes=1) == []
    assert bench.tick(minutes=14) == ["done"]
    assert [asked.cursor for asked in bench.service.asked] == [None, "x"]
    assert bench.job().cursor == "xx"
    assert titles(bench) == {"event:a"}
    assert bench.job().due == START + timedelta(minutes=45, seconds=600)


def test_a_slot_is_done_once_however_often_it_is_asked_for(bench: Bench) -> None:
    bench.tick(minutes=15)
    slot = START + timedelta(minutes=15)
    assert bench.collecting.begin("mail", slot) == "stale"
    assert bench.collecting.begin("mail", slot - timedelta(minutes=15)) == "stale"
    assert len(bench.service.asked) == 1


def test_ticks_that_were_late_or_lost_are_one_slot(bench: Bench) -> None:
    assert bench.tick(minutes=47) == ["done"]
    assert bench.job().spec["slot"] == int((START + timedelta(minutes=45)).timestamp() * 1e6)
    assert bench.tick(minutes=10) == []  # nothing of before is made up for twice


def test_a_long_backlog_goes_on_in_chunks_and_ends_at_the_caps(bench: Bench) -> None:
    bench.configure(caps=Caps(writes=40))

    def gives(asked: Asked) -> Iterator[Step]:
        first = int(asked.cursor or 0)
        for number in range(first, 300):
            yield Step(str(number + 1), number, [event(f"{number:03}")])

    bench.service.gives = gives
    assert bench.tick(minutes=15) == ["done"]
    first = bench.job()
    # A quarter is kept for one more step, which cannot be divided.
    assert 20 <= len(titles(bench)) <= 40
    assert first.progress.writes <= 40
    bench.tick(minutes=15)
    assert len(titles(bench)) == int(bench.job().cursor or 0) >= 40


def test_what_fails_is_tried_again_a_few_times_and_then_at_the_next_slot(bench: Bench) -> None:
    bench.service.gives = raising(ConnectionError("the server is away"))
    assert bench.tick(minutes=15) == ["waiting"]
    assert bench.tick(minutes=1) == []
    assert bench.tick(minutes=1) == ["waiting"]
    assert bench.tick(minutes=2) == ["failed"]
    assert bench.tick(minutes=5) == []
    failed = bench.job()
    assert (failed.state, failed.last_error) == ("failed", "the server is away")
    # Somebody looks after it at once.
    assert failed.due == failed.changed == START + timedelta(minutes=19)
    assert bench.tick(minutes=6) == ["waiting"]  # anew, three times
    bench.service.gives = lambda asked: iter([Step("x", 1)])
    assert bench.tick(minutes=2) == ["done"]
    assert bench.job().last_error is None


def test_credentials_that_are_refused_are_not_tried_again_in_this_slot(bench: Bench) -> None:
    said = "the server refuses the password; give another: yurt collectors change mail"
    bench.service.gives = raising(NotLetIn(said))
    assert bench.tick(minutes=15) == ["failed"]
    assert bench.tick(minutes=5) == []
    assert bench.job().last_error == said


def test_a_run_that_died_is_overtaken_by_the_next_slot_and_commits_no_more(bench: Bench) -> None:
    outcomes = []

    def hangs(asked: Asked) -> Iterator[Step]:
        bench.service.gives = lambda asked: iter([Step("new", 1, [event("new")])])
        outcomes.extend(bench.tick(minutes=15))
        yield Step("old", 1, [event("old")])

    bench.service.gives = hangs
    assert bench.tick(minutes=15) == ["fenced"]
    assert outcomes == ["done"]
    assert titles(bench) == {"event:new"}
    assert bench.job().cursor == "new"


def test_the_task_of_a_slot_comes_again_once_the_run_before_it_has_ended(bench: Bench) -> None:
    outcomes = []
    slot = to_micros(START + timedelta(minutes=16))

    def works(asked: Asked) -> Iterator[Step]:
        bench.service.gives = lambda asked: iter([Step("y", 1)])
        bench.clock.forward(seconds=60)
        with pytest.raises(Problem, match="an earlier run of mail goes on"):
            called(bench.collecting, "mail", Call(slot=slot))
        outcomes.append(bench.job().cursor)
        yield Step("x", 1)

    bench.service.gives = works
    assert bench.tick(minutes=15) == ["done"]
    assert (outcomes, bench.job().cursor) == ([None], "x")
    assert called(bench.collecting, "mail", Call(slot=slot)) == "done"
    assert called(bench.collecting, "mail", Call(slot=slot)) == "stale"
    assert bench.job().cursor == "y"


def test_what_the_owner_asks_for_is_a_slot_of_its_own_and_done_once(bench: Bench) -> None:
    bench.configure(schedule="0 * * * *")
    bench.tick(minutes=60)
    assert bench.tick(minutes=20) == []
    assert collectors.run(bench.node, "mail")  # somebody ticks
    for minutes, outcomes in ((1, ["done"]), (1, []), (38, ["done"]), (1, [])):
        assert bench.tick(minutes=minutes) == outcomes
    assert len(bench.service.asked) == 3


def test_a_slot_whose_task_comes_after_what_was_asked_for_later_is_done_with_it(
    bench: Bench,
) -> None:
    bench.clock.forward(minutes=15)
    bench.collecting.tick()
    bench.clock.forward(seconds=30)
    collectors.run(bench.node, "mail")
    assert bench.collecting.begin("mail", bench.clock()) == "done"
    assert bench.tick(seconds=30) == ["stale", "stale"]


def test_what_is_asked_for_while_no_node_runs_is_done_by_the_next_within_an_hour(
    bench: Bench,
) -> None:
    bench.configure(schedule="0 7 * * *")
    bench.tick(minutes=1)
    bench.clock.forward(minutes=1)
    collectors.run(bench.node, "mail")
    assert bench.tick(minutes=8) == ["done"]
    bench.clock.forward(minutes=1)
    collectors.run(bench.node, "mail")
    assert bench.tick(hours=2) == ["done"]  # nobody ticked meanwhile: all of that time is seen
    collectors.run(bench.node, "mail")
    bench.clock.forward(minutes=61)
    store, now = bench.node.store, bench.clock()
    change(store, COLLECTORS, Collectors(), lambda config: replace(config, ticked=now))
    assert bench.tick(minutes=1) == []


def test_one_that_was_just_added_runs_though_what_is_known_of_it_is_older(bench: Bench) -> None:
    copies = [Collectors(), bench.collecting.config()]
    old = dataclasses.replace(bench.collecting, config=lambda: copies[0], renew=copies.reverse)
    bench.clock.forward(minutes=15)
    assert old.begin("mail", bench.clock()) == "done"
    assert old.begin("post", bench.clock()) == "gone"


def test_paused_or_removed_its_slots_pass(bench: Bench) -> None:
    bench.clock.forward(minutes=15)
    bench.collecting.tick()
    bench.configure(paused=True)
    assert bench.work() == ["stopped"]
    assert bench.tick(minutes=15) == []
    assert bench.collecting.begin("post", START) == "gone"


def test_the_secret_is_opened_for_the_service_alone(bench: Bench) -> None:
    bench.configure(sealed=bench.node.sealing_key().seal(b"hunter2"), options={"host": "h"})
    bench.tick(minutes=15)
    (asked,) = bench.service.asked
    assert (asked.secret, asked.options, asked.collector) == ("hunter2", {"host": "h"}, "mail")
    (bench.node.settings.data / "master.key").write_text("00" * 32)
    bench.node.__dict__.pop("master_key")
    assert bench.tick(minutes=15) == ["failed"]
    error = bench.job().last_error or ""
    assert error.endswith("give the secret anew: yurt collectors change mail --secret")
    assert "hunter2" not in error


def test_what_cannot_be_read_is_a_reject_and_stops_nothing(bench: Bench) -> None:
    bad = Bad("message 7", "it is no mail", b"nonsense", 8)
    bench.service.gives = lambda asked: iter([Step("x", 1, [event("a")], {}, [bad])])
    assert bench.tick(minutes=15) == ["done"]
    (reject,) = bench.node.store.page(Reject).records
    assert (reject.where, reject.reason) == ("mail: message 7", "it is no mail")
    assert bench.node.store.raw(str(reject.raw)) == b"nonsense"


def test_what_a_run_costs_when_there_is_nothing_new(bench: Bench) -> None:
    bench.tick(minutes=15)
    with metered() as meter:
        bench.collecting.tick()
        bench.clock.forward(minutes=9)
        bench.collecting.tick()
    assert meter.writes == 0
    with metered() as meter:
        bench.tick(minutes=6)
    assert meter.writes == 2 + 1  # one of them the mark of the ticks


@pytest.mark.parametrize(
    ("caps", "size", "brought"),
    [(Caps(megabytes=0.5, writes=100), 100_000, 5), (Caps(writes=15), 100, 11)],
    ids=["megabytes", "writes"],
)
def test_a_slot_takes_no_more_than_its_caps_and_the_next_goes_on(
    bench: Bench, caps: Caps, size: int, brought: int
) -> None:
    bench.configure(caps=caps)
    bench.service.gives = lambda asked: large(asked, size, 15)
    assert bench.tick(minutes=15) == ["done"]
    assert len(titles(bench)) == brought
    spent = bench.job().progress
    assert caps.writes is not None
    assert spent.writes <= caps.writes
    assert spent.sent <= (caps.megabytes or 1) * 2**20
    assert bench.tick(minutes=15) == ["done"]
    assert len(titles(bench)) == min(15, 2 * brought)


@pytest.mark.parametrize(
    ("caps", "brought"),
    [
        (Caps(object_writes=3, object_reads=100), 3),
        (Caps(object_writes=100, object_reads=2), 2),
        (Caps(object_writes=100, object_reads=100, object_megabytes=1), 3),
    ],
    ids=["object_writes", "object_reads", "object_megabytes"],
)
def test_a_day_takes_no_more_objects_than_its_caps_and_the_next_goes_on(
    bench: Bench, caps: Caps, brought: int
) -> None:
    bench.configure(caps=replace(caps, writes=100))
    bench.service.gives = lambda asked: large(asked, 300_000, 15)
    for _ in range(4):
        assert bench.tick(minutes=15) == ["done"]
        assert len(titles(bench)) == brought
    assert bench.tick(hours=20) == ["done"]  # after midnight in the Pacific zone
    assert len(titles(bench)) == 2 * brought
    assert [day.object_writes for day in bench.job().days] == [brought, brought]


def test_where_nothing_is_limited_all_comes_at_once_but_for_caps_of_its_owner(bench: Bench) -> None:
    def unlimited(config: Collectors) -> Collectors:
        return replace(config, unlimited=True)

    change(bench.node.store, COLLECTORS, Collectors(), unlimited)
    bench.service.gives = lambda asked: large(asked, 300_000, 90)
    assert bench.tick(minutes=15) == ["done"]
    assert len(titles(bench)) == 90
    bench.configure(caps=Caps(object_writes=2))
    change(bench.node.store, COLLECTORS, Collectors(), unlimited)
    bench.service.gives = lambda asked: large(asked, 300_000, 95)
    assert bench.tick(hours=20) == ["done"]
    assert len(titles(bench)) == 92


def test_small_things_come_all_day_before_a_large_one_that_has_to_wait(bench: Bench) -> None:
    bench.configure(caps=Caps(object_writes=1))
    sizes = [300_000, 100, 100, 300_000, 100]

    def gives(asked: Asked) -> Iterator[Step]:
        for number in range(int(asked.cursor or 0), len(sizes)):
            raw = random.Random(number).randbytes(sizes[number])
            raws = {hashlib.sha256(raw).hexdigest(): raw}
            yield Step(str(number + 1), number, [event(str(number))], raws)

    bench.service.gives = gives
    assert bench.tick(minutes=15) == ["done"]
    assert (bench.job().cursor, len(titles(bench))) == ("3", 3)
    assert bench.tick(minutes=15) == ["done"]
    assert bench.job().cursor == "3"
    assert bench.tick(hours=20) == ["done"]
    assert bench.job().cursor == "5"


def test_what_is_larger_than_the_caps_by_itself_is_taken_alone_once_a_day(bench: Bench) -> None:
    bench.configure(caps=Caps(object_megabytes=1))
    bench.service.gives = lambda asked: large(asked, 2_000_000, 3)
    for _ in range(2):
        assert bench.tick(minutes=15) == ["done"]
        assert len(titles(bench)) == 1
    assert bench.tick(hours=20) == ["done"]
    assert len(titles(bench)) == 2


def test_what_is_larger_than_what_a_slot_may_write_is_taken_alone(bench: Bench) -> None:
    bench.configure(caps=Caps(megabytes=0.01))
    bench.service.gives = lambda asked: large(asked, 20_000, 3)
    for number in (1, 2):
        assert bench.tick(minutes=15) == ["done"]
        assert len(titles(bench)) == number


def test_a_slot_that_is_done_stays_done_though_nobody_can_note_what_it_took(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the store is away")

    bench.configure(caps=Caps(object_megabytes=1))
    bench.service.gives = lambda asked: large(asked, 2_000_000, 1)
    bench.tick(minutes=1)
    monkeypatch.setattr(bench.node.store, "write", away)
    slot = START + timedelta(minutes=15)
    bench.clock.forward(minutes=14)
    assert bench.collecting.begin("mail", slot) == "done"
    assert (bench.job().state, bench.job().last_error) == ("done", None)


def test_a_slot_ends_after_as_many_chunks_as_it_may_have(bench: Bench) -> None:
    bench.configure(caps=Caps(chunks=2))
    collecting = bench.collecting
    collecting.engine.stopping = lambda: True  # after each part
    bench.service.gives = lambda asked: large(asked, 100, 15)
    bench.clock.forward(minutes=15)
    collecting.tick()
    assert collecting.begin("mail", START + timedelta(minutes=15)) == "more"
    assert collecting.run("mail", bench.job().token) == "done"
    assert len(titles(bench)) == bench.job().progress.chunks == 2


def test_a_run_that_takes_longer_than_its_limit_is_given_up(bench: Bench) -> None:
    bench.configure(run_limit=60)

    def gives(asked: Asked) -> Iterator[Step]:
        for step in large(asked, 100, 5):
            bench.clock.forward(seconds=25)
            yield step

    bench.service.gives = gives
    assert bench.tick(minutes=15) == ["failed"]
    assert bench.job().last_error == "it took longer than its run_limit"
    assert len(titles(bench)) == 3  # what it had brought by then is kept


def test_no_try_is_made_after_the_limit_of_a_run(bench: Bench) -> None:
    bench.configure(run_limit=150)
    bench.service.gives = raising(ConnectionError("the server is away"))
    assert bench.tick(minutes=15) == ["waiting"]
    assert bench.tick(minutes=2) == ["failed"]


def test_what_was_taken_is_counted_by_days_of_the_pacific_zone(bench: Bench) -> None:
    bench.service.gives = lambda asked: large(asked, 300_000, 2)
    bench.configure(caps=Caps(object_writes=2, object_reads=2))
    bench.tick(minutes=15)
    (day,) = bench.job().days
    assert (day.began, day.object_writes, day.chunks) == (START.replace(hour=8), 2, 1)
    bench.tick(hours=20)
    first, second = bench.job().days
    assert (first, second.began) == (day, START.replace(hour=8) + timedelta(days=1))
    bench.tick(minutes=15)
    assert bench.job().days[-1].chunks == 2


def large(asked: Asked, size: int, most: int) -> Iterator[Step]:
    """Steps of one record with a raw of that size."""
    for number in range(int(asked.cursor or 0), most):
        raw = random.Random(number).randbytes(size)
        raws = {hashlib.sha256(raw).hexdigest(): raw}
        yield Step(str(number + 1), number, [event(f"{number:03}")], raws)
