"""The door in front of a private function: who may not call it does not reach it."""

import http.client
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.tasks_server.tokens import Refused, checked, without_signature

WITHIN = 60.0  # seconds a function may be silent


class Answer(NamedTuple):
    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class Door:
    """routes: where each function listens. invokers: the e-mails of those who may call them."""

    def __init__(self, routes: Mapping[str, str], invokers: Collection[str]) -> None:
        self._routes = routes
        self._invokers = invokers

    def answer(
        self,
        method: str,
        work: str,
        rest: str,
        audience: str,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
    ) -> Answer:
        """rest: path and query as the function gets them. audience: this function's own URL."""
        if work not in self._routes:
            return Answer(404, b"there is no such function")
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return Answer(403, b"the request is not authenticated")
        try:
            claims = checked(token, audience, now)
        except Refused as error:
            return Answer(401, str(error).encode())
        if claims["email"] not in self._invokers or claims["email_verified"] is not True:
            return Answer(403, b"this account has not the role run.invoker")
        authorization = f"Bearer {without_signature(token)}"
        return _forwarded(
            self._routes[work], method, rest, {**headers, "Authorization": authorization}, body
        )


def _forwarded(url: str, method: str, rest: str, headers: Mapping[str, str], body: bytes) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=WITHIN)
    kept = {name: value for name, value in headers.items() if name.lower() not in _OWN}
    try:
        connection.request(method, urlsplit(url).path.rstrip("/") + rest, body, kept)
        response = connection.getresponse()
        return Answer(
            response.status, response.read(), response.headers.get("Content-Type", "text/plain")
        )
    except TimeoutError:
        return Answer(504, b"the function did not answer in time")
    except (OSError, http.client.HTTPException):
        return Answer(503, b"the function cannot be reached")
    finally:
        connection.close()


_OWN = {"host", "content-length", "connection"}
