"""What keeps jobs alive."""

from datetime import timedelta

import pytest

from shared.queue.protocol import QueueUnavailable
from shared.work.jobs import LEASE
from tests.store.samples import NOON
from tests.work.bench import Bench, die, part


def test_a_run_that_died(bench: Bench) -> None:
    bench.submit(part(1, "a", settle=True), die, part(2, "b"))
    bench.dies()
    bench.passes(89)
    assert bench.engine.sweep() == []
    bench.passes(2)
    assert bench.engine.sweep() == ["job"]
    assert (bench.job.state, bench.job.lease, bench.job.tries) == ("ready", None, 0)
    bench.script.acts = [part(1, "x"), part(2, "b")]
    assert bench.run() == "done"
    assert bench.records == ["a", "b"]


def test_a_run_that_is_late_for_its_own_funeral(bench: Bench) -> None:
    def sleep() -> None:
        bench.passes(91)
        assert bench.engine.sweep() == ["job"]

    bench.submit(part(1, "a"), sleep, part(2, "b"))
    assert bench.run() == "fenced"
    assert (bench.job.cursor, bench.records, bench.script.forgotten) == (None, [], [])


def test_a_task_that_was_lost(bench: Bench) -> None:
    bench.tasks.lost = True
    bench.submit()
    bench.tasks.lost = False
    bench.passes(59)
    assert bench.engine.sweep() == []
    bench.passes(2)
    assert bench.engine.sweep() == ["job"]
    assert bench.engine.sweep() == []
    assert bench.run() == "done"


def test_a_task_that_waits_in_a_long_line_keeps_its_name(bench: Bench) -> None:
    bench.submit()
    for _ in range(3):
        bench.passes(61)
        assert bench.engine.sweep() == []
    assert len(bench.tasks.added) == 1
    assert bench.run() == "done"


def test_a_name_that_is_refused_is_given_up_for_another(bench: Bench) -> None:
    bench.submit()
    (task,) = bench.tasks.added
    bench.tasks.added = [task._replace(name="another")]
    bench.passes(61)
    assert bench.engine.sweep() == ["job"]
    assert bench.tasks.added[-1].name.startswith("job-2-")


def test_a_pause_after_an_error_is_heeded(bench: Bench) -> None:
    bench.submit(OSError("away"))
    for _ in range(10):
        bench.run()
    bench.tasks.added.clear()
    bench.passes(900 + 59)
    assert bench.engine.sweep() == []
    bench.passes(2)
    assert bench.engine.sweep() == ["job"]


def test_a_queue_that_cannot_be_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable() -> None:
        raise QueueUnavailable("not just now")

    bench.submit()
    monkeypatch.setattr(bench.tasks, "waiting", unavailable, raising=False)
    assert bench.engine.sweep() == [], "nothing is overdue, so nobody asks"
    bench.passes(61)
    with pytest.raises(QueueUnavailable):
        bench.engine.sweep()


@pytest.mark.parametrize("state", ["paused", "failed", "done", "cancelled"])
def test_what_rests_is_left_in_peace(bench: Bench, state: str) -> None:
    bench.submit()
    if state == "paused":
        bench.engine.pause("job")
    elif state == "cancelled":
        bench.engine.cancel("job")
    elif state == "done":
        bench.run()
    else:
        bench.script.acts = []
        engine = bench.engine
        engine.works = {}
        engine.run("job", 1)
    assert bench.job.state == state
    bench.tasks.added.clear()
    bench.passes(100_000)
    assert bench.engine.sweep() == []
    assert bench.tasks.added == []


def test_what_an_ended_job_left_behind(bench: Bench) -> None:
    bench.submit()
    bench.script.forgets = False
    assert bench.run() == "done"
    assert (bench.job.state, bench.job.due) == ("done", NOON + timedelta(minutes=15))
    bench.script.forgets = True
    bench.passes(899)
    bench.engine.sweep()
    assert bench.script.forgotten == []
    bench.passes(2)
    bench.engine.sweep()
    assert (bench.script.forgotten, bench.job.due) == (["job-1"], None)


class TestClockSetBack:
    """It was a year ahead when the job was last touched."""

    @pytest.fixture(autouse=True)
    def _ahead(self, bench: Bench) -> None:
        bench.now = NOON + timedelta(days=365)

    @pytest.mark.parametrize("by", ["sweep", "its task"])
    def test_a_run_that_died(self, bench: Bench, by: str) -> None:
        bench.submit(die)
        bench.dies()
        bench.now = NOON
        bench.script.acts = [part(1, "a")]
        if by == "sweep":
            assert bench.engine.sweep() == ["job"]
        assert bench.run() == "done"

    def test_a_task_that_was_lost(self, bench: Bench) -> None:
        bench.submit()
        bench.tasks.added.clear()
        bench.now = NOON
        assert bench.engine.sweep() == ["job"]
        assert bench.run() == "done"

    def test_a_task_that_is_due_in_a_year(self, bench: Bench) -> None:
        bench.submit(OSError("away"))
        bench.run()
        bench.now = NOON
        assert bench.engine.sweep() == ["job"]
        assert bench.tasks.added[-1].after is None

    def test_under_a_run(self, bench: Bench) -> None:
        def set_back() -> None:
            bench.now = NOON

        bench.submit(part(1, "a"), set_back, part(2, "b", settle=True))
        assert bench.run() == "done"
        assert bench.job.progress.seconds >= 0


def test_clocks_may_differ_by_seconds(bench: Bench) -> None:
    outcomes: list[object] = []

    def ask_one_that_is_behind() -> None:
        bench.passes(-5)
        outcomes.append(bench.run())
        outcomes.append(bench.engine.sweep())
        bench.passes(5)

    bench.submit(part(1, "a"), ask_one_that_is_behind)
    assert bench.run() == "done"
    assert outcomes == ["taken", []]


class TestRecover:
    def test_at_once(self, bench: Bench) -> None:
        bench.submit(die)
        bench.dies()
        assert bench.engine.sweep() == []
        assert bench.job.lease == NOON + LEASE
        assert bench.engine.recover() == ["job"]
        bench.script.acts = [part(1, "a")]
        assert bench.run() == "done"

    def test_only_what_was_running(self, bench: Bench) -> None:
        bench.submit()
        assert bench.engine.recover() == []
        assert len(bench.tasks.added) == 1

    def test_what_had_ended_and_was_not_cleared_up(self, bench: Bench) -> None:
        bench.submit(part(1, "a"))
        bench.script.forgets = False
        assert bench.run() == "done"
        bench.script.forgets = True
        assert bench.engine.recover() == []
        assert bench.script.forgotten == ["job-1"]
        assert bench.job.due is None

    def test_behind_a_long_line_of_others(self, bench: Bench) -> None:
        bench.submit(die)
        bench.dies()
        for number in range(150):
            bench.engine.submit(f"other-{number}", "script", {}, "waits its turn")
        bench.passes(1)
        assert bench.engine.recover() == ["job"]
