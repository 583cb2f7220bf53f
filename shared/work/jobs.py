"""Jobs: all that is known of one long piece of work, kept in one control document."""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from msgspec import Struct, field

from shared.model.time import Instant
from shared.store.protocol import Control, Found, Store

FAMILY = "job"
LEASE = timedelta(seconds=90)
"""How long a run may be silent. It is renewed after the first part that ends in its second half, so
a part must take less than half of it."""

State = Literal["ready", "running", "paused", "cancelled", "failed", "done"]
"""Ready jobs have a task in the queue, or should have."""

UNFINISHED: tuple[State, ...] = ("ready", "running")
ENDED: tuple[State, ...] = ("done", "cancelled")


class Spending(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What runs took, as far as known at a commit.

    seconds: at work. reads, writes: documents, as the store would bill them. chunks: runs that
    passed the job on or ended it. sent: bytes to the store. object_writes, object_reads:
    operations on objects; object_sent: bytes to them.
    """

    seconds: float = 0.0
    reads: int = 0
    writes: int = 0
    chunks: int = 0
    sent: int = 0
    object_writes: int = 0
    object_reads: int = 0
    object_sent: int = 0

    def exceeded_by(self, other: "Spending") -> bool:
        """Whether the other took more of anything."""
        names = Spending.__struct_fields__
        return any(getattr(other, name) > getattr(self, name) for name in names)


class Progress(Spending, frozen=True, kw_only=True, omit_defaults=True):
    """done, total: bytes. new, known: records by kind that the store had not, or had."""

    done: int = 0
    total: int = 0
    new: dict[str, int] = {}
    known: dict[str, int] = {}
    doing: str | None = None

    @property
    def rate(self) -> float | None:
        """Bytes a second, over all runs."""
        return self.done / self.seconds if self.seconds > 0 and self.done > 0 else None

    @property
    def left(self) -> timedelta | None:
        """How much longer, at that rate."""
        if self.rate is None:
            return None
        return timedelta(seconds=max(0, self.total - self.done) / self.rate)


class Day(Spending, frozen=True, kw_only=True, omit_defaults=True):
    """began: the midnight of the Pacific zone after which that was taken."""

    began: Instant


class Paced(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """until: no chunk begins before. why: in words. done: when the job will be, if known."""

    until: Instant
    why: str
    done: Instant | None = None


class Job(Control, frozen=True, kw_only=True, omit_defaults=True):
    """work, spec: what to do, and its arguments. title: for people.

    token: grows with every claim; only the run that was granted the newest may commit. begun: the
    token with which it was begun, perhaps anew. lease: until when that run may go on (None: nobody
    runs). commits: how many took effect. tries: claims since the cursor moved, but for those of
    runs that passed it on in peace. wish: what the owner wants of the run that goes on. versions:
    what the work was when it began. days: what its runs took on the last two days on which there
    were any, the newest last. paced: of one that waits until something is left for it.
    """

    SHAPE: ClassVar[int] = 1

    work: str
    title: str
    created: Instant
    changed: Instant
    spec: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    state: State = "ready"
    token: int = 0
    begun: int = 0
    lease: Instant | None = None
    cursor: str | None = None
    commits: int = 0
    tries: int = 0
    wish: Literal["pause", "cancel"] | None = None
    last_error: str | None = None
    progress: Progress = Progress()
    days: tuple[Day, ...] = ()
    paced: Paced | None = None

    def is_held(self, now: datetime) -> bool:
        """Whether a run may be at it. A lease that nobody can have granted is none: the clock was
        set back. Those of two processes may differ by some seconds."""
        return self.lease is not None and now < self.lease <= now + 2 * LEASE

    def hand(self, id: str) -> str:
        """By what name the work keeps what it has in hand: what is cleared up late must not be
        that of a job begun anew."""
        return f"{id}-{self.begun}"


def task_name(id: str, job: Job, key: str = FAMILY) -> str:
    """The name of the task that goes on with a job from where it is.

    A queue refuses a name that was used, so it must differ whenever another call is wanted: by the
    cursor after progress, by the token after a claim or a revival. key: of the kind of job.
    """
    place = hashlib.sha256((job.cursor or "").encode()).hexdigest()[:12]
    return f"{'' if key == FAMILY else f'{key}-'}{id}-{job.token}-{place}"


def every_job(store: Store) -> Iterator[Found[Job]]:
    """All jobs there are, ended ones too, by id."""
    after = ""
    while page := store.controls(Job, FAMILY, after=after):
        yield from page
        after = page[-1].id
