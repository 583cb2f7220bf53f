"""The sweep over collectors: what was heard of them, what is told of it, who is begun again.

It asks for what is overdue, by the index of that, and for those that were not up; a fleet that is
well costs one query. All that follows is written in one guarded step before anything is done.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct

from shared.collecting import slots
from shared.collecting.collecting import Collecting
from shared.ha.collectors import COLLECTORS, MOST, Collectors, offset_of
from shared.ha.watching import WATCHED, Alert, Beat, Watched, judge, without
from shared.queue.protocol import QueueError
from shared.store.changing import current
from shared.store.protocol import Conflict, Store
from shared.work.jobs import Job

_log = logging.getLogger(__name__)

Tell = Callable[[Alert], bool]
"""Tells somebody of an alert; whether that is done with. It may be told more than once."""


class Looked(Struct, frozen=True, kw_only=True):
    """What a sweep came to. late, failed: who is. restarted: who was begun again. told: alerts."""

    late: list[str]
    failed: list[str]
    restarted: list[str]
    told: int


def logged(alert: Alert) -> bool:
    """Tells the log."""
    _log.warning("%s", alert.text)
    return True


@dataclass(slots=True)
class Monitor:
    """every: how often it sweeps. tell: to whom alerts go."""

    store: Store
    collecting: Collecting
    clock: Callable[[], datetime]
    every: timedelta
    tell: Tell

    def sweep(self) -> Looked:
        """Raises `StoreError` or `QueueError` when it cannot look everywhere: then nobody is
        accused of anything, and the next sweep looks again."""
        config = current(self.store, COLLECTORS, Collectors())
        held = self.store.read(Watched, WATCHED)
        watched = held.document if held is not None else Watched()
        beats = self._beats(watched)
        judged = judge(config, watched, beats, self.clock(), self.every)
        try:
            over = held.version if held is not None else None
            version = self.store.write(WATCHED, judged.watched, over=over)
        except Conflict:  # somebody else swept
            return Looked(late=[], failed=[], restarted=[], told=0)
        restarted = [id for id in judged.restarts if self._begun_again(config, judged.watched, id)]
        told = self._told(judged.watched, version)
        watches = judged.watched.collectors
        return Looked(
            late=[id for id, watch in watches.items() if watch.status == "late"],
            failed=[id for id, watch in watches.items() if watch.status == "failed"],
            restarted=restarted,
            told=told,
        )

    def _beats(self, watched: Watched) -> dict[str, Beat]:
        now = self.clock()
        jobs = {
            found.id: found.document for found in self.store.due(Job, slots.FAMILY, now, limit=MOST)
        }
        for id in watched.collectors.keys() - jobs.keys():
            job = self.collecting.job(id)
            if job is not None:
                jobs[id] = job
        if not jobs:
            return {}
        queue = self.collecting.engine.queue
        queued = {slots.collector_in(task.name) for task in queue.waiting()}
        return {id: _beat(job, id in queued, now) for id, job in jobs.items()}

    def _begun_again(self, config: Collectors, watched: Watched, id: str) -> bool:
        job, now = self.collecting.job(id), self.clock()
        collector = config.collectors[id]
        try:
            if job is not None and job.state in ("running", "ready"):
                return self.collecting.engine.revive(id)
            slot = collector.slots.last(now, offset_of(id, collector.slots))
            task = slots.slot_task(id, slot, watched.collectors[id].restarts)
            return self.collecting.engine.queue.add(task)
        except QueueError as error:
            _log.warning("collector %s is begun again later: %s", id, error)
            return False

    def _told(self, watched: Watched, version: str) -> int:
        """Tells what is in the outbox, and takes out what was told: in this order, so that an alert
        may come twice, and never not at all."""
        told: Sequence[str] = [alert.id for alert in watched.outbox if self.tell(alert)]
        if told:
            try:
                self.store.write(WATCHED, without(watched, told), over=version)
            except Conflict:
                _log.info("alerts that were told will be told again: somebody else swept")
        return len(told)


def _beat(job: Job, queued: bool, now: datetime) -> Beat:
    return Beat(
        slot=slots.slot_of(job),
        due=job.due,
        held=job.is_held(now),
        error=job.last_error or "it failed" if job.state == "failed" else None,
        queued=queued,
    )
