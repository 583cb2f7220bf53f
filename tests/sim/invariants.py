"""What must hold of a fleet of collectors, each under its name; what is wrong is said in words.

I: always, whatever fails. L: once nothing fails any more. R, T: of restarts and of what is told.
Each is a function of plain values; the ports call them at every effect, the fleet at its end.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.collecting.slots import failing, stuck_in
from shared.ha.collectors import Collectors, Limits
from shared.ha.outbox import Alert
from shared.ha.watching import AWAY, Watched
from shared.work.jobs import Job

RESTARTS = {"protected": 3, "best-effort": 3, "unprotected": 0}
"""A day of the quotas."""
DISTANCE = timedelta(minutes=2)
"""Between two restarts of one collector."""

Wrong = Iterator[str]


def i1_a_fenced_run_writes_nothing(
    id: str, before: Job | None, after: Job, records: int, granted: int | None
) -> Wrong:
    """granted: the newest token that whoever commits was granted."""
    token = before.token if before is not None else 0
    if after.token < token:
        yield f"I1: the token of {id} fell from {token} to {after.token}"
    is_of_a_run = before is not None and after.token == token and after.commits != before.commits
    if (is_of_a_run or records) and granted != token:
        yield f"I1: a run with token {granted} committed to {id}, which {token} has"
    if before is not None and after.cursor != before.cursor and not is_of_a_run and after.begun:
        yield f"I1: the cursor of {id} moved without a commit of its run"


def i2_a_token_is_granted_once(id: str, before: Job | None, after: Job, others: bool) -> Wrong:
    """others: whether another run was granted the same token."""
    token = before.token if before is not None else 0
    if after.token > token + 1:
        yield f"I2: the token of {id} jumped from {token} to {after.token}"
    if others:
        yield f"I2: two runs of {id} were granted the token {after.token}"


def i3_a_slot_is_done_once(
    id: str, before: Job | None, after: Job, done: Collection[tuple[str, datetime, int]]
) -> Wrong:
    """done: collector, when it was added, and slot, of those that are done."""
    if is_done_by(before, after) and (id, after.created, after.spec["slot"]) in done:
        yield f"I3: the slot {after.spec['slot']} of {id} is done twice"
    same = before is not None and before.created == after.created
    if before is not None and same and int(after.spec["slot"]) < int(before.spec["slot"]):
        yield f"I3: {id} went back from the slot {before.spec['slot']} to {after.spec['slot']}"


def is_done_by(before: Job | None, after: Job) -> bool:
    """Whether a commit of a run ended its slot well."""
    return before is not None and after.state == "done" and after.commits == before.commits + 1


def i5_a_slot_stays_within_its_caps(id: str, after: Job, limits: Limits) -> Wrong:
    """Of what its runs could know that they took, of steps that are all smaller than that."""
    brought = sum(after.progress.new.values()) + sum(after.progress.known.values())
    if brought > limits.writes:
        yield f"I5: a slot of {id} brought {brought} records, and may write {limits.writes}"


def i6_restarts_stay_within_their_bucket(
    config: Collectors, before: Watched, after: Watched
) -> Wrong:
    """The plan keeps so many of them free on each day."""
    for id, number in after.restarts.items():
        collector = config.collectors.get(id)
        grew = before.day != after.day or number > before.restarts.get(id, 0)
        if collector is not None and grew and number > RESTARTS[collector.level]:
            yield f"I6: {id}, which is {collector.level}, was begun again {number} times on a day"


class Sight(NamedTuple):
    """What a sweep read before it judged. jobs: those that were due, and those that were not up.
    queued: of whom a task waited. every: how often somebody sweeps."""

    config: Collectors
    watched: Watched
    jobs: Mapping[str, Job]
    queued: Collection[str | None]
    now: datetime
    every: timedelta

    @property
    def active(self) -> list[str]:
        return [
            id
            for id, collector in self.config.collectors.items()
            if not collector.paused and not self.config.is_held(id, self.now)
        ]

    @property
    def silent(self) -> list[str]:
        return [
            id
            for id in self.active
            if id in self.jobs and id not in self.queued and _is_silent(self.jobs[id], self.now)
        ]

    @property
    def was_away(self) -> bool:
        """Whether nobody swept for a while, so that a silence may be of the sweep."""
        swept = self.watched.swept
        return swept is None or not self.now - AWAY * self.every <= swept <= self.now


def _is_silent(job: Job, now: datetime) -> bool:
    if job.state == "done" and stuck_in(job) is not None:
        return False  # it is only to be looked at
    overdue = job.due is not None and job.due <= now and not job.is_held(now)
    return overdue and job.state != "failed" and failing(job) is None


def i12_mass_silence_accuses_nobody(sight: Sight, after: Watched) -> Wrong:
    """Three, and 55 %, silent at once: the observer is suspected, there is one alert."""
    silent, before = sight.silent, sight.watched
    late = [alert.collector for alert in new_alerts(before, after) if alert.kind == "late"]
    if len(late) >= 3 and len(late) >= 0.55 * len(sight.active):
        yield f"I12: {late} are accused at once"
    if len(silent) < 3 or len(silent) < 0.55 * len(sight.active) or sight.config.held is not None:
        return
    accused = [alert.id for alert in new_alerts(before, after) if alert.kind in ("late", "failed")]
    if accused and not sight.was_away:
        yield f"I12: {silent} are silent at once, and it accuses: {accused}"
    begun_again = [
        id for id, n in after.restarts.items() if n > before.restarts.get(id, 0) and id in silent
    ]
    if begun_again and not sight.was_away:
        yield f"I12: {silent} are silent at once, and it begins again: {begun_again}"


def i13_armed_only_when_all_have_acknowledged(
    config: Collectors, after: Watched, done: Mapping[str, int]
) -> Wrong:
    """done: the newest generation with which a run of each ended well."""
    if after.arming is None or after.arming.armed is None:
        return
    if after.arming.generation != config.generation:
        yield "I13: it is armed with another generation than is configured"
    for id, collector in config.collectors.items():
        if collector.level != "protected" or collector.paused:
            continue
        if done.get(id, -1) < collector.generation:
            yield f"I13: it is armed, and {id} has not run since it was changed"
        if after.arming.acknowledged.get(id, -1) < collector.generation:
            yield f"I13: it is armed without an acknowledgement of {id}"


def i14_one_alert_for_each_transition(
    active: Collection[str], before: Watched, after: Watched
) -> Wrong:
    """active: whose end of trouble is told; one that was paused or removed only goes."""
    new = list(new_alerts(before, after))
    for id in {*before.collectors, *after.collectors}:
        was, became = _status(before, id), _status(after, id)
        got = [a.kind for a in new if a.collector == id and a.kind in _STATES]
        expected = []
        if became != was and became in ("late", "failed"):
            expected = [became]
        elif became == "up" and was in ("late", "failed") and id in active:
            expected = ["recovered"]
        if got != expected and (got or id in active):
            yield f"I14: {id} went from {was} to {became}, of which is told: {got}"
    for kind, expects in (
        ("silence", before.silent is None and after.silent is not None),
        ("heard", before.silent is not None and after.silent is None),
    ):
        if sum(alert.kind == kind for alert in new) != expects:
            yield f"I14: silent since {before.silent}, then {after.silent}, and told: {kind}"


_STATES = ("late", "failed", "recovered")


def _status(watched: Watched, id: str) -> str:
    watch = watched.collectors.get(id)
    return watch.status if watch is not None else "up"


def new_alerts(before: Watched, after: Watched) -> Iterator[Alert]:
    known = {alert.id for alert in before.outbox.alerts}
    return (alert for alert in after.outbox.alerts if alert.id not in known)


def i14_an_alert_is_made_once(new: Iterable[Alert], made: Mapping[str, Alert]) -> Wrong:
    """Whoever is told knows by the id what was told before."""
    for alert in new:
        if alert.id in made:
            yield f"I14: the alert {alert.id} is made again"


def i14_every_alert_is_told(made: Mapping[str, Alert], told: Collection[str]) -> Wrong:
    for id in made:
        if id not in told:
            yield f"I14: nobody was told of {id}"


def i14_only_what_is_written_is_told(alert: Alert, made: Mapping[str, Alert]) -> Wrong:
    if alert.id not in made:
        yield f"I14: {alert.id} was told, and is written nowhere"


def r1_restarts_keep_their_distance(before: Watched, after: Watched) -> Wrong:
    for id, watch in after.collectors.items():
        was = before.collectors.get(id)
        if was is None or was.restarted is None or watch.restarted == was.restarted:
            continue
        if watch.restarted is not None and watch.restarted < was.restarted + DISTANCE:
            yield f"R1: {id} was begun again at {was.restarted} and at {watch.restarted}"


def t1_a_stuck_run_is_told_of(
    stuck: Iterable[tuple[str, datetime]], made: Iterable[Alert], excused: Collection[str]
) -> Wrong:
    """A run that ended without a word while a later slot went on, whatever became of that. Of
    several in a row the last will do; so will that the collector failed, and has not recovered
    since. excused: who was paused or removed meanwhile."""
    alerts = list(made)

    def at_of(id: str, kind: str) -> list[datetime]:
        return [alert.at for alert in alerts if (alert.collector, alert.kind) == (id, kind)]

    for id, slot in stuck:
        if id in excused or any(at >= slot for at in at_of(id, "stuck")):
            continue
        recovered = at_of(id, "recovered")
        if not any(
            not any(failed < at <= slot for at in recovered) for failed in at_of(id, "failed")
        ):
            yield f"T1: nobody hears that the run of {id} for the slot {slot} is stuck"


def l2_all_are_up(
    id: str, job: Job | None, watched: Watched, due: datetime, is_broken: bool, now: datetime
) -> Wrong:
    """due: of the last slot that should be done. is_broken: the service lets nobody in. Who is
    suspect for a moment may just not have been asked yet: a tick comes late now and then."""
    status = _status(watched, id)
    watch = watched.collectors.get(id)
    if status == "suspect" and watch is not None and now < watch.since + timedelta(minutes=5):
        status = "up"
    if is_broken:
        if status != "failed":
            yield f"L1: the service of {id} lets nobody in, and it is {status}"
        return
    if status not in ("up", "suspect"):  # suspect is whose task is just being called
        yield f"L2: {id} is still {status} though nothing fails any more"
    if job is None or job.state != "done" or int(job.spec["slot"]) < int(due.timestamp() * 1e6):
        yield f"L2: {id} has not done its slot of {due}: {job}"


def l3_only_a_whole_sweep_gives_a_sign_of_life(completed: bool, wrote: bool, raised: bool) -> Wrong:
    if completed and (raised or not wrote):
        yield "L3: a sweep that did not look everywhere gave a sign of life"
    if not completed and wrote and not raised:
        yield "L3: a sweep that looked everywhere gave no sign of life"
