"""What calls the tasks of a home node: threads that wait for one to be due."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from shared.queue.protocol import QueueError, Taken, Task, Workable

LOOK_EVERY = 1.0
"""Seconds after which a task is seen that another process added, or whose pause is over."""

_log = logging.getLogger(__name__)


def run(
    queue: Workable, call: Callable[[Task], object], stop: threading.Event, threads: int = 2
) -> None:
    """Calls what is due, `threads` tasks at a time, until `stop` is set and the calls returned.

    call: returns when the task is settled; whatever it raises, the task comes again later. Nobody
    else may call tasks of this queue meanwhile.
    """
    with _logged("recovering what was being called"):
        queue.recover()
    workers = [
        threading.Thread(target=_work, args=(queue, call, stop), name=f"tasks-{number}")
        for number in range(threads)
    ]
    for worker in workers:
        worker.start()
    try:
        stop.wait()
    finally:
        stop.set()
        queue.wake()
        for worker in workers:
            worker.join()


def _work(queue: Workable, call: Callable[[Task], object], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            taken = queue.take(LOOK_EVERY)
        except QueueError as error:
            _log.error("the queue: %s", error)
            stop.wait(LOOK_EVERY)
            continue
        if taken is not None:
            _settle(queue, call, taken)


def _settle(queue: Workable, call: Callable[[Task], object], taken: Taken) -> None:
    # If what became of it cannot be written, its lease runs out and it is called again.
    try:
        call(taken.task)
    except Exception as error:  # noqa: BLE001 - no call may end the thread that makes it
        # Not the text of the error: it may hold what no log may.
        _log.warning("%s, call %d: %s", taken.task.name, taken.attempt, type(error).__name__)
        with _logged(f"putting off {taken.task.name}"):
            queue.failed(taken)
    else:
        with _logged(f"settling {taken.task.name}"):
            queue.done(taken)


@contextlib.contextmanager
def _logged(doing: str) -> Iterator[None]:
    try:
        yield
    except QueueError as error:
        _log.error("the queue, %s: %s", doing, error)
