"""Members of the JSON objects that apps send, read with forgiveness.

The same number arrives as number or as text, an unknown value as null, "" or -1. A reader of one
member returns what it says, or None when it says nothing, and raises `ValueError` for what cannot
be meant; `read_fields` keeps that aside, so that one odd member costs no report.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shared.model.records import Power
from shared.model.units import from_percent

Reader = Callable[[Any], Any]
Rules = Mapping[str, tuple[str, Reader]]
"""By member: the field of the record that it fills, and its reader."""

_INTEGERS = range(-(2**63), 2**64)
_DEEPEST = 20
_LONGEST = 1000
_MOST = 20


def read_fields(members: Mapping[str, Any], rules: Rules) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that the members fill, and the rest under its own names: the record's `extra`."""
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in members.items():
        if value is None:
            continue
        rule = rules.get(name)
        if rule is None:
            extra[name] = value if type(value) is str else kept(value)
            continue
        try:
            found = rule[1](value)
        except ValueError:
            extra[name] = kept(value)
        else:
            if found is not None:
                fields[rule[0]] = found
    return fields, extra


def kept(value: Any, depth: int = 0) -> Any:
    """The value as every store can hold it: integers beyond 64 bits and deep nesting as text."""
    kind = type(value)
    if kind is int:
        return value if value in _INTEGERS else str(value)
    if kind is not list and kind is not dict:
        return value
    if depth == _DEEPEST:
        return msgspec.json.encode(value).decode()
    if kind is list:
        return [kept(item, depth + 1) for item in value]
    return {name: kept(item, depth + 1) for name, item in value.items()}


def required_number(name: str, value: Any) -> float:
    """`ValueError`, naming the member, unless it is a number or the text of one."""
    try:
        found = number(value) if value is not None else None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if found is None:
        raise ValueError(f"{name} is missing")
    return found


def position(lat: Any, lon: Any) -> tuple[float, float]:
    """Latitude and longitude in degrees; `ValueError` for what is no place on Earth."""
    return _degrees("lat", lat, 90), _degrees("lon", lon, 180)


def _degrees(name: str, value: Any, most: int) -> float:
    found = value if type(value) is float else required_number(name, value)
    if not -most <= found <= most:
        raise ValueError(f"{name} is {found}: it must lie between -{most} and {most}")
    return found


def number(value: Any) -> float | None:
    if type(value) is float:
        return value
    try:
        if type(value) is int:
            return float(value)
        # float() reads 1_0 too, which nobody sends as a number.
        if type(value) is str and "_" not in value:
            found = float(value) if value else None
            if found is None or math.isfinite(found):
                return found
    except (OverflowError, ValueError):
        pass
    raise ValueError(f"{_shown(value)} is not a number")


def _shown(value: Any) -> str:
    text = f"{value!r}" if isinstance(value, str) else type(value).__name__
    return text if len(text) <= 40 else f"{text[:40]}…"


def not_negative(value: Any) -> float | None:
    found = number(value)
    if found is not None and found < 0:
        raise ValueError("a negative number where none can be meant")
    return found


def unless_negative(value: Any) -> float | None:
    """A quantity of which iOS says -1 when it is not known."""
    found = value if type(value) is float else number(value)
    return found if found is None or found >= 0 else None


def course(value: Any) -> float | None:
    """Degrees clockwise from north; iOS says -1 when it is not known."""
    found = unless_negative(value)
    if found is not None and found > 360:
        raise ValueError("a course beyond 360 degrees")
    return found


def level(value: Any) -> float | None:
    """0 to 1; iOS says -1 when it is not known."""
    found = unless_negative(value)
    if found is not None and found > 1:
        raise ValueError("a level beyond 1")
    return found


def percentage(value: Any) -> float | None:
    """0 to 100 as a level; iOS says -1 when it is not known."""
    found = unless_negative(value)
    if found is None:
        return None
    if found > 100:
        raise ValueError("a percentage beyond 100")
    return from_percent(found)


def text(value: Any) -> str | None:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError("not a text of reasonable length")
    return value or None


def texts(value: Any) -> tuple[str, ...] | None:
    """One text or a short list of them."""
    items = value if isinstance(value, list) else [value]
    if len(items) > _MOST:
        raise ValueError("a list too long to be meant")
    return tuple(filter(None, map(text, items))) or None


def one_of(names: Mapping[Any, Any]) -> Reader:
    """Reads an app's words as ours. Of a word mapped to None it says nothing."""

    def read(value: Any) -> Any:
        try:
            return names[value]
        except (KeyError, TypeError) as error:
            raise ValueError("not one of the values this member has") from error

    return read


_CHARGING: Mapping[str, Power] = {"true": "charging", "false": "unplugged"}


def charging(value: Any) -> Power:
    """Whether it charges, as GPSLogger's `%ISCHARGING` says it: true or false, quoted or not."""
    said = str(value).lower() if isinstance(value, bool | str) else ""
    if said not in _CHARGING:
        raise ValueError("neither true nor false")
    return _CHARGING[said]
