"""Conversions to what records hold: metres, metres per second, degrees, pascals, fractions."""


def from_kilometres_per_hour(speed: float) -> float:
    return round(speed / 3.6, 4)


def to_kilometres_per_hour(speed: float) -> float:
    return speed * 3.6


def from_percent(level: float) -> float:
    return round(level / 100, 4)


def from_kilopascals(pressure: float) -> float:
    return round(pressure * 1000, 3)
