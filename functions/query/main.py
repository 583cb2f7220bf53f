"""`query`: the owner's questions over HTTP."""

import functions_framework
from werkzeug.wrappers import Request, Response

from shared.http.query import query as answer
from shared.node import this_node


@functions_framework.http
def query(request: Request) -> Response:
    return answer(this_node(), request)
