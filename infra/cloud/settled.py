"""What the API says and what is wanted, compared: only what is wanted counts."""

from collections.abc import Mapping
from typing import Any


def differs(wanted: Mapping[str, Any], found: Mapping[str, Any], within: str = "") -> list[str]:
    """The paths of the members that are not as wanted, as in `rateLimits.maxConcurrentDispatches`.

    Members that are not wanted may be anything. The API leaves out what is empty, false or 0, and
    says numbers as text where they have 64 bits.
    """
    paths = []
    for name, value in wanted.items():
        path = f"{within}{name}"
        there = found.get(name)
        if isinstance(value, Mapping):
            paths += differs(value, there if isinstance(there, Mapping) else {}, f"{path}.")
        elif not _is_same(value, there):
            paths.append(path)
    return paths


def _is_same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return bool(wanted == found) or (not wanted and not found)
    if isinstance(found, str):
        return found == str(wanted)
    return bool(wanted == (found or 0))
