"""The counters of a cloud node: Cloud Monitoring, over HTTP and JSON.

A client library of it is one more to load, for one kind of request.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import google.auth
import requests
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from shared.counters.metrics import LATE, Answer, Query, Series, queries, readings, refused
from shared.counters.protocol import Reading, Unknown
from shared.ha.allowances import Allowance

WITHIN = 5.0
"""Seconds that a request may wait for a connection, and as many for each piece of the answer."""

AT_ONCE = 6
"""Requests under way: so three follow one another when all is asked."""

_SERVICE = "https://monitoring.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/monitoring.read"
_MOST_PAGES = 10
"""Of one answer, which has a few series: it comes on one."""


class CloudMonitoring:
    """`Counters` of one project.

    endpoint: of a server that stands in for the service; it is asked without credentials, unless
    some are given. credentials: those of the environment, so of the function's own account, if
    none are given; they need `roles/monitoring.viewer`.
    """

    def __init__(
        self, project: str, endpoint: str | None = None, credentials: Credentials | None = None
    ) -> None:
        self._url = f"{endpoint or _SERVICE}/v3/projects/{quote(project, safe='')}/timeSeries"
        self._is_open = endpoint is not None and credentials is None
        self._credentials = credentials
        self._turn = threading.Lock()

    def read(self, asked: Mapping[str, Allowance], now: datetime) -> dict[str, Reading]:
        wanted = queries(asked)
        answers: dict[Query, Answer] = {}
        if wanted:
            headers = self._headers()
            if isinstance(headers, Unknown):
                answers = dict.fromkeys(wanted, headers)
            else:
                ask = partial(self._answers, headers, now)
                with ThreadPoolExecutor(AT_ONCE) as threads:
                    for found in threads.map(ask, [wanted[n::AT_ONCE] for n in range(AT_ONCE)]):
                        answers.update(found)
        return readings(asked, answers)

    @property
    def late(self) -> timedelta:
        return LATE

    def _headers(self) -> dict[str, str] | Unknown:
        if self._is_open:
            return {}
        try:
            with self._turn, requests.Session() as session:
                if self._credentials is None:
                    self._credentials, _ = google.auth.default(scopes=[_SCOPE])
                if not self._credentials.valid:
                    self._credentials.refresh(partial(Request(session), timeout=WITHIN))
                return {"Authorization": f"Bearer {self._credentials.token}"}
        except GoogleAuthError as error:
            return Unknown(f"the function's account gets no token ({type(error).__name__})")

    def _answers(
        self, headers: Mapping[str, str], now: datetime, wanted: Sequence[Query]
    ) -> dict[Query, Answer]:
        # The library's sessions are not made for threads.
        with requests.Session() as session:
            session.headers.update(headers)
            return {query: self._answer(session, query.parameters(now)) for query in wanted}

    def _answer(self, session: requests.Session, parameters: dict[str, str]) -> Answer:
        series: list[Series] = []
        asked = dict(parameters)
        for _ in range(_MOST_PAGES):
            try:
                response = session.get(self._url, params=asked, timeout=WITHIN)
            except requests.Timeout:
                return Unknown(
                    f"monitoring.googleapis.com gave no answer within {WITHIN:g} seconds"
                )
            except requests.RequestException as error:
                return Unknown(f"monitoring.googleapis.com cannot be reached ({_kind(error)})")
            page = _object(response)
            if response.status_code != 200:
                return _refusal(response.status_code, page)
            if page is None:
                return Unknown("monitoring.googleapis.com gave an answer that cannot be read")
            series += page.get("timeSeries") or ()
            token = page.get("nextPageToken")
            if not token:
                return series
            asked["pageToken"] = str(token)
        return Unknown(f"monitoring.googleapis.com has more than {_MOST_PAGES} pages of it")


def _kind(error: Exception) -> str:
    return type(error).__name__  # its text is a long one about sockets


def _object(response: requests.Response) -> dict[str, Any] | None:
    try:
        found = response.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _refusal(status: int, page: Mapping[str, Any] | None) -> Unknown:
    error = page.get("error") if page else None
    if not isinstance(error, dict):
        return refused("monitoring", status, "", "", "it does not say why")
    details = error.get("details")
    found = details if isinstance(details, list) else ()
    reasons = (str(each["reason"]) for each in found if isinstance(each, dict) and "reason" in each)
    code, message = str(error.get("status", "")), str(error.get("message", ""))
    return refused("monitoring", status, code, next(reasons, ""), message)
