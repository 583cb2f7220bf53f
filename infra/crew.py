"""The home node's crew: threads that run chunks of jobs and slots, that tick, and that sweep."""

import contextlib
import gc
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import msgspec

from infra.running import turn_at_jobs
from shared.blobs.protocol import BlobsError
from shared.collecting.collecting import Collecting
from shared.collecting.monitor import logged
from shared.http.work import Call, called
from shared.node import Node
from shared.queue import worker
from shared.queue.protocol import QueueError, Task, Workable
from shared.store.protocol import StoreError
from shared.upkeep.sweeping import sweep
from shared.work.engine import Engine
from shared.workshop import monitor_of

SWEEP_EACH, TICK_EACH = 30.0, 10.0
"""Seconds."""

AT_ONCE = 1
"""Chunks. They share one Python and one disk with the answers to phones, which go before."""

SWITCH = 0.0005
"""Seconds after which a chunk that computes lets another thread go on, if one waits. What is
usual, ten times that, would be the least that an answer to a phone waits, several times over."""

_ASKS_EACH = 0.2

COLLECT_EACH = 10_000
"""Objects after which the collector looks for circles. Records have none, and there are very many:
at the usual 700 it takes a fifth of the time of an import."""

_log = logging.getLogger(__name__)


class _Stopping(Exception):
    """The node ends before its turn has come: the task is called at the next start."""


class Crew(NamedTuple):
    """queue, slots: whose tasks are called. stopping: once it is set, nothing new is begun; the
    engine knows it too, so that a chunk in hand ends soon. sweep_each, tick_each: seconds."""

    node: Node
    engine: Engine
    collecting: Collecting
    queue: Workable
    slots: Workable
    stopping: threading.Event
    sweep_each: float = SWEEP_EACH
    tick_each: float = TICK_EACH

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Jobs go on within, but while a command runs them; at the end nothing runs any more."""
        sys.setswitchinterval(SWITCH)
        gc.set_threshold(COLLECT_EACH)
        with _logged():
            self._recover()
        with _logged():
            # Runs of a process that is no more need not wait until their leases end.
            self.collecting.engine.recover()
        threads = [
            threading.Thread(target=self._run_tasks, name="crew-tasks"),
            threading.Thread(target=self._run_slots, name="crew-slots"),
            threading.Thread(target=self._sweep_each, name="crew-sweep"),
            threading.Thread(target=self._tick_each, name="crew-tick"),
            threading.Thread(target=self._watch_each, name="crew-watch"),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            self.queue.wake()
            self.slots.wake()
            for thread in threads:
                thread.join()

    def call(self, task: Task) -> None:
        """One task, as the cloud would call it at the function of that name."""
        if task.work != "work":
            _log.error("a task for %r is dropped: this node has no such work", task.work)
            return
        with turn_at_jobs(self.node.settings.data) as turn:
            while not turn.taken():
                if self.stopping.wait(_ASKS_EACH):
                    raise _Stopping
            self.engine.recover()
            self.engine.run(str(task.body["job"]), int(task.body["token"]))

    def call_slot(self, task: Task) -> None:
        """The same of a collector. It is fenced by its own document, and waits for no job."""
        call = msgspec.convert(dict(task.body), Call)
        called(self.collecting, str(call.collector), call)

    def _run_tasks(self) -> None:
        worker.run(self.queue, self.call, self.stopping, AT_ONCE)

    def _run_slots(self) -> None:
        worker.run(self.slots, self.call_slot, self.stopping, AT_ONCE)

    def _recover(self) -> None:
        with turn_at_jobs(self.node.settings.data) as turn:
            if turn.taken():
                self.engine.recover()

    def _tick_each(self) -> None:
        while not self.stopping.wait(self.tick_each):
            with _logged():
                self.collecting.tick()

    def _watch_each(self) -> None:
        every = timedelta(seconds=self.sweep_each)
        monitor = monitor_of(self.node, self.collecting, every, logged)
        while not self.stopping.wait(self.sweep_each):
            with _logged():
                monitor.sweep()

    def _sweep_each(self) -> None:
        while not self.stopping.wait(self.sweep_each):
            with _logged():
                self._recover()
                sweep(self.node, self.engine)


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except (StoreError, BlobsError, QueueError) as error:
        _log.error("%s is tried again: %s", threading.current_thread().name, error)
    except Exception as error:  # noqa: BLE001 - jobs and collectors depend on these threads
        _log.error("%s ended with %s", threading.current_thread().name, type(error).__name__)
