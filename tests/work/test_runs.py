"""One chunk: what becomes of the job, of what it brought, and of the next task."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from shared.meter import spend
from shared.store.protocol import Conflict, StoreUnavailable
from shared.work.engine import MOST_TRIES, NoSuchJob
from shared.work.jobs import LEASE, Progress
from shared.work.runs import Budget, resident
from shared.work.works import CannotGoOn
from tests.store.samples import NOON, event, fix
from tests.work.bench import Act, Bench, Dead, Wrapped, die, part

BROKEN = CannotGoOn("the file is encrypted; unlock it")


class TestOutcomes:
    def test_done(self, bench: Bench) -> None:
        bench.submit()
        assert bench.run() == "done"
        assert bench.job.state == "done"
        assert (bench.job.lease, bench.job.due, bench.job.tries) == (None, None, 0)
        assert bench.records == ["a", "b"]
        assert bench.script.forgotten == ["job-1"]
        assert len(bench.tasks.added) == 1

    def test_done_though_there_was_nothing_to_do(self, bench: Bench) -> None:
        bench.script.acts = []
        bench.submit()
        assert bench.run() == "done"

    def test_more(self, bench: Bench) -> None:
        bench.budget = Budget(seconds=10)
        bench.submit(part(1, "a"), bench.lets(10), part(2, "b"), part(3, "c"))
        assert bench.run() == "more"
        assert (bench.job.state, bench.job.cursor, bench.records) == ("ready", "2", ["a", "b"])
        assert bench.script.forgotten == []
        assert bench.run() == "done"
        assert bench.script.begun == [("job-1", None), ("job-1", "2")]
        assert bench.records == ["a", "b", "c"]
        assert bench.job.progress.chunks == 2

    def test_waiting(self, bench: Bench) -> None:
        bench.submit(part(1, "a"), OSError("the disk is away"))
        assert bench.run() == "waiting"
        assert (bench.job.state, bench.job.last_error) == ("ready", "the disk is away")
        assert (bench.job.cursor, bench.records) == ("1", ["a"])
        assert bench.tasks.added[-1].after == NOON + timedelta(seconds=2)
        bench.script.acts = [part(1, "a"), part(2, "b")]
        assert bench.run() == "done"
        assert bench.job.last_error is None

    def test_failed(self, bench: Bench) -> None:
        bench.submit(part(1, "a"), BROKEN)
        assert bench.run() == "failed"
        assert (bench.job.state, bench.job.last_error) == ("failed", str(BROKEN))
        assert (bench.job.due, bench.records) == (None, ["a"])
        assert bench.script.forgotten == []
        assert bench.run() == "failed"
        assert len(bench.script.begun) == 1

    def test_failed_for_want_of_code(self, bench: Bench) -> None:
        bench.submit()
        engine = bench.engine
        engine.works = {}
        assert engine.run("job", 1) == "failed"
        assert "does not know the work 'script'" in (bench.job.last_error or "")

    @pytest.mark.parametrize("wish", ["pause", "cancel"])
    def test_stopped(self, bench: Bench, wish: str) -> None:
        bench.submit()
        getattr(bench.engine, wish)("job")
        assert bench.run() == "stopped"
        assert bench.script.begun == []

    def test_taken(self, bench: Bench) -> None:
        outcomes: list[str] = []
        bench.submit(part(1, "a"), lambda: outcomes.append(bench.run()), part(2, "b"))
        assert bench.run() == "done"
        assert outcomes == ["taken"]

    def test_taken_at_the_same_moment(self, bench: Bench, store: Wrapped) -> None:
        def faster(*_: Any) -> None:
            bench.run()
            raise Conflict

        bench.submit()
        store.commit_once = faster
        assert bench.run() == "taken"
        assert bench.job.state == "done"

    def test_fenced(self, bench: Bench) -> None:
        def sleep_over_the_lease() -> None:
            bench.script.acts = [part(1, "a"), part(2, "b")]
            bench.passes(91)
            assert bench.engine.sweep() == ["job"]
            assert bench.run() == "done"

        bench.submit(part(1, "x"), sleep_over_the_lease, part(2, "y"))
        assert bench.run() == "fenced"
        assert bench.records == ["a", "b"]
        assert bench.job.progress.new == {"event": 2}
        assert bench.script.forgotten == ["job-1", "job-1"], "what it brought after the end"

    def test_stale(self, bench: Bench) -> None:
        bench.budget = Budget(seconds=0)
        bench.submit()
        assert bench.run(1) == "more"
        assert bench.run(1) == "stale"

    def test_gone(self, bench: Bench) -> None:
        assert bench.run(1) == "gone"
        with pytest.raises(NoSuchJob):
            bench.engine.job("job")


class TestBudget:
    @pytest.mark.parametrize(
        ("budget", "memory", "chunks"),
        [
            (Budget(), 0, 1),
            (Budget(seconds=20), 0, 2),
            (Budget(writes=3), 0, 3),
            (Budget(reads=3), 0, 3),
            (Budget(memory=100), 99, 1),
            (Budget(memory=100), 100, 4),
        ],
        ids=str,
    )
    def test_what_ends_a_chunk(
        self, bench: Bench, budget: Budget, memory: int, chunks: int
    ) -> None:
        def use() -> None:
            spend(reads=2, writes=2)

        bench.budget, bench.memory = budget, memory
        bench.submit(
            *(bench.lets(10), part(1, "a")),
            *(bench.lets(10), use, part(2, "b")),
            *(use, part(3, "c")),
        )
        outcomes = [bench.run() for _ in range(chunks)]
        assert outcomes == [*["more"] * (chunks - 1), "done"]
        assert bench.records == ["a", "b", "c"]
        assert bench.job.progress.chunks == chunks

    def test_a_beat_does_not_end_it(self, bench: Bench) -> None:
        bench.budget = Budget(seconds=1)
        beat = part(1, beat=True)
        bench.submit(part(1, "a"), bench.lets(10), beat, beat, part(2, "b"))
        assert [bench.run(), bench.run()] == ["more", "done"]
        assert bench.job.progress.chunks == 2

    def test_a_process_that_stops_ends_it(self, bench: Bench) -> None:
        bench.submit()
        engine = bench.engine
        engine.stopping = lambda: True
        assert engine.run("job", 1) == "more"
        assert bench.job.cursor == "1"

    def test_to_be_stopped_is_no_failure(self, bench: Bench) -> None:
        bench.submit(part(1, "a"), part(1, beat=True), part(2, "b"))
        engine = bench.engine
        engine.stopping = lambda: True
        for _ in range(MOST_TRIES + 2):
            assert engine.run("job", bench.job.token) == "more"
        assert bench.run() == "done"


class TestFlushes:
    def commits(self, bench: Bench, *acts: Act) -> int:
        bench.submit(*acts)
        assert bench.run() == "done"
        return bench.job.commits

    def test_few_go_at_the_end(self, bench: Bench) -> None:
        assert self.commits(bench, part(1, "a"), part(2, "b"), part(3, "c")) == 1

    def test_many_records(self, bench: Bench) -> None:
        bench.budget = Budget(writes=100_000)
        many = part(1)._replace(records=[event("same")] * 2_000)
        assert self.commits(bench, many, many._replace(cursor="2"), part(3, "c")) == 2
        assert bench.job.progress.new == {"event": 2}
        assert bench.job.progress.known == {"event": 3_999}

    def test_many_reports_which_are_small(self, bench: Bench) -> None:
        bench.budget = Budget(writes=100_000)
        many = part(1)._replace(records=[fix(NOON)] * 10_000)
        assert self.commits(bench, many, many._replace(cursor="2"), part(3, "c")) == 2
        assert bench.job.progress.new == {"event": 1, "fix": 1}
        assert bench.job.progress.known == {"fix": 19_999}

    def test_many_bytes(self, bench: Bench) -> None:
        raws = {f"{n:064}": bytes([n]) * 200_000 for n in range(20)}
        assert self.commits(bench, part(1, "a", raws=raws), part(2, "b")) == 2
        assert bench.store.raw(f"{7:064}") == bytes([7]) * 200_000

    def test_what_is_to_be_settled(self, bench: Bench) -> None:
        found: list[list[str]] = []
        self.commits(
            bench,
            part(1, "a"),
            part(2, "b", settle=True),
            lambda: found.append(bench.records),
            part(3, "c"),
        )
        assert found == [["a", "b"]]

    def test_half_a_lease(self, bench: Bench) -> None:
        leases = []
        bench.submit(
            bench.lets(44),
            part(1, "a"),
            lambda: leases.append(bench.job.lease),
            bench.lets(1),
            part(2, "b"),
            lambda: leases.append(bench.job.lease),
        )
        bench.budget = Budget(seconds=1000)
        assert bench.run() == "done"
        assert leases == [NOON + LEASE, NOON + timedelta(seconds=45) + LEASE]

    def test_large_raws_go_to_the_keeps(self, bench: Bench) -> None:
        small, large = b"s" * 256 * 1024, b"l" * (256 * 1024 + 1)
        self.commits(bench, part(1, "a", raws={"5a": small, "1a": large}))
        assert bench.kept.data == [large]
        assert (bench.store.raw("5a"), bench.store.raw("1a")) == (small, None)

    def test_keeps_that_fail_are_tried_later(self, bench: Bench) -> None:
        bench.kept.error = OSError("the bucket is full")
        bench.submit(part(1, "a", raws={"1a": b"l" * 300_000}))
        assert bench.run() == "waiting"
        assert (bench.job.last_error, bench.job.cursor) == ("the bucket is full", None)
        assert (bench.records, bench.job.tries) == ([], 1)
        bench.kept.error = None
        assert bench.run() == "done"
        assert bench.records == ["a"]

    def test_what_the_store_cannot_keep_is_said(self, bench: Bench) -> None:
        bench.submit(part(1, "a"), part(2, "x" * 1_001))
        for _ in range(MOST_TRIES):
            assert bench.run() == "waiting"
        assert "larger than" in (bench.job.last_error or "")
        assert bench.records == ["a"], "what came before is committed by itself"


class TestTroubleWithTheStore:
    def lost(self, store: Wrapped, answer: Exception) -> Callable[..., None]:
        def commit(*args: Any) -> None:
            store.commit(*args)
            raise answer

        return commit

    @pytest.mark.parametrize("answer", [StoreUnavailable("no answer"), Conflict("by itself")])
    def test_a_commit_that_took_effect_is_not_repeated(
        self, bench: Bench, store: Wrapped, answer: Exception
    ) -> None:
        def lose_the_next() -> None:
            store.commit_once = self.lost(store, answer)

        bench.submit(part(1, "a"), lose_the_next)
        assert bench.run() == "done"
        assert (bench.job.commits, bench.job.progress.new) == (1, {"event": 1})
        assert bench.job.progress.known == {}
        assert bench.script.forgotten == ["job-1"]

    def test_what_a_commit_without_effect_brought_is_brought_again(
        self, bench: Bench, store: Wrapped
    ) -> None:
        def refuse_the_next() -> None:
            store.commit_once = unavailable

        bench.submit(part(1, "a"), refuse_the_next)
        assert bench.run() == "waiting"
        assert (bench.job.state, bench.job.last_error) == ("ready", "not just now")
        assert bench.records == []
        bench.script.acts = [part(1, "a")]
        assert bench.run() == "done"

    def test_where_not_even_that_can_be_written_down_the_lease_ends_it(
        self, bench: Bench, store: Wrapped
    ) -> None:
        def refuse_all(*_: Any) -> None:
            store.commit_once = refuse_all
            raise StoreUnavailable("not just now")

        def refuse_the_next() -> None:
            store.commit_once = refuse_all

        bench.submit(part(1, "a"), refuse_the_next)
        with pytest.raises(StoreUnavailable):
            bench.run()
        store.commit_once = None
        assert (bench.job.state, bench.records) == ("running", [])
        bench.script.acts = [part(1, "a")]
        assert bench.run() == "taken"
        bench.passes(91)
        assert bench.run(1) == "done", "its task comes again when the lease is over"

    def test_a_commit_that_comes_late_is_refused(self, bench: Bench, store: Wrapped) -> None:
        late: list[tuple[Any, ...]] = []

        def keep_for_later(*args: Any) -> None:
            late.append(args)
            raise StoreUnavailable("no answer yet")

        def delay_the_next() -> None:
            store.commit_once = keep_for_later

        bench.submit(part(1, "a"), delay_the_next)
        assert bench.run() == "waiting"
        with pytest.raises(Conflict):
            store.commit(*late[0])
        assert (bench.job.state, bench.job.cursor, bench.records) == ("ready", None, [])

    def test_an_answer_that_comes_late_decides_nothing_new(
        self, bench: Bench, store: Wrapped
    ) -> None:
        late: list[tuple[Any, ...]] = []

        def keep_for_later(*args: Any) -> None:
            late.append(args)
            store.commit_once = unavailable
            raise StoreUnavailable("no answer yet")

        def delay_the_next() -> None:
            store.commit_once = keep_for_later

        bench.submit(part(1, "a"), delay_the_next)
        with pytest.raises(StoreUnavailable):
            bench.run()
        store.commit(*late[0])
        assert (bench.job.state, bench.job.cursor, bench.records) == ("done", "1", ["a"])
        bench.passes(61)
        bench.engine.sweep()
        assert bench.script.forgotten == ["job-1"]


def unavailable(*_: Any) -> None:
    raise StoreUnavailable("not just now")


class TestErrors:
    def test_the_wait_grows_up_to_a_quarter_of_an_hour_until_it_is_given_up(
        self, bench: Bench
    ) -> None:
        bench.submit(OSError("the disk is away"))
        waits = []
        for tries in range(1, MOST_TRIES + 1):
            assert bench.run() == "waiting"
            assert bench.job.tries == tries
            after = bench.tasks.added[-1].after
            assert after is not None
            waits.append((after - bench.now).total_seconds())
            bench.now = after
        assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900]
        assert bench.run() == "failed"
        assert bench.job.last_error == "the disk is away (10 times at the same place)"
        assert bench.job.due is None

    def test_one_without_a_text_has_its_name(self, bench: Bench) -> None:
        bench.submit(MemoryError())
        assert bench.run() == "waiting"
        assert bench.job.last_error == "MemoryError"

    def test_progress_between_them_gives_patience_back(self, bench: Bench) -> None:
        for n in range(1, 15):
            bench.script.acts = [part(n, f"e{n}"), OSError("again")]
            bench.submit()
            assert bench.run() == "waiting"
            assert bench.job.tries == 0
        assert bench.tasks.added[-1].after == NOON + timedelta(seconds=2)


class TestPoison:
    def test_only_what_kills_is_not_done(self, bench: Bench) -> None:
        bench.submit(part(1, "a"), part(2, "b"), part(3, "c"), die, part(4, "d"))
        deaths = 0
        while bench.job.state != "failed":
            with suppress(Dead):
                bench.run()
                continue
            deaths += 1
            bench.passes(91)
        assert deaths == 3 + MOST_TRIES
        assert (bench.job.cursor, bench.records) == ("3", ["a", "b", "c"])
        assert bench.job.last_error == (
            "its run died without a word, perhaps for want of memory (10 times at the same place)"
        )

    def test_signs_of_life_are_no_progress(self, bench: Bench) -> None:
        stretch: list[Act] = [bench.lets(46), part(1, beat=True)] * 3
        bench.submit(part(1, "a", settle=True), *stretch, die)
        for _ in range(MOST_TRIES + 1):
            bench.dies()
            bench.passes(91)
        assert bench.run() == "failed"

    def test_resumed_it_goes_on_where_it_was(self, bench: Bench) -> None:
        bench.submit(part(1, "a"), BROKEN)
        assert bench.run() == "failed"
        bench.script.acts = [part(1, "x"), part(2, "b")]
        resumed = bench.engine.resume("job")
        assert (resumed.state, resumed.tries, resumed.last_error) == ("ready", 0, None)
        assert bench.run() == "done"
        assert bench.records == ["a", "b"]


class TestProgress:
    def test_it_adds_up_over_chunks(self, bench: Bench) -> None:
        bench.budget = Budget(seconds=10)
        bench.store.put([event("a")])
        bench.submit(
            bench.lets(10),
            part(1, "a", "b", doing="one.mbox"),
            bench.lets(15),
            part(2, "c", doing="two.mbox"),
        )
        assert bench.run() == "more"
        progress = bench.job.progress
        assert (progress.done, progress.total, progress.doing) == (100, 1000, "one.mbox")
        assert (progress.new, progress.known) == ({"event": 1}, {"event": 1})
        assert (progress.seconds, progress.rate) == (10, 10)
        assert progress.left == timedelta(seconds=90)
        bench.budget = Budget()
        bench.script.acts = bench.script.acts[2:]
        assert bench.run() == "done"
        progress = bench.job.progress
        assert (progress.new, progress.known) == ({"event": 2}, {"event": 1})
        assert (progress.done, progress.seconds, progress.chunks) == (200, 25, 2)

    def test_what_is_spent_is_counted_once(self, bench: Bench) -> None:
        acts: list[Act] = [
            lambda: spend(reads=3, writes=7),
            part(1, "a", settle=True),
            lambda: spend(reads=5),
            part(2, "b", settle=True),
        ]
        bench.submit(*acts)
        bench.run()
        # The look at the job, its claim, each of two commits with its record, and the end, of which
        # it says itself what it takes.
        assert bench.job.progress.reads == 1 + 3 + 5
        assert bench.job.progress.writes == 1 + 7 + 2 + 2 + 1

    def test_it_never_falls(self, bench: Bench) -> None:
        bench.submit(part(2, "a", settle=True), part(3)._replace(done=50))
        bench.run()
        assert bench.job.progress.done == 200

    @pytest.mark.parametrize(
        "progress", [Progress(), Progress(done=5), Progress(seconds=5.0), Progress(total=9)]
    )
    def test_there_is_no_rate_of_nothing(self, progress: Progress) -> None:
        assert (progress.rate, progress.left) == (None, None)

    def test_what_is_beyond_its_total_takes_no_longer(self) -> None:
        assert Progress(done=20, total=10, seconds=1.0).left == timedelta(0)


def test_the_memory_of_this_process_is_known() -> None:
    assert resident() > 1_000_000
