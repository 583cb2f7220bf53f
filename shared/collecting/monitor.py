"""The sweep over collectors: what was heard of them, what is told of it, who is begun again.

It asks for what is overdue, by the index of that, and for those that were not up; a fleet that is
well costs one query. What is used of the quotas, and so the plan, is looked at as well. All that
follows for collectors is written in one guarded step before anything is done.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.collecting import slots
from shared.collecting.books import Account, Books
from shared.collecting.collecting import Collecting
from shared.ha.arming import Ack, Arming, arm, unheard
from shared.ha.collectors import COLLECTORS, MOST, Collector, Collectors, offset_of
from shared.ha.outbox import Outbox
from shared.ha.phones import Phone, Report, look
from shared.ha.planner import ATTEMPTS
from shared.ha.schedules import BadSchedule
from shared.ha.sparing import spare
from shared.ha.watching import WATCHED, Asked, Beat, Watched, judge, with_alert
from shared.queue.protocol import QueueError
from shared.store.changing import mendable
from shared.store.protocol import Conflict, Damaged, Store, StoreError, Versioned
from shared.work.jobs import UNFINISHED, Job

PHONES_EACH = timedelta(minutes=30)
"""In the cloud finding what was heard of a phone last costs several reads."""
BLIND_FOR = timedelta(minutes=30)
"""Of an outage of the store or the queue that is told of, once it is over: while it lasts nothing
can be told but by the sign of life that does not come."""

_log = logging.getLogger(__name__)

Tell = Callable[[Outbox], Iterator[Outbox]]
"""Tells what is in an outbox, and gives what is left of it after each step: that is written before
the next. Alerts may be told more than once."""
Reports = Callable[[], Mapping[str, Report]]
"""What was last heard of each phone, by id. Raises `StoreError`."""


class Looked(Struct, frozen=True, kw_only=True):
    """What a sweep came to. late, failed: who is. restarted: who was begun again. quiet: phones.
    armed: whether the plan is a promise. told: alerts."""

    late: list[str] = []
    failed: list[str] = []
    restarted: list[str] = []
    quiet: list[str] = []
    armed: bool = False
    told: int = 0


@dataclass(slots=True)
class Monitor:
    """every: how often it sweeps. tell: to whom alerts go. books: what is used of the quotas.
    reports: of phones. spares: whether runs are held back near the end of an allowance. completed:
    is told after each sweep that looked everywhere."""

    store: Store
    collecting: Collecting
    clock: Callable[[], datetime]
    every: timedelta
    tell: Tell
    books: Books
    reports: Reports
    spares: bool
    completed: Callable[[], None] = lambda: None
    _blind: str | None = field(default=None, init=False)

    def sweep(self) -> Looked:
        """Raises `StoreError` or `QueueError` when it cannot look everywhere: then nobody is
        accused of anything, and the next sweep looks again. Where that lasted, it tells of it."""
        try:
            looked = self._sweep()
        except (StoreError, QueueError) as error:
            self._blind = self._blind or str(error)
            raise
        self._blind = None
        return looked

    def _sweep(self) -> Looked:
        now = self.clock()
        kept, over = mendable(self.store, WATCHED, Watched)
        if kept is None and over is not None:
            _log.error("what was known of collectors cannot be read, and is found out anew")
        watched = kept if kept is not None else Watched()
        try:
            held = self.store.read(Collectors, COLLECTORS)
        except Damaged as error:
            self._disarmed(watched, over, error, now)
            raise
        config = held.document if held is not None else Collectors()
        account = self.books.look(config, now)
        if held is not None and self.spares:
            config = self._spared(held, account, now)
        beats = self._beats(config, watched, now)
        judged = judge(config, watched, beats, now, self.every)
        made = self._armed(config, account, judged.watched, now)
        made = self._quiet(_planned_for(config, account, made, now), now)
        made = self._seeing_again(made, watched.swept, now)
        try:
            version = self.store.write(WATCHED, made, over=over)
        except Conflict:  # somebody else swept
            return Looked()
        self._unstick(config, {id: beat for id, beat in beats.items() if _is_noted(made, id, beat)})
        restarted = [id for id in judged.restarts if self._begun_again(config, made, id)]
        told = self._told(made, version)
        watches = made.collectors
        self.completed()
        return Looked(
            late=[id for id, watch in watches.items() if watch.status == "late"],
            failed=[id for id, watch in watches.items() if watch.status == "failed"],
            restarted=restarted,
            quiet=[id for id, phone in made.phones.items() if phone.quiet is not None],
            armed=made.arming is not None and made.arming.armed is not None,
            told=told,
        )

    # What there is

    def _disarmed(self, watched: Watched, over: str | None, error: Damaged, now: datetime) -> None:
        """What is configured cannot be read: nothing is promised, and the owner is told once."""
        lacks = (str(error),)
        if watched.arming is not None and watched.arming.lacks == lacks:
            self._told(watched, over)
            return
        text = f"nothing is fetched: {error}"
        made = with_alert(watched, "unreadable", None, now, text)
        made = replace(made, arming=Arming(generation=0, lacks=lacks), swept=now)
        try:
            self._told(made, self.store.write(WATCHED, made, over=over))
        except Conflict:
            return

    def _beats(self, config: Collectors, watched: Watched, now: datetime) -> dict[str, Beat]:
        jobs, broken = self._jobs(config, watched, now)
        for id, collector in config.collectors.items():
            try:
                _ = collector.slots
            except BadSchedule as error:  # its zone may be gone
                broken[id] = str(error)
        beats = {id: _broken(text) for id, text in broken.items()}
        if not jobs:
            return beats
        asked = self._asked()
        for id in (id for id in jobs if id not in broken):
            try:
                beats[id] = _beat(config, id, jobs[id], asked.get(id), now)
            except Damaged as error:
                beats[id] = _broken(_anew(error, id))
        return beats | self._looked_again(config, watched, beats, now)

    def _jobs(
        self, config: Collectors, watched: Watched, now: datetime
    ) -> tuple[dict[str, Job], dict[str, str]]:
        """Of those that are overdue, and of those that were not up; and why others cannot be read.
        One that is damaged spoils no other."""
        broken = dict[str, str]()
        try:
            due = self.store.due(Job, slots.FAMILY, now, limit=MOST)
            jobs, rest = {found.id: found.document for found in due}, set(watched.collectors)
        except Damaged:
            jobs, rest = {}, {*config.collectors, *watched.collectors}
        for id in sorted(rest - jobs.keys()):
            try:
                job = self.collecting.job(id)
            except Damaged as error:
                broken[id] = _anew(error, id)
                continue
            is_due = job is not None and job.due is not None and job.due < now
            if job is not None and (is_due or id in watched.collectors):
                jobs[id] = job
        return jobs, broken

    def _looked_again(
        self, config: Collectors, watched: Watched, beats: Mapping[str, Beat], now: datetime
    ) -> dict[str, Beat]:
        """Those about to be accused, for the first time: perhaps nobody asked them, or only just
        now, between one look and the other."""
        doubtful = [
            id
            for id, beat in beats.items()
            if id in config.collectors
            and id not in watched.collectors
            and beat.is_overdue(now)
            and not beat.queued
        ]
        if not doubtful:
            return {}
        added = {id for id in doubtful if not beats[id].open and self._asks(config, id, now)}
        asked = self._asked()
        found = dict[str, Beat]()
        for id in doubtful:
            # After the queue: a task that is gone from it by now has written what it did.
            job = self.collecting.job(id)
            at = Asked(0, now) if id in added else asked.get(id)
            found[id] = _beat(config, id, job, at, now) if job is not None else beats[id]
        return found

    def _asks(self, config: Collectors, id: str, now: datetime) -> bool:
        """Adds the task of its last slot; False if somebody did before, as the queue takes each
        name once."""
        slot = slots.last_slot(config, id, now)
        if slot is None or not slots.is_of(config.collectors[id], slot, now):
            return False
        return self.collecting.engine.queue.add(slots.slot_task(id, slot))

    def _asked(self) -> dict[str, Asked]:
        """By collector."""
        asked = dict[str, Asked]()
        for task in self.collecting.engine.queue.waiting():
            id = slots.collector_in(task.name)
            if id is not None:
                other = asked.get(id, Asked(0, task.due))
                asked[id] = Asked(max(task.attempts, other.calls), min(task.due, other.due))
        return asked

    # What follows of it

    def _spared(self, read: Versioned[Collectors], account: Account, now: datetime) -> Collectors:
        """Who has to wait is written where ticks and runs read it anyway."""
        config = read.document
        held = spare(config, account.plan, now, self.every) if account.plan is not None else None
        if held is None or held == config.held:
            return config
        spared = replace(config, held=held)
        try:
            self.store.write(COLLECTORS, spared, over=read.version)
        except Conflict:  # it was changed meanwhile: the next sweep sees to it
            return config
        return spared

    def _armed(
        self, config: Collectors, account: Account, watched: Watched, now: datetime
    ) -> Watched:
        missing = unheard(config, watched.arming)
        asked = self._asked() if missing else {}
        acks = dict[str, Ack]()
        for id in missing:
            try:
                job = self.collecting.job(id)
            except Damaged:
                continue  # nothing is heard of it
            if job is not None:
                acks[id] = Ack(slots.generation_of(job), id in asked)
        armed = arm(config, account.plan, account.lack, acks, watched.arming, now)
        return replace(watched, arming=armed)

    def _quiet(self, watched: Watched, now: datetime) -> Watched:
        looked = watched.looked_at_phones
        if looked is not None and looked <= now < looked + PHONES_EACH:
            return watched
        reports = self.reports()
        phones = look(watched.phones, reports, now)
        made = replace(watched, phones=phones, looked_at_phones=now)
        for id, phone in phones.items():
            made = _told_of(made, id, watched.phones.get(id), phone, reports[id])
        return made

    def _seeing_again(self, made: Watched, last: datetime | None, now: datetime) -> Watched:
        if self._blind is None or last is None or now - last < BLIND_FOR:
            return made
        text = (
            f"from {last:%Y-%m-%d %H:%M} to {now:%Y-%m-%d %H:%M} UTC nobody could look after "
            f"collectors: {self._blind}"
        )
        return with_alert(made, "blind", None, last, text)

    def _unstick(self, config: Collectors, beats: Mapping[str, Beat]) -> None:
        """That runs ended without a word was written down for the owner: their jobs forget it."""
        for id in beats:
            held = self.store.control(Job, slots.FAMILY, id)
            if held is None or slots.stuck_in(held.document) != beats[id].stuck:
                continue
            job = slots.unstuck(held.document)
            if job.lease is None and job.state == "done":
                job = replace(job, due=slots.looked_after(config, job))
            try:
                self._write(id, held.version, job)
            except Conflict:
                continue  # its run goes on; the next sweep sees to it

    def _write(self, id: str, over: str, job: Job) -> None:
        self.store.commit(slots.FAMILY, id, over, lambda _: job)

    def _begun_again(self, config: Collectors, watched: Watched, id: str) -> bool:
        job, now = self.collecting.job(id), self.clock()
        collector = config.collectors[id]
        try:
            if job is not None and job.state in UNFINISHED:
                return self.collecting.engine.revive(id)
            slot = collector.slots.last(now, offset_of(id, collector.slots))
            if job is not None and job.state == "failed":
                slot = slots.slot_of(job)
            task = slots.slot_task(id, slot, watched.collectors[id].restarts)
            return self.collecting.engine.queue.add(task)
        except QueueError as error:
            _log.warning("collector %s is begun again later: %s", id, error)
            return False

    def _told(self, watched: Watched, version: str | None) -> int:
        """Tells what is in the outbox, and takes out what was told: in this order, so that an alert
        may come twice, and never not at all."""
        kept = watched.outbox
        for left in self.tell(kept):
            if left == kept:
                continue
            try:
                version = self.store.write(WATCHED, replace(watched, outbox=left), over=version)
            except Conflict:
                _log.info("an alert that was told may be told again: somebody else swept")
                break
            kept = left
        ids = {alert.id for alert in kept.alerts}
        return sum(alert.id not in ids for alert in watched.outbox.alerts)


def _is_noted(watched: Watched, id: str, beat: Beat) -> bool:
    """Whether that a run ended without a word is in what is written of it."""
    watch = watched.collectors.get(id)
    return watch is not None and beat.stuck is not None and watch.stuck == beat.stuck


def _anew(error: Damaged, id: str) -> str:
    return f"{error}; begin it anew: yurt collectors remove {id}, then add it again"


def _broken(text: str) -> Beat:
    """Of one that cannot run, whatever is done, until its owner has mended it."""
    return Beat(slot=None, due=None, held=False, error=text, asked=None, hopeless=True)


def _beat(config: Collectors, id: str, job: Job, asked: Asked | None, now: datetime) -> Beat:
    failed, failing = job.state == "failed", slots.failing(job)
    error = job.last_error or "it failed" if failed else None
    return Beat(
        slot=slots.slot_of(job),
        due=_due(config, id, job),
        held=job.is_held(now),
        error=failing.error if failing is not None else error,
        asked=asked,
        open=job.state in UNFINISHED,
        hopeless=failed and job.tries < ATTEMPTS,
        stuck=slots.stuck_in(job),
    )


def _due(config: Collectors, id: str, job: Job) -> datetime | None:
    """Nobody who was held back is late before the first slot after that; nor is one that is only
    to be looked at, since a run of it ended without a word."""
    collector: Collector | None = config.collectors.get(id)
    held = config.held
    if job.state == "done" and slots.stuck_in(job) is not None:
        job = replace(job, due=slots.looked_after(config, slots.unstuck(job)))
    if job.due is None or held is None or collector is None or job.state == "failed":
        return job.due
    if held.level != "protected" and collector.level == "protected":
        return job.due
    return max(job.due, slots.promised(collector, id, held.until))


def _planned_for(config: Collectors, account: Account, watched: Watched, now: datetime) -> Watched:
    """With alerts of a plan that holds no more, or again, and of who has to wait."""
    holds = account.plan is None or account.plan.holds
    if watched.holds and account.plan is not None and not holds:
        line = account.plan.lines[0]
        text = (
            f"the quotas no longer hold what is protected, with {account.plan.wanted} failures: "
            f"{line.need(account.plan.wanted):,.6g} of {line.dimension} are needed and "
            f"{line.capacity:,.6g} may be used; see yurt plan"
        )
        watched = with_alert(watched, "overcommitted", None, now, text)
    elif holds and not watched.holds:
        watched = with_alert(watched, "fits", None, now, "the quotas hold what is protected again")
    held = config.held
    if held is not None and held != watched.held and now < held.until:
        watched = with_alert(watched, "held", None, held.since, str(held))
    return replace(watched, holds=holds, held=held)


def _told_of(
    watched: Watched, id: str, before: Phone | None, after: Phone, report: Report
) -> Watched:
    was_quiet = before is not None and before.quiet is not None
    if after.quiet is not None and not was_quiet:
        battery = "" if report.battery is None else f", with {report.battery:.0%} of its battery"
        text = (
            f"{report.name} has gone quiet: it was last heard of at "
            f"{report.last:%Y-%m-%d %H:%M} UTC{battery}"
        )
        return with_alert(watched, "quiet", id, after.quiet, text)
    if was_quiet and after.quiet is None:
        return with_alert(watched, "back", id, report.last, f"{report.name} reports again")
    return watched
