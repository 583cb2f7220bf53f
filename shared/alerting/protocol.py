"""What a channel is: one way to tell somebody of an alert."""

from collections.abc import Mapping
from typing import Any, Protocol

from shared.ha.outbox import Alert

SILENT = 10.0
"""Seconds that a server may be silent."""
WITHIN = 15.0
"""Seconds that all of it may take, once it is connected."""


class BadChannel(ValueError):
    """The options of a channel cannot be used; the text says which, and what to write."""


class CannotTell(Exception):
    """The alert was not taken, or nobody knows; the text says what to do, and holds no secret."""


class Channel(Protocol):
    """NAME: as owners write it. ASKS: what its secret is, for whoever is asked for it."""

    @property
    def NAME(self) -> str: ...  # noqa: N802 - constants of a module

    @property
    def ASKS(self) -> str: ...  # noqa: N802

    def checked(self, options: Mapping[str, Any], secret: str | None) -> dict[str, Any]:
        """The options as they are kept. `BadChannel`."""
        ...

    def send(self, options: Mapping[str, Any], secret: str | None, alert: Alert) -> None:
        """Returns once the alert was taken. It may be told more than once, and then has the same
        id. options: as `checked` gave them. `CannotTell`, about `WITHIN` seconds later at most."""
        ...


def title_of(alert: Alert) -> str:
    """In a few words, on one line."""
    words = _TITLES[alert.kind].format(alert.collector or "").split()
    return " ".join(["Yurt:", *words])


def is_good(alert: Alert) -> bool:
    """Whether it is of something that is well again."""
    return alert.kind in ("recovered", "heard", "ticked", "fits", "back")


_TITLES: Mapping[str, str] = {
    "late": "{} is late",
    "failed": "{} failed",
    "recovered": "{} works again",
    "stuck": "a run of {} hung",
    "suspended": "{} is not begun again today",
    "silence": "nothing is heard of most collectors",
    "heard": "collectors are heard of again",
    "blind": "nobody could look after collectors",
    "unticked": "nobody begins collectors",
    "ticked": "collectors are begun again",
    "held": "collectors wait",
    "overcommitted": "the quotas do not hold",
    "fits": "the quotas hold again",
    "quiet": "a phone has gone quiet",
    "back": "a phone reports again",
    "unreadable": "what is configured cannot be read",
    "dropped": "alerts were not told",
    "test": "a test",
}
