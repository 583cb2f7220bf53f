"""How soon outages are found, and what is told without one, beside the rules of two others.

One simulated year of thirty collectors. Others watch from outside what runs tell them; Yurt's own
rules begin collectors again besides, so their year has runs more, and none less.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from tests.bench.fleet import CLOUD, HOME, Fleet, Pace
from tests.bench.rules import Down, healthchecks, sign_of_life, uptime_kuma, yurt
from tests.bench.table import print_table
from tests.bench.timeline import PLACES, Away, Timeline, timeline

SEED, DAYS = 1, 365
MINUTE = timedelta(minutes=1)
SETTLES = timedelta(minutes=20)
"""After the end of an outage what is told may still be about it: a sweep, and a lost task."""
SIGN_GRACE = timedelta(minutes=10)
"""After a sign of life should have come, until it is missed."""

CAUSES = {"service": "its service is away", "hangs": "its run hangs", "lost": "its task is lost"}
EVERYBODY = {
    "store": "the store",
    "queue": "the queue",
    "ticks": "the ticks",
    "node": "the node",
}


class Outage(NamedTuple):
    """Slots of a collector that were not done within its grace, and why. slot: the first. late:
    when that was not done in time. end: when one was done again. crowded: whether something that
    all need was away around the time at which it is to be found."""

    collector: str
    slot: datetime
    late: datetime
    end: datetime
    cause: str
    crowded: bool


class Verdict(NamedTuple):
    """Of a rule. downs: what it told of single collectors. others: when it told anything else that
    asks to be looked at, and of whom. alerts: all it told, recoveries too. outside: when it was
    told outside that its sign of life was missed."""

    downs: Sequence[Down]
    others: Sequence[tuple[datetime, str | None]]
    alerts: int
    outside: Sequence[datetime] = ()

    def told(self) -> list[tuple[datetime, str | None]]:
        """When it told of anything bad, and of whom."""
        return [*((down.at, down.collector) for down in self.downs), *self.others]


class Found(NamedTuple):
    """after: the slot that was missed, until it was told; None if it was not."""

    outage: Outage
    after: timedelta | None

    @property
    def beyond(self) -> timedelta | None:
        """The same after the grace of that slot."""
        if self.after is None:
            return None
        return self.outage.slot + self.after - self.outage.late


def main() -> None:
    line = timeline(SEED, DAYS)
    base = Fleet(line, CLOUD, watched=False).run()
    truth = outages(line, base)
    judged = {
        "Yurt, in the cloud": watched(line, CLOUD),
        "Yurt, at home": watched(line, HOME),
        "Healthchecks": _verdict(
            healthchecks(id, each, base.signals[id], line.end)
            for id, each in line.collectors.items()
        ),
        "Uptime Kuma": _kuma(line, base, graced=False),
        "Uptime Kuma + grace": _kuma(line, base, graced=True),
    }
    single = [each for each in truth if each.cause not in PLACES and not each.crowded]
    by = Truth(line, truth)
    _print_single(by, single, judged)
    _print_causes(single, judged)
    _print_places(line, by, judged)


# The truth


def outages(line: Timeline, base: Fleet) -> list[Outage]:
    """base: with nobody who begins anything again."""
    places = line.spans(*PLACES)
    found = list[Outage]()
    for id, collector in line.collectors.items():
        grace = timedelta(seconds=collector.grace)
        done = [at for at, sign in base.signals[id] if sign == "success"]
        last: Outage | None = None
        for slot in line.slots[id]:
            if base.done.get((id, slot), line.end) <= slot + grace:
                last = None
                continue
            cause = _cause(line, id, slot, slot + grace)
            if cause is None:
                continue
            after = bisect_left(done, slot)
            end = done[after] if after < len(done) else line.end
            if last is not None:
                last = found[-1] = last._replace(end=end)
                continue
            crowded = places.meets(slot, slot + grace + SETTLES)
            last = Outage(id, slot, slot + grace, end, cause, crowded)
            found.append(last)
    return found


def _cause(line: Timeline, id: str, slot: datetime, late: datetime) -> str | None:
    fate = line.fates[id, slot]
    if any(pause.where == id and pause.start <= late and slot < pause.end for pause in line.pauses):
        return None
    if line.spans(id).meets(slot, late):
        return "service"
    if fate.hangs or fate.lost:
        return "hangs" if fate.hangs else "lost"
    return next((place for place in PLACES if line.spans(place).meets(slot, late)), None)


# What is told


def watched(line: Timeline, pace: Pace, *, leaps: bool = True) -> Verdict:
    fleet = Fleet(line, pace, watched=True, leaps=leaps).run()
    kinds = ("suspended", "silence", "unticked", "blind")
    others = [(at, alert.collector) for at, alert in fleet.told if alert.kind in kinds]
    outside = sign_of_life(fleet.missed, pace.sweep, SIGN_GRACE)
    return Verdict(yurt(fleet.told), others, len(fleet.told), outside)


def _kuma(line: Timeline, base: Fleet, *, graced: bool) -> Verdict:
    """graced: whether its interval has the grace of the collector besides."""
    downs = list[list[Down]]()
    for id, collector in line.collectors.items():
        longest = max(after - slot for slot, after in pairwise(line.slots[id]))
        interval = longest + graced * timedelta(seconds=collector.grace)
        downs.append(uptime_kuma(id, interval, base.signals[id], line.end))
    return _verdict(downs)


def _verdict(given: Iterable[Sequence[Down]]) -> Verdict:
    downs = [down for each in given for down in each]
    return Verdict(downs, (), len(downs) + sum(down.until is not None for down in downs))


class Truth:
    """By which what is told is measured."""

    def __init__(self, line: Timeline, found: Iterable[Outage]) -> None:
        self._line = line
        self._places = [each for each in line.away if each.where in PLACES]
        self._outages = defaultdict[str, list[Outage]](list)
        for each in found:
            self._outages[each.collector].append(each)

    def behind(self, collector: str | None, at: datetime) -> Outage | Away | None:
        """Why that is told then: an outage of this collector, or what was away shortly before."""
        for outage in self._outages[collector] if collector is not None else ():
            if outage.slot <= at <= outage.end + SETTLES:
                return self._place(outage) if outage.cause in PLACES else outage
        since = at - SETTLES
        if collector is not None:
            since -= timedelta(seconds=self._line.collectors[collector].grace)
        for away in (*self._line.away, *self._line.pauses):
            if away.where in (*PLACES, collector) and away.start <= at and since < away.end:
                return away
        return None

    def _place(self, outage: Outage) -> Away:
        return next(
            each
            for each in self._places
            if each.where == outage.cause and each.start <= outage.late and outage.slot < each.end
        )


def found(single: Iterable[Outage], verdict: Verdict) -> list[Found]:
    """When each outage was told of first."""
    downs = defaultdict[str, list[Down]](list)
    for down in sorted(verdict.downs, key=lambda down: down.at):
        downs[down.collector].append(down)
    return [Found(outage, _after(outage, downs[outage.collector])) for outage in single]


def _after(outage: Outage, downs: Sequence[Down]) -> timedelta | None:
    for down in downs:
        is_over = down.until is not None and down.until <= outage.slot
        if not is_over and down.at <= outage.end + SETTLES:
            return max(down.at, outage.slot) - outage.slot
    return None


def false_alarms(truth: Truth, verdict: Verdict) -> list[tuple[datetime, str | None]]:
    return [(at, id) for at, id in verdict.told() if truth.behind(id, at) is None]


# The tables


def _print_single(truth: Truth, single: Sequence[Outage], judged: Mapping[str, Verdict]) -> None:
    rows = list[list[str]]()
    for name, verdict in judged.items():
        seen = found(single, verdict)
        beyond = [each.beyond / MINUTE for each in seen if each.beyond is not None]
        times = _minutes(seen)
        rows.append(
            [
                name,
                f"{len(times)} of {len(seen)}",
                f"{median(times):.1f}",
                f"{times[int(0.95 * len(times))]:.1f}",
                f"{times[-1]:.1f}",
                f"{max(beyond):.1f}",
                f"{len(false_alarms(truth, verdict)):,}",
                f"{verdict.alerts:,}",
            ]
        )
    columns = [
        "minutes from the slot to the alert",
        "found",
        "median",
        "95 %",
        "longest",
        "past grace",
        "false alarms",
        "alerts in all",
    ]
    print_table("Outages of single collectors in a year", columns, rows)


def _print_causes(single: Sequence[Outage], judged: Mapping[str, Verdict]) -> None:
    rows = []
    for cause, what in CAUSES.items():
        these = [each for each in single if each.cause == cause]
        row = [what, str(len(these))]
        for verdict in judged.values():
            times = _minutes(found(these, verdict))
            row.append(f"{median(times):.1f} / {max(times):.1f}" if times else "")
        rows.append(row)
    print_table("The same by cause", ["median / longest", "outages", *judged], rows)


def _print_places(line: Timeline, truth: Truth, judged: Mapping[str, Verdict]) -> None:
    behind = dict[str, list[Outage | Away | None]]()
    for name, verdict in judged.items():
        behind[name] = [truth.behind(id, at) for at, id in verdict.told()]
        if verdict.outside:
            behind[f"{name}: sign of life"] = [truth.behind(None, at) for at in verdict.outside]
    rows = []
    for place, what in EVERYBODY.items():
        row = [what, str(sum(each.where == place for each in line.away))]
        for given in behind.values():
            these = [each for each in given if isinstance(each, Away) and each.where == place]
            row.append(f"{len(set(these))} / {len(these)}")
        rows.append(row)
    columns = ["outages told of / alerts for that", "times", *behind]
    print_table("What all collectors need is away", columns, rows)


def _minutes(seen: Iterable[Found]) -> list[float]:
    return sorted(each.after / MINUTE for each in seen if each.after is not None)


if __name__ == "__main__":
    main()
