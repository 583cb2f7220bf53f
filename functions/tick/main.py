"""`tick`: each minute, what is due becomes tasks."""

import functions_framework
from werkzeug.wrappers import Request, Response

from shared.http.tick import tick as answer
from shared.node import this_node


@functions_framework.http
def tick(request: Request) -> Response:
    return answer(this_node(), request)
