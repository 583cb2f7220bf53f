"""OwnTracks messages, one JSON object a line: what `ingest` takes back as equal fixes.

Units are those of OwnTracks: km/h, kPa, percent.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from shared.model.records import Fix
from shared.model.time import to_micros
from shared.model.units import to_kilometres_per_hour

MEDIA_TYPE = "application/x-ndjson"
EXTENSION = "ndjson"

_POWER = {"unplugged": 1, "charging": 2, "full": 3}
_NETWORK = {"wifi": "w", "mobile": "m", "offline": "o"}
_encoder = msgspec.json.Encoder()


def write(
    fixes: Iterable[Fix],
    names: Mapping[str, str],
    following: Callable[[], str | None] | None = None,  # noqa: ARG001 - lines have no place for it
) -> Iterator[bytes]:
    """One `_type=location` message a line."""
    encode = _encoder.encode
    for fix in fixes:
        yield encode(_message(fix, names.get(fix.device, fix.device))) + b"\n"


def _message(fix: Fix, name: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "_type": "location",
        "lat": fix.lat,
        "lon": fix.lon,
        "tst": _short(to_micros(fix.time) / 1_000_000),
        **_origin(fix, name),
    }
    members = (
        ("acc", _short(fix.accuracy)),
        ("alt", _short(fix.altitude)),
        ("vac", _short(fix.altitude_accuracy)),
        ("vel", _scaled(fix.speed, to_kilometres_per_hour(1))),
        ("cog", _short(fix.course)),
        ("batt", _scaled(fix.battery, 100)),
        ("bs", _POWER[fix.power] if fix.power is not None else None),
        ("conn", _NETWORK[fix.network] if fix.network is not None else None),
        ("p", _scaled(fix.pressure, 0.001)),
        ("SSID", fix.wifi),
        ("motionactivities", fix.motion or None),
        ("t", fix.trigger),
    )
    message.update(member for member in members if member[1] is not None)
    return message


def _origin(fix: Fix, name: str) -> dict[str, Any]:
    if fix.source == "owntracks":
        # Of a picture only the name of its bytes is left, which no program could show.
        return {member: value for member, value in fix.extra.items() if member != "image"}
    return {"tid": name[-2:], "topic": f"owntracks/{fix.device}/{fix.device}"}


def _scaled(value: float | None, factor: float) -> float | None:
    # Readers keep four decimals of the SI value; more than that would only be noise of the factor.
    return None if value is None else _short(round(value * factor, 6))


def _short(value: float | None) -> float | None:
    return int(value) if value is not None and value.is_integer() else value
