"""What no store can keep: found before one is asked, so that it costs a reject and not the job."""

from collections.abc import Sequence

import msgspec

from shared.model.records import AnyRecord, Fix, Status
from shared.model.steps import Bad, Step
from shared.store.limits import packed_record, packed_report
from shared.store.protocol import RECORD_LIMIT

_REFUSALS = (ValueError, OverflowError, TypeError, RecursionError, msgspec.MsgspecError)
_encoder = msgspec.msgpack.Encoder()


def keepable(step: Step) -> Step:
    """The step, where what cannot be kept is bad instead: too large, no Unicode, no number."""
    # A tuple, as a union would be made anew for each of them.
    reports = [record for record in step.records if isinstance(record, (Fix, Status))]
    named = len(step.records) - len(reports)
    if _are_usual(reports) and not named:
        return step
    faults = {id(record): fault for record in step.records if (fault := _fault_of(record))}
    if not faults:
        return step
    return step._replace(
        records=[record for record in step.records if id(record) not in faults],
        bad=[
            *step.bad,
            *(
                _bad(step, record, faults[id(record)])
                for record in step.records
                if id(record) in faults
            ),
        ],
    )


def _are_usual(reports: Sequence[Fix | Status]) -> bool:
    """Whether all of them can be kept: quickly, since there are millions."""
    try:
        small = len(_encoder.encode(reports)) <= RECORD_LIMIT
    except _REFUSALS:
        return False
    return small and all(
        -90 <= report.lat <= 90 and -180 <= report.lon <= 180
        for report in reports
        if type(report) is Fix
    )


def _is_on_earth(report: Fix | Status) -> bool:
    return not isinstance(report, Fix) or (abs(report.lat) <= 90 and abs(report.lon) <= 180)


def _fault_of(record: AnyRecord) -> str | None:
    try:
        if isinstance(record, Fix | Status):
            packed_report(record)
            _encoder.encode(record)
            return None if _is_on_earth(record) else "it is nowhere on Earth"
        # JSON has no NaN: what was written could not be read again.
        msgspec.json.decode(packed_record(record), type=type(record))
    except UnicodeError:
        return "its text is not Unicode"
    except _REFUSALS as error:
        return str(error) or type(error).__name__
    return None


def _bad(step: Step, record: AnyRecord, fault: str) -> Bad:
    kind = type(record).__name__.lower()
    data = step.raws.get(record.raw or "") or repr(record).encode("utf-8", "backslashreplace")
    reason = f"what was read of it, a {kind}, cannot be kept: {fault}"
    return Bad(record.where or "", reason, data, len(data))
