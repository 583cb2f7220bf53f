"""What the sweep makes of what it heard: who is late, who failed, who is begun again. Pure.

Two paths tell of a collector: its control document, which its runs write, and the queue, which
knows the tasks that were added for it. Only when both are silent it is taken for late; when they
disagree it is suspect, and left alone. When very many are late at once, whoever looks is suspected
instead: there is one alert, and nothing is begun again. When nobody ticks, there is one alert, too.

Each outage may take a few restarts, which the plan keeps free, once in each day of the quotas: what
is used up is there again when the next day begins.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from shared.ha.allowances import began_day, end_of
from shared.ha.arming import Arming
from shared.ha.collectors import Collector, Collectors, Held, Level, offset_of
from shared.ha.outbox import Alert, Kind, Outbox, alert_of, bounded
from shared.ha.phones import Phone
from shared.ha.planner import ATTEMPTS
from shared.ha.silence import is_silence
from shared.model.time import Instant

WATCHED = "watched"
"""The name of the document in the store."""

AGAIN_AFTER = timedelta(minutes=2)
"""Between two restarts of one collector, at least."""
FAILED_AGAIN_AFTER = timedelta(minutes=10)
"""Until one that failed is begun again, after the tries that belong to its slot; each time four
times as long. One whose next slot comes before is left to that."""
AWAY = 1.5
"""Times the pause between two sweeps, after which whoever sweeps was away."""
UNTICKED_AFTER = timedelta(minutes=15)
"""Without a mark of the ticks, which make one each ten minutes."""

_RESTARTS: Mapping[Level, int] = {"protected": ATTEMPTS, "best-effort": 3, "unprotected": 0}
_LOST_AFTER = timedelta(minutes=5)
"""How long a task may wait after its collector was due, until it is taken for lost; and how long
who was away gives the others to come back."""

Status = Literal["up", "suspect", "late", "failed"]


class Asked(NamedTuple):
    """The tasks of a collector that wait, or are being called. calls: the most that were made of
    one. due: of the earliest next call."""

    calls: int
    due: datetime


class Beat(NamedTuple):
    """What is known of a collector. slot: that was begun last. due: until when nobody has to look
    after it. held: whether a run is at it. error: of one that was given up, also while the next
    slot is tried. asked: None if no task of it waits. open: whether its slot has not ended yet.
    hopeless: whether what failed would fail again. stuck: an earlier slot whose run ended without a
    word, though a later one went on.
    """

    slot: datetime | None
    due: datetime | None
    held: bool
    error: str | None
    asked: Asked | None
    open: bool = False
    hopeless: bool = False
    stuck: datetime | None = None

    @property
    def queued(self) -> bool:
        return self.asked is not None

    def is_overdue(self, now: datetime) -> bool:
        return self.due is not None and now >= self.due and not self.held and self.error is None


class Watch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """since: when that became so, as it should have been noticed at once. restarts: since it was
    up; restarted: the last. suspended: the day of which its restarts are used up. stuck: the slot
    of a run that was told of as stuck."""

    status: Status
    since: Instant
    restarts: int = 0
    restarted: Instant | None = None
    suspended: Instant | None = None
    stuck: Instant | None = None


class Watched(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """collectors: that are not up. silent: since when everything is. swept: when somebody looked
    last; back: when for the first time after being away. unticked: since when nobody ticks. day: of
    the quotas; restarts: of each collector on it. outbox: alerts that were not told yet; they are
    written with what they are about, so that none is lost or made twice. arming, phones,
    looked_at_phones, held, holds: what was said of these last."""

    SHAPE: ClassVar[int] = 1
    MENDED: ClassVar[str] = "a node that runs makes it anew within minutes"

    collectors: dict[str, Watch] = {}
    silent: Instant | None = None
    swept: Instant | None = None
    back: Instant | None = None
    unticked: Instant | None = None
    day: Instant | None = None
    restarts: dict[str, int] = {}
    outbox: Outbox = Outbox()
    arming: Arming | None = None
    phones: dict[str, Phone] = {}
    looked_at_phones: Instant | None = None
    held: Held | None = None
    holds: bool = True


class Judgement(NamedTuple):
    """watched: what is to be written, if it is another. restarts: who is to be begun again once it
    is written, the most important first."""

    watched: Watched
    restarts: Sequence[str]


def judge(
    config: Collectors,
    watched: Watched,
    beats: Mapping[str, Beat],
    now: datetime,
    every: timedelta,
) -> Judgement:
    """beats: of every collector that is overdue, and of those that were not up. every: how often
    somebody looks.

    Who was away itself, as a machine that slept, gives others the time to come back.
    """
    watched = _of_day(watched, began_day(now))
    if watched.swept is None or not now - AWAY * every <= watched.swept <= now:
        watched = replace(watched, back=now)
    active = {
        id: collector
        for id, collector in config.collectors.items()
        if not collector.paused and not config.is_held(id, now)
    }
    if active:
        watched = _ticked(config, watched, now)
    seen = {id: beats[id] for id in active if id in beats}
    late = [id for id, beat in seen.items() if _is_late(beat, watched.back, now)]
    if is_silence(len(late), len(active)):
        return _silence(watched, late, len(active), now)
    # What is known of one that has to wait is still so when it may go on.
    waiting = config.collectors.keys() - active.keys()
    made = {id: watch for id, watch in watched.collectors.items() if id in waiting}
    outbox, restarts = list(watched.outbox.alerts), dict(watched.restarts)
    if watched.silent is not None:
        outbox.append(alert_of("heard", None, now, "collectors are heard of again"))
    for id, beat in seen.items():
        before = watched.collectors.get(id)
        watch = _watch(beat, before, watched.back, now)
        outbox += _told(id, beat, before, watch)
        if watch.status != "up" or beat.stuck is not None:
            made[id] = replace(watch, stuck=beat.stuck)
    wanted = [
        id for id in seen if id in made and _restarts(id, active[id], made[id], seen[id], now)
    ]
    used_up = [id for id in wanted if restarts.get(id, 0) >= _RESTARTS[active[id].level]]
    again = _first(active, [id for id in wanted if id not in used_up])
    for id in again:
        restarts[id] = restarts.get(id, 0) + 1
        made[id] = replace(made[id], restarts=made[id].restarts + 1, restarted=now)
    for id in used_up:
        if _RESTARTS[active[id].level] and made[id].suspended != watched.day:
            made[id] = replace(made[id], suspended=watched.day)
            outbox.append(_suspended(id, now))
    written = replace(
        watched,
        collectors=made,
        silent=None,
        swept=now,
        restarts=restarts,
        outbox=_with(watched, outbox),
    )
    return Judgement(written, again)


def restarts_of(level: Level) -> int:
    """How often one is begun again in a day of the quotas."""
    return _RESTARTS[level]


def with_alert(watched: Watched, kind: Kind, about: str | None, at: datetime, text: str) -> Watched:
    """With one alert more in the outbox."""
    alerts = (*watched.outbox.alerts, alert_of(kind, about, at, text))
    return replace(watched, outbox=_with(watched, alerts))


def _with(watched: Watched, alerts: Iterable[Alert]) -> Outbox:
    return bounded(replace(watched.outbox, alerts=tuple(alerts)))


def _of_day(watched: Watched, day: datetime) -> Watched:
    return watched if watched.day == day else replace(watched, day=day, restarts={})


def _ticked(config: Collectors, watched: Watched, now: datetime) -> Watched:
    """With an alert once nobody ticks, and once somebody does again."""
    since = config.ticked or min(each.created for each in config.collectors.values())
    if since > now - UNTICKED_AFTER:
        if watched.unticked is None:
            return watched
        made = replace(watched, unticked=None)
        return with_alert(made, "ticked", None, since, "slots are begun in time again")
    if watched.unticked is not None or (watched.back or now) > now - _LOST_AFTER:
        return watched
    text = (
        f"nobody has looked since {since:%Y-%m-%d %H:%M} UTC which slots are due, so that they "
        "begin late, after their grace: in the cloud, see the job and the log of the function "
        "tick; at home, start the node again"
    )
    return with_alert(replace(watched, unticked=since), "unticked", None, since, text)


def _first(active: Mapping[str, Collector], wanted: Sequence[str]) -> list[str]:
    """The most important first. Others wait until no protected one has to be begun again."""
    protected = [id for id in wanted if active[id].level == "protected"]
    return _ordered(active, protected or wanted)


def _suspended(id: str, now: datetime) -> Alert:
    text = (
        f"{id} was begun again {ATTEMPTS} times today and is still not well; its slots go on, and "
        f"it is begun again from {end_of('day', now):%Y-%m-%d %H:%M} UTC on"
    )
    return alert_of("suspended", id, now, text)


def _ordered(active: Mapping[str, Collector], ids: Iterable[str]) -> list[str]:
    return sorted(ids, key=lambda id: (active[id].level != "protected", active[id].priority, id))


def _silence(watched: Watched, late: Sequence[str], of: int, now: datetime) -> Judgement:
    if watched.silent is not None:
        return Judgement(replace(watched, swept=now), ())
    text = (
        f"nothing was heard of {len(late)} of {of} collectors, so perhaps the node or its store is "
        "the matter; nothing is begun again until some are heard of: see yurt doctor"
    )
    alert = alert_of("silence", None, now, text)
    outbox = _with(watched, (*watched.outbox.alerts, alert))
    return Judgement(replace(watched, silent=now, swept=now, outbox=outbox), ())


def _watch(beat: Beat, before: Watch | None, back: datetime | None, now: datetime) -> Watch:
    status: Status = "up"
    since = now
    if beat.error is not None:
        status, since = "failed", beat.due or now
    elif beat.is_overdue(now):
        status = "late" if _is_late(beat, back, now) else "suspect"
        since = beat.due or now
    elif before is not None and before.status in ("late", "failed") and beat.open:
        # It was begun again, and nobody knows yet how that ends.
        return before
    if before is not None and before.status == status:
        return before
    if before is not None and status == "suspect" and before.status == "late":
        return before  # its restart waits in the queue
    if before is None or status == "up":
        return Watch(status=status, since=since)
    return replace(before, status=status, since=since)


def _is_late(beat: Beat, back: datetime | None, now: datetime) -> bool:
    return beat.is_overdue(now) and (not beat.queued or _is_lost(beat, back, now))


def _is_lost(beat: Beat, back: datetime | None, now: datetime) -> bool:
    """Whether a task that is said to wait should long have been called, or is called in vain."""
    if beat.asked is not None and not beat.asked.calls and now < beat.asked.due + _LOST_AFTER:
        return False
    due = beat.due or now
    return now >= (max(due, back) if back is not None else due) + _LOST_AFTER


def _told(id: str, beat: Beat, before: Watch | None, after: Watch) -> list[Alert]:
    told, was = list[Alert](), before.status if before is not None else "up"
    is_new = before is None or before.stuck != beat.stuck
    if beat.stuck is not None and is_new and after.status != "failed":  # that says it
        text = (
            f"a run of {id} ended without a word, or hangs: that of the slot of "
            f"{beat.stuck:%Y-%m-%d %H:%M} UTC; a later one went on"
        )
        told.append(alert_of("stuck", id, beat.stuck, text))
    if after.status == was:
        return told
    if after.status == "failed":
        told.append(alert_of("failed", id, after.since, f"{id} failed: {beat.error}"))
    elif after.status == "late":
        slot = f", since the slot of {beat.slot:%Y-%m-%d %H:%M} UTC" if beat.slot else ""
        text = f"{id} is late: nothing was heard of it{slot}{_of_task(beat)}"
        told.append(alert_of("late", id, after.since, text))
    elif after.status == "up" and was in ("late", "failed"):
        told.append(alert_of("recovered", id, after.since, f"{id} works again"))
    return told


def _of_task(beat: Beat) -> str:
    """What the queue says of the one that should have begun it."""
    if beat.asked is None:
        return ""
    if not beat.asked.calls:
        return "; its task waits, and nobody calls it"
    times = "once" if beat.asked.calls == 1 else f"{beat.asked.calls} times"
    return f"; its task was called {times} in vain: see the log"


def _restarts(id: str, collector: Collector, watch: Watch, beat: Beat, now: datetime) -> bool:
    if beat.held:
        return False
    if watch.status == "late":
        return watch.restarted is None or now >= watch.restarted + AGAIN_AFTER
    if watch.status != "failed" or beat.hopeless or beat.queued:
        return False
    pause: timedelta = FAILED_AGAIN_AFTER * 4 ** min(watch.restarts, ATTEMPTS - 1)
    failed = beat.due or watch.since
    again = max(failed, watch.restarted or failed) + pause
    slots = collector.slots
    return now >= again and slots.next(now, offset_of(id, slots)) > now + pause
