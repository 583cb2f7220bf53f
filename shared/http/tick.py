"""What Cloud Scheduler calls each minute: slots that are due become tasks.

A call that comes twice, or late, adds nothing twice: a task's name is its collector and slot.
"""

import logging

from werkzeug.wrappers import Request, Response

from shared.collecting import slots
from shared.http.errors import Problem, unavailable
from shared.http.responses import check_posted, json_response
from shared.node import Node
from shared.queue.protocol import QueueError
from shared.store.protocol import StoreError

_log = logging.getLogger(__name__)


def tick(node: Node, request: Request) -> Response:
    """`POST /` adds what is due; the answer names the tasks that were new."""
    try:
        check_posted(request, "tick")
        added = slots.tick(node.store, node.slots_queue, node.configured(), node.clock())
        return json_response({"added": added})
    except Problem as problem:
        return problem.response()
    except (StoreError, QueueError) as error:
        _log.warning("a tick shall be made again: %s", error)
        return unavailable(str(error)).response()
