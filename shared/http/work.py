"""What Cloud Tasks calls: one chunk of a job, or a sweep.

The platform lets nobody else in (IAM checks the caller before the function is reached). An answer
below 300 says that the call is settled; anything else that it shall be made again, later.
"""

import logging
import threading
from collections.abc import Callable

import msgspec
from msgspec import Struct
from werkzeug.wrappers import Request, Response

from shared.blobs.protocol import BlobsError
from shared.collecting.collecting import Collecting
from shared.http.errors import Problem, unavailable
from shared.http.responses import check_posted, json_response, read_body
from shared.model.time import from_micros
from shared.node import Node
from shared.queue.protocol import BODY_LIMIT, QueueError
from shared.store.protocol import StoreError
from shared.upkeep.sweeping import sweep
from shared.work.engine import Engine

_log = logging.getLogger(__name__)

_running = threading.Lock()
"""Held by the chunk that runs: a budget counts the memory of the whole process."""


class Call(Struct, frozen=True):
    """The body of a task: a chunk of a job or collector, by its token, a collector's slot, or the
    slot of a sweep; slots in microseconds since 1970. again: the number of a slot's restart."""

    job: str | None = None
    collector: str | None = None
    token: int | None = None
    slot: int | None = None
    again: int = 0
    sweep: int | None = None


EngineOf = Callable[[Node], Engine]
CollectingOf = Callable[[Node], Collecting]


def work(
    node: Node, engine_of: EngineOf, collecting_of: CollectingOf, request: Request
) -> Response:
    """`POST /` with a `Call` runs a chunk, or looks after what nobody asks for.

    engine_of, collecting_of: what runs the node's jobs and its collectors.
    """
    try:
        return json_response(_done(node, engine_of, collecting_of, request))
    except Problem as problem:
        return problem.response()
    except (StoreError, BlobsError, QueueError) as error:
        _log.warning("a call shall be made again: %s", error)
        return unavailable(str(error)).response()


def _done(node: Node, engine_of: EngineOf, collecting_of: CollectingOf, request: Request) -> object:
    check_posted(request, "work")
    body, truncated = read_body(request, BODY_LIMIT)
    try:
        call = msgspec.json.decode(b"" if truncated else body, type=Call)
    except (msgspec.DecodeError, RecursionError) as error:
        # Settled: the same body would be wrong again, and the sweep finds the job it was meant for.
        _log.error("a task cannot be read: %s", error)
        return {"outcome": "unreadable"}
    if call.sweep is not None:
        return sweep(node, engine_of(node))
    return {"outcome": _chunk(node, engine_of, collecting_of, call)}


def _chunk(node: Node, engine_of: EngineOf, collecting_of: CollectingOf, call: Call) -> str:
    if not _running.acquire(blocking=False):
        raise unavailable("another chunk runs here; come again later")
    try:
        if call.collector is not None:
            return called(collecting_of(node), call.collector, call)
        if call.job is None or call.token is None:
            _log.error("a task says neither a job nor a collector, nor a sweep")
            return "unreadable"
        return engine_of(node).run(call.job, call.token)
    finally:
        _running.release()


def called(collecting: Collecting, collector: str, call: Call) -> str:
    """What comes of a task for a collector. Raises `StoreError` or `Problem`: it shall be called
    again."""
    slot = from_micros(call.slot) if call.slot is not None else None
    outcome = collecting.call(collector, slot, call.token, call.again)
    if outcome is None:
        _log.error("a task for collector %s says neither a slot nor a token", collector)
        return "unreadable"
    if slot is not None and outcome == "taken":
        # Whoever is at it began before this slot, and may have read what is older than it.
        raise unavailable(f"an earlier run of {collector} goes on; come again when it has ended")
    return outcome
