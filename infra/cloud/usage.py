"""What of the free tier was used by now, as Google's APIs tell it.

Counts come from Cloud Monitoring, some minutes late (https://cloud.google.com/monitoring/api/v3,
method `projects.timeSeries.list`; each metric of `_METRICS` is described under
https://cloud.google.com/monitoring/api/metrics_gcp), stocks from the service that keeps them. What
cannot be asked is unknown, with the reason; it is never taken for 0. Of allowances that belong to
a billing account other projects may use, too, which is not seen from here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from msgspec import Struct

from infra.cli.words import span_text, table
from infra.cloud.allowances import BYTES, allowances
from infra.cloud.api import Api, ApiError, Call, Unreachable, part
from shared.ha.allowances import Allowance, Window, began, ends

AT_ONCE = 8
"""Requests under way."""

_MINUTE = timedelta(minutes=1)
_SEEN_WITHIN = timedelta(days=2)
"""How old the newest measure of a stock may be: those of buckets come once a day."""

_BAR = 10
_LONGEST_REASON = 160


class Unknown(NamedTuple):
    why: str


Reading = float | Unknown
"""In the unit of the allowance."""


class Row(Struct, frozen=True, kw_only=True):
    """An allowance, and what of it was used since its window began, or is kept.

    used, share: None if unknown; then `unknown` says why. resets: when all is free again, in UTC;
    None for a stock. beyond: what happens to more, as in `billed at $0.09 per 100,000 documents`.
    """

    name: str
    title: str
    used: float | None
    amount: float
    unit: str
    share: float | None
    window: Window
    scope: str
    resets: datetime | None
    beyond: str
    unknown: str | None = None


class Usage(Struct, frozen=True, kw_only=True):
    """tightest: the name of the allowance of which the largest share is used, if anything is."""

    project: str
    region: str
    at: datetime
    rows: tuple[Row, ...]
    tightest: str | None


class _Metric(NamedTuple):
    """A metric of Cloud Monitoring. where: what else the filter says. stock: a gauge, of which the
    newest point of each series counts; else it counts what came since the point before."""

    type: str
    where: str = ""
    stock: bool = False


def _firestore(type: str) -> _Metric:
    # The other metrics of the same counts, without `_ops`, know no databases; these are the ones
    # recommended (https://cloud.google.com/firestore/native/docs/understand-performance-monitoring).
    database = 'resource.type="firestore.googleapis.com/Database"'
    return _Metric(f"firestore.googleapis.com/document/{type}_ops_count", database)


def _run(type: str, where: str = "") -> _Metric:
    revision = 'resource.type="cloud_run_revision"'
    return _Metric(f"run.googleapis.com/{type}", f"{revision} AND {where}" if where else revision)


_METRICS: Mapping[str, tuple[_Metric, ...]] = {
    "firestore.reads": (_firestore("read"),),
    "firestore.writes": (_firestore("write"),),
    "firestore.deletes": (_firestore("delete"),),
    "firestore.stored": (
        _Metric("firestore.googleapis.com/storage/data_and_index_storage_bytes", stock=True),
    ),
    "run.requests": (_run("request_count"),),
    # Seconds of vCPU and of GiB that were allotted while they are billed.
    "run.vcpu_seconds": (_run("container/cpu/allocation_time"),),
    "run.gib_seconds": (_run("container/memory/allocation_time"),),
    "run.egress": (_run("container/network/sent_bytes_count", 'metric.labels.kind="internet"'),),
    "tasks.operations": (
        _Metric("cloudtasks.googleapis.com/api/request_count"),
        _Metric("cloudtasks.googleapis.com/queue/task_attempt_count"),
    ),
    # Of every kind: live objects, and those that soft deletion still keeps.
    "storage.stored": (_Metric("storage.googleapis.com/storage/v2/total_bytes", stock=True),),
    "storage.class_a": (_Metric("storage.googleapis.com/api/request_count"),),
    "storage.class_b": (_Metric("storage.googleapis.com/api/request_count"),),
    # With what functions of the region read, which is free: never too little.
    "storage.egress": (_Metric("storage.googleapis.com/network/sent_bytes_count"),),
    "secrets.accesses": (
        _Metric(
            "serviceruntime.googleapis.com/api/request_count",
            'resource.type="consumed_api" AND '
            'resource.labels.service="secretmanager.googleapis.com" AND '
            "resource.labels.method="
            '"google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion"',
        ),
    ),
    "pubsub.volume": (
        _Metric("pubsub.googleapis.com/topic/byte_cost"),
        _Metric("pubsub.googleapis.com/subscription/byte_cost"),
    ),
    "logging.volume": (_Metric("logging.googleapis.com/billing/bytes_ingested"),),
    # Of machines of every size, in seconds.
    "compute.hours": (_Metric("compute.googleapis.com/instance/uptime"),),
}

_UNITS = {**BYTES, "hours": 3_600}
"""How many of what a metric counts make one of the unit."""

_READING = ("Get", "Head", "Read", "Test")
_FREE = ("Cancel", "Delete")


def usage(api: Api, region: str, now: datetime) -> Usage:
    """What of every allowance was used. now: with a zone."""
    given = allowances()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        readings = list(threads.map(partial(_reading, api, region, now), given.items()))
    return usage_of(api.project, region, now, given, dict(zip(given, readings, strict=True)))


def usage_of(
    project: str,
    region: str,
    now: datetime,
    given: Mapping[str, Allowance],
    readings: Mapping[str, Reading],
) -> Usage:
    """The same of what was read of each allowance. Pure."""
    rows = tuple(_row(name, given[name], readings[name], now) for name in given)
    used = [row for row in rows if row.share]
    tightest = max(used, key=lambda row: row.share or 0.0).name if used else None
    return Usage(project=project, region=region, at=now, rows=rows, tightest=tightest)


def usage_text(usage: Usage) -> str:
    """For a terminal."""
    headings = ("allowance", "used", "free", "share", "all free again", "beyond it")
    lines = [table(headings, [_cells(row, usage.at) for row in usage.rows]), "", _tightest(usage)]
    own = dict.fromkeys(row.name.partition(".")[0] for row in usage.rows if row.scope == "project")
    if any(row.scope != "project" for row in usage.rows):
        lines.append(
            f"The project has allowances of its own for {' and '.join(own) or 'nothing'}. The "
            "others belong to the billing account,\nwhose other projects are not seen here."
        )
    unknown = [f"  {row.name}: {row.unknown}" for row in usage.rows if row.unknown is not None]
    return "\n".join([*lines, *(["", "Unknown:"] if unknown else []), *unknown])


def _row(name: str, allowance: Allowance, reading: Reading, now: datetime) -> Row:
    unknown = reading.why if isinstance(reading, Unknown) else None
    used = None if isinstance(reading, Unknown) else reading
    return Row(
        name=name,
        title=allowance.title,
        used=used,
        amount=allowance.amount,
        unit=allowance.unit,
        share=None if used is None else used / allowance.amount,
        window=allowance.window,
        scope=allowance.scope,
        resets=ends(allowance.window, now),
        beyond=_beyond(allowance),
        unknown=unknown,
    )


# What is read


def _reading(api: Api, region: str, now: datetime, asked: tuple[str, Allowance]) -> Reading:
    name, allowance = asked
    try:
        if name in _METRICS:
            return _measured(api, name, allowance, now)
        if name in _LISTS:
            return _LISTS[name](api, region, now)
    except ApiError as error:
        return Unknown(_why(error))
    except Unreachable as error:
        return Unknown(str(error))
    return Unknown("no API tells it")


def _measured(api: Api, name: str, allowance: Allowance, now: datetime) -> float:
    counted = _CLASSES.get(name)
    total = 0.0
    for metric in _METRICS[name]:
        series = api.pages(
            "monitoring",
            f"v3/projects/{part(api.project)}/timeSeries",
            "timeSeries",
            _query(metric, allowance.window, now),
        )
        total += newest(series) if metric.stock else summed(series, counted)
    return total / _UNITS.get(allowance.unit, 1)


def _query(metric: _Metric, window: Window, now: datetime) -> dict[str, str]:
    """Asks for one point of each series: its sum from the beginning of the window on, in whole
    minutes, which is as exact as the service aligns; or its newest value.

    (https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#Aligner)
    """
    until = now.replace(second=0, microsecond=0)
    start = began(window, now) if not metric.stock else until - _SEEN_WITHIN
    if start is None:
        raise ValueError(f"{metric.type} counts what comes, and a stock is no window for it")
    until = max(until, start + _MINUTE)  # no shorter period can be asked for
    is_of_type = f'metric.type="{metric.type}"'
    return {
        "filter": f"{is_of_type} AND {metric.where}" if metric.where else is_of_type,
        "interval.startTime": _stamp(start),
        "interval.endTime": _stamp(until),
        "aggregation.alignmentPeriod": f"{(until - start).total_seconds():.0f}s",
        "aggregation.perSeriesAligner": "ALIGN_NEXT_OLDER" if metric.stock else "ALIGN_SUM",
    }


def summed(
    series: Iterable[Mapping[str, Any]],
    counts: Callable[[str], bool] | None = None,
) -> float:
    """All points of all series. counts: whether those of a label `method` count. No series means
    that nothing happened."""
    return sum(
        _value(point)
        for each in series
        if counts is None or counts(each.get("metric", {}).get("labels", {}).get("method", ""))
        for point in each.get("points", ())
    )


def newest(series: Iterable[Mapping[str, Any]]) -> float:
    """Of each series the newest point, which is its first, together."""
    return sum(_value(point) for each in series for point in each.get("points", ())[:1])


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


def _value(point: Mapping[str, Any]) -> float:
    """The API says 64-bit integers as texts."""
    value = point["value"]
    return float(value["int64Value"] if "int64Value" in value else value.get("doubleValue", 0.0))


def _versions(api: Api, region: str, now: datetime) -> float:  # noqa: ARG001 - as its siblings
    """Those not destroyed, of all secrets
    (https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions)."""
    secrets = api.pages("secretmanager", f"v1/projects/{part(api.project)}/secrets", "secrets")
    return float(
        sum(
            version.get("state") != "DESTROYED"
            for secret in secrets
            for version in api.pages("secretmanager", f"v1/{secret['name']}/versions", "versions")
        )
    )


def _images(api: Api, region: str, now: datetime) -> float:  # noqa: ARG001
    """GB of all repositories of the region
    (https://cloud.google.com/artifact-registry/docs/reference/rest/v1/projects.locations.repositories)."""
    found = api.pages("artifactregistry", f"v1/{_at(api, region)}/repositories", "repositories")
    return sum(int(repository.get("sizeBytes", 0)) for repository in found) / BYTES["GB"]


def _minutes(api: Api, region: str, now: datetime) -> float:
    """Of builds that began this month, from their start on: waiting in line is free. Those of one
    that goes on count, too (https://cloud.google.com/build/docs/api/reference/rest/v1/projects.locations.builds)."""
    since = began("month", now)
    query = {"filter": f'create_time>="{_stamp(since)}"', "pageSize": "1000"} if since else {}
    # Functions are built in their region; whoever builds by hand does so globally.
    found = [
        build
        for where in (region, "global")
        for build in api.pages("cloudbuild", f"v1/{_at(api, where)}/builds", "builds", query)
    ]
    return sum(map(partial(_took, now=now), found)) / 60


def _took(build: Mapping[str, Any], now: datetime) -> float:
    """Seconds."""
    if "startTime" not in build:
        return 0.0
    finished = datetime.fromisoformat(build["finishTime"]) if "finishTime" in build else now
    return max(0.0, (finished - datetime.fromisoformat(build["startTime"])).total_seconds())


def _jobs(api: Api, region: str, now: datetime) -> float:  # noqa: ARG001
    """(https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs)"""
    return float(sum(1 for _ in api.pages("cloudscheduler", f"v1/{_at(api, region)}/jobs", "jobs")))


def _disks(api: Api, region: str, now: datetime) -> float:  # noqa: ARG001
    """GB of standard disks in all zones
    (https://cloud.google.com/compute/docs/reference/rest/v1/disks/aggregatedList)."""
    path = f"compute/v1/projects/{part(api.project)}/aggregated/disks"
    found = api.call(Call("GET", "compute", path))  # a page of 500 disks: nobody has more
    disks = [disk for zone in found.get("items", {}).values() for disk in zone.get("disks", ())]
    standard = (disk for disk in disks if str(disk.get("type", "")).endswith("/pd-standard"))
    return float(sum(int(disk.get("sizeGb", 0)) for disk in standard))


_LISTS: Mapping[str, Callable[[Api, str, datetime], float]] = {
    "secrets.versions": _versions,
    "artifacts.stored": _images,
    "build.minutes": _minutes,
    "scheduler.jobs": _jobs,
    "compute.disk": _disks,
}


def _at(api: Api, location: str) -> str:
    return f"projects/{part(api.project)}/locations/{location}"


def _stamp(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _why(error: ApiError) -> str:
    service = f"{error.service}.googleapis.com"
    if error.reason == "SERVICE_DISABLED":
        return f"{service} is not enabled in the project"
    said = " ".join(error.message.split())[:_LONGEST_REASON]
    return f"{service} answers {error.status} {error.code}".rstrip() + f": {said}"


# How it is said


def _cells(row: Row, now: datetime) -> Sequence[str]:
    each = {"day": " a day", "month": " a month", "stock": ""}[row.window]
    free = f"{_number(row.amount)} {row.unit}{each}"
    resets = "when some are deleted" if row.resets is None else f"in {_in(row.resets, now)}"
    beyond = row.beyond.removeprefix("billed at ")
    if row.used is None or row.share is None:
        return (row.name, "unknown", free, "", resets, beyond)
    return (row.name, _number(row.used), free, _bar(row.share), resets, beyond)


def _tightest(usage: Usage) -> str:
    row = next((row for row in usage.rows if row.name == usage.tightest), None)
    if row is None or row.share is None:
        return "Nothing is used."
    says = f"Tightest: {row.name} ({row.title}), of which {_percent(row.share)} is used"
    return f"{says}. What is beyond it is {row.beyond}."


def _beyond(allowance: Allowance) -> str:
    if allowance.beyond == "refused":
        return "refused"
    per = "" if allowance.per == 1 else f"{_number(allowance.per)} "
    month = " and month" if allowance.window == "stock" else ""
    unit = allowance.unit.removesuffix("s") if allowance.per == 1 else allowance.unit
    return f"billed at ${_price(allowance.price)} per {per}{unit}{month}"


def _price(usd: float) -> str:
    return f"{usd:.2f}" if round(usd, 2) == usd else f"{usd:.7f}".rstrip("0")


def _bar(share: float) -> str:
    """`[##        ]  23 %`"""
    filled = min(_BAR, round(share * _BAR))
    return f"[{'#' * filled}{' ' * (_BAR - filled)}] {_percent(share):>6}"


def _percent(share: float) -> str:
    if 0 < share < 0.01:
        return "< 1 %"
    return f"{share:,.0%}".replace("%", " %")


def _number(value: float) -> str:
    if value == int(value) or value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if value >= 0.01 else "< 0.01"


def _in(then: datetime, now: datetime) -> str:
    return span_text((then - now).total_seconds())
