"""Requests as apps make them, decoded as `ingest` does."""

import json
from datetime import UTC, datetime
from typing import Any

from shared.model.records import Fix, Reject, Status
from shared.sources.push import Decoded, Push, PushSource, with_rejects

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DEVICE = "phone1"


def a_push(
    body: bytes | str | dict[str, Any] | list[Any],
    *,
    key: bytes | None = None,
    earlier_keys: tuple[bytes, ...] = (),
    renewing: bool = False,
    user_agent: str = "",
    received: datetime = NOW,
) -> Push:
    if isinstance(body, dict | list):
        body = json.dumps(body)
    raw = body.encode() if isinstance(body, str) else body
    return Push(
        body=raw,
        device=DEVICE,
        received=received,
        key=key,
        earlier_keys=earlier_keys,
        renewing=renewing,
        user_agent=user_agent,
    )


def read(source: PushSource, push: Push) -> Decoded:
    return with_rejects(source, push, source.decode(push))


def the_fix(source: PushSource, push: Push) -> Fix:
    (record,) = read(source, push).records
    assert isinstance(record, Fix), record
    return record


def the_status(source: PushSource, push: Push) -> Status:
    (record,) = read(source, push).records
    assert isinstance(record, Status), record
    return record


def the_reject(source: PushSource, push: Push) -> tuple[Reject, bytes]:
    """The only record of a push, and the raw bytes it keeps."""
    decoded = read(source, push)
    (record,) = decoded.records
    assert isinstance(record, Reject), record
    assert record.raw is not None
    return record, decoded.raws[record.raw]
