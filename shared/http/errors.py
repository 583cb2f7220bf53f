"""Errors of the HTTP API, all in one shape: problem details (RFC 9457)."""

import http
import traceback

import msgspec
from werkzeug.wrappers import Response

PROBLEM_JSON = "application/problem+json"


class Problem(Exception):
    """Ends a request with an error. detail: what was wrong, and what to do next."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}

    def response(self) -> Response:
        body = {
            "type": "about:blank",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        return Response(
            msgspec.json.encode(body),
            status=self.status,
            content_type=PROBLEM_JSON,
            headers=self.headers,
        )


def places(error: Exception) -> str:
    """Where an error came from, for a log: without its text, which may quote what was sent."""
    trace = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{trace}"


def unauthorized(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": 'Basic realm="yurt", charset="UTF-8"'})


def unavailable(detail: str) -> Problem:
    return Problem(503, detail, headers={"Retry-After": "30"})
