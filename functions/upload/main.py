"""`upload`: the owner's files, straight to the bucket and into an import."""

import functions_framework
from werkzeug.wrappers import Request, Response

from shared.http.upload import upload as answer
from shared.node import this_node
from shared.workshop import engine_of


@functions_framework.http
def upload(request: Request) -> Response:
    return answer(this_node(), engine_of, request)
