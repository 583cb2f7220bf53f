"""The sweep over collectors: what was heard of them, what is told of it, who is begun again.

It asks for what is overdue, by the index of that, and for those that were not up; a fleet that is
well costs one query. What is used of the quotas, and so the plan, is looked at as well. All that
follows for collectors is written in one guarded step before anything is done.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.collecting import slots
from shared.collecting.books import Account, Books
from shared.collecting.collecting import Collecting
from shared.ha.arming import Ack, Arming, arm, unheard
from shared.ha.collectors import COLLECTORS, MOST, Collector, Collectors, offset_of
from shared.ha.phones import Phone, Report, look
from shared.ha.planner import ATTEMPTS
from shared.ha.sparing import spare
from shared.ha.watching import WATCHED, Alert, Beat, Watched, judge, with_alert, without
from shared.queue.protocol import QueueError
from shared.store.protocol import Conflict, Damaged, Store
from shared.work.jobs import UNFINISHED, Job

PHONES_EACH = timedelta(minutes=30)
"""In the cloud finding what was heard of a phone last costs several reads."""

_log = logging.getLogger(__name__)

Tell = Callable[[Alert], bool]
"""Tells somebody of an alert; whether that is done with. It may be told more than once."""
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


def logged(alert: Alert) -> bool:
    """Tells the log."""
    _log.warning("%s", alert.text)
    return True


@dataclass(slots=True)
class Monitor:
    """every: how often it sweeps. tell: to whom alerts go. books: what is used of the quotas.
    reports: of phones. spares: whether runs are held back near the end of an allowance."""

    store: Store
    collecting: Collecting
    clock: Callable[[], datetime]
    every: timedelta
    tell: Tell
    books: Books
    reports: Reports
    spares: bool

    def sweep(self) -> Looked:
        """Raises `StoreError` or `QueueError` when it cannot look everywhere: then nobody is
        accused of anything, and the next sweep looks again."""
        now = self.clock()
        watched, over = self._watched()
        try:
            config = self._config()
        except Damaged as error:
            self._disarmed(watched, over, error, now)
            raise
        account = self.books.look(config, now)
        config = self._spared(config, account, now)
        beats = self._beats(config, watched, now)
        judged = judge(config, watched, beats, now, self.every)
        made = self._armed(config, account, judged.watched, now)
        made = self._quiet(_planned_for(config, account, made, now), now)
        try:
            version = self.store.write(WATCHED, made, over=over)
        except Conflict:  # somebody else swept
            return Looked()
        self._unstick(config, beats)
        restarted = [id for id in judged.restarts if self._begun_again(config, made, id)]
        told = self._told(made, version)
        watches = made.collectors
        return Looked(
            late=[id for id, watch in watches.items() if watch.status == "late"],
            failed=[id for id, watch in watches.items() if watch.status == "failed"],
            restarted=restarted,
            quiet=[id for id, phone in made.phones.items() if phone.quiet is not None],
            armed=made.arming is not None and made.arming.armed is not None,
            told=told,
        )

    # What there is

    def _watched(self) -> tuple[Watched, str | None]:
        try:
            held = self.store.read(Watched, WATCHED)
        except Damaged as error:
            _log.error("%s; what was known of collectors is found out anew", error)
            return Watched(), error.version
        return (held.document, held.version) if held is not None else (Watched(), None)

    def _config(self) -> Collectors:
        held = self.store.read(Collectors, COLLECTORS)
        return held.document if held is not None else Collectors()

    def _disarmed(self, watched: Watched, over: str | None, error: Damaged, now: datetime) -> None:
        """What is configured cannot be read: nothing is promised, and the owner is told once."""
        lacks = (str(error),)
        if watched.arming is not None and watched.arming.lacks == lacks:
            self._told(watched, over)
            return
        text = f"{error}; nothing is fetched until it is mended: yurt collectors apply FILE"
        made = with_alert(watched, "unreadable", None, now, text)
        made = replace(made, arming=Arming(generation=0, lacks=lacks), swept=now)
        try:
            self._told(made, self.store.write(WATCHED, made, over=over))
        except Conflict:
            return

    def _beats(self, config: Collectors, watched: Watched, now: datetime) -> dict[str, Beat]:
        jobs = {
            found.id: found.document for found in self.store.due(Job, slots.FAMILY, now, limit=MOST)
        }
        for id in watched.collectors.keys() - jobs.keys():
            job = self.collecting.job(id)
            if job is not None:
                jobs[id] = job
        if not jobs:
            return {}
        queued = self._queued()
        return {id: _beat(config, id, job, id in queued, now) for id, job in jobs.items()}

    def _queued(self) -> set[str | None]:
        return {slots.collector_in(task.name) for task in self.collecting.engine.queue.waiting()}

    # What follows of it

    def _spared(self, config: Collectors, account: Account, now: datetime) -> Collectors:
        """Who has to wait is written where ticks and runs read it anyway."""
        if not self.spares or account.plan is None:
            return config
        held = spare(config, account.plan, now, self.every)
        if held == config.held or held is None:
            return config
        read = self.store.read(Collectors, COLLECTORS)
        if read is None or read.document != config:
            return config  # it was changed meanwhile: the next sweep sees to it
        spared = replace(config, held=held)
        try:
            self.store.write(COLLECTORS, spared, over=read.version)
        except Conflict:
            return config
        return spared

    def _armed(
        self, config: Collectors, account: Account, watched: Watched, now: datetime
    ) -> Watched:
        missing = unheard(config, watched.arming)
        queued = self._queued() if missing else set()
        acks = dict[str, Ack]()
        for id in missing:
            job = self.collecting.job(id)
            if job is not None:
                acks[id] = Ack(slots.generation_of(job), id in queued)
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

    def _unstick(self, config: Collectors, beats: Mapping[str, Beat]) -> None:
        """That a run ended without a word was written down for the owner: its job forgets it."""
        for id in (id for id, beat in beats.items() if beat.stuck is not None):
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
            if job is not None and job.state in ("running", "ready"):
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
        told: Sequence[str] = [alert.id for alert in watched.outbox if self.tell(alert)]
        if told:
            try:
                self.store.write(WATCHED, without(watched, told), over=version)
            except Conflict:
                _log.info("alerts that were told will be told again: somebody else swept")
        return len(told)


def _beat(config: Collectors, id: str, job: Job, queued: bool, now: datetime) -> Beat:
    failed = job.state == "failed"
    return Beat(
        slot=slots.slot_of(job),
        due=_due(config, id, job),
        held=job.is_held(now),
        error=job.last_error or "it failed" if failed else None,
        queued=queued,
        open=job.state in UNFINISHED,
        hopeless=failed and job.tries < ATTEMPTS,
        stuck=slots.stuck_in(job),
    )


def _due(config: Collectors, id: str, job: Job) -> datetime | None:
    """Nobody who was held back is late before the first slot after that."""
    collector: Collector | None = config.collectors.get(id)
    held = config.held
    if job.due is None or held is None or collector is None or job.state == "failed":
        return job.due
    if held.level != "protected" and collector.level == "protected":
        return job.due
    if not held.since <= job.due:
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
        who = "all collectors wait" if held.level == "protected" else "best-effort collectors wait"
        text = f"{who} until {held.until:%Y-%m-%d %H:%M} UTC: {held.dimension} is nearly used up"
        watched = with_alert(watched, "held", None, held.since, text)
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
