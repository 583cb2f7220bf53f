"""The sweep over collectors: who is accused, who is begun again, what is told."""

import contextlib
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from shared.alerting import webhook
from shared.alerting.registry import CHANNELS
from shared.collecting.monitor import Looked
from shared.collecting.slots import collector_in, enrolled, rescheduled
from shared.commands import alerts
from shared.ha.collectors import COLLECTORS, Caps, Collector, Collectors, Held
from shared.ha.outbox import Alert, Outbox
from shared.ha.watching import WATCHED, Watched
from shared.http.errors import Problem
from shared.meter import metered
from shared.model.access import ACCESS, Access, Device
from shared.model.records import Fix
from shared.model.steps import Step
from shared.node import Node
from shared.queue.protocol import QueueUnavailable, Workable
from shared.services.protocol import Asked, NotLetIn
from shared.store.changing import change
from shared.store.protocol import StoreUnavailable
from shared.work.jobs import Job
from shared.workshop import monitor_of, telling_of
from tests.alerting.servers import Web
from tests.collecting.bench import START, Bench, raising

MINUTE = timedelta(minutes=1)
SMALL = Caps(object_writes=0, seconds=10, writes=10)


class Post:
    """Whom alerts are told. takes: whether it takes them now."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.takes = True

    def __call__(self, outbox: Outbox) -> Iterator[Outbox]:
        if self.takes:
            self.alerts += outbox.alerts
            yield Outbox()

    @property
    def kinds(self) -> list[str]:
        return [f"{alert.collector} {alert.kind}" for alert in self.alerts]


class Watch(Bench):
    """The same node, swept each minute. ticks: whether somebody makes slots tasks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.post = Post()
        self.enrol("mail")
        self.sweep()

    def enrol(self, *ids: str, **more: Any) -> None:
        held = self.node.store.read(Collectors, COLLECTORS)
        assert held is not None
        mail = replace(held.document.collectors["mail"], **more)
        there = {**held.document.collectors, "mail": mail, **dict.fromkeys(ids, mail)}
        self.node.store.write(COLLECTORS, Collectors(collectors=there), over=held.version)
        for id in ids:
            job = enrolled(id, mail, None, self.clock())
            self.node.store.commit("collector", id, None, lambda _, job=job: job)  # type: ignore[misc]

    def reschedule(self, **more: Any) -> None:
        """As `yurt collectors change` does."""
        self.enrol(**more)
        held = self.node.store.read(Collectors, COLLECTORS)
        assert held is not None
        job = self.node.store.control(Job, "collector", "mail")
        assert job is not None
        made = rescheduled("mail", held.document.collectors["mail"], job.document, self.clock())
        self.node.store.commit("collector", "mail", job.version, lambda _: made)

    def sweep(self) -> Looked:
        return monitor_of(self.node, self.collecting, MINUTE, self.post).sweep()

    def minutes(
        self, number: int, *, ticks: bool = True, works: bool = True, loses: bool = False
    ) -> list[Looked]:
        """They pass, with a tick and a sweep in each. loses: tasks are gone as soon as added."""
        looked = []
        for _ in range(number):
            self.clock.forward(minutes=1)
            if ticks:
                self.collecting.tick()
            if loses:
                self.lose()
            elif works:
                self.work()
            looked.append(self.sweep())
        return looked

    def lose(self) -> None:
        queue = self.node.slots_queue
        assert isinstance(queue, Workable)
        while taken := queue.take():
            queue.done(taken)

    @property
    def watched(self) -> Watched:
        held = self.node.store.read(Watched, WATCHED)
        return held.document if held is not None else Watched()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    watch = Watch(tmp_path)
    yield watch
    watch.node.close()


def test_a_fleet_that_is_well_is_left_alone_and_costs_one_query(watch: Watch) -> None:
    watch.minutes(60)
    assert watch.post.kinds == []
    with metered() as meter:
        watch.sweep()
    assert (meter.reads, meter.writes) == (5, 1)


def test_one_whose_slot_never_came_is_late_after_its_grace_and_begun_again(watch: Watch) -> None:
    # Its first slot is after a quarter of an hour; ten minutes later it should have been done.
    looked = watch.minutes(26, loses=True) + watch.minutes(1)
    assert looked[24] == Looked()
    assert looked[25] == Looked(late=["mail"], failed=[], restarted=["mail"], told=1)
    (late, recovered) = watch.post.alerts
    assert (late.kind, late.at) == ("late", START + timedelta(minutes=25))
    assert (
        late.text == "mail is late: nothing was heard of it, since the slot of 2026-11-25 12:00 UTC"
    )
    assert (recovered.kind, recovered.at) == ("recovered", START + timedelta(minutes=27))
    assert len(watch.service.asked) == 1
    assert watch.watched.collectors == {}


def test_a_protected_one_is_begun_again_three_times_and_told_of_once(watch: Watch) -> None:
    looked = watch.minutes(60, loses=True)
    # Tasks of restarts are lost as well.
    assert [number for number, each in enumerate(looked, 1) if each.restarted] == [26, 28, 30]
    assert watch.post.kinds == ["mail late", "mail suspended"]
    assert watch.post.alerts[1].text == (
        "mail was begun again 3 times today and is still not well; its slots go on, and it is "
        "begun again from 2026-11-26 08:00 UTC on"
    )


def test_an_unprotected_one_is_told_of_and_not_begun_again(watch: Watch) -> None:
    watch.enrol(level="unprotected")
    looked = watch.minutes(40, loses=True)
    assert watch.post.kinds == ["mail late"]
    assert [each.restarted for each in looked if each.restarted] == []


def test_a_task_that_waits_makes_it_suspect_and_not_late(watch: Watch) -> None:
    watch.minutes(28, works=False)  # the queue has its tasks, and does not call them
    assert watch.post.kinds == []
    assert watch.watched.collectors["mail"].status == "suspect"
    watch.minutes(1)
    assert watch.watched.collectors == {}
    assert watch.post.kinds == []


def test_a_task_that_waits_for_too_long_is_lost(watch: Watch) -> None:
    watch.minutes(31, works=False)
    assert watch.post.kinds == ["mail late"]


def test_a_failure_is_told_with_its_reason_and_then_that_it_works_again(watch: Watch) -> None:
    watch.service.gives = raising(ConnectionError("the server is away"))
    watch.minutes(29)
    (failed,) = watch.post.alerts
    assert (failed.kind, failed.text) == ("failed", "mail failed: the server is away")
    assert failed.at == START + timedelta(minutes=19)  # its third attempt
    watch.service.gives = lambda asked: iter([Step("x", 1)])
    watch.minutes(3)
    assert watch.post.kinds == ["mail failed", "mail recovered"]


def test_a_run_that_died_is_begun_again_and_its_late_commit_is_refused(watch: Watch) -> None:
    outcomes = []

    def dies(asked: Asked) -> Iterator[Step]:
        watch.service.gives = lambda asked: iter([Step("new", 1)])
        # Its lease ends after two of these; its task is still being called for all the queue knows.
        outcomes.extend(watch.minutes(8))
        yield Step("old", 1)

    watch.service.gives = dies
    watch.minutes(15)
    assert [each.restarted for each in outcomes if each.restarted] == [["mail"]]
    assert watch.job().cursor == "new"
    assert watch.post.kinds == ["mail late", "mail recovered"]


def test_when_all_are_silent_the_observer_is_suspected(watch: Watch) -> None:
    watch.enrol("a", "b", "c", caps=SMALL)
    looked = watch.minutes(60, loses=True)
    assert watch.post.kinds == ["None silence"]
    assert [each.restarted for each in looked if each.restarted] == []
    watch.minutes(20)
    assert watch.post.kinds == ["None silence", "None heard"]


def test_one_that_failed_and_is_paused_for_a_while_is_told_of_once(watch: Watch) -> None:
    watch.service.gives = raising(ConnectionError("the server is away"))
    watch.minutes(30)
    watch.reschedule(paused=True)
    watch.minutes(30)
    watch.reschedule(paused=False)
    watch.minutes(3)
    assert watch.post.kinds == ["mail failed"]
    watch.service.gives = lambda asked: iter([Step("x", 1)])
    watch.minutes(20)
    assert watch.post.kinds == ["mail failed", "mail recovered"]


def test_tasks_that_nobody_calls_are_a_silence_as_well(watch: Watch) -> None:
    watch.enrol("a", "b", "c", caps=SMALL)
    looked = watch.minutes(60, works=False)
    assert watch.post.kinds == ["None silence"]
    assert [each.restarted for each in looked if each.restarted] == []


def test_one_that_failed_and_has_to_wait_is_told_of_once(watch: Watch) -> None:
    watch.reschedule(level="best-effort")
    watch.service.gives = raising(ConnectionError("the server is away"))
    watch.minutes(30)
    now = watch.clock()
    held = Held(
        level="best-effort",
        dimension="firestore.writes",
        since=now,
        until=now + timedelta(hours=1),
        generation=0,
    )
    change(watch.node.store, COLLECTORS, Collectors(), lambda config: replace(config, held=held))
    watch.minutes(100)
    assert watch.post.kinds == ["mail failed", "None held"]


@pytest.mark.parametrize("minutes", [1, 2, 5])
def test_one_whose_every_run_dies_is_told_of_as_failed(watch: Watch, minutes: int) -> None:
    class Dies(BaseException):
        pass

    def dies(asked: Asked) -> Iterator[Step]:
        raise Dies

    watch.reschedule(schedule=f"*/{minutes} * * * *")
    watch.service.gives = dies
    for _ in range(60):
        watch.clock.forward(minutes=1)
        watch.collecting.tick()
        with contextlib.suppress(Dies, Problem):
            watch.work()
        watch.lose()
        if watch.clock().minute % 10 == 3:
            monitor_of(watch.node, watch.collecting, 10 * MINUTE, watch.post).sweep()
    kinds = watch.post.kinds
    assert kinds.count("mail failed") == 1
    assert kinds.count("mail stuck") <= 2
    assert "mail recovered" not in kinds
    failed = next(alert for alert in watch.post.alerts if alert.kind == "failed")
    assert failed.text == "mail failed: its runs end without a word: see the log"


@pytest.mark.parametrize("level", ["protected", "best-effort", "unprotected"])
@pytest.mark.parametrize("hours", [1, 9])
def test_a_machine_that_slept_accuses_nobody_and_makes_up_for_the_last_slot(
    watch: Watch, level: str, hours: int
) -> None:
    watch.reschedule(level=level)
    watch.minutes(20)
    watch.clock.forward(hours=hours)
    watch.sweep()  # whoever looks may be awake before whoever ticks
    watch.minutes(8)
    assert watch.post.kinds == []
    assert len(watch.service.asked) == 2
    assert watch.watched.collectors == {}


def test_a_clock_that_was_a_day_ahead_holds_up_nothing_once_it_is_right(watch: Watch) -> None:
    watch.clock.forward(days=1)
    watch.minutes(20)
    watch.enrol("photos", caps=SMALL)  # while it is ahead
    watch.minutes(10)
    asked = len(watch.service.asked)
    watch.clock.now -= timedelta(days=1)
    watch.minutes(60)
    assert len(watch.service.asked) == asked + 2 * 5
    assert watch.post.kinds == []


def test_a_slot_that_was_slept_over_is_not_late_when_its_grace_ends_after_that(
    watch: Watch,
) -> None:
    watch.reschedule(level="unprotected")
    watch.minutes(14)
    watch.clock.forward(minutes=7)
    watch.minutes(10)
    assert watch.post.kinds == []
    assert len(watch.service.asked) == 2


def test_a_task_that_waited_while_the_machine_slept_is_not_lost(watch: Watch) -> None:
    watch.minutes(15, works=False)
    watch.clock.forward(hours=9)
    watch.minutes(2, works=False)
    assert watch.post.kinds == []
    watch.minutes(5, works=False)
    assert watch.post.kinds == ["mail late"]
    assert watch.post.alerts[0].text.endswith("; its task waits, and nobody calls it")


def test_a_task_that_is_called_in_vain_is_late_with_the_number_of_calls(watch: Watch) -> None:
    queue = watch.node.slots_queue
    assert isinstance(queue, Workable)
    for _ in range(31):
        watch.minutes(1, works=False)
        if (taken := queue.take()) is not None:
            queue.failed(taken)
    (late,) = watch.post.alerts
    assert late.kind == "late"
    assert re.search("; its task was called [0-9]+ times in vain: see the log$", late.text)


def test_when_nobody_ticks_slots_begin_late_and_that_alone_is_told_once(watch: Watch) -> None:
    watch.enrol("photos", level="unprotected", schedule="7 * * * *", caps=SMALL)
    watch.minutes(20)
    watch.minutes(6 * 60, ticks=False)
    assert watch.post.kinds == ["None unticked"]
    (told,) = watch.post.alerts
    assert told.at == START + timedelta(minutes=11)  # of the last mark
    assert told.text.startswith("nobody has looked since 2026-11-25 12:11 UTC which slots are due")
    assert len(watch.service.asked) == 2 * (1 + 6)  # each hour, though after the grace
    assert {asked.collector for asked in watch.service.asked} == {"mail", "photos"}
    watch.minutes(30)
    assert watch.post.kinds == ["None unticked", "None ticked"]
    assert watch.watched.unticked is None


def test_while_no_collector_runs_nobody_misses_ticks(watch: Watch) -> None:
    watch.reschedule(paused=True)
    watch.minutes(60, ticks=False)
    assert watch.post.kinds == []


def test_a_queue_that_was_away_is_no_fault_of_collectors(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise QueueUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(watch.node.slots_queue, "add", away)
        for _ in range(20):
            watch.clock.forward(minutes=1)
            with contextlib.suppress(QueueUnavailable):
                watch.collecting.tick()
            watch.sweep()
    watch.minutes(10)
    assert watch.post.kinds == []
    assert len(watch.service.asked) >= 1


def test_while_the_store_is_away_nobody_is_accused(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(watch.node.store, "due", away)
        for _ in range(60):
            watch.clock.forward(minutes=1)
            with pytest.raises(StoreUnavailable):
                watch.sweep()
    assert watch.post.alerts == []
    watch.minutes(2)
    assert watch.post.kinds == []


@pytest.mark.parametrize(("minutes", "told"), [(20, []), (60, ["None blind"])])
def test_a_store_that_was_away_for_long_is_told_of_once_it_is_back(
    watch: Watch, minutes: int, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the store is away")

    monitor = monitor_of(watch.node, watch.collecting, MINUTE, watch.post)
    with monkeypatch.context() as patch:
        patch.setattr(watch.node.store, "due", away)
        for _ in range(minutes):
            watch.clock.forward(minutes=1)
            with pytest.raises(StoreUnavailable):
                monitor.sweep()
    for _ in range(3):
        watch.clock.forward(minutes=1)
        watch.collecting.tick()
        watch.work()
        monitor.sweep()
    assert watch.post.kinds == told
    for alert in watch.post.alerts:
        assert alert.at == START
        assert alert.text == (
            "from 2026-11-25 12:00 to 2026-11-25 13:01 UTC nobody could look after collectors: "
            "the store is away"
        )


def test_an_alert_is_told_until_it_is_taken_and_in_the_step_that_made_it(watch: Watch) -> None:
    watch.post.takes = False
    watch.minutes(30, loses=True)
    (alert,) = watch.watched.outbox.alerts
    assert alert.kind == "late"
    watch.post.takes = True
    watch.sweep()
    assert [told.id for told in watch.post.alerts] == [alert.id]
    assert watch.watched.outbox == Outbox()


def test_killed_between_the_alert_and_its_note_it_comes_twice_and_the_same(watch: Watch) -> None:
    def dies(outbox: Outbox) -> Iterator[Outbox]:
        next(watch.post(outbox))
        raise Killed

    watch.minutes(25, loses=True)
    watch.clock.forward(minutes=1)
    dying = monitor_of(watch.node, watch.collecting, MINUTE, dies)
    with pytest.raises(Killed):
        dying.sweep()
    watch.clock.forward(seconds=10)
    watch.sweep()
    first, second = watch.post.alerts[:2]
    assert first == second


class Killed(BaseException):
    pass


@contextlib.contextmanager
def two_hooks(watch: Watch) -> Iterator[tuple[Web, Web]]:
    """A webhook `a`, then a webhook `b`, to which this node tells alerts."""
    with Web().running() as a, Web().running() as b:
        for name, web in (("a", a), ("b", b)):
            alerts.add(watch.node, CHANNELS, name, "webhook", {}, f"{web.url}/{name}")
        yield a, b


def look(watch: Watch) -> Looked:
    """As the node itself does it: those are told who are configured."""
    return monitor_of(watch.node, watch.collecting, MINUTE).sweep()


def ids(web: Web) -> list[str]:
    return [request.headers["Idempotency-Key"] for request in web.requests]


def test_killed_between_telling_and_writing_it_comes_again_on_that_channel_alone(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.minutes(25, loses=True)
    watch.clock.forward(minutes=1)
    with two_hooks(watch) as (a, b):
        write = watch.node.store.write

        def dies(name: str, document: Struct, *, over: str | None) -> str:
            if b.requests:
                raise Killed
            return write(name, document, over=over)

        with monkeypatch.context() as patch:
            patch.setattr(watch.node.store, "write", dies)
            with pytest.raises(Killed):
                look(watch)
        assert len(watch.watched.outbox.alerts) == 1
        watch.clock.forward(seconds=10)
        look(watch)
        late = ids(a)[0]
        assert late.startswith("mail-late-")
        assert (ids(a), ids(b)) == ([late], [late, late])
    assert watch.watched.outbox == Outbox()


def test_killed_before_telling_it_is_told_by_the_next_sweep(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.minutes(25, loses=True)
    watch.clock.forward(minutes=1)
    with two_hooks(watch) as (a, b):

        def dies(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(webhook, "send", dies)
            with pytest.raises(Killed):
                look(watch)
        assert (ids(a), ids(b)) == ([], [])
        watch.clock.forward(seconds=10)
        look(watch)
        assert (len(ids(a)), ids(a)) == (1, ids(b))


def test_a_channel_that_fails_is_kept_with_its_reason_and_asked_again_later(watch: Watch) -> None:
    watch.minutes(25, loses=True)
    watch.clock.forward(minutes=1)
    with two_hooks(watch) as (a, b):
        b.status = 500
        assert look(watch).told == 0
        failing = watch.watched.outbox.failing["b"]
        assert failing.error.startswith("it cannot take it just now (status 500)")
        assert (failing.since, failing.again) == (watch.clock(), watch.clock() + MINUTE)
        (state,) = [s for s in alerts.alerts_state(watch.node).channels if s.channel == "b"]
        assert (state.untold, state.failing, state.again) == (1, failing.since, failing.again)
        b.status = 204
        watch.clock.forward(seconds=30)
        look(watch)
        assert len(b.requests) == 1
        watch.clock.forward(seconds=30)
        assert look(watch).told == 1
        assert (len(ids(a)), len(ids(b))) == (1, 2)
    assert watch.watched.outbox == Outbox()


def test_a_channel_that_took_a_test_is_told_what_waits_by_the_next_sweep(watch: Watch) -> None:
    watch.minutes(25, loses=True)
    watch.clock.forward(minutes=1)
    with two_hooks(watch) as (_, b):
        b.status = 500
        look(watch)
        telling = telling_of(watch.node)
        (refused,) = alerts.test(watch.node, telling, "b")
        assert refused.error is not None
        assert watch.watched.outbox.failing.keys() == {"b"}
        b.status = 204
        (taken,) = alerts.test(watch.node, telling, "b")
        assert taken.error is None
        assert watch.watched.outbox.failing == {}
        watch.clock.forward(seconds=1)
        assert look(watch).told == 1


def test_somebody_else_who_sweeps_meanwhile_tells_the_rest(watch: Watch) -> None:
    """Two that overlap: the first stops once it sees that it was overtaken."""
    watch.minutes(25, loses=True)
    watch.clock.forward(minutes=1)
    posts = [Post(), Post()]

    def overtaken(outbox: Outbox) -> Iterator[Outbox]:
        posts[0].alerts += outbox.alerts
        watch.clock.forward(seconds=10)
        monitor_of(watch.node, watch.collecting, MINUTE, posts[1]).sweep()
        yield Outbox()
        raise AssertionError("it goes on")

    looked = monitor_of(watch.node, watch.collecting, MINUTE, overtaken).sweep()
    assert looked.told == 0
    assert posts[0].alerts == posts[1].alerts[:1]
    assert watch.watched.outbox == Outbox()


def test_a_sign_of_life_comes_of_completed_sweeps_alone(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Web().running() as web:
        alerts.set_ping(watch.node, f"{web.url}/life")
        monitor = monitor_of(watch.node, watch.collecting, MINUTE)

        def away(*_: object, **__: object) -> None:
            raise StoreUnavailable("the store is away")

        with monkeypatch.context() as patch:
            patch.setattr(watch.node.store, "due", away)
            for _ in range(5):
                watch.clock.forward(minutes=1)
                with pytest.raises(StoreUnavailable):
                    monitor.sweep()
        assert web.requests == []
        for _ in range(6):
            watch.clock.forward(seconds=30)
            monitor.sweep()
        assert [(r.method, r.path) for r in web.requests] == [("GET", "/life")] * 3
        web.status = 503
        watch.clock.forward(minutes=1)
        assert monitor.sweep() == Looked()
        assert len(web.requests) == 4


@pytest.mark.parametrize(
    ("task", "id"),
    [
        ("collector-mail-1795608000000000", "mail"),
        ("collector-mail-2-1795608000000000", "mail-2"),
        ("collector-mail-1795608000000000-r2", "mail"),
        ("collector-mail-12-0123456789ab", "mail"),
        ("import-8c1f-1-0123456789ab", None),
    ],
)
def test_whose_task_it_is(task: str, id: str | None) -> None:
    assert collector_in(task) == id


def test_paused_it_is_not_missed(watch: Watch) -> None:
    watch.enrol(paused=True)
    watch.minutes(60, loses=True)
    assert watch.post.alerts == []


def test_a_collector_is_what_the_tests_say() -> None:
    assert Collector(service="x", schedule="*/15 * * * *", created=START).grace == 600


def test_restarts_of_a_day_are_used_up_and_there_again_on_the_next(watch: Watch) -> None:
    watch.reschedule(schedule="0 13 * * *")
    watch.service.gives = raising(ConnectionError("the server is away"))
    looked = watch.minutes(60 * 18)
    # The slot, tried three times, then again after 10, 40 and 160 minutes.
    again = [number for number, each in enumerate(looked, 1) if each.restarted]
    assert again == [74, 119, 284]
    assert [alert.kind for alert in watch.post.alerts] == ["failed", "suspended"]
    watch.clock.now = START.replace(hour=8) + timedelta(days=1)
    watch.sweep()  # it was away
    watch.minutes(5)
    assert watch.watched.restarts == {"mail": 1}


def test_what_would_fail_again_is_not_begun_again(watch: Watch) -> None:
    watch.reschedule(schedule="0 13 * * *")
    watch.service.gives = raising(NotLetIn("the server refuses the password"))
    looked = watch.minutes(60 * 10)
    assert [each for each in looked if each.restarted] == []
    assert watch.post.kinds == ["mail failed"]
    assert len(watch.service.asked) == 1


def test_one_that_fails_and_comes_often_is_left_to_its_slots(watch: Watch) -> None:
    watch.service.gives = raising(ConnectionError("the server is away"))
    looked = watch.minutes(120)
    assert [each for each in looked if each.restarted] == []
    assert watch.post.kinds == ["mail failed"]


def test_the_run_of_a_restart_is_left_to_itself_however_long_it_takes(watch: Watch) -> None:
    def slow(asked: Asked) -> Iterator[Step]:
        for number in range(6):
            watch.minutes(1, loses=True)
            yield Step(f"{number}", 0)

    watch.service.gives = slow
    watch.minutes(26, loses=True)
    watch.minutes(2)
    assert len(watch.service.asked) == 1
    assert watch.post.kinds == ["mail late", "mail recovered"]


def test_one_that_failed_is_left_to_a_slot_whose_task_waits(watch: Watch) -> None:
    watch.reschedule(schedule="0 * * * *")
    watch.service.gives = raising(ConnectionError("the server is away"))
    watch.minutes(119)  # begun again once; for the second time the next slot is too near
    assert len(watch.service.asked) == 6
    watch.service.gives = lambda asked: iter([Step("x", 1)])
    watch.clock.forward(minutes=1)
    watch.collecting.tick()
    assert watch.sweep().restarted == []
    watch.minutes(100)
    assert watch.post.kinds == ["mail failed", "mail recovered"]


def test_best_effort_is_begun_again_once_no_protected_one_has_to_be(watch: Watch) -> None:
    watch.enrol("photos", caps=SMALL)
    held = watch.node.store.read(Collectors, COLLECTORS)
    assert held is not None
    there = held.document.collectors
    made = {**there, "photos": replace(there["photos"], level="best-effort", priority=0)}
    watch.node.store.write(COLLECTORS, Collectors(collectors=made), over=held.version)
    looked = watch.minutes(40, loses=True)
    begun = [each.restarted for each in looked if each.restarted]
    assert begun[0] == ["mail"]
    assert begun[1] == ["photos"]


def test_a_run_that_ended_without_a_word_is_told_of_though_a_later_one_worked(watch: Watch) -> None:
    class Killed(BaseException):
        pass

    def dies(asked: Asked) -> Iterator[Step]:
        watch.service.gives = lambda asked: iter(())
        raise Killed

    watch.service.gives = dies
    watch.clock.forward(minutes=15)
    watch.collecting.tick()
    with pytest.raises(Killed):
        watch.work()
    watch.clock.forward(minutes=15)
    watch.collecting.tick()
    assert watch.work()[-1] == "done"
    watch.sweep()
    watch.minutes(30)
    assert watch.post.kinds == ["mail stuck"]
    (stuck,) = watch.post.alerts
    assert stuck.at == START + timedelta(minutes=15)
    assert stuck.text == (
        "a run of mail ended without a word, or hangs: that of the slot of 2026-11-25 12:15 UTC; "
        "a later one went on"
    )
    assert watch.watched.collectors == {}


def test_a_run_must_begin_within_its_limit_where_that_is_sooner(watch: Watch) -> None:
    watch.reschedule(start_limit=120)
    looked = watch.minutes(30, loses=True)
    assert next(number for number, each in enumerate(looked, 1) if each.late) == 15 + 3


def test_a_phone_that_usually_reports_and_went_quiet_is_told_of_with_its_battery(
    watch: Watch,
) -> None:
    device = pair_phone(watch.node)
    for hour in range(24 * 4):
        watch.clock.forward(hours=1)
        report(watch.node, device, battery=0.9 - hour / 200)
        watch.sweep()
    assert watch.post.kinds == []
    watch.minutes(60 * 5)
    assert watch.post.kinds == [f"{device} quiet"]
    (quiet,) = watch.post.alerts
    assert quiet.at == START + timedelta(hours=24 * 4 + 2)
    assert quiet.text == (
        "my phone has gone quiet: it was last heard of at 2026-11-29 12:00 UTC, with 43% of its "
        "battery"
    )
    report(watch.node, device, battery=1.0)
    watch.minutes(60)
    assert watch.post.kinds == [f"{device} quiet", f"{device} back"]


def pair_phone(node: Node) -> str:
    device = Device(id="d1", name="my phone", app="other", created=START, current="0" * 64)
    node.store.write(ACCESS, Access().with_device(device), over=None)
    return device.id


def report(node: Node, device: str, battery: float) -> None:
    now = node.clock()
    fix = Fix(
        source="plain",
        source_version=1,
        device=device,
        time=now,
        lat=51.5,
        lon=-0.1,
        battery=battery,
    )
    node.store.put([fix])


@pytest.mark.parametrize("every", [1, 2, 3, 5, 10])
def test_one_that_fails_is_told_of_however_often_its_slots_come(watch: Watch, every: int) -> None:
    """A slot begins anew before a look can find that the one before has failed."""
    watch.reschedule(schedule=f"*/{every} * * * *", level="best-effort")
    watch.service.gives = raising(ConnectionError("the server is away"))
    looks(watch, 60, each=10)
    assert watch.post.kinds == ["mail failed"]
    assert watch.post.alerts[0].text == "mail failed: the server is away"
    assert watch.post.alerts[0].at <= START + timedelta(minutes=4 + every)
    watch.service.gives = lambda asked: iter(())
    looks(watch, 30, each=10)
    assert watch.post.kinds == ["mail failed", "mail recovered"]
    assert watch.watched.collectors == {}


def test_one_try_that_failed_is_no_failure_though_its_slots_come_often(watch: Watch) -> None:
    watch.reschedule(schedule="* * * * *", level="best-effort")

    def works(asked: Asked) -> Iterator[Step]:
        watch.sweep()  # while the slot after it is at work
        return iter(())

    for _ in range(10):
        watch.service.gives = raising(ConnectionError("the server is away"))
        watch.tick(minutes=1)
        watch.service.gives = works
        watch.tick(minutes=1)
    assert watch.post.kinds == []


def looks(watch: Watch, minutes: int, *, each: int) -> None:
    """A tick each minute, and a look so often, after what was due was called."""
    for minute in range(1, minutes + 1):
        watch.tick(minutes=1)
        if minute % each == 0:
            monitor_of(watch.node, watch.collecting, each * MINUTE, watch.post).sweep()
