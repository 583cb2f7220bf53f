"""Who is told what, and the sign of life after each sweep."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.alerting import http
from shared.alerting.configured import ALERTING, Alerting, Told
from shared.alerting.protocol import CannotTell, Channel
from shared.ha.outbox import Alert, Outbox, failed, is_asked, settled, told, with_dropped
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
    """channels: the kinds there are. master_key: what secrets are opened with. monotonic: seconds,
    of how long it takes."""

    store: Store
    channels: Mapping[str, Channel]
    master_key: Callable[[], MasterKey]
    clock: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic
    _pinged: datetime | None = field(default=None, init=False)

    def tell(self, outbox: Outbox) -> Outbox:
        """Tells what is in it on every channel, and gives what is left. It never raises: what is
        not told stays."""
        if not outbox.alerts and not outbox.dropped:
            return outbox
        outbox = with_dropped(outbox, self.clock())
        for alert in outbox.alerts:
            if LOG not in alert.told:
                _log.warning("%s", alert.text)
                outbox = told(outbox, alert.id, LOG)
        try:
            configured = current(self.store, ALERTING, Alerting()).channels
        except StoreError as error:
            _log.error("alerts are told later: %s", error)
            return outbox
        until = self.monotonic() + FOR
        for name, channel in configured.items():
            outbox = self._on(name, channel, outbox, until)
        return settled(outbox, [LOG, *configured])

    def _on(self, name: str, channel: Told, outbox: Outbox, until: float) -> Outbox:
        if not is_asked(outbox, name, self.clock()):
            return outbox
        for alert in outbox.alerts:
            if name in alert.told:
                continue
            if self.monotonic() >= until:
                return outbox
            try:
                self.send(name, channel, alert)
            except CannotTell as error:
                _log.error("the channel %s told nothing: %s", name, error)
                return failed(outbox, name, str(error), self.clock())
            outbox = told(outbox, alert.id, name)
        return outbox

    def send(self, name: str, channel: Told, alert: Alert) -> None:
        """On one channel. `CannotTell`."""
        kind = self.channels.get(channel.kind)
        if kind is None:
            raise CannotTell(f"this version of Yurt knows no channel {channel.kind}")
        secret = self._opened(channel.sealed, f"yurt alerts add {name} {channel.kind} --secret")
        kind.send(channel.options, secret, alert)

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
