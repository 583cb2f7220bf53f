"""`ingest`: a phone's report becomes durable records before it is answered."""

import functions_framework
from werkzeug.wrappers import Request, Response

from shared.http.ingest import ingest as answer
from shared.node import this_node


@functions_framework.http
def ingest(request: Request) -> Response:
    return answer(this_node(), request)
