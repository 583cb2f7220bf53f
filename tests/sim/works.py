"""Small works: what each does is decided by its spec, so that all of it can be foretold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from shared.model.records import Event
from shared.work.works import CannotGoOn, Part
from tests.sim.ports import SimSpool
from tests.sim.world import BEGINNING, World

HEAVY = bytes(2_100_000)


@cache
def record(id: str) -> Event:
    return Event(id=id, source="sim", source_version=1, type="trip", time=BEGINNING)


@dataclass(frozen=True)
class Plan:
    """parts: how many. pieces: those that only come to be in the spool first. Of the rest, by
    part: fails: how often it fails before it does not; slow: seconds; heavy: with more bytes than a
    run holds; settling: is to be committed at once; deadly, hopeless: the part
    that kills the process, or says that it cannot go on.
    """

    parts: int
    each: int = 3
    pieces: int = 0
    beats: int = 0
    fails: Mapping[int, int] = field(default_factory=dict)
    slow: Mapping[int, float] = field(default_factory=dict)
    heavy: frozenset[int] = frozenset()
    settling: frozenset[int] = frozenset()
    deadly: int | None = None
    hopeless: int | None = None

    @classmethod
    def drawn(cls, random: Random) -> "Plan":
        parts = random.randrange(1, 16)
        some = [part for part in range(parts) if random.random() < 0.25]
        kind = random.random()
        return cls(
            parts,
            each=random.randrange(4),
            pieces=random.choice((0, 0, 1, 4)),
            beats=random.choice((0, 0, 3)),
            fails={part: random.randrange(1, 4) for part in some} if kind < 0.3 else {},
            slow={part: random.uniform(5, 40) for part in some} if random.random() < 0.5 else {},
            heavy=frozenset(some[::2]) if random.random() < 0.3 else frozenset(),
            settling=frozenset(some[1::2]) if random.random() < 0.3 else frozenset(),
            deadly=random.randrange(parts) if 0.3 <= kind < 0.38 else None,
            hopeless=random.randrange(parts) if 0.38 <= kind < 0.45 else None,
        )

    @property
    def good(self) -> int:
        """How many parts can be done."""
        ends = [end for end in (self.deadly, self.hopeless) if end is not None]
        return min([self.parts, *ends])

    def ids(self, job: str, parts: int) -> list[str]:
        return [f"{job}-{part}-{i}" for part in range(parts) for i in range(self.each)]


@dataclass
class SimWork:
    """The plans by the name of the job in the spec."""

    world: World
    spool: SimSpool
    plans: dict[str, Plan]
    version: int = 1
    failed: dict[tuple[str, int], int] = field(default_factory=dict)

    def versions(self) -> Mapping[str, int]:
        return {"sim": self.version}

    def parts(self, job: str, spec: Mapping[str, Any], cursor: str | None) -> Iterator[Part]:
        name = spec["name"]
        plan = self.plans[name]
        at = int(cursor) if cursor is not None else 0
        total = plan.pieces + plan.parts
        for piece in range(at, plan.pieces):
            self.spool.put(job, piece)
            yield Part(str(piece + 1), piece + 1, total, doing="unpacking")
        for piece in range(plan.pieces):
            if at < plan.pieces or piece == 0:
                self._must_have(job, piece)
        for part in range(max(0, at - plan.pieces), plan.parts):
            here = plan.pieces + part
            for _ in range(plan.beats):
                self.world.sleep(self.world.random.uniform(0, 20))
                yield Part(str(here) if here else "0", here, total, beat=True)
            self._suffer(name, plan, part)
            records = [record(f"{name}-{part}-{i}") for i in range(plan.each)]
            raws = {f"raw-{name}-{part}": b"small"}
            if part in plan.heavy:
                raws |= {f"heavy-{name}-{part}-{i}": HEAVY for i in range(2)}
            yield Part(str(here + 1), here + 1, total, records, raws, settle=part in plan.settling)

    def forget(self, job: str, spec: Mapping[str, Any]) -> None:
        self.spool.forget(job)

    def _must_have(self, job: str, piece: int) -> None:
        if not self.spool.has(job, piece):
            raise OSError(f"the piece {piece} is missing")

    def _suffer(self, name: str, plan: Plan, part: int) -> None:
        self.world.sleep(plan.slow.get(part, self.world.random.random()))
        if part == plan.deadly:
            self.world.die()
        if part == plan.hopeless:
            raise CannotGoOn("the source is broken; mend it")
        failed = self.failed.get((name, part), 0)
        if failed < plan.fails.get(part, 0):
            self.failed[name, part] = failed + 1
            self.world.seen["a part that failed"] += 1
            raise OSError(f"part {part} cannot be read just now")
