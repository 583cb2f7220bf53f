"""Fixes and signs of life as bytes, small enough that a day of them fits in a document.

Device and time are not in the bytes: they are the key. Equal reports give equal bytes, so their
hash tells whether one was seen before.
"""

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec

from shared.model.ids import short_hash
from shared.model.records import Fix, Report, Status

# Version of the layout below. Fields are only ever appended to it.
PACKING = 1

_FIX_FIELDS = (
    "source",
    "source_version",
    "accuracy",
    "altitude",
    "altitude_accuracy",
    "speed",
    "speed_accuracy",
    "course",
    "course_accuracy",
    "battery",
    "power",
    "network",
    "wifi",
    "pressure",
    "motion",
    "trigger",
    "offset",
    "asof",
    "raw",
    "where",
    "extra",
)
_STATUS_FIELDS = (
    "source",
    "source_version",
    "battery",
    "power",
    "network",
    "trigger",
    "asof",
    "raw",
    "where",
    "extra",
)
_FLOATS = frozenset(
    f.name for t in (Fix, Status) for f in msgspec.structs.fields(t) if "float" in str(f.type)
)
_BEFORE_FIELDS = 3
# Where in a packed fix there are numbers that may be whole, most of them one after the other, and
# where what may be empty.
_NUMBERS = slice(
    _FIX_FIELDS.index("accuracy") + _BEFORE_FIELDS, _FIX_FIELDS.index("power") + _BEFORE_FIELDS
)
_PRESSURE, _OFFSET, _MOTION, _EXTRA = (
    _FIX_FIELDS.index(name) + _BEFORE_FIELDS for name in ("pressure", "offset", "motion", "extra")
)
_fix_values = attrgetter(*_FIX_FIELDS)
_status_values = attrgetter(*_STATUS_FIELDS)
_DEGREE = 10_000_000
_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(list[Any])


class UnreadablePacking(ValueError):
    """Bytes that this version of the code cannot read."""


class NewerPacking(UnreadablePacking):
    """Bytes that a newer version of the code wrote."""


content_hash = short_hash
"""Of packed bytes."""


def pack(report: Report) -> bytes:
    """The bytes of a report, without its device and time."""
    if isinstance(report, Fix):
        lat, lon = report.lat, report.lon
        north, east = round(lat * _DEGREE), round(lon * _DEGREE)
        values = [
            PACKING,
            # Most apps send at most seven decimals: those fit in five bytes instead of nine.
            north if north / _DEGREE == lat else lat,
            east if east / _DEGREE == lon else lon,
            *_fix_values(report),
        ]
        # Most numbers are missing or usual ones: a call for each would be a third of all.
        values[_NUMBERS] = map(_usual, values[_NUMBERS])
        for place in (_PRESSURE, _OFFSET):
            if values[place] is not None:
                values[place] = _small(values[place])
        values[_MOTION] = values[_MOTION] or None
        values[_EXTRA] = values[_EXTRA] or None
    else:
        values = [PACKING, *map(_small, _status_values(report))]
    while values[-1] is None:
        values.pop()
    return _encoder.encode(values)


def unpack_fix(device: str, time: datetime, packed: bytes) -> Fix:
    """The fix that `pack` made the bytes of; `UnreadablePacking` for other bytes."""
    values = _values(packed)
    named = dict(zip(_FIX_FIELDS, values[_BEFORE_FIELDS:], strict=False))
    lat, lon = _from_degrees(values[1]), _from_degrees(values[2])
    return Fix(device=device, time=time, lat=lat, lon=lon, **_restored(named))


def unpack_status(device: str, time: datetime, packed: bytes) -> Status:
    """The sign of life that `pack` made the bytes of; `UnreadablePacking` for other bytes."""
    named = dict(zip(_STATUS_FIELDS, _values(packed)[1:], strict=False))
    return Status(device=device, time=time, **_restored(named))


def best(variants: Iterable[bytes]) -> bytes:
    """Which of several reports of one device and instant stands when reading.

    The most accurate fix; of equals the one that says more; then (having to choose) the greater
    bytes. A total order, so it does not matter which came first.
    """
    return max(variants, key=_rank)


def _rank(packed: bytes) -> tuple[float, int, bytes]:
    values = _values(packed)
    accuracy = values[5] if len(values) > 5 and isinstance(values[5], int | float) else None
    return (-accuracy if accuracy is not None else float("-inf")), len(packed), packed


def _values(packed: bytes) -> list[Any]:
    try:
        values = _decoder.decode(packed)
    except msgspec.DecodeError as error:
        raise UnreadablePacking(f"a stored report is damaged: {error}") from error
    layout = values[0] if values else None
    if isinstance(layout, int) and layout > PACKING:
        raise NewerPacking(
            f"a stored report has layout {layout}, this version of Yurt knows layout {PACKING}; "
            "update Yurt"
        )
    if layout != PACKING:
        raise UnreadablePacking(f"a stored report is damaged: its layout is {layout!r}")
    return values


def _from_degrees(value: int | float) -> float:
    return value / _DEGREE if isinstance(value, int) else value


def _small(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() and -(2**53) < value < 2**53 else value
    if kind is tuple or kind is dict:
        return value or None
    return value


class _Usual(dict[Any, Any]):
    """What `_small` makes of numbers, without a call where they are usual."""

    def __missing__(self, value: Any) -> Any:
        return _small(value)


_USUAL: dict[float | None, int | None] = {None: None, **{float(n): n for n in range(-500, 5_000)}}
_usual = _Usual(_USUAL).__getitem__


def _restored(named: dict[str, Any]) -> dict[str, Any]:
    restored = {name: value for name, value in named.items() if value is not None}
    for name, value in restored.items():
        if name in _FLOATS and isinstance(value, int):
            restored[name] = float(value)
    if "motion" in restored:
        restored["motion"] = tuple(restored["motion"])
    return restored
