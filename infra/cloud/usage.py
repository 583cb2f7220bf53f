"""What of the free tier was used by now, as Google's APIs tell it.

Counts come from Cloud Monitoring (`shared.counters`), some minutes late, stocks from the service
that keeps them. What cannot be asked is unknown, with the reason; it is never taken for 0. Of
allowances that belong to a billing account other projects may use, too, which is not seen from
here.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct

from infra.cli.words import span_text, table
from infra.cloud.allowances import allowances
from infra.cloud.api import Api, ApiError, Call, Unreachable, part
from shared.counters.metrics import Answer, Query, queries, readings, refused, stamp
from shared.counters.protocol import Reading, Unknown
from shared.ha.allowances import BYTES, Allowance, Window, began, ends

AT_ONCE = 8
"""Requests under way."""

_BAR = 10


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


def usage(api: Api, region: str, now: datetime) -> Usage:
    """What of every allowance was used. now: with a zone."""
    given = allowances()
    counted = {name: allowance for name, allowance in given.items() if name not in _LISTS}
    asked = queries(counted)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = threads.map(partial(_answer, api, now), asked)
        listed = threads.map(partial(_listed, api, region, now), _LISTS)
        found = readings(counted, dict(zip(asked, answers, strict=True)))
        found.update(zip(_LISTS, listed, strict=True))
    told = {name: found.get(name, Unknown("no API tells it")) for name in given}
    return usage_of(api.project, region, now, given, told)


def usage_of(
    project: str,
    region: str,
    now: datetime,
    given: Mapping[str, Allowance],
    found: Mapping[str, Reading],
) -> Usage:
    """The same of what was read of each allowance. Pure."""
    rows = tuple(_row(name, given[name], found[name], now) for name in given)
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


def _answer(api: Api, now: datetime, query: Query) -> Answer:
    path = f"v3/projects/{part(api.project)}/timeSeries"
    try:
        return list(api.pages("monitoring", path, "timeSeries", query.parameters(now)))
    except (ApiError, Unreachable) as error:
        return _why(error)


def _listed(api: Api, region: str, now: datetime, name: str) -> Reading:
    try:
        return _LISTS[name](api, region, now)
    except (ApiError, Unreachable) as error:
        return _why(error)


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
    query = {"filter": f'create_time>="{stamp(since)}"', "pageSize": "1000"} if since else {}
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


def _why(error: ApiError | Unreachable) -> Unknown:
    if isinstance(error, Unreachable):
        return Unknown(str(error))
    return refused(error.service, error.status, error.code, error.reason, error.message)


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
