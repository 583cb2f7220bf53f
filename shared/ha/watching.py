"""What the sweep makes of what it heard: who is late, who failed, who is begun again. Pure.

Two paths tell of a collector: its control document, which its runs write, and the queue, which
knows the tasks that were added for it. Only when both are silent it is taken for late; when they
disagree it is suspect, and left alone. When very many are late at once, whoever looks is suspected
instead: there is one alert, and nothing is begun again.

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
AWAY = 3
"""Sweeps that were left out, after which whoever sweeps was away."""

_RESTARTS: Mapping[Level, int] = {"protected": ATTEMPTS, "best-effort": 3, "unprotected": 0}
_LOST_AFTER = timedelta(minutes=5)
"""How long a task may wait after its collector was due, until it is taken for lost."""

Status = Literal["up", "suspect", "late", "failed"]
Kind = Literal[
    "late",
    "failed",
    "recovered",
    "stuck",
    "suspended",
    "silence",
    "heard",
    "held",
    "overcommitted",
    "fits",
    "quiet",
    "back",
    "unreadable",
]


class Beat(NamedTuple):
    """What is known of a collector. slot: that was begun last. due: until when nobody has to look
    after it. held: whether a run is at it. error: of one that was given up. queued: whether a task
    of it waits or is being called. open: whether its slot has not ended yet. hopeless: whether what
    failed would fail again. stuck: an earlier slot whose run ended without a word, though a later
    one went on.
    """

    slot: datetime | None
    due: datetime | None
    held: bool
    error: str | None
    queued: bool
    open: bool = False
    hopeless: bool = False
    stuck: datetime | None = None


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


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transition. id: the same whenever it is told again. at: when it happened."""

    id: str
    kind: Kind
    at: Instant
    text: str
    collector: str | None = None


class Watched(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """collectors: that are not up. silent: since when everything is. swept: when somebody looked
    last. day: of the quotas; restarts: of each collector on it. outbox: alerts that were not told
    yet; they are written with what they are about, so that none is lost or made twice. arming,
    phones, looked_at_phones, held, holds: what was said of these last."""

    SHAPE: ClassVar[int] = 1

    collectors: dict[str, Watch] = {}
    silent: Instant | None = None
    swept: Instant | None = None
    day: Instant | None = None
    restarts: dict[str, int] = {}
    outbox: tuple[Alert, ...] = ()
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

    Who was away itself, as a machine that slept, accuses nobody of what was missed meanwhile, but
    has it made up for.
    """
    watched = _of_day(watched, began_day(now))
    active = {
        id: collector
        for id, collector in config.collectors.items()
        if not collector.paused and not config.is_held(id, now)
    }
    if watched.swept is None or not now - AWAY * every <= watched.swept <= now:
        return _back(active, watched, beats, now)
    seen = {id: beats[id] for id in active if id in beats}
    late = [id for id, beat in seen.items() if _is_overdue(beat, now) and not beat.queued]
    if is_silence(len(late), len(active)):
        return _silence(watched, late, len(active), now)
    made, outbox, restarts = dict[str, Watch](), list(watched.outbox), dict(watched.restarts)
    if watched.silent is not None:
        outbox.append(_alert("heard", None, now, "collectors are heard of again"))
    for id, beat in seen.items():
        before = watched.collectors.get(id)
        watch = _watch(beat, before, now)
        outbox += _told(id, beat, before, watch)
        if watch.status != "up" or beat.stuck is not None:
            made[id] = replace(watch, stuck=beat.stuck)
    again = _begun_again(active, made, seen, restarts, now)
    for id in again:
        restarts[id] = restarts.get(id, 0) + 1
        made[id] = replace(made[id], restarts=made[id].restarts + 1, restarted=now)
    for id in _used_up(active, made, seen, watched.restarts, now):
        if made[id].suspended != watched.day:
            made[id] = replace(made[id], suspended=watched.day)
            outbox.append(_suspended(id, now))
    written = replace(
        watched,
        collectors=made,
        silent=None,
        swept=now,
        restarts=restarts,
        outbox=tuple(outbox),
    )
    return Judgement(written, again)


def without(watched: Watched, told: Sequence[str]) -> Watched:
    """The same, once alerts of these ids were told."""
    left = tuple(alert for alert in watched.outbox if alert.id not in told)
    return replace(watched, outbox=left)


def restarts_of(level: Level) -> int:
    """How often one is begun again in a day of the quotas."""
    return _RESTARTS[level]


def with_alert(watched: Watched, kind: Kind, about: str | None, at: datetime, text: str) -> Watched:
    """With one alert more in the outbox."""
    return replace(watched, outbox=(*watched.outbox, _alert(kind, about, at, text)))


def _of_day(watched: Watched, day: datetime) -> Watched:
    return watched if watched.day == day else replace(watched, day=day, restarts={})


def _is_overdue(beat: Beat, now: datetime) -> bool:
    return beat.due is not None and now >= beat.due and not beat.held and beat.error is None


def _back(
    active: Mapping[str, Collector], watched: Watched, beats: Mapping[str, Beat], now: datetime
) -> Judgement:
    missed = [
        id
        for id, collector in active.items()
        if id in beats and _is_overdue(beats[id], now) and _RESTARTS[collector.level]
    ]
    missed = [id for id in missed if not beats[id].queued and id not in watched.collectors]
    made = dict.fromkeys(missed, Watch(status="suspect", since=now, restarts=1, restarted=now))
    watches = {**watched.collectors, **made}
    restarts = {**watched.restarts, **{id: watched.restarts.get(id, 0) + 1 for id in missed}}
    written = replace(watched, collectors=watches, swept=now, restarts=restarts)
    return Judgement(written, _ordered(active, missed))


def _begun_again(
    active: Mapping[str, Collector],
    watches: Mapping[str, Watch],
    beats: Mapping[str, Beat],
    restarts: Mapping[str, int],
    now: datetime,
) -> list[str]:
    """The most important first. Others wait until no protected one has to be."""
    wanted = [
        id
        for id in _restartable(active, watches, beats, now)
        if restarts.get(id, 0) < _RESTARTS[active[id].level]
    ]
    protected = [id for id in wanted if active[id].level == "protected"]
    return _ordered(active, protected or wanted)


def _used_up(
    active: Mapping[str, Collector],
    watches: Mapping[str, Watch],
    beats: Mapping[str, Beat],
    restarts: Mapping[str, int],
    now: datetime,
) -> list[str]:
    """Who would be begun again, and has no restart left."""
    return [
        id
        for id in _restartable(active, watches, beats, now)
        if 0 < _RESTARTS[active[id].level] <= restarts.get(id, 0)
    ]


def _restartable(
    active: Mapping[str, Collector],
    watches: Mapping[str, Watch],
    beats: Mapping[str, Beat],
    now: datetime,
) -> list[str]:
    return [
        id for id, watch in watches.items() if _may_restart(id, active[id], watch, beats[id], now)
    ]


def _suspended(id: str, now: datetime) -> Alert:
    text = (
        f"{id} was begun again {ATTEMPTS} times today and is still not well; its slots go on, and "
        f"it is begun again from {end_of('day', now):%Y-%m-%d %H:%M} UTC on"
    )
    return _alert("suspended", id, now, text)


def _ordered(active: Mapping[str, Collector], ids: Iterable[str]) -> list[str]:
    return sorted(ids, key=lambda id: (active[id].level != "protected", active[id].priority, id))


def _silence(watched: Watched, late: Sequence[str], of: int, now: datetime) -> Judgement:
    if watched.silent is not None:
        return Judgement(replace(watched, swept=now), ())
    text = (
        f"nothing was heard of {len(late)} of {of} collectors, so perhaps the node or its store is "
        "the matter; nothing is begun again until some are heard of: see yurt doctor"
    )
    alert = _alert("silence", None, now, text)
    outbox = (*watched.outbox, alert)
    return Judgement(replace(watched, silent=now, swept=now, outbox=outbox), ())


def _watch(beat: Beat, before: Watch | None, now: datetime) -> Watch:
    status: Status = "up"
    since = now
    if beat.error is not None and not beat.held:
        status, since = "failed", beat.due or now
    elif _is_overdue(beat, now):
        status = "suspect" if beat.queued and not _is_lost(beat, now) else "late"
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


def _is_lost(beat: Beat, now: datetime) -> bool:
    """Whether a task that is said to wait should long have been called."""
    return now >= (beat.due or now) + _LOST_AFTER


def _told(id: str, beat: Beat, before: Watch | None, after: Watch) -> list[Alert]:
    told, was = list[Alert](), before.status if before is not None else "up"
    if beat.stuck is not None and (before is None or before.stuck != beat.stuck):
        text = (
            f"a run of {id} ended without a word, or hangs: that of the slot of "
            f"{beat.stuck:%Y-%m-%d %H:%M} UTC; a later one went on"
        )
        told.append(_alert("stuck", id, beat.stuck, text))
    if after.status == was:
        return told
    if after.status == "failed":
        told.append(_alert("failed", id, after.since, f"{id} failed: {beat.error}"))
    elif after.status == "late":
        slot = f", since the slot of {beat.slot:%Y-%m-%d %H:%M} UTC" if beat.slot else ""
        text = f"{id} is late: nothing was heard of it{slot}"
        told.append(_alert("late", id, after.since, text))
    elif after.status == "up" and was in ("late", "failed"):
        told.append(_alert("recovered", id, after.since, f"{id} works again"))
    return told


def _may_restart(id: str, collector: Collector, watch: Watch, beat: Beat, now: datetime) -> bool:
    if watch.status == "late":
        return watch.restarted is None or now >= watch.restarted + AGAIN_AFTER
    if watch.status != "failed" or beat.hopeless or beat.held:
        return False
    pause: timedelta = FAILED_AGAIN_AFTER * 4 ** min(watch.restarts, ATTEMPTS - 1)
    failed = beat.due or watch.since
    again = max(failed, watch.restarted or failed) + pause
    slots = collector.slots
    return now >= again and slots.next(now, offset_of(id, slots)) > now + pause


def _alert(kind: Kind, collector: str | None, at: datetime, text: str) -> Alert:
    micros = int(at.timestamp() * 1e6)
    return Alert(
        id=f"{collector or 'all'}-{kind}-{micros}", kind=kind, at=at, text=text, collector=collector
    )
