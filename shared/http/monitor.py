"""What Cloud Scheduler calls each ten minutes: a sweep over collectors, and a task for the other.

The sweep over jobs and uploads needs what imports need, so that `work` makes it. A call that comes
twice, or late, adds its task once: the name is that of the ten minutes.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from werkzeug.wrappers import Request, Response

from shared.collecting.monitor import Monitor
from shared.collecting.periods import IN_CLOUD_EACH
from shared.http.errors import Problem, unavailable
from shared.http.responses import check_posted, json_response
from shared.model.time import to_micros
from shared.node import Node
from shared.queue.protocol import QueueError, Task
from shared.store.protocol import StoreError

_log = logging.getLogger(__name__)


def monitor(node: Node, looking: Callable[[], Monitor], request: Request) -> Response:
    """`POST /` sweeps; the answer says what came of it, and names the task if it was new.

    looking: what looks after the node's collectors, each ten minutes.
    """
    try:
        check_posted(request, "monitor")
        # First: the other sweep does without this one.
        task = _sweep_task(node)
        added = [task.name] if node.queue.add(task) else []
        return json_response({"looked": looking().sweep(), "added": added})
    except Problem as problem:
        return problem.response()
    except (StoreError, QueueError) as error:
        _log.warning("a sweep shall be made again: %s", error)
        return unavailable(str(error)).response()


def _sweep_task(node: Node) -> Task:
    now, every = to_micros(node.clock()), IN_CLOUD_EACH // timedelta(microseconds=1)
    slot = now - now % every
    return Task(f"sweep-{slot}", "work", {"sweep": slot})
