"""What if: changes of a configuration as an owner says them, and what they lead to. Pure."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import asdict, replace

from shared.ha.allowances import Allowance
from shared.ha.collectors import MOST, BadCollector, Caps, Collector, Collectors, Level, check
from shared.ha.planner import Overcommitted, Plan, Pool, check_change, plan
from shared.ha.schedules import BadSchedule
from shared.model.time import Instant

Change = Callable[[Collectors], Collectors]
"""What it makes of a configuration. `BadChange`, `BadCollector` or `BadSchedule`."""

_LEVELS: tuple[Level, ...] = ("protected", "best-effort", "unprotected")
_QUOTA = re.compile(r"([a-z]+\.[a-z][a-z_]*)=(\d+(?:\.\d+)?)")
_CAP = re.compile(r"([a-z_]+)=(\d+(?:\.\d+)?)")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_HOW = (
    "write it like 'mail every 1m', 'mail best-effort', 'mail writes=500', 'mail paused', "
    "'mail removed', 'quota firestore.writes=10000' or 'tolerate 2'; to see what a failure would "
    "lead to, 'mail fails' or 'mail fails at 18:00'"
)


class BadChange(ValueError):
    """It is no change; the text says why, and what to write."""


class Failure(NamedTuple):
    """Of a collector. clock: hour and minute, when next; None for now."""

    collector: str
    clock: tuple[int, int] | None


class Hypothesis(NamedTuple):
    """changed: what the configuration would be. before, after: the plans; there is none of what was
    there if it cannot be planned. refused: why the change would not be allowed, if it would not."""

    changed: Collectors
    before: Plan | None
    after: Plan
    refused: Overcommitted | None


def what_if(config: Collectors, changes: Sequence[Change], pool: Pool, now: Instant) -> Hypothesis:
    """What would come of changes, one after another. Writes nothing; what allows a change for real
    is the same. `BadSchedule` if what comes of it cannot be planned."""
    changed = config
    for change in changes:
        changed = change(changed)
    before, after = _planned(config, pool, now), plan(changed, pool, now)
    try:
        check_change(before, after)
    except Overcommitted as refused:
        return Hypothesis(changed, before, after, refused)
    return Hypothesis(changed, before, after, None)


def _planned(config: Collectors, pool: Pool, now: Instant) -> Plan | None:
    """None for what an earlier version wrote and this one cannot read: it can still be mended."""
    try:
        return plan(config, pool, now)
    except BadSchedule:
        return None


def read_change(text: str, allowances: Mapping[str, Allowance]) -> Change:
    """From the words of an owner. `BadChange`."""
    words = text.split()
    match words:
        case ["quota", setting]:
            return _quota(setting, allowances)
        case ["tolerate", number] if number.isdecimal() and int(number) > MOST:
            raise BadChange(f"there are {MOST} collectors at most to fail, and not {number}")
        case ["tolerate", number] if number.isdecimal():
            return lambda config: _tolerating(config, int(number))
        case [id, *rest] if rest:
            return lambda config: _changed(config, id, rest)
    raise BadChange(f"{text!r} is no change: {_HOW}")


def read_failure(text: str) -> Failure | None:
    """None for words that are about no failure. `BadChange`."""
    words = text.split()
    match words:
        case [id, "fails"]:
            return Failure(id, None)
        case [id, "fails", "at", clock] if found := _CLOCK.fullmatch(clock):
            return Failure(id, (int(found[1]), int(found[2])))
        case [_, "fails", *_]:
            raise BadChange(f"{text!r} says no time of day: {_HOW}")
    return None


def with_collector(config: Collectors, id: str, collector: Collector) -> Collectors:
    """Added, or in the place of the one of that id. `BadCollector` or `BadSchedule`."""
    check(id, collector)
    before, measured = config.collectors.get(id), config.measured
    if before is None or (before.service, before.caps) != (collector.service, collector.caps):
        measured = _but(measured, id)
    collectors = {**config.collectors, id: collector}
    return replace(config, collectors=collectors, measured=measured)


def without_collector(config: Collectors, id: str) -> Collectors:
    return replace(
        config,
        collectors=_but(config.collectors, id),
        measured=_but(config.measured, id),
        asked=_but(config.asked, id),
    )


V = TypeVar("V")


def _but(held: Mapping[str, V], id: str) -> dict[str, V]:
    return {key: value for key, value in held.items() if key != id}


def find(config: Collectors, id: str) -> Collector:
    """`BadCollector` if there is none of that name."""
    collector = config.collectors.get(id)
    if collector is None:
        raise BadCollector(f"there is no collector {id!r}; there is {_listed(config.collectors)}")
    return collector


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none yet"


def _quota(setting: str, allowances: Mapping[str, Allowance]) -> Change:
    found = _QUOTA.fullmatch(setting)
    if found is None:
        raise BadChange(f"{setting!r} is no quota: {_HOW}")
    name, amount = found[1], float(found[2])
    if name not in allowances:
        raise BadChange(f"no allowance is called {name}; there is {_listed(allowances)}")
    if amount <= 0:
        raise BadChange(f"{name} of {found[2]} leaves nothing; pause the collectors instead")
    return lambda config: replace(config, quotas={**config.quotas, name: amount})


def _tolerating(config: Collectors, number: int) -> Collectors:
    return replace(config, tolerate=number)


def _changed(config: Collectors, id: str, words: Sequence[str]) -> Collectors:
    collector = find(config, id)
    said = " ".join(words)
    match words:
        case ["removed"]:
            return without_collector(config, id)
        case ["paused"]:
            return with_collector(config, id, replace(collector, paused=True))
        case ["resumed"]:
            return with_collector(config, id, replace(collector, paused=False))
        case [level] if level in _LEVELS:
            return with_collector(config, id, replace(collector, level=level))
        case [cap] if _CAP.fullmatch(cap):
            return with_collector(config, id, replace(collector, caps=_capped(collector, cap)))
    try:
        return with_collector(config, id, replace(collector, schedule=said))
    except BadSchedule as error:
        raise BadChange(f"{said!r} says nothing about {id} ({error}); {_HOW}") from error


def _capped(collector: Collector, setting: str) -> Caps:
    name, _, amount = setting.partition("=")
    caps = asdict(collector.caps)
    number = float(amount)
    try:
        return msgspec.convert(
            {**caps, name: int(number) if number.is_integer() else number},
            Caps,
        )
    except msgspec.ValidationError as error:
        raise BadCollector(f"a run cannot be capped by {setting}: {error}") from None
