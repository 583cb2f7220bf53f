"""`monitor`: each ten minutes, collectors are looked after, and `work` is told to sweep."""

from functools import cache

import functions_framework
from werkzeug.wrappers import Request, Response

from shared.collecting.monitor import Monitor
from shared.http.monitor import monitor as answer
from shared.node import this_node
from shared.workshop import lone_monitor_of


@cache
def _looking() -> Monitor:
    """The same while this instance lives: it remembers what it could not look at."""
    return lone_monitor_of(this_node())


@functions_framework.http
def monitor(request: Request) -> Response:
    return answer(this_node(), _looking, request)
