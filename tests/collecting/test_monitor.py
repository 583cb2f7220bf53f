"""The sweep over collectors: who is accused, who is begun again, what is told."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shared.collecting.monitor import Looked
from shared.collecting.slots import collector_in, enrolled, rescheduled
from shared.ha.collectors import COLLECTORS, Caps, Collector, Collectors
from shared.ha.watching import WATCHED, Alert, Watched
from shared.meter import metered
from shared.model.access import ACCESS, Access, Device
from shared.model.records import Fix
from shared.model.steps import Step
from shared.node import Node
from shared.services.protocol import Asked, NotLetIn
from shared.store.protocol import StoreUnavailable
from shared.work.jobs import Job
from shared.workshop import monitor_of
from tests.collecting.bench import START, Bench, raising

MINUTE = timedelta(minutes=1)
SMALL = Caps(object_writes=0, seconds=10, writes=10)


class Post:
    """Whom alerts are told. takes: whether it takes them now."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.takes = True

    def __call__(self, alert: Alert) -> bool:
        if self.takes:
            self.alerts.append(alert)
        return self.takes

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

    def minutes(self, number: int, *, ticks: bool = True, works: bool = True) -> list[Looked]:
        """They pass, with a tick and a sweep in each."""
        looked = []
        for _ in range(number):
            self.clock.forward(minutes=1)
            if ticks:
                self.collecting.tick()
            if works:
                self.work()
            looked.append(self.sweep())
        return looked

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
    assert (meter.reads, meter.writes) == (4, 1)


def test_one_whose_slot_never_came_is_late_after_its_grace_and_begun_again(watch: Watch) -> None:
    # Its first slot is after a quarter of an hour; ten minutes later it should have been done.
    looked = watch.minutes(27, ticks=False)
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
    looked = watch.minutes(60, ticks=False, works=False)
    # Tasks of restarts wait and are not called, which is suspect for a while.
    assert [number for number, each in enumerate(looked, 1) if each.restarted] == [26, 28, 30]
    assert watch.post.kinds == ["mail late", "mail suspended"]
    assert watch.post.alerts[1].text == (
        "mail was begun again 3 times today and is still not well; its slots go on, and it is "
        "begun again from 2026-11-26 08:00 UTC on"
    )


def test_an_unprotected_one_is_told_of_and_not_begun_again(watch: Watch) -> None:
    watch.enrol(level="unprotected")
    looked = watch.minutes(40, ticks=False)
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
    looked = watch.minutes(60, ticks=False)
    assert watch.post.kinds == ["None silence"]
    assert [each.restarted for each in looked if each.restarted] == []
    watch.minutes(20)
    assert watch.post.kinds == ["None silence", "None heard"]


def test_a_machine_that_slept_accuses_nobody(watch: Watch) -> None:
    watch.minutes(20)
    watch.clock.forward(hours=9)
    watch.minutes(3)
    assert watch.post.kinds == []
    assert len(watch.service.asked) == 2  # what was missed is made up for


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


def test_an_alert_is_told_until_it_is_taken_and_in_the_step_that_made_it(watch: Watch) -> None:
    watch.post.takes = False
    watch.minutes(30, ticks=False, works=False)
    (alert,) = watch.watched.outbox
    assert alert.kind == "late"
    watch.post.takes = True
    watch.sweep()
    assert [told.id for told in watch.post.alerts] == [alert.id]
    assert watch.watched.outbox == ()


def test_killed_between_the_alert_and_its_note_it_comes_twice_and_the_same(watch: Watch) -> None:
    class Killed(BaseException):
        pass

    def dies(alert: Alert) -> bool:
        watch.post(alert)
        raise Killed

    watch.minutes(25, ticks=False)
    watch.clock.forward(minutes=1)
    dying = monitor_of(watch.node, watch.collecting, MINUTE, dies)
    with pytest.raises(Killed):
        dying.sweep()
    watch.clock.forward(seconds=10)
    watch.sweep()
    first, second = watch.post.alerts[:2]
    assert first == second


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
    watch.minutes(60, ticks=False)
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


def test_best_effort_is_begun_again_once_no_protected_one_has_to_be(watch: Watch) -> None:
    watch.enrol("photos", caps=SMALL)
    held = watch.node.store.read(Collectors, COLLECTORS)
    assert held is not None
    there = held.document.collectors
    made = {**there, "photos": replace(there["photos"], level="best-effort", priority=0)}
    watch.node.store.write(COLLECTORS, Collectors(collectors=made), over=held.version)
    looked = watch.minutes(40, ticks=False, works=False)
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
    looked = watch.minutes(30, ticks=False)
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
