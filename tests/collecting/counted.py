"""A platform that counts what a test says."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.counters.protocol import Reading, Unknown
from shared.ha.allowances import Allowance


class Counted:
    """used: of each allowance, in its unit; of all others nothing. unknown: what cannot be said."""

    late = timedelta(minutes=4)

    def __init__(self) -> None:
        self.used: dict[str, float] = {}
        self.unknown: dict[str, str] = {}

    def read(self, asked: Mapping[str, Allowance], now: datetime) -> Mapping[str, Reading]:
        return {
            name: Unknown(self.unknown[name]) if name in self.unknown else self.used.get(name, 0.0)
            for name in asked
        }
