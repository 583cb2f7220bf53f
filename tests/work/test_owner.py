"""What the owner asks of a job, with and without a run that is at it."""

from typing import Literal

import pytest

from shared.store.protocol import Conflict
from shared.work.engine import NoSuchJob
from shared.work.jobs import State, every_job
from shared.work.works import CannotGoOn
from tests.work.bench import Bench, Wrapped, die, part


class TestSubmit:
    def test_it_is_ready_and_has_a_task(self, bench: Bench) -> None:
        job = bench.submit()
        assert job == bench.job
        assert (job.state, job.title, job.versions) == ("ready", "a script", {"script": 1})
        (task,) = bench.tasks.added
        assert (task.work, task.body, task.after) == ("work", {"job": "job", "token": 1}, None)
        assert task.name.startswith("job-1-")

    def test_twice_is_once(self, bench: Bench) -> None:
        assert bench.submit() == bench.submit()
        assert len(bench.tasks.added) == 1

    def test_done_it_stays_so(self, bench: Bench) -> None:
        bench.submit()
        bench.run()
        assert bench.submit().state == "done"
        assert len(bench.script.begun) == 1

    @pytest.mark.parametrize("why", ["again", "a new version", "cancelled"])
    def test_anew(self, bench: Bench, why: str) -> None:
        bench.submit(part(1, "a"), part(2, "b"))
        if why == "cancelled":
            bench.engine.cancel("job")
        else:
            bench.run()
        bench.script.version += why == "a new version"
        before = bench.job
        job = bench.submit(part(1, "a"), part(2, "c"), again=why == "again")
        assert (job.state, job.cursor, job.progress.done) == ("ready", None, 0)
        assert job.token > before.token
        assert bench.run() == "done"
        assert bench.script.begun[-1] == (f"job-{job.token}", None)
        known = {} if why == "cancelled" else {"event": 1}
        assert bench.job.progress.known == known

    def test_anew_where_something_was_left(self, bench: Bench) -> None:
        bench.script.forgets = False
        bench.submit()
        bench.run()
        bench.script.forgets = True
        bench.submit(again=True)
        assert bench.script.forgotten == ["job-1"]

    @pytest.mark.parametrize("stopped", ["paused", "failed"])
    def test_what_was_stopped_goes_on(self, bench: Bench, stopped: str) -> None:
        bench.submit(part(1, "a"), CannotGoOn("no"))
        bench.run()
        if stopped == "paused":
            bench.engine.resume("job")
            bench.engine.pause("job")
        bench.script.acts = [part(1, "x"), part(2, "b")]
        assert bench.submit().state == "ready"
        assert bench.run() == "done"
        assert bench.records == ["a", "b"]

    @pytest.mark.parametrize("wish", ["pause", "cancel"])
    def test_it_takes_a_wish_back(self, bench: Bench, wish: str) -> None:
        def change_your_mind() -> None:
            getattr(bench.engine, wish)("job")
            assert bench.submit().wish is None

        bench.submit(part(1, "a"), change_your_mind)
        assert bench.run() == "done"

    def test_of_two_at_once_one_begins_it(self, bench: Bench, store: Wrapped) -> None:
        def faster(*_: object) -> None:
            bench.submit()
            raise Conflict

        store.commit_once = faster
        assert bench.submit().token == 1
        assert len(bench.tasks.added) == 1

    def test_without_a_queue_it_waits_for_the_sweep(self, bench: Bench) -> None:
        bench.tasks.lost = True
        assert bench.submit().state == "ready"


class TestWishes:
    @pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("cancel", "cancelled")])
    def test_without_a_run(self, bench: Bench, wish: str, state: State) -> None:
        bench.submit()
        assert getattr(bench.engine, wish)("job").state == state
        assert (bench.job.due, bench.job.wish) == (None, None)
        assert bench.script.forgotten == (["job-1"] if wish == "cancel" else [])
        assert bench.run() == "stopped"

    @pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("cancel", "cancelled")])
    def test_of_a_run_that_goes_on(self, bench: Bench, wish: str, state: State) -> None:
        def wished() -> None:
            job = getattr(bench.engine, wish)("job")
            assert (job.state, job.wish) == ("running", wish)

        bench.submit(part(1, "a"), wished, part(2, "b", settle=True), part(3, "c"))
        assert bench.run() == "stopped"
        assert (bench.job.state, bench.job.wish, bench.job.due) == (state, None, None)
        assert (bench.job.cursor, bench.records) == ("2", ["a", "b"])
        assert bench.script.forgotten == (["job-1"] if wish == "cancel" else [])
        assert len(bench.tasks.added) == 1

    @pytest.mark.parametrize("wish", ["pause", "cancel"])
    def test_the_end_wins(self, bench: Bench, wish: str) -> None:
        bench.submit(part(1, "a"), lambda: getattr(bench.engine, wish)("job"))
        assert bench.run() == "done"
        assert (bench.job.state, bench.job.wish) == ("done", None)

    @pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("cancel", "cancelled")])
    def test_over_an_error(self, bench: Bench, wish: str, state: State) -> None:
        bench.submit(lambda: getattr(bench.engine, wish)("job"), OSError("away"))
        assert bench.run() == "stopped"
        assert (bench.job.state, bench.job.last_error) == (state, "away")

    @pytest.mark.parametrize(("wish", "state"), [("pause", "failed"), ("cancel", "cancelled")])
    def test_of_one_that_fails(self, bench: Bench, wish: str, state: State) -> None:
        bench.submit(lambda: getattr(bench.engine, wish)("job"), CannotGoOn("no"))
        assert bench.run() == ("stopped" if state == "cancelled" else "failed")
        assert bench.job.state == state

    @pytest.mark.parametrize("by", ["sweep", "its task"])
    @pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("cancel", "cancelled")])
    def test_of_a_run_that_died(self, bench: Bench, wish: str, state: State, by: str) -> None:
        bench.submit(lambda: getattr(bench.engine, wish)("job"), die)
        bench.dies()
        bench.passes(91)
        if by == "sweep":
            assert bench.engine.sweep() == []
        else:
            assert bench.run() == "stopped"
        assert (bench.job.state, bench.job.wish, bench.job.due) == (state, None, None)
        assert bench.script.forgotten == (["job-1"] if wish == "cancel" else [])

    @pytest.mark.parametrize("first", ["pause", "cancel"])
    def test_the_last_one_counts(self, bench: Bench, first: Literal["pause", "cancel"]) -> None:
        def wished() -> None:
            getattr(bench.engine, first)("job")
            bench.engine.pause("job")

        bench.submit(part(1, "a"), wished, part(2, settle=True))
        bench.run()
        assert bench.job.state == "paused"

    @pytest.mark.parametrize("wish", ["pause", "cancel", "resume"])
    def test_what_has_ended_stays_so(self, bench: Bench, wish: str) -> None:
        bench.submit()
        bench.run()
        done = bench.job
        assert getattr(bench.engine, wish)("job") == done == bench.job

    @pytest.mark.parametrize("wish", ["pause", "cancel", "resume"])
    def test_there_is_no_such_job(self, bench: Bench, wish: str) -> None:
        with pytest.raises(NoSuchJob):
            getattr(bench.engine, wish)("job")

    def test_what_was_given_up_can_be_cancelled_not_paused(self, bench: Bench) -> None:
        bench.submit(CannotGoOn("no"))
        bench.run()
        assert bench.engine.pause("job").state == "failed"
        assert bench.engine.cancel("job").state == "cancelled"
        assert bench.script.forgotten == ["job-1"]


class TestResume:
    def test_after_a_pause(self, bench: Bench) -> None:
        bench.submit()
        bench.engine.pause("job")
        job = bench.engine.resume("job")
        assert (job.state, len(bench.tasks.added)) == ("ready", 2)
        assert bench.run(1) == "stale"
        assert bench.run() == "done"

    def test_a_run_that_goes_on_is_left_alone(self, bench: Bench) -> None:
        bench.submit(part(1, "a"), lambda: bench.engine.resume("job"))
        assert bench.run() == "done"
        assert len(bench.tasks.added) == 1

    def test_a_run_that_died_is_not_waited_for(self, bench: Bench) -> None:
        bench.submit(die)
        bench.dies()
        bench.passes(91)
        bench.script.acts = [part(1, "a")]
        assert bench.engine.resume("job").state == "ready"
        assert bench.run() == "done"


def test_every_job_is_listed(bench: Bench) -> None:
    ids = [f"job-{n:03}" for n in range(130)]
    for id in ids:
        bench.engine.submit(id, "script", {"n": id}, id)
    assert [found.id for found in every_job(bench.store)] == ids
