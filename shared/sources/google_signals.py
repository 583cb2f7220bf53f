"""What a phone's sensors said: positions, detected activities, Wi-Fi scans.

Android's `Timeline.json` and Takeout's `Timeline Edits.json` have them under different names:
`LatLng` or `point.latE7`, `accuracyMeters` or `accuracyMm`, `probableActivities` or
`detectedActivities`. Speeds are in metres a second.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.model.records import AnyRecord, Fix, Status
from shared.sources import google
from shared.sources.fields import Rules, not_negative, number, read_fields, unless_negative


def _millimetres(value: Any) -> float | None:
    found = not_negative(value)
    return None if found is None else found / 1000


_RULES: Rules = {
    "accuracyMeters": ("accuracy", not_negative),
    "accuracyMm": ("accuracy", _millimetres),
    "altitudeMeters": ("altitude", number),
    "speedMetersPerSecond": ("speed", unless_negative),
}


def read_signal(
    signal: Mapping[str, Any],
    beside: Mapping[str, Any],
    common: Mapping[str, Any],
    now: datetime,
    raws: dict[str, bytes],
) -> list[AnyRecord]:
    """The records of one signal; `ValueError` for what is none.

    beside: what else is said of it. common: source, version and device.
    """
    records: list[AnyRecord] = []
    rest = google.without(signal, "position", "activityRecord", "wifiScan") | dict(beside)
    if signal.get("position") is not None:
        records.append(_position(google.members(signal["position"], "position"), common, now))
    if signal.get("activityRecord") is not None:
        said = google.members(signal["activityRecord"], "activityRecord")
        extra = google.without(said, "timestamp")
        records.append(
            Status(**common, time=google.instant(said.get("timestamp"), now), extra=extra)
        )
    if signal.get("wifiScan") is not None:
        records.append(_scan(google.members(signal["wifiScan"], "wifiScan"), common, now))
    if not records:
        raise ValueError("there is no position, activity or Wi-Fi scan in it")
    for n, record in enumerate(records):
        if rest:
            record = google.with_extra(record, rest)
        records[n] = google.within_limit(record, signal, raws)
    return records


def _position(said: dict[str, Any], common: Mapping[str, Any], now: datetime) -> Fix:
    said = dict(said)
    time = google.instant(said.pop("timestamp", None), now)
    text, e7 = said.pop("LatLng", None), said.pop("point", None)
    if isinstance(e7, dict):
        lat, lon = google.degrees(e7.get("latE7"), e7.get("lngE7"))
    else:
        lat, lon = google.point(text if text is not None else e7)
    fields, extra = read_fields(said, _RULES)
    return Fix(**common, time=time, lat=lat, lon=lon, extra=extra, **fields)


def _scan(said: dict[str, Any], common: Mapping[str, Any], now: datetime) -> Status:
    extra = google.without(said, "deliveryTime", "devices", "devicesRecords")
    seen = next(
        (said[n] for n in ("devices", "devicesRecords") if isinstance(said.get(n), list)), ()
    )
    # The addresses would be most of a store, and say where other people's routers are.
    extra["accessPoints"] = len(seen)
    return Status(**common, time=google.instant(said.get("deliveryTime"), now), extra=extra)
