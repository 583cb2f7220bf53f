"""Who is told: one document in the store, with the secrets under the master key."""

from typing import Any, ClassVar

from msgspec import Struct

from shared.model.time import Instant

ALERTING = "alerting"
"""The name of the document in the store."""
MOST = 20
"""Channels."""


class Told(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One channel. kind: its module's name. options: as it checked them. sealed: its secret."""

    kind: str
    created: Instant
    options: dict[str, Any] = {}
    sealed: str | None = None


class Alerting(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """channels: by name. ping: sealed; the URL that is asked for after each sweep."""

    SHAPE: ClassVar[int] = 1
    MENDED: ClassVar[str] = "add each channel anew: yurt alerts add --help"

    channels: dict[str, Told] = {}
    ping: str | None = None

    @property
    def sealed(self) -> dict[str, str]:
        """The secrets, by what owners call their place."""
        held = {name: told.sealed for name, told in self.channels.items() if told.sealed}
        return held if self.ping is None else {**held, "ping": self.ping}
