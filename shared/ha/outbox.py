"""Alerts on their way: which channel has which, and who takes none just now. Pure.

An alert stays until every channel has it, so that it is told at least once on each; one that is
broken is asked more and more seldom, and keeps no other from being told.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from shared.model.time import Instant

MOST = 200
"""Alerts that are kept: of more only their number is."""
TEXT_LIMIT = 1_000
"""Characters of an alert: so many of them still fit in one document, with all that is watched."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)

Kind = Literal[
    "blind",
    "unticked",
    "ticked",
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
    "dropped",
    "test",
]


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transition. id: the same whenever it is told again. at: when it happened. told: names of
    the channels that have it."""

    id: str
    kind: Kind
    at: Instant
    text: str
    collector: str | None = None
    told: tuple[str, ...] = ()


class Failing(Struct, frozen=True, kw_only=True):
    """A channel that takes nothing. since: when; times: in a row; again: when it is asked next."""

    since: Instant
    times: int
    again: Instant
    error: str


class Dropped(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Alerts that did not fit. last: when the last of them happened. had: how many of them a
    channel had, by its name."""

    count: int
    last: Instant
    had: dict[str, int] = {}


class Outbox(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """alerts: not told everywhere yet, the oldest first. failing: channels, by name."""

    alerts: tuple[Alert, ...] = ()
    failing: dict[str, Failing] = {}
    dropped: Dropped | None = None


def alert_of(kind: Kind, about: str | None, at: datetime, text: str) -> Alert:
    micros = int(at.timestamp() * 1e6)
    if len(text) > TEXT_LIMIT:
        text = f"{text[: TEXT_LIMIT - 1]}…"
    return Alert(
        id=f"{about or 'all'}-{kind}-{micros}", kind=kind, at=at, text=text, collector=about
    )


def bounded(outbox: Outbox) -> Outbox:
    """Without the oldest, where there are too many."""
    more = len(outbox.alerts) - MOST
    if more <= 0:
        return outbox
    out, before = outbox.alerts[:more], outbox.dropped
    had = Counter(before.had if before is not None else {})
    for alert in out:
        had.update(alert.told)
    count = more + (before.count if before is not None else 0)
    dropped = Dropped(count=count, last=out[-1].at, had=dict(had))
    return replace(outbox, alerts=outbox.alerts[more:], dropped=dropped)


def waiting(outbox: Outbox, channel: str) -> Sequence[Alert]:
    """What a channel has not yet, the oldest first; of those that did not fit the number."""
    rest = [alert for alert in outbox.alerts if channel not in alert.told]
    dropped, missed = outbox.dropped, number_missed(outbox, channel)
    if dropped is None or not missed:
        return rest
    text = f"{missed} more alerts came before, too many to be kept: see yurt status"
    return [alert_of("dropped", None, dropped.last, text), *rest]


def number_missed(outbox: Outbox, channel: str) -> int:
    """Of those that did not fit, how many a channel never had."""
    dropped = outbox.dropped
    return dropped.count - dropped.had.get(channel, 0) if dropped is not None else 0


def told(outbox: Outbox, alert: Alert, channel: str) -> Outbox:
    """Once a channel has an alert of those that were `waiting`: it works."""
    alerts, dropped = outbox.alerts, outbox.dropped
    if alert.kind == "dropped" and dropped is not None:
        dropped = replace(dropped, had={**dropped.had, channel: dropped.count})
    else:
        alerts = tuple(
            replace(held, told=(*held.told, channel)) if held.id == alert.id else held
            for held in alerts
        )
    return works(Outbox(alerts=alerts, failing=outbox.failing, dropped=dropped), channel)


def works(outbox: Outbox, channel: str) -> Outbox:
    """Once a channel took anything: it is asked at once for what waits."""
    failing = {name: found for name, found in outbox.failing.items() if name != channel}
    return replace(outbox, failing=failing)


def failed(outbox: Outbox, channel: str, error: str, now: datetime) -> Outbox:
    """Once a channel took none."""
    before = outbox.failing.get(channel)
    times = before.times + 1 if before is not None else 1
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(times - 1, 10))
    since = before.since if before is not None else now
    made = Failing(since=since, times=times, again=now + pause, error=error)
    return replace(outbox, failing={**outbox.failing, channel: made})


def is_asked(outbox: Outbox, channel: str, now: datetime) -> bool:
    """Whether a channel is to be tried now. A clock that was ahead does not put it off for long."""
    failing = outbox.failing.get(channel)
    return failing is None or not now < failing.again <= now + LONGEST_PAUSE


def renewed(outbox: Outbox, channels: Mapping[str, datetime]) -> Outbox:
    """Without what is known of channels that are no more, or were configured anew since.

    channels: when they were configured, by name.
    """
    failing = {
        name: found
        for name, found in outbox.failing.items()
        if name in channels and channels[name] <= found.since
    }
    return replace(outbox, failing=failing)


def settled(outbox: Outbox, channels: Collection[str]) -> Outbox:
    """Without what every channel has."""
    alerts = tuple(alert for alert in outbox.alerts if not set(channels) <= set(alert.told))
    dropped = outbox.dropped
    if not any(number_missed(outbox, channel) for channel in channels):
        dropped = None
    return replace(outbox, alerts=alerts, dropped=dropped)
