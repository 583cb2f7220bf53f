"""What a test asks an IMAP server of this machine for."""

from datetime import UTC, datetime
from typing import Any

from shared.model.profile import Profile
from shared.services import imap
from shared.services.protocol import Asked

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def request(
    port: int, cursor: str | None, secret: str | None, most: int = 1_000, **more: Any
) -> Asked:
    """more: options, at least the user."""
    options = {"host": "127.0.0.1", "port": port, "security": "none", **more}
    return Asked(
        collector="mail",
        options=imap.checked(options),
        secret=secret,
        cursor=cursor,
        now=NOW,
        profile=Profile(),
        most=most,
    )
