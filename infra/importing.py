"""Runs imports in a process that is no node, as `yurt import` is: chunk after chunk, in a thread.

While another process runs jobs of this data, it runs this one too, and is only watched.
"""

import contextlib
import gc
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NamedTuple

from infra.crew import COLLECT_EACH
from infra.exports import Input
from infra.running import Turn, turn_at_jobs
from shared.blobs.protocol import BlobsUnavailable
from shared.commands.jobs import goes_on
from shared.imports.beginning import Begun, begin_path
from shared.imports.places import Place, place_of
from shared.model.profile import Profile
from shared.node import Node
from shared.store.protocol import StoreUnavailable
from shared.work.engine import Engine
from shared.work.jobs import UNFINISHED, Job
from shared.work.works import Part, Work
from shared.workshop import engine_of

LOOKS_EACH = 0.2
"""Seconds."""

_ASKS_EACH = 0.5
_SLEEPS = 0.02
_NOTHING = Part("", 0, 0)


class Look(NamedTuple):
    """How far a job is. total: None while it is not known. here: this process runs it.

    waits: until it is tried again, after an error. trouble: why not even that can be written down.
    """

    job: Job
    done: int
    total: int | None
    doing: str | None
    here: bool
    waits: timedelta | None
    trouble: str | None


@dataclass(slots=True)
class _Watched:
    """A work that tells how far it is, though nothing is committed yet."""

    work: Work
    last: Part = _NOTHING

    def versions(self) -> Mapping[str, int]:
        return self.work.versions()

    def parts(self, job: str, spec: Mapping[str, Any], cursor: str | None) -> Iterator[Part]:
        for part in self.work.parts(job, spec, cursor):
            self.last = part
            yield part
        self.last = _NOTHING

    def forget(self, job: str, spec: Mapping[str, Any]) -> None:
        self.work.forget(job, spec)


@dataclass(slots=True)
class Importing:
    """What runs imports into a home node, one at a time."""

    node: Node
    _watched: _Watched
    _stopping: threading.Event
    _turn: Turn
    engine: Engine
    _recovered: bool = False
    _ours: bool = False
    _trouble: str | None = None
    # Not the thread's own word for it: a signal that comes while it is joined confuses that.
    _ended: threading.Event = field(default_factory=threading.Event)
    _error: Exception | None = None

    def begin(self, input: Input, profile: Profile, *, again: bool) -> Begun:
        """`OSError` when it is not there."""
        now = self.node.clock()
        begun = begin_path(self.engine, input.path, now, profile, again=again)
        if begun.job.state == "done" and input.changed > begun.job.created.timestamp() * 1e9:
            # Of a folder the job only knows the path.
            return begin_path(self.engine, input.path, now, profile, again=True)
        return begun

    def driven(self, id: str) -> Iterator[Look]:
        """Runs a job until it ends, or somebody stops it; meanwhile says how far it is."""
        self._ended.clear()
        threading.Thread(target=self._drive, args=(id,), name="import", daemon=True).start()
        yield from self._looks(id)

    def paused(self, id: str) -> Iterator[Look]:
        """Pauses the job that is driven; how far it is until this process has let go of it."""
        self._stopping.set()
        self.engine.pause(id)
        yield from self._looks(id)
        self.take_turn()

    def _looks(self, id: str) -> Iterator[Look]:
        yield self._look(id)
        while not self._ends_within(LOOKS_EACH):
            yield self._look(id)
        if self._error is not None:
            raise self._error

    def _ends_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not self._ended.is_set() and time.monotonic() < until:
            time.sleep(_SLEEPS)  # in a wait for the event, a signal may break its lock
        return self._ended.is_set()

    def _look(self, id: str) -> Look:
        job, part = self.engine.job(id), self._watched.last
        here = part.cursor != ""
        place: Place = place_of(part.cursor if here else job.cursor)
        done = max(part.done, job.progress.done) if here else job.progress.done
        total = part.total if here else job.progress.total
        at = goes_on(job, self.node.clock())
        return Look(
            job=job,
            done=done,
            total=total if place.stage != "find" else None,
            doing=part.doing if here else job.progress.doing,
            here=here or self._ours,
            waits=at - self.node.clock() if at is not None else None,
            trouble=self._trouble,
        )

    def _drive(self, id: str) -> None:
        try:
            self._run_chunks(id)
        except Exception as error:  # noqa: BLE001 - raised where the thread is waited for
            self._error = error
        finally:
            self._ended.set()

    def _run_chunks(self, id: str) -> None:
        while not self._stopping.is_set():
            try:
                ours = self.take_turn()
                job, now = self.engine.job(id), self.node.clock()
                if job.state not in UNFINISHED:
                    return
                if not ours or job.is_held(now) or goes_on(job, now) is not None:
                    self._stopping.wait(_ASKS_EACH)
                else:
                    self._trouble = None
                    self.engine.run(id, job.token)
            except (StoreUnavailable, BlobsUnavailable) as error:
                # What this process was running may be as good as dead.
                self._recovered, self._trouble = False, str(error)
                self._stopping.wait(_ASKS_EACH)

    def take_turn(self) -> bool:
        """Whether this process may run jobs; if so, what a dead one was running goes on."""
        ours = self._ours = self._turn.taken()
        if ours and not self._recovered:
            self.engine.recover()
            self._recovered = True
        return ours


@contextlib.contextmanager
def importing(node: Node) -> Iterator[Importing]:
    """For a home node."""
    gc.set_threshold(COLLECT_EACH)
    with turn_at_jobs(node.settings.data) as turn:
        stopping = threading.Event()
        engine = engine_of(node, stopping=stopping.is_set)
        watched = _Watched(engine.works["import"])
        engine = replace(engine, works={**engine.works, "import": watched})
        imports = Importing(node, watched, stopping, turn, engine)
        imports.take_turn()
        yield imports
