"""Rejects of an import: what could not be read is kept, with the reason."""

from datetime import datetime

from shared.model.ids import content_id, named_id
from shared.model.records import Reject
from shared.model.steps import Bad

MOST_KEPT = 64 * 1024
"""Bytes of one reject that are kept: enough to see what it is."""


def reject_of(
    bad: Bad, *, source: str, version: int, path: str, export: str, now: datetime
) -> tuple[Reject, bytes]:
    """The reject, and its raw bytes. Reading the same again gives the same."""
    raw = bad.data[:MOST_KEPT]
    where = f"{path}: {bad.where}" if bad.where else path
    sha256 = content_id(raw)
    record = Reject(
        id=named_id("reject", export, where, sha256),
        source=source,
        source_version=version,
        raw=sha256,
        where=where,
        reason=bad.reason,
        time=now,
        size=bad.size,
        truncated=len(raw) < bad.size,
    )
    return record, raw
