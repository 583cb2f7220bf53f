"""ntfy: a message to a topic, which its app shows on a phone (https://docs.ntfy.sh/publish/)."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from shared.alerting.http import checked_token, checked_url, post
from shared.alerting.protocol import BadChannel, is_good, title_of
from shared.ha.outbox import Alert

NAME = "ntfy"
ASKS = "access token, where the server asks for one"

_TOPIC = r"^[-_A-Za-z0-9]{1,64}$"
_HIGH, _USUAL = "4", "3"


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """topic: whoever knows it can read it, unless the server asks for a token."""

    topic: Annotated[str, msgspec.Meta(pattern=_TOPIC)]
    server: str = "https://ntfy.sh"


def checked(options: Mapping[str, Any], secret: str | None) -> dict[str, Any]:
    try:
        found = msgspec.convert(dict(options), Options)
    except msgspec.ValidationError as error:
        raise BadChannel(f"{NAME}: {error}; write --set topic=TOPIC") from None
    if secret is not None:
        checked_token(secret, "an access token of ntfy")
    server = checked_url(found.server, "server").rstrip("/")
    return {"topic": found.topic, "server": server}


def send(options: Mapping[str, Any], secret: str | None, alert: Alert) -> None:
    headers = {
        "Title": title_of(alert).encode("ascii", "replace").decode(),
        "Priority": _USUAL if is_good(alert) else _HIGH,
        "Tags": "white_check_mark" if is_good(alert) else "warning",
    }
    post(f"{options['server']}/{options['topic']}", alert.text.encode(), headers, secret)
