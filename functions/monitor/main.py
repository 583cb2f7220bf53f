"""`monitor`: each ten minutes, collectors are looked after, and `work` is told to sweep."""

from functools import cache

import functions_framework
from werkzeug.wrappers import Request, Response

from shared.http.monitor import monitor as answer
from shared.node import this_node
from shared.workshop import lone_monitor_of

# The same while this instance lives: it remembers what it could not look at.
_monitor_of = cache(lone_monitor_of)


@functions_framework.http
def monitor(request: Request) -> Response:
    return answer(this_node(), _monitor_of, request)
