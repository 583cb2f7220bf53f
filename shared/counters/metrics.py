"""The metrics of Cloud Monitoring that tell what of an allowance was used. Pure.

(https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/list; each metric is
described under https://cloud.google.com/monitoring/api/metrics_gcp)

A request names one metric. What all tell takes 18 requests, whose answers are one series each, or
one for each method; without machines and Pub/Sub, of which a collector spends nothing, it takes 15.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from shared.counters.protocol import Reading, Unknown
from shared.ha.allowances import BYTES, Allowance, Window, began

_MINUTE = timedelta(minutes=1)
_SEEN_WITHIN = timedelta(days=2)
"""How old the newest measure of a stock may be: those of buckets come once a day."""
LATE = timedelta(minutes=5)
"""After which the others are there: taken each minute, they are seen at most four later. Only what
is read of secrets is seen half an hour later."""

_LONGEST_REASON = 160

Series = Mapping[str, Any]
"""As the API says it."""

Answer = Sequence[Series] | Unknown


class Metric(NamedTuple):
    """where: what else the filter says. stock: a gauge, of which the newest value counts; else it
    counts what came since the point before. by: a label that tells apart what counts."""

    type: str
    where: str = ""
    stock: bool = False
    by: str = ""


class Query(NamedTuple):
    """A request for what a metric counted in the window."""

    metric: Metric
    window: Window

    def parameters(self, now: datetime) -> dict[str, str]:
        """Of the URL. Asks for one point: the sum of all series from the beginning of the window
        on, in whole minutes, which is as exact as the service aligns; or of their newest values.

        (https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#Aggregation)
        """
        metric = self.metric
        until = now.replace(second=0, microsecond=0)
        start = began(self.window, now) if not metric.stock else until - _SEEN_WITHIN
        if start is None:
            raise ValueError(f"{metric.type} counts what comes, and a stock is no window for it")
        until = max(until, start + _MINUTE)  # no shorter period can be asked for
        is_of_type = f'metric.type="{metric.type}"'
        grouped = {"aggregation.groupByFields": f"metric.labels.{metric.by}"} if metric.by else {}
        return {
            "filter": f"{is_of_type} AND {metric.where}" if metric.where else is_of_type,
            "interval.startTime": stamp(start),
            "interval.endTime": stamp(until),
            "aggregation.alignmentPeriod": f"{(until - start).total_seconds():.0f}s",
            "aggregation.perSeriesAligner": "ALIGN_NEXT_OLDER" if metric.stock else "ALIGN_SUM",
            "aggregation.crossSeriesReducer": "REDUCE_SUM",
            **grouped,
        }


def _firestore(type: str) -> Metric:
    # The other metrics of the same counts, without `_ops`, know no databases; these are the ones
    # recommended (https://cloud.google.com/firestore/native/docs/understand-performance-monitoring).
    database = 'resource.type="firestore.googleapis.com/Database"'
    return Metric(f"firestore.googleapis.com/document/{type}_ops_count", database)


def _run(type: str, where: str = "") -> Metric:
    revision = 'resource.type="cloud_run_revision"'
    return Metric(f"run.googleapis.com/{type}", f"{revision} AND {where}" if where else revision)


def _stock(type: str) -> Metric:
    return Metric(type, stock=True)


_OBJECTS = Metric("storage.googleapis.com/api/request_count", by="method")

_METRICS: Mapping[str, tuple[Metric, ...]] = {
    "firestore.reads": (_firestore("read"),),
    "firestore.writes": (_firestore("write"),),
    "firestore.deletes": (_firestore("delete"),),
    "firestore.stored": (_stock("firestore.googleapis.com/storage/data_and_index_storage_bytes"),),
    "run.requests": (_run("request_count"),),
    # Seconds of vCPU and of GiB that were allotted while they are billed.
    "run.vcpu_seconds": (_run("container/cpu/allocation_time"),),
    "run.gib_seconds": (_run("container/memory/allocation_time"),),
    "run.egress": (_run("container/network/sent_bytes_count", 'metric.labels.kind="internet"'),),
    "tasks.operations": (
        Metric("cloudtasks.googleapis.com/api/request_count"),
        Metric("cloudtasks.googleapis.com/queue/task_attempt_count"),
    ),
    # Of every kind: live objects, and those that soft deletion still keeps.
    "storage.stored": (_stock("storage.googleapis.com/storage/v2/total_bytes"),),
    "storage.class_a": (_OBJECTS,),
    "storage.class_b": (_OBJECTS,),
    # With what functions of the region read, which is free: never too little.
    "storage.egress": (Metric("storage.googleapis.com/network/sent_bytes_count"),),
    "secrets.accesses": (
        Metric(
            "serviceruntime.googleapis.com/api/request_count",
            'resource.type="consumed_api" AND '
            'resource.labels.service="secretmanager.googleapis.com" AND '
            "resource.labels.method="
            '"google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion"',
        ),
    ),
    "pubsub.volume": (
        Metric("pubsub.googleapis.com/topic/byte_cost"),
        Metric("pubsub.googleapis.com/subscription/byte_cost"),
    ),
    "logging.volume": (Metric("logging.googleapis.com/billing/bytes_ingested"),),
    # Of machines of every size, in seconds.
    "compute.hours": (Metric("compute.googleapis.com/instance/uptime"),),
}

_UNITS = {**BYTES, "hours": 3_600}
"""How many of what a metric counts make one of the unit."""

_READING = ("Get", "Head", "Read", "Test")
_FREE = ("Cancel", "Delete")


def queries(asked: Mapping[str, Allowance]) -> list[Query]:
    """All that is to be asked about these, each once."""
    found = (
        Query(metric, allowance.window)
        for name, allowance in asked.items()
        for metric in _METRICS.get(name, ())
    )
    return list(dict.fromkeys(found))


def readings(asked: Mapping[str, Allowance], answers: Mapping[Query, Answer]) -> dict[str, Reading]:
    """What the answers to `queries` of these come to; what no metric tells is left out."""
    return {
        name: _reading(name, allowance, answers)
        for name, allowance in asked.items()
        if name in _METRICS
    }


def refused(service: str, status: int, code: str, reason: str, message: str) -> Unknown:
    """What is unknown since an API refused the request. service: the first part of its host. code,
    reason: Google's, such as `PERMISSION_DENIED` and `SERVICE_DISABLED`."""
    host = f"{service}.googleapis.com"
    if reason == "SERVICE_DISABLED":
        return Unknown(f"{host} is not enabled in the project")
    said = " ".join(message.split())[:_LONGEST_REASON]
    return Unknown(f"{host} answers {status} {code}".rstrip() + f": {said}")


def stamp(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def is_class_b(method: str) -> bool:
    """Whether an operation of Cloud Storage reads a thing or looks at it. What is not known is
    taken for the dearer kind (https://cloud.google.com/storage/pricing#operations-by-class)."""
    return method.startswith(_READING)


def is_class_a(method: str) -> bool:
    return not is_class_b(method) and not method.startswith(_FREE)


_CLASSES: Mapping[str, Callable[[str], bool]] = {
    "storage.class_a": is_class_a,
    "storage.class_b": is_class_b,
}
"""Of which values of the label `by` the counts count; of the others all."""


def _reading(name: str, allowance: Allowance, answers: Mapping[Query, Answer]) -> Reading:
    total = 0.0
    for metric in _METRICS[name]:
        answer = answers[Query(metric, allowance.window)]
        if isinstance(answer, Unknown):
            return answer
        try:
            total += _newest(answer) if metric.stock else _summed(answer, metric.by, name)
        except (AttributeError, KeyError, TypeError, ValueError):
            return Unknown(f"what was answered of {metric.type} cannot be read")
    return total / _UNITS.get(allowance.unit, 1)


def _summed(series: Iterable[Series], by: str, name: str) -> float:
    """All points. No series means that nothing happened."""
    counts = _CLASSES.get(name)
    return sum(
        _value(point)
        for each in series
        if counts is None or counts(each.get("metric", {}).get("labels", {}).get(by, ""))
        for point in each.get("points", ())
    )


def _newest(series: Iterable[Series]) -> float:
    """Of each series the newest point, which is its first, together."""
    return sum(_value(point) for each in series for point in each.get("points", ())[:1])


def _value(point: Mapping[str, Any]) -> float:
    """The API says 64-bit integers as texts."""
    value = point["value"]
    return float(value["int64Value"] if "int64Value" in value else value.get("doubleValue", 0.0))
