"""When so many are silent at once that whoever listens is suspected, not they. Pure."""

import math

AT_LEAST, SHARE = 3, 0.55
"""So many, and such a part of all, that are late at once are a silence of everything."""


def is_silence(late: int, active: int) -> bool:
    return late >= AT_LEAST and late >= SHARE * active


def most_at_once(active: int) -> int:
    """How many of so many collectors may be late at once without that."""
    return max(AT_LEAST, math.ceil(SHARE * active)) - 1
