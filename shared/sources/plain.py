"""Yurt's own plain JSON, for scripts and for apps whose message the user writes.

`POST /report` with one report, a JSON array of reports, or `{"reports": [...]}`. Members are named
as in a `Fix`, in its units; `Report` below says what each may hold. Only `time` must be there; a
report with neither `lat` nor `lon` is a sign of life. Any number may be written as text, null and
"" say nothing, and members that `Report` does not know are kept as `extra`:

    {"time": "2026-03-01T08:30:00+01:00", "lat": 51.5, "lon": -0.12, "accuracy": 8, "speed": 1.4}

As the body of a custom URL in GPSLogger for Android:

    {"time": "%TIMESTAMP", "lat": "%LAT", "lon": "%LON", "accuracy": "%ACC", "altitude": "%ALT",
     "speed": "%SPD", "course": "%DIR", "battery_percent": "%BATT", "charging": "%ISCHARGING"}

The members of one report may also be the parameters of the URL, or a body of that form, with GET,
POST or PUT. As a custom URL in GPSLogger, which uses GET unless told otherwise:

    <base>/ingest/report?lat=%LAT&lon=%LON&time=%TIME&accuracy=%ACC&speed=%SPD&altitude=%ALT
        &course=%DIR&battery_percent=%BATT&token=…

(all in one line). In a URL the parameters `token`, `api_key`, `u` and `d` are not of the report. Of
members with the same name the last one counts, in JSON as in a URL.

The answer says how many records were stored, and what could not be read (it is kept as a reject):

    {"result": "ok", "stored": 1, "rejected": [{"where": "[1]", "reason": "time is missing"}]}
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct

from shared.model.records import Fix, Status
from shared.model.time import from_epoch, parse_rfc3339
from shared.sources.fields import (
    Rules,
    charging,
    course,
    level,
    not_negative,
    number,
    one_of,
    percentage,
    position,
    read_fields,
    required_number,
    text,
    texts,
)
from shared.sources.push import (
    Decoded,
    Outbox,
    Path,
    Push,
    keep_beside,
    parse_json,
    plausible,
    read_each,
)

NAME = "plain"
VERSION = 1

# Seconds beyond this would be after the year 5138: such a number counts milliseconds.
_MOST_SECONDS = 1e11

_PARAMETER = re.compile(rb"[A-Za-z_][\w.%-]*=")
_MOST_PARAMETERS = 1000

Number = float | str


class Report(Struct, kw_only=True, omit_defaults=True):
    """One report as `POST /report` takes it. Any number may be written as text.

    Without `lat` and `lon` it is a sign of life. Members that are not listed are kept as they are.
    """

    time: Annotated[
        str | float,
        Meta(description="RFC 3339 with Z or an offset, or seconds or milliseconds since 1970"),
    ]
    lat: Annotated[Number | None, Meta(description="degrees, -90 to 90")] = None
    lon: Annotated[Number | None, Meta(description="degrees, -180 to 180")] = None
    offset: Annotated[
        Number | None, Meta(description="minutes east of UTC, where `time` does not say")
    ] = None
    accuracy: Annotated[Number | None, Meta(description="metres, radius of 68 %")] = None
    altitude: Annotated[Number | None, Meta(description="metres")] = None
    altitude_accuracy: Annotated[Number | None, Meta(description="metres")] = None
    speed: Annotated[Number | None, Meta(description="metres per second")] = None
    speed_accuracy: Annotated[Number | None, Meta(description="metres per second")] = None
    course: Annotated[Number | None, Meta(description="degrees clockwise from north")] = None
    course_accuracy: Annotated[Number | None, Meta(description="degrees")] = None
    battery: Annotated[Number | None, Meta(description="0 to 1")] = None
    battery_percent: Annotated[Number | None, Meta(description="0 to 100")] = None
    power: Annotated[str | None, Meta(description="unplugged, charging or full")] = None
    charging: Annotated[bool | str | None, Meta(description="true or false")] = None
    network: Annotated[str | None, Meta(description="wifi, mobile or offline")] = None
    wifi: Annotated[str | None, Meta(description="name of the wireless network")] = None
    pressure: Annotated[Number | None, Meta(description="pascals")] = None
    motion: Annotated[
        list[str] | str | None, Meta(description="walking, running, cycling, driving …")
    ] = None
    trigger: Annotated[str | None, Meta(description="what made the app report")] = None
    extra: Annotated[dict[str, Any] | None, Meta(description="anything else")] = None


def decode(push: Push) -> Decoded:
    """The records of one body."""
    decoded = Decoded()
    if not push.body:
        return decoded
    try:
        body = _parameters(push.body) or parse_json(push.body)
    except ValueError as error:
        decoded.fault(str(error))
        return decoded
    read_each(push, _reports(body), _report, decoded)
    if isinstance(body, dict) and isinstance(body.get("reports"), list):
        beside = {name: value for name, value in body.items() if name != "reports"}
        keep_beside("batch", beside, (), 0, decoded)
    return decoded


def reply(_push: Push, _outbox: Outbox, decoded: Decoded) -> bytes:
    """How many records were stored, and the place and reason of each reject."""
    return msgspec.json.encode(
        {
            "result": "ok",
            "stored": len(decoded.records) - len(decoded.faults),
            "rejected": [{"where": f.where, "reason": f.reason} for f in decoded.faults],
        }
    )


def _parameters(body: bytes) -> dict[str, str]:
    """The members of a report that is written as the parameters of a URL; none of another body."""
    if not _PARAMETER.match(body):  # as no JSON begins
        return {}
    escaped = body.decode("utf-8", "backslashreplace")
    members = dict(
        parse_qsl(
            escaped,
            keep_blank_values=True,
            max_num_fields=_MOST_PARAMETERS,
            errors="backslashreplace",
        )
    )
    if "T" in members.get("time", ""):
        # A + that was not escaped means a space, and no time has one there.
        members["time"] = members["time"].replace(" ", "+")
    return members


def _reports(body: Any) -> Iterator[tuple[Path, Any]]:
    path: Path = ()
    if isinstance(body, dict) and isinstance(body.get("reports"), list):
        path, body = ("reports",), body["reports"]
    if isinstance(body, list):
        for index, report in enumerate(body):
            yield (*path, index), report
    else:
        yield path, body


def _report(push: Push, report: dict[str, Any], decoded: Decoded) -> None:
    time, offset = _instant(report.pop("time", None))
    plausible(time, push.received)
    if isinstance(report.get("extra"), dict):
        report = _with_its_extra(report.pop("extra"), report)
    lat, lon = report.pop("lat", None), report.pop("lon", None)
    if lat is None and lon is None:
        decoded.records.append(_status(push, time, report))
    else:
        decoded.records.append(_fix(push, time, offset, position(lat, lon), report))


def _with_its_extra(given: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """The report with the members of its `extra`. Those it has itself too stay in there."""
    twice = {name: given[name] for name in given if name in report or name == "extra"}
    return {**given, **report, **({"extra": twice} if twice else {})}


def _fix(
    push: Push,
    time: datetime,
    offset: int | None,
    place: tuple[float, float],
    report: dict[str, Any],
) -> Fix:
    fields, extra = read_fields(report, _FIX)
    if offset is not None:
        fields["offset"] = offset
    return Fix(
        source=NAME,
        source_version=VERSION,
        device=push.device,
        time=time,
        lat=place[0],
        lon=place[1],
        extra=extra,
        **fields,
    )


def _status(push: Push, time: datetime, report: dict[str, Any]) -> Status:
    fields, extra = read_fields(report, _STATUS)
    return Status(
        source=NAME,
        source_version=VERSION,
        device=push.device,
        time=time,
        extra=extra,
        **fields,
    )


def _instant(value: Any) -> tuple[datetime, int | None]:
    if isinstance(value, str) and "T" in value.upper():
        try:
            return parse_rfc3339(value)
        except ValueError as error:
            raise ValueError(f"time: {error}") from error
    seconds = required_number("time", value)
    return from_epoch(seconds / 1000 if seconds > _MOST_SECONDS else seconds), None


def _minutes(value: Any) -> int | None:
    minutes = number(value)
    if minutes is None:
        return None
    if abs(minutes) > 24 * 60 or not minutes.is_integer():
        raise ValueError("not an offset from UTC in minutes")
    return int(minutes)


_STATUS: Rules = {
    "battery": ("battery", level),
    "battery_percent": ("battery", percentage),
    "power": (
        "power",
        one_of({"": None, "unplugged": "unplugged", "charging": "charging", "full": "full"}),
    ),
    "charging": ("power", charging),
    "network": (
        "network",
        one_of({"": None, "wifi": "wifi", "mobile": "mobile", "offline": "offline"}),
    ),
    "trigger": ("trigger", text),
}
_FIX: Rules = {
    **_STATUS,
    "offset": ("offset", _minutes),
    "accuracy": ("accuracy", not_negative),
    "altitude": ("altitude", number),
    "altitude_accuracy": ("altitude_accuracy", not_negative),
    "speed": ("speed", not_negative),
    "speed_accuracy": ("speed_accuracy", not_negative),
    "course": ("course", course),
    "course_accuracy": ("course_accuracy", not_negative),
    "wifi": ("wifi", text),
    "pressure": ("pressure", not_negative),
    "motion": ("motion", texts),
}
