"""The door to Google's APIs: JSON over HTTPS with the token of whoever is signed in.

Where a service is comes from the same variables that gcloud reads, such as
`CLOUDSDK_API_ENDPOINT_OVERRIDES_FIRESTORE`, so that both always talk to the same one.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import requests

ANSWER_WITHIN = 60.0
"""Seconds that one request may take; the slowest, enabling services, takes about ten."""

_OVERRIDE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"
_PATHS_OF_CLIENTS = ("storage/v1/", "compute/v1/")
"""What gcloud wants at the end of these services' variables, while our paths begin with it."""

_WITHOUT_QUOTA_PROJECT = frozenset(("cloudresourcemanager", "serviceusage", "cloudbilling"))
"""Services that are asked before any is enabled in the project, so not on its account."""

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0
_OPERATION_WITHIN = 600.0


class ApiError(Exception):
    """An API refused a request. status: HTTP's. code: Google's, such as `PERMISSION_DENIED`.
    reason: the machine-readable one, such as `SERVICE_DISABLED`, if there is one."""

    def __init__(self, service: str, status: int, code: str, message: str, reason: str) -> None:
        super().__init__(message)
        self.service = service
        self.status = status
        self.code = code
        self.message = message
        self.reason = reason


class Unreachable(Exception):
    """No answer came: what was asked may have been done or not."""


Query = Mapping[str, str | Sequence[str]]
"""Parameters of a URL; one with several values is said several times."""


class Call(NamedTuple):
    """A request. service: the first part of its host. path: with the version, already quoted.
    body: what is sent as JSON, or bytes that are sent as they are."""

    method: str
    service: str
    path: str
    query: Query = MappingProxyType({})
    body: Any = None


class Response(NamedTuple):
    status: int
    body: bytes


class Send(Protocol):
    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Raises `OSError` when no answer comes."""
        ...


def part(text: str) -> str:
    """A text as one part of a path."""
    return quote(text, safe="")


class Session:
    """`Send` over real connections, which threads share."""

    def __init__(self) -> None:
        self._local = threading.local()

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        answer = session.request(
            method, url, headers=dict(headers), data=body or None, timeout=ANSWER_WITHIN
        )
        return Response(answer.status_code, answer.content)


class Token:
    """A bearer token, asked for when it is first needed, and anew once it was refused."""

    def __init__(self, new: Callable[[], str]) -> None:
        self._new = new
        self._lock = threading.Lock()
        self._held: str | None = None

    def __call__(self) -> str:
        with self._lock:
            if self._held is None:
                self._held = self._new()
            return self._held

    def refused(self, token: str) -> None:
        with self._lock:
            if self._held == token:
                self._held = None


@dataclass
class Api:
    """Requests on behalf of one project.

    environ: where endpoints may be overridden. wait: sleeps so many seconds.
    """

    project: str
    token: Token
    environ: Mapping[str, str]
    send: Send
    wait: Callable[[float], None]

    def get(self, service: str, path: str, query: Query | None = None) -> Any | None:
        """The JSON there is, or None if there is none (404)."""
        try:
            return self.call(Call("GET", service, path, query or {}))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def pages(
        self,
        service: str,
        path: str,
        key: str,
        query: Query | None = None,
        unless: str | None = None,
    ) -> Iterator[Any]:
        """Every item of a list that comes in pages, in which it is called `key`.

        unless: the member in which the service says what it could not look at, which may be items
        as well: then `Unreachable`.
        """
        asked = dict(query or {})
        while True:
            page = self.call(Call("GET", service, path, asked))
            if unless is not None and page.get(unless):
                missing = ", ".join(page[unless])
                raise Unreachable(f"{service}.googleapis.com cannot look at {missing} now")
            yield from page.get(key, ())
            if not page.get("nextPageToken"):
                return
            asked["pageToken"] = page["nextPageToken"]

    def call(self, call: Call) -> Any:
        """The JSON of the answer. `ApiError`, or `Unreachable` if there is no answer."""
        token = self.token()
        try:
            return self._called(call, token)
        except ApiError as error:
            if error.status != 401:
                raise
            self.token.refused(token)  # it lives for an hour, a deployment may take longer
            return self._called(call, self.token())

    def _called(self, call: Call, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if call.service not in _WITHOUT_QUOTA_PROJECT:
            headers["x-goog-user-project"] = self.project
        body = b""
        if isinstance(call.body, bytes):
            headers["Content-Type"], body = "application/octet-stream", call.body
        elif call.body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(call.body).encode()
        try:
            response = self.send(call.method, self._url(call), headers, body)
        except OSError as error:
            raise Unreachable(f"{call.service}.googleapis.com {silence(error)}") from error
        return _read(call.service, response)

    def finish(self, call: Call) -> Any:
        """The same, and waits until the operation that it began is done, if it began one."""
        answer = self.call(call)
        if not _is_operation(answer):
            return answer
        pause, left = _FIRST_PAUSE, _OPERATION_WITHIN
        while not _is_done(answer):
            if left <= 0:
                raise Unreachable(f"{answer['name']} of {call.service} did not end in time")
            self.wait(pause)
            left -= pause
            pause = min(1.5 * pause, _LONGEST_PAUSE)
            answer = self.call(Call("GET", call.service, _operation_path(call, answer)))
        if "error" in answer:
            # Compute says the status beside the error.
            status = answer.get("httpErrorStatusCode", 0)
            raise _failed(call.service, {"code": status, **answer["error"]})
        return answer.get("response", answer)

    def _url(self, call: Call) -> str:
        default = f"https://{call.service}.googleapis.com/"
        base = self.environ.get(f"{_OVERRIDE}{call.service.upper()}") or default
        for path in _PATHS_OF_CLIENTS:
            base = base.removesuffix(path)
        query = f"?{urlencode(call.query, doseq=True)}" if call.query else ""
        return f"{base}{call.path}{query}"


def silence(error: OSError) -> str:
    """What the HTTP library says of it is a paragraph about sockets."""
    if isinstance(error, requests.Timeout):
        return f"gave no answer within {ANSWER_WITHIN:.0f} seconds"
    if isinstance(error, requests.exceptions.SSLError):
        return f"is not to be trusted: {error}"
    return "cannot be reached"


def _read(service: str, response: Response) -> Any:
    try:
        answer = json.loads(response.body or b"{}")
    except ValueError:
        answer = {}
    if response.status < 300:
        return answer
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        error = {"message": response.body.decode("utf-8", "replace").strip()[:300]}
    raise _failed(service, {"code": response.status, **error})


def _failed(service: str, error: Mapping[str, Any]) -> ApiError:
    """From an error object as APIs answer with, or as an operation ends with."""
    details = [detail for detail in error.get("details", ()) if isinstance(detail, dict)]
    reasons = [*details, *error.get("errors", ())]  # Cloud Storage and Compute say it the old way
    said = (found.get("reason", found.get("code")) for found in reasons)
    reason = next((str(word) for word in said if word), "")
    status = int(error.get("code", 0) or 0)
    status = _OF_CODES.get(status, status)
    told = error.get("message") or next((e.get("message") for e in error.get("errors", ())), None)
    message = str(told or f"it answered with status {status}")
    return ApiError(service, status, str(error.get("status", "")), message, reason)


_OF_CODES = {
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    13: 500,
    14: 503,
}
"""HTTP's status of the code that an operation's error has instead
(https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto)."""


def _is_operation(answer: Any) -> bool:
    if not isinstance(answer, dict):
        return False
    if answer.get("kind") == "compute#operation":
        return True
    name = answer.get("name")
    return isinstance(name, str) and (name.startswith("operations/") or "/operations/" in name)


def _is_done(answer: Mapping[str, Any]) -> bool:
    return bool(answer.get("done")) or answer.get("status") == "DONE"


def _operation_path(call: Call, answer: Mapping[str, Any]) -> str:
    if "selfLink" in answer:
        # Compute's operations are named by where they are, of which the host may be overridden.
        return str(answer["selfLink"]).partition("/compute/")[2].join(("compute/", ""))
    version = call.path.partition("/")[0]
    return f"{version}/{answer['name']}"
