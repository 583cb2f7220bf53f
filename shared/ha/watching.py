"""What the sweep makes of what it heard: who is late, who failed, who is begun again. Pure.

Two paths tell of a collector: its control document, which its runs write, and the queue, which
knows the tasks that were added for it. Only when both are silent it is taken for late; when they
disagree it is suspect, and left alone. When very many are late at once, whoever looks is suspected
instead: there is one alert, and nothing is begun again.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from shared.ha.collectors import Collector, Collectors, Level
from shared.ha.planner import ATTEMPTS
from shared.model.time import Instant

WATCHED = "watched"
"""The name of the document in the store."""

AGAIN_AFTER = timedelta(minutes=2)
"""Between two restarts of one collector, at least."""
AWAY = 3
"""Sweeps that were left out, after which whoever sweeps was away."""

SILENT_AT_LEAST, SILENT_SHARE = 3, 0.55
"""So many, and such a part of all, that are late at once are a silence of everything."""

_RESTARTS: Mapping[Level, int] = {"protected": ATTEMPTS, "best-effort": 3, "unprotected": 0}
"""How often one that is late is begun again, until it was up again."""

Status = Literal["up", "suspect", "late", "failed"]
Kind = Literal["late", "failed", "recovered", "silence", "heard"]


class Beat(NamedTuple):
    """What is known of a collector. slot: that was begun last. due: until when nobody has to look
    after it. held: whether a run is at it. error: of one that was given up. queued: whether a task
    of it waits or is being called.
    """

    slot: datetime | None
    due: datetime | None
    held: bool
    error: str | None
    queued: bool


class Watch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """since: when that became so, as it should have been noticed at once. restarts: since it was
    up; restarted: the last."""

    status: Status
    since: Instant
    restarts: int = 0
    restarted: Instant | None = None


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transition. id: the same whenever it is told again. at: when it happened."""

    id: str
    kind: Kind
    at: Instant
    text: str
    collector: str | None = None


class Watched(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """collectors: that are not up. silent: since when everything is. swept: when somebody looked
    last. outbox: alerts that were not told yet; they are written with what they are about, so that
    none is lost or made twice."""

    SHAPE: ClassVar[int] = 1

    collectors: dict[str, Watch] = {}
    silent: Instant | None = None
    swept: Instant | None = None
    outbox: tuple[Alert, ...] = ()


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
    active = {id: c for id, c in config.collectors.items() if not c.paused}
    if watched.swept is None or not now - AWAY * every <= watched.swept <= now:
        return _back(active, watched, beats, now)
    seen = {id: beats[id] for id in active if id in beats}
    late = [id for id, beat in seen.items() if _is_overdue(beat, now) and not beat.queued]
    if len(late) >= SILENT_AT_LEAST and len(late) >= SILENT_SHARE * len(active):
        return _silence(watched, late, len(active), now)
    made, outbox, restarts = dict[str, Watch](), list(watched.outbox), list[str]()
    if watched.silent is not None:
        outbox.append(_alert("heard", None, now, "collectors are heard of again"))
    for id, beat in seen.items():
        before = watched.collectors.get(id)
        watch = _watch(active[id], beat, before, now)
        outbox += _told(id, beat, before, watch)
        if watch.status == "late" and _may_restart(active[id], watch, now):
            restarts.append(id)
            watch = replace(watch, restarts=watch.restarts + 1, restarted=now)
        if watch.status != "up":
            made[id] = watch
    written = Watched(collectors=made, swept=now, outbox=tuple(outbox))
    return Judgement(written, _ordered(active, restarts))


def without(watched: Watched, told: Sequence[str]) -> Watched:
    """The same, once alerts of these ids were told."""
    left = tuple(alert for alert in watched.outbox if alert.id not in told)
    return replace(watched, outbox=left)


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
    return Judgement(replace(watched, collectors=watches, swept=now), _ordered(active, missed))


def _ordered(active: Mapping[str, Collector], ids: Iterable[str]) -> list[str]:
    """The most important first."""
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


def _watch(collector: Collector, beat: Beat, before: Watch | None, now: datetime) -> Watch:
    status: Status = "up"
    since = now
    if beat.error is not None and not beat.held:
        status, since = "failed", beat.due or now
    elif _is_overdue(beat, now):
        status = "suspect" if beat.queued and not _is_lost(collector, beat, now) else "late"
        since = beat.due or now
    elif before is not None and before.status in ("late", "failed") and beat.held:
        # It was begun again, and nobody knows yet how it ends.
        return before
    if before is not None and before.status == status:
        return before
    if before is not None and status == "suspect" and before.status == "late":
        return before  # its restart waits in the queue
    kept = before.restarts if before is not None and status != "up" else 0
    restarted = before.restarted if before is not None and status != "up" else None
    return Watch(status=status, since=since, restarts=kept, restarted=restarted)


def _is_lost(collector: Collector, beat: Beat, now: datetime) -> bool:
    """Whether a task that is said to wait should long have been called."""
    return now >= (beat.due or now) + timedelta(seconds=collector.start_limit)


def _told(id: str, beat: Beat, before: Watch | None, after: Watch) -> Sequence[Alert]:
    was: Status = before.status if before is not None else "up"
    if after.status == was:
        return ()
    if after.status == "failed":
        return [_alert("failed", id, after.since, f"{id} failed: {beat.error}")]
    if after.status == "late":
        slot = f", since the slot of {beat.slot:%Y-%m-%d %H:%M} UTC" if beat.slot else ""
        return [_alert("late", id, after.since, f"{id} is late: nothing was heard of it{slot}")]
    if after.status == "up" and was in ("late", "failed"):
        return [_alert("recovered", id, after.since, f"{id} works again")]
    return ()


def _may_restart(collector: Collector, watch: Watch, now: datetime) -> bool:
    if watch.restarts >= _RESTARTS[collector.level]:
        return False
    return watch.restarted is None or now >= watch.restarted + AGAIN_AFTER


def _alert(kind: Kind, collector: str | None, at: datetime, text: str) -> Alert:
    micros = int(at.timestamp() * 1e6)
    return Alert(
        id=f"{collector or 'all'}-{kind}-{micros}", kind=kind, at=at, text=text, collector=collector
    )
