"""A JSON document posted to an address. Its address is its secret."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.alerting.http import checked_url, post
from shared.alerting.protocol import BadChannel, title_of
from shared.ha.outbox import Alert

NAME = "webhook"
ASKS = "URL that alerts are posted to"


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """There is nothing to say."""


def checked(options: Mapping[str, Any], secret: str | None) -> dict[str, Any]:
    if options:
        raise BadChannel(f"{NAME} has no option {', '.join(sorted(options))}")
    checked_url(secret or "", "the secret of a webhook")
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
    post(secret or "", msgspec.json.encode(body), headers)
