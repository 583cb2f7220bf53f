"""What is configured: collectors, and what their runs may take at most. Pure."""

import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from msgspec import Meta, Struct
from msgspec.structs import replace

from shared.ha.schedules import Schedule, schedule
from shared.model.time import Instant

COLLECTORS = "collectors"
"""The name of the document in the store: all of them in one, so that one guarded write checks and
changes it."""

MOST = 1_000
"""Collectors of a node; their document stays below what a store can keep."""

Vector: TypeAlias = Mapping[str, float]
"""Amounts of allowances, by name, each in its unit (`infra/quotas.yaml`)."""

Level = Literal["protected", "best-effort", "unprotected"]
"""protected: what it and its recovery may take is kept free for it; restarted until it works.
best-effort: runs of what is left, a few more tries. unprotected: runs of what is left."""

_ID = re.compile(r"[a-z][a-z0-9-]{0,39}")
MIB, _GIB, _GB = 2**20, 2**30, 10**9
_GIB_OF_WORK = 0.5
"""Of memory that a function has which runs collectors and jobs."""

Natural = Annotated[int, Meta(ge=0)]
Seconds = Annotated[int, Meta(ge=1, le=31 * 86_400)]


BY_DAY = frozenset({"storage.class_a", "storage.class_b", "storage.stored"})
"""Allowances of which a collector has a limit for each day, and not for each slot."""


class BadCollector(ValueError):
    """A collector cannot be so; the text says what is wrong with it, and what to write."""


def vector_of(
    *,
    reads: float,
    writes: float,
    seconds: float,
    chunks: float,
    sent: float,
    object_writes: float,
    object_reads: float,
    object_sent: float,
) -> dict[str, float]:
    """What runs take, in the units of allowances, on a function of one vCPU.

    sent, object_sent: bytes that are kept. The others as in `Limits`.
    """
    return {
        "firestore.reads": reads,
        "firestore.writes": writes,
        "firestore.stored": sent / _GIB,
        "run.requests": chunks,
        "run.vcpu_seconds": seconds,
        "run.gib_seconds": seconds * _GIB_OF_WORK,
        # A task is added once, and called once.
        "tasks.operations": 2 * chunks,
        "storage.class_a": object_writes,
        "storage.class_b": object_reads,
        "storage.stored": object_sent / _GB,
    }


NAMES = tuple(
    vector_of(
        reads=0,
        writes=0,
        seconds=0,
        chunks=0,
        sent=0,
        object_writes=0,
        object_reads=0,
        object_sent=0,
    )
)
"""The allowances of which collectors take."""


class Limits(Struct, frozen=True, kw_only=True):
    """What one slot may take at most, its tries together; the next slot goes on from there. Large
    things come seldom, so that what is written of them is limited by the Pacific day.

    A single thing that takes more by itself, as a mail with a large attachment, is taken all the
    same, or nothing after it would ever come; the plan counts with what that took from then on.

    reads, writes: documents of the store. seconds: at work. chunks: calls of functions.
    megabytes: MiB of documents kept. A day: object_writes, object_reads: operations on the bucket;
    object_megabytes: MiB kept there.
    """

    reads: int
    writes: int
    seconds: int
    chunks: int
    megabytes: float
    object_writes: int
    object_reads: int
    object_megabytes: int

    def vector(self) -> dict[str, float]:
        """Of a slot."""
        took = {name: took for name, took in self._all().items() if name not in BY_DAY}
        # Each of the next ticks asks for it, too, and is refused.
        return {**took, "tasks.operations": took["tasks.operations"] + 3}

    def daily(self) -> dict[str, float]:
        """Of a day."""
        return {name: took for name, took in self._all().items() if name in BY_DAY}

    def _all(self) -> dict[str, float]:
        return vector_of(
            reads=self.reads,
            writes=self.writes,
            seconds=self.seconds,
            chunks=self.chunks,
            sent=self.megabytes * MIB,
            object_writes=self.object_writes,
            object_reads=self.object_reads,
            object_sent=self.object_megabytes * MIB,
        )


class Caps(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Those of `Limits` that its owner sets; the others go by how often it comes."""

    reads: Annotated[int, Meta(ge=10)] | None = None
    writes: Annotated[int, Meta(ge=5)] | None = None
    seconds: Annotated[int, Meta(ge=1)] | None = None
    chunks: Annotated[int, Meta(ge=1)] | None = None
    megabytes: Annotated[float, Meta(gt=0)] | None = None
    object_writes: Natural | None = None
    object_reads: Natural | None = None
    object_megabytes: Natural | None = None


@lru_cache(maxsize=4096)
def usual(slots: Schedule) -> Limits:
    """What a slot may take if its owner says nothing: of writes, reads and seconds about an eighth
    of a free day for all slots of a day, so that some of them fit from each 15 minutes on."""
    each_day = max(1, slots.count(_A_MONDAY, _A_MONDAY + _WEEK, timedelta(0)) // 7)
    return Limits(
        reads=min(max(5_000 // each_day, 10), 50),
        writes=min(max(2_000 // each_day, 8), 100),
        seconds=min(max(600 // each_day, 5), 20),
        chunks=2,
        megabytes=min(max(48 / each_day, 0.5), 1),
        object_writes=12,
        object_reads=12,
        object_megabytes=50,
    )


@lru_cache(maxsize=4096)
def _limits(slots: Schedule, caps: Caps) -> Limits:
    return with_caps(usual(slots), caps)


def with_caps(limits: Limits, caps: Caps) -> Limits:
    """With those of an owner in place."""
    given = {name: getattr(caps, name) for name in _CAPS}
    return replace(limits, **{name: cap for name, cap in given.items() if cap is not None})


_MUCH = 10**9
_ALL = Limits(
    reads=_MUCH,
    writes=_MUCH,
    seconds=_MUCH,
    chunks=_MUCH,
    megabytes=_MUCH,
    object_writes=_MUCH,
    object_reads=_MUCH,
    object_megabytes=_MUCH,
)


_A_MONDAY, _WEEK = datetime(2026, 1, 5, tzinfo=UTC), timedelta(weeks=1)


class Declared(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an owner says of a collector: a configured service that runs on a schedule.

    service: its kind. schedule: as `schedules.schedule` reads it. zone: of a schedule by cron.
    priority: of restarts, the smallest first. grace: seconds after a slot until it is late if
    nothing was heard. start_limit: the same, where a run must begin sooner. run_limit: seconds that
    a run may take in all, with its tries; then it is given up. options: of the service. paused: its
    slots pass.
    """

    service: str
    schedule: str
    zone: str = "UTC"
    level: Level = "protected"
    priority: Annotated[int, Meta(ge=0, le=1000)] = 100
    grace: Seconds = 600
    start_limit: Seconds | None = None
    run_limit: Seconds = 1_800
    caps: Caps = Caps()
    options: dict[str, Any] = {}
    paused: bool = False

    @property
    def slots(self) -> Schedule:
        """`BadSchedule`."""
        return schedule(self.schedule, self.zone)

    @property
    def limits(self) -> Limits:
        """`BadSchedule`."""
        return _limits(self.slots, self.caps)


class Collector(
    Declared, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The same as it is kept. sealed: its secret, under the master key. generation: of all that is
    configured, when this was changed last."""

    created: Instant
    sealed: str | None = None
    generation: int = 0


class Held(Struct, frozen=True, kw_only=True):
    """Runs that are held back since an allowance comes to its end.

    level: `best-effort` for those and unprotected ones, `protected` for all. dimension: of which
    allowance. since, until: when its next window begins; of a stock, when it is looked at again.
    generation: of what was configured then.
    """

    level: Literal["best-effort", "protected"]
    dimension: str
    since: Instant
    until: Instant
    generation: int

    def __str__(self) -> str:
        who = "all" if self.level == "protected" else "best-effort"
        until = f"{self.until:%Y-%m-%d %H:%M} UTC"
        return f"{who} collectors wait until {until}: {self.dimension} is nearly used up"


class Collectors(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of a node. tolerate: failures that must fit besides. unlimited: nothing is billed, and no
    quota is planned with, as an owner may say of a node at home. quotas: allowances that are not as
    the free tier has them. generation: grows with each change. measured: caps of those of which a
    slot took more than it may. held: who has to wait, also after that is over. ticked: when it was
    marked last that somebody looks which slots are due. asked: when the owner wanted a run besides
    the schedule, by name: a slot of its own."""

    SHAPE: ClassVar[int] = 1
    MENDED: ClassVar[str] = "write it anew from a file: yurt collectors apply FILE"

    collectors: dict[str, Collector] = {}
    tolerate: Annotated[int, Meta(ge=0, le=MOST)] = 1
    unlimited: bool = False
    quotas: dict[str, float] = {}
    generation: int = 0
    measured: dict[str, Limits] = {}
    held: Held | None = None
    ticked: Instant | None = None
    asked: dict[str, Instant] = {}

    def limits_of(self, id: str) -> Limits:
        """That a plan counts with: what it may take, or what it took where that was more."""
        declared = self.collectors[id].limits
        return larger(declared, self.measured[id]) if id in self.measured else declared

    def granted(self, id: str) -> Limits:
        """What one of its slots may take. Where nothing is limited that is all there is."""
        collector = self.collectors[id]
        if not self.unlimited:
            return collector.limits
        # It ends well before it would be given up.
        return with_caps(replace(_ALL, seconds=collector.run_limit // 2), collector.caps)

    def is_held(self, id: str, now: datetime) -> bool:
        """Whether a collector may not run now, though its slot comes."""
        return (
            self.held is not None
            and now < self.held.until
            and (self.held.level == "protected" or self.collectors[id].level != "protected")
        )


def larger(one: Limits, other: Limits) -> Limits:
    """Of each member the larger one."""
    return Limits(**{name: max(getattr(one, name), getattr(other, name)) for name in _CAPS})


_CAPS = Limits.__struct_fields__


def checked_id(id: str) -> str:
    if not _ID.fullmatch(id):
        raise BadCollector(
            f"{id!r} cannot be the name of a collector: a small letter, then up to 39 small "
            "letters, digits and hyphens"
        )
    return id


def check(id: str, collector: Collector) -> None:
    """`BadCollector` or `BadSchedule` if it cannot be met."""
    seconds = collector.limits.seconds
    number = collector.slots.count(_A_MONDAY, _A_MONDAY + _WEEK, timedelta(0))
    if number * seconds > _WEEK.total_seconds():
        raise BadCollector(
            f"{id} may work {seconds} seconds, but has a slot "
            f"{collector.schedule}: give it less, or a slot less often"
        )
    if seconds > collector.run_limit:
        raise BadCollector(
            f"{id} may work {seconds} seconds, but its run_limit is {collector.run_limit}"
        )


def offset_of(id: str, slots: Schedule) -> timedelta:
    """Where in its time the slots of a collector are: not all at once, and always there."""
    if slots.every is None:
        return timedelta(0)
    minutes = int(slots.every / timedelta(minutes=1))
    return timedelta(minutes=zlib.crc32(id.encode()) % minutes)
