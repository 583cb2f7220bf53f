"""Alerts on their way: which channel has which, and who takes none just now. Pure.

An alert stays until every channel has it, so that it is told at least once on each; one that is
broken is asked more and more seldom, and keeps no other from being told.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from shared.model.time import Instant

MOST = 200
"""Alerts that are kept: of more only their number is."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)

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


class Outbox(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """alerts: not told everywhere yet, the oldest first. failing: channels, by name. dropped: how
    many alerts did not fit."""

    alerts: tuple[Alert, ...] = ()
    failing: dict[str, Failing] = {}
    dropped: int = 0


def alert_of(kind: Kind, about: str | None, at: datetime, text: str) -> Alert:
    micros = int(at.timestamp() * 1e6)
    return Alert(
        id=f"{about or 'all'}-{kind}-{micros}", kind=kind, at=at, text=text, collector=about
    )


def bounded(outbox: Outbox) -> Outbox:
    """Without the oldest, where there are too many."""
    more = len(outbox.alerts) - MOST
    if more <= 0:
        return outbox
    return replace(outbox, alerts=outbox.alerts[more:], dropped=outbox.dropped + more)


def with_dropped(outbox: Outbox, now: datetime) -> Outbox:
    """With an alert in place of those that did not fit."""
    if not outbox.dropped:
        return outbox
    text = f"{outbox.dropped} earlier alerts are not told, since nothing took them: see yurt status"
    alerts = (*outbox.alerts, alert_of("dropped", None, now, text))
    return replace(outbox, alerts=alerts, dropped=0)


def told(outbox: Outbox, id: str, channel: str) -> Outbox:
    """Once a channel has an alert: it works."""
    alerts = tuple(
        replace(alert, told=(*alert.told, channel)) if alert.id == id else alert
        for alert in outbox.alerts
    )
    return replace(outbox, alerts=alerts, failing=_but(outbox.failing, channel))


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


def settled(outbox: Outbox, channels: Collection[str]) -> Outbox:
    """Without what every channel has, and without channels that are no more."""
    alerts = tuple(alert for alert in outbox.alerts if not set(channels) <= set(alert.told))
    failing = {name: found for name, found in outbox.failing.items() if name in channels}
    return replace(outbox, alerts=alerts, failing=failing)


def _but(held: Mapping[str, Failing], name: str) -> dict[str, Failing]:
    return {key: value for key, value in held.items() if key != name}
