"""The channels there are, by name."""

from collections.abc import Mapping

from shared.alerting import mail, ntfy, webhook
from shared.alerting.protocol import Channel

_ALL: tuple[Channel, ...] = (mail, webhook, ntfy)
CHANNELS: Mapping[str, Channel] = {channel.NAME: channel for channel in _ALL}
