"""`work`: one chunk of one job, or a sweep, as Cloud Tasks asks for it."""

import functions_framework
from werkzeug.wrappers import Request, Response

from shared.http.work import work as answer
from shared.node import this_node
from shared.workshop import collecting_of, engine_of


@functions_framework.http
def work(request: Request) -> Response:
    return answer(this_node(), engine_of, collecting_of, request)
