"""Records as bytes, if they are not too large for any adapter."""

from shared.model import packing
from shared.model.records import NamedRecord, Report, canonical
from shared.store.protocol import ID_LIMIT, RECORD_LIMIT


def packed_report(report: Report) -> bytes:
    """`packing.pack` within `RECORD_LIMIT`; `ValueError` beyond."""
    packed = packing.pack(report)
    return packed if len(packed) <= RECORD_LIMIT else _bounded("report", packed)


def packed_record(record: NamedRecord) -> bytes:
    """`canonical` within `RECORD_LIMIT`, of an id within `ID_LIMIT`; `ValueError` beyond."""
    kind = type(record).__name__
    if len(record.id.encode()) > ID_LIMIT:
        raise ValueError(f"the id of a {kind} is larger than {ID_LIMIT} bytes; use its hash")
    return _bounded(kind, canonical(record))


def _bounded(what: str, data: bytes) -> bytes:
    if len(data) > RECORD_LIMIT:
        raise ValueError(
            f"a {what} of {len(data)} bytes is larger than {RECORD_LIMIT} bytes; "
            "keep what is long as raw"
        )
    return data
