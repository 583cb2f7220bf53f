"""Who is told what, and the sign of life after each sweep."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.alerting import http
from shared.alerting.configured import ALERTING, Alerting, Told
from shared.alerting.protocol import CannotTell, Channel
from shared.ha.outbox import (
    Alert,
    Outbox,
    failed,
    is_asked,
    renewed,
    settled,
    told,
    waiting,
)
from shared.sealing import BadMasterKey, CannotUnseal, MasterKey
from shared.store.changing import current
from shared.store.protocol import Store, StoreError

FOR = 20.0
"""Seconds that telling may take in one sweep; the rest is told in the next."""
PING_EACH = timedelta(minutes=1)

LOG = "log"
"""The channel that there always is, by name: no other is called so."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Telling:
    """channels: the kinds there are. master_key: what secrets are opened with. stopping: whether
    the process is to end soon: the rest is told by the next. monotonic: seconds, of how long it
    takes."""

    store: Store
    channels: Mapping[str, Channel]
    master_key: Callable[[], MasterKey]
    clock: Callable[[], datetime]
    stopping: Callable[[], bool] = lambda: False
    monotonic: Callable[[], float] = time.monotonic
    _pinged: datetime | None = field(default=None, init=False)

    def tell(self, outbox: Outbox) -> Iterator[Outbox]:
        """Tells what is in it on every channel, and gives what is left after each step.

        Whoever keeps that before asking for the next step has at most one alert told twice, on one
        channel, wherever they die. It raises nothing: what is not told stays. It takes about
        `FOR` seconds at most; the rest is for the next time.
        """
        if not outbox.alerts and outbox.dropped is None:
            return
        outbox = _logged(outbox)
        try:
            channels = current(self.store, ALERTING, Alerting()).channels
        except StoreError as error:
            _log.error("alerts are told later: %s", error)
            yield outbox
            return
        outbox = renewed(outbox, {name: channel.created for name, channel in channels.items()})
        until = self.monotonic() + FOR
        for name, channel in channels.items():
            for left in self._on(name, channel, outbox, until):
                outbox = left
                yield settled(outbox, [LOG, *channels])
        yield settled(outbox, [LOG, *channels])

    def _on(self, name: str, channel: Told, outbox: Outbox, until: float) -> Iterator[Outbox]:
        if not is_asked(outbox, name, self.clock()):
            return
        for alert in waiting(outbox, name):
            if self.monotonic() >= until or self.stopping():
                return
            try:
                self.send(name, channel, alert)
            except CannotTell as error:
                _log.error("the channel %s told nothing: %s", name, error)
                yield failed(outbox, name, str(error), self.clock())
                return
            outbox = told(outbox, alert, name)
            yield outbox

    def send(self, name: str, channel: Told, alert: Alert) -> None:
        """On one channel. `CannotTell`."""
        kind = self.channels.get(channel.kind)
        if kind is None:
            raise CannotTell(f"this version of Yurt knows no channel {channel.kind}")
        secret = self._opened(channel.sealed, f"yurt alerts add {name} {channel.kind} --secret")
        try:
            kind.send(channel.options, secret, alert)
        except CannotTell:
            raise
        except Exception as error:  # a fault of one channel keeps no other from being told
            raise CannotTell(
                f"it ended with {type(error).__name__}: see that its options are right, or update "
                "Yurt"
            ) from error

    def ping(self) -> None:
        """Says that a sweep was completed, at most once a minute. It never raises."""
        now = self.clock()
        if self._pinged is not None and self._pinged <= now < self._pinged + PING_EACH:
            return
        try:
            sealed = current(self.store, ALERTING, Alerting()).ping
            if sealed is None:
                return
            self._pinged = now
            http.get(self._opened(sealed, "yurt alerts ping") or "")
        except (CannotTell, StoreError) as error:
            _log.warning("the sign of life was not taken: %s", error)

    def _opened(self, sealed: str | None, again: str) -> str | None:
        if sealed is None:
            return None
        try:
            return self.master_key().unseal(sealed).decode()
        except (BadMasterKey, CannotUnseal) as error:
            raise CannotTell(
                "its secret cannot be opened with this node's master key; restore the key it was "
                f"sealed with, or give the secret anew: {again}"
            ) from error


def _logged(outbox: Outbox) -> Outbox:
    """The log has every alert, once."""
    for alert in waiting(outbox, LOG):
        _log.warning("%s", alert.text)
        outbox = told(outbox, alert, LOG)
    return outbox
