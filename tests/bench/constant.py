"""The home node's server answering a constant: the bound for anything that is served with it.

Run as `python -m tests.bench.constant PORT`.
"""

import sys

from werkzeug.wrappers import Request, Response

from infra.server import serve


class Constant:
    def takes(self, path: str) -> int:
        return 1

    def turned_away(self, request: Request) -> None:
        """Nobody is."""

    def at_once(self, request: Request) -> Response:
        request.stream.read()
        return Response(b"[]", content_type="application/json")

    __call__ = at_once


if __name__ == "__main__":
    serve(Constant(), "127.0.0.1", int(sys.argv[1]), lambda _: None)
