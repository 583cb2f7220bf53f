"""What Cloud Tasks and Cloud Scheduler call: one chunk of a job, or a sweep.

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
from shared.http.errors import Problem, unavailable
from shared.http.responses import json_response, path_within, read_body
from shared.node import Node
from shared.queue.protocol import BODY_LIMIT, QueueError
from shared.store.protocol import StoreError
from shared.upkeep.sweeping import sweep
from shared.work.engine import Engine

_log = logging.getLogger(__name__)

_running = threading.Lock()
"""Held by the chunk that runs: a budget counts the memory of the whole process."""


class Call(Struct, frozen=True):
    """The body of a task."""

    job: str
    token: int


def work(node: Node, engine_of: Callable[[Node], Engine], request: Request) -> Response:
    """`POST /` with a `Call` runs a chunk; `POST /sweep` looks after what nobody asks for.

    engine_of: what runs the node's jobs.
    """
    try:
        return json_response(_done(node, engine_of(node), request))
    except Problem as problem:
        return problem.response()
    except (StoreError, BlobsError, QueueError) as error:
        _log.warning("a call shall be made again: %s", error)
        return unavailable(str(error)).response()


def _done(node: Node, engine: Engine, request: Request) -> object:
    path = path_within(request, "work")
    if request.method != "POST":
        raise Problem(405, "only POST is answered here", headers={"Allow": "POST"})
    if path == "/sweep":
        return sweep(node, engine)
    if path != "/":
        raise Problem(404, f"there is nothing at {path}; there is / and /sweep")
    body, truncated = read_body(request, BODY_LIMIT)
    try:
        call = msgspec.json.decode(b"" if truncated else body, type=Call)
    except (msgspec.DecodeError, RecursionError) as error:
        # Settled: the same body would be wrong again, and the sweep finds the job it was meant for.
        _log.error("a task cannot be read: %s", error)
        return {"outcome": "unreadable"}
    return {"outcome": _chunk(engine, call)}


def _chunk(engine: Engine, call: Call) -> str:
    if not _running.acquire(blocking=False):
        raise unavailable("another chunk runs here; come again later")
    try:
        return engine.run(call.job, call.token)
    finally:
        _running.release()
