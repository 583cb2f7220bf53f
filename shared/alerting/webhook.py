"""A JSON document posted to an address. Its address is its secret."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.alerting.http import checked_token, checked_url, post
from shared.alerting.protocol import BadChannel, title_of
from shared.ha.outbox import Alert

NAME = "webhook"
ASKS = "URL that alerts are posted to (with a bearer token after a space, if it wants one)"


def checked(options: Mapping[str, Any], secret: str | None) -> dict[str, Any]:
    if options:
        raise BadChannel(
            f"{NAME} has no option {', '.join(sorted(options))}; its URL is its secret: --secret"
        )
    url, token = _parts(secret)
    checked_url(url, "the secret of a webhook (--secret)")
    if token is not None:
        checked_token(token, "the bearer token of a webhook")
    return {}


def send(options: Mapping[str, Any], secret: str | None, alert: Alert) -> None:  # noqa: ARG001
    """`text` is what chat servers show of a webhook; the other members are for programs."""
    body = {
        "id": alert.id,
        "kind": alert.kind,
        "at": alert.at,
        "collector": alert.collector,
        "title": title_of(alert),
        "text": alert.text,
    }
    headers = {"Content-Type": "application/json", "Idempotency-Key": alert.id}
    url, token = _parts(secret)
    post(url, msgspec.json.encode(body), headers, token)


def _parts(secret: str | None) -> tuple[str, str | None]:
    """The URL, and the token after it."""
    url, _, token = (secret or "").strip().partition(" ")
    return url, token.strip() or None
