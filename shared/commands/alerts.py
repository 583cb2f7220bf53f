"""Who is told of alerts, how that goes, and what may be changed of it."""

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from msgspec.structs import replace

from shared.alerting.configured import ALERTING, MOST, Alerting, Told
from shared.alerting.http import checked_url
from shared.alerting.protocol import BadChannel, CannotTell, Channel
from shared.alerting.telling import LOG, Telling
from shared.commands.answers import AlertsState, ChannelState, Tested
from shared.commands.collectors import watched_of
from shared.commands.errors import Refused
from shared.ha.outbox import Alert, alert_of, number_missed, renewed, works
from shared.ha.watching import WATCHED, Watched
from shared.node import Node
from shared.store.changing import change, current

Channels = Mapping[str, Channel]

_ID = re.compile(r"[a-z][a-z0-9-]{0,39}")


def alerting_of(node: Node) -> Alerting:
    return current(node.store, ALERTING, Alerting())


def alerts_state(node: Node) -> AlertsState:
    """Who is told, and what is not told yet; no secret."""
    alerting, outbox = alerting_of(node), watched_of(node).outbox
    states = []
    outbox = renewed(outbox, {name: told.created for name, told in alerting.channels.items()})
    for name, told in sorted(alerting.channels.items()):
        failing = outbox.failing.get(name)
        states.append(
            ChannelState(
                channel=name,
                kind=told.kind,
                untold=sum(name not in alert.told for alert in outbox.alerts)
                + number_missed(outbox, name),
                failing=failing.since if failing is not None else None,
                error=failing.error if failing is not None else None,
                again=failing.again if failing is not None else None,
            )
        )
    return AlertsState(channels=states, ping=alerting.ping is not None)


def add(
    node: Node,
    channels: Channels,
    name: str,
    kind: str,
    options: Mapping[str, Any],
    secret: str | None,
) -> None:
    """One more channel, or another in the place of the one of that name. `Refused`."""
    if not _ID.fullmatch(name) or name == LOG:
        raise Refused(
            f"{name!r} cannot be the name of a channel: a small letter, then up to 39 small "
            f"letters, digits and hyphens, and not {LOG}"
        )
    if kind not in channels:
        raise Refused(f"there is no channel of the kind {kind!r}; there is {', '.join(channels)}")
    try:
        kept = channels[kind].checked(options, secret)
    except BadChannel as error:
        raise Refused(str(error)) from None
    sealed = node.sealing_key().seal(secret.encode()) if secret is not None else None
    made = Told(kind=kind, created=node.clock(), options=kept, sealed=sealed)

    def decide(alerting: Alerting) -> Alerting:
        if name not in alerting.channels and len(alerting.channels) >= MOST:
            raise Refused(f"there are {MOST} channels, and no more fit")
        return replace(alerting, channels={**alerting.channels, name: made})

    change(node.store, ALERTING, Alerting(), decide, anew=True)


def remove(node: Node, name: str) -> None:
    def decide(alerting: Alerting) -> Alerting:
        _find(alerting, name)
        left = {key: told for key, told in alerting.channels.items() if key != name}
        return replace(alerting, channels=left)

    change(node.store, ALERTING, Alerting(), decide)


def set_ping(node: Node, url: str | None) -> None:
    """The URL that is asked for after each completed sweep; None for none. `Refused`."""
    sealed = None
    if url is not None:
        try:
            sealed = node.sealing_key().seal(checked_url(url, "it").encode())
        except BadChannel as error:
            raise Refused(str(error)) from None
    change(node.store, ALERTING, Alerting(), lambda alerting: replace(alerting, ping=sealed))


def test(node: Node, telling: Telling, name: str | None) -> list[Tested]:
    """Tells a test on a channel, or on all; those that take it failed no more. `Refused` if there
    is none."""
    alerting = alerting_of(node)
    chosen = alerting.channels if name is None else {name: _find(alerting, name)}
    if not chosen:
        raise Refused("nobody is told of alerts yet; to be told: yurt alerts add --help")
    alert = alert_of("test", None, node.clock(), "This is a test. Alerts of Yurt reach you here.")
    tested = [_tested(telling, key, told, alert) for key, told in sorted(chosen.items())]
    _mended(node, [each.channel for each in tested if each.error is None])
    return tested


def _mended(node: Node, names: Sequence[str]) -> None:
    """What failed and works now is told what waits by the next sweep."""
    if not watched_of(node).outbox.failing.keys() & set(names):
        return

    def decide(watched: Watched) -> Watched:
        return replace(watched, outbox=reduce(works, names, watched.outbox))

    change(node.store, WATCHED, Watched(), decide)


def _tested(telling: Telling, name: str, told: Told, alert: Alert) -> Tested:
    try:
        telling.send(name, told, alert)
    except CannotTell as error:
        return Tested(channel=name, error=str(error))
    return Tested(channel=name, error=None)


def _find(alerting: Alerting, name: str) -> Told:
    told = alerting.channels.get(name)
    if told is None:
        there = ", ".join(sorted(alerting.channels)) or "none yet"
        raise Refused(f"there is no channel {name!r}; there is {there}")
    return told
