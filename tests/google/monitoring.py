"""Cloud Monitoring v3: time series, as a test says."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from tests.google.project import Project
from tests.google.refusal import Refusal, bad_field, invalid
from tests.google.service import Answer, Call, Json, Route, Service, page, seconds

_FILTER = re.compile(r'metric\.type\s*=\s*"([^"]+)"')
_ALIGNERS = frozenset(
    f"ALIGN_{name}"
    for name in [
        "NONE",
        "DELTA",
        "RATE",
        "INTERPOLATE",
        "NEXT_OLDER",
        "MIN",
        "MAX",
        "MEAN",
        "COUNT",
        "SUM",
        "STDDEV",
    ]
)
_REDUCERS = frozenset(
    f"REDUCE_{name}" for name in ["NONE", "MEAN", "MIN", "MAX", "SUM", "COUNT", "STDDEV"]
)
_QUERY = (
    "filter interval.startTime interval.endTime aggregation.alignmentPeriod "
    "aggregation.perSeriesAligner aggregation.crossSeriesReducer aggregation.groupByFields "
    "orderBy view pageSize pageToken"
)

Value = int | float


class Monitoring(Service):
    """series: what was measured, by metric type: one value, or several, oldest first; or one value
    for each value of a label, by which the request must group.

    unknown: metric types that do not exist; all others do, without data unless `series` has some.
    answer: what is answered instead to everything, as it is.
    """

    host = "monitoring.googleapis.com"
    title = "Cloud Monitoring API"
    messages = "cloudfunctions"
    free = True

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self.series: Mapping[str, Value | Sequence[Value] | Mapping[str, Value]] = {}
        self.unknown: set[str] = set()
        self.answer: bytes | None = None

    def routes(self) -> list[Route]:
        path = "v3/projects/{project}/timeSeries"
        return [Route("GET", path, self._list, query=_QUERY, needs="monitoring.timeSeries.list")]

    def _list(self, call: Call) -> Json | Answer:
        types = _FILTER.findall(call.query.get("filter", ""))
        if len(types) != 1:
            text = "Field filter had an invalid value: must specify exactly one metric type"
            raise bad_field("filter", text)
        start, end = _interval(call)
        _check_aggregation(call)
        if types[0] in self.unknown:
            text = (
                f'Cannot find metric(s) that match type = "{types[0]}". If a metric was created '
                "recently, it could take up to 10 minutes to become available. Please try again soon."
            )
            raise Refusal("NOT_FOUND", text)
        if self.answer is not None:
            return Answer(200, self.answer)
        measured = self.series.get(types[0], ())
        if isinstance(measured, Mapping):
            label = _grouped_by(call)
            found = [
                _series(types[0], (value,), start, end, {label: name})
                for name, value in measured.items()
            ]
            return page("timeSeries", found)
        values = measured if isinstance(measured, Sequence) else (measured,)
        return page("timeSeries", [_series(types[0], values, start, end)] if values else [])


def _grouped_by(call: Call) -> str:
    """The label, without which nothing that has one could be told apart."""
    field = call.query.get("aggregation.groupByFields", "")
    if not field.startswith("metric.labels."):
        raise bad_field("aggregation.groupByFields", "the test's series are told apart by a label")
    return field.removeprefix("metric.labels.")


def _series(
    type: str,
    values: Sequence[Value],
    start: str,
    end: str,
    labels: Mapping[str, str] | None = None,
) -> Json:
    """Points are newest first."""
    whole = all(isinstance(value, int) for value in values)
    return {
        "metric": {"type": type, **({"labels": dict(labels)} if labels else {})},
        "resource": {"type": "global", "labels": {}},
        "metricKind": "GAUGE",
        "valueType": "INT64" if whole else "DOUBLE",
        "points": [
            {
                "interval": {"startTime": start, "endTime": end},
                "value": {"int64Value": str(value)} if whole else {"doubleValue": value},
            }
            for value in reversed(values)
        ],
    }


def _interval(call: Call) -> tuple[str, str]:
    end = call.query.get("interval.endTime")
    if end is None:
        raise bad_field("interval.endTime", "Field interval.end_time had an invalid value: missing")
    start = call.query.get("interval.startTime", end)
    try:
        span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    except ValueError:
        raise invalid(
            f"Invalid value at 'interval' (type.googleapis.com/google.protobuf.Timestamp), \"{start}\""
        ) from None
    if span.total_seconds() < 0:
        raise invalid("Field interval had an invalid value: the start is after the end.")
    return start, end


def _check_aggregation(call: Call) -> None:
    aligner = call.query.get("aggregation.perSeriesAligner", "ALIGN_NONE")
    reducer = call.query.get("aggregation.crossSeriesReducer", "REDUCE_NONE")
    period = call.query.get("aggregation.alignmentPeriod")
    if aligner not in _ALIGNERS or reducer not in _REDUCERS:
        raise invalid(f'Invalid value at \'aggregation\' (TYPE_ENUM), "{aligner}", "{reducer}"')
    if aligner != "ALIGN_NONE" and (period is None or seconds(period, "alignment_period") < 60):
        raise invalid(
            "Field aggregation.alignmentPeriod had an invalid value: at least 60 seconds."
        )
    if reducer != "REDUCE_NONE" and aligner == "ALIGN_NONE":
        text = "The aggregation must have an aligner when a reducer is specified."
        raise bad_field("aggregation.perSeriesAligner", text)
