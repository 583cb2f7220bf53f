"""The queue of a cloud node: one queue of Cloud Tasks, which calls the private functions.

Over HTTP and JSON: once Firestore's library is loaded, a client of this kind costs a cold start no
more than one over gRPC would, and less memory.
"""

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar, cast

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import tasks_v2

from shared.queue.limits import encoded_body
from shared.queue.protocol import LONGEST_CALL, QueueError, QueueUnavailable, Task, Waiting

T = TypeVar("T")

WITHIN = 3.0
"""Seconds that a request to the service may take, with all its attempts."""

_PASSING = (
    exceptions.Conflict,  # of two requests that met
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,
    # What the HTTP library raises when there is no answer; it and its likes are such errors.
    OSError,
)
_FIRST_PAUSE = 0.05
_SHORTEST_ATTEMPT = 0.5  # seconds, with connecting
_PAGE_SIZE = 1000


class CloudTasksQueue:
    """`Queue` on one queue of Cloud Tasks. The client is made by whoever asks first.

    name: `projects/…/locations/…/queues/…`. target, audience: a function's URL and what a token for
    it says, with `{work}` where its name goes. account: who calls it. endpoint: of a server that
    stands in for the service.
    """

    def __init__(
        self,
        name: str,
        *,
        target: str,
        account: str,
        audience: str,
        clock: Callable[[], datetime],
        endpoint: str | None = None,
    ) -> None:
        self._name = name
        self._target = target
        self._account = account
        self._audience = audience
        self._clock = clock
        self._endpoint = endpoint
        # The library's sessions are not made for threads. Nobody adds so much that it matters.
        self._turn = threading.Lock()
        self._client: tasks_v2.CloudTasksClient | None = None
        self._closed = False

    def add(self, task: Task) -> bool:
        request = tasks_v2.CreateTaskRequest(parent=self._name, task=self._request(task))
        unanswered = False

        def attempt(client: tasks_v2.CloudTasksClient, timeout: float) -> bool:
            nonlocal unanswered
            try:
                client.create_task(request, retry=None, timeout=timeout)
            except exceptions.Conflict as error:
                if not _is_used_name(error):
                    raise
                # The name may be used by an attempt of ours whose answer got lost.
                return unanswered
            except _PASSING:
                unanswered = True
                raise
            return True

        return self._patiently(attempt)

    def waiting(self) -> Iterator[Waiting]:
        token = ""
        while True:
            page = self._page(token)
            for task in page.tasks:
                id = task.name.rpartition("/")[2]
                name = id.partition("-")[2]
                if id == task_id(name):  # otherwise it was not added by us
                    yield Waiting(name, task.dispatch_count, cast(datetime, task.schedule_time))
            token = page.next_page_token
            if not token:
                return

    def close(self) -> None:
        with self._turn:
            self._closed = True
            if self._client is not None:
                self._client.transport.close()
                self._client = None

    def _request(self, task: Task) -> tasks_v2.Task:
        body = encoded_body(task, self._clock())
        return tasks_v2.Task(
            name=f"{self._name}/tasks/{task_id(task.name)}",
            schedule_time=task.after,
            # A function's own timeout is shorter, and ends it first.
            dispatch_deadline=LONGEST_CALL,
            http_request=tasks_v2.HttpRequest(
                url=self._target.replace("{work}", task.work),
                http_method=tasks_v2.HttpMethod.POST,
                headers={"Content-Type": "application/json"},
                body=body,
                oidc_token=tasks_v2.OidcToken(
                    service_account_email=self._account,
                    audience=self._audience.replace("{work}", task.work),
                ),
            ),
        )

    def _page(self, token: str) -> tasks_v2.ListTasksResponse:
        request = tasks_v2.ListTasksRequest(
            parent=self._name, page_size=_PAGE_SIZE, page_token=token
        )

        def attempt(
            client: tasks_v2.CloudTasksClient, timeout: float
        ) -> tasks_v2.ListTasksResponse:
            pager = client.list_tasks(request, retry=None, timeout=timeout)
            # The pages after it are asked for with a bound of their own.
            return next(iter(pager.pages))

        return self._patiently(attempt)

    def _patiently(self, request: Callable[[tasks_v2.CloudTasksClient, float], T]) -> T:
        ends, pause = time.monotonic() + WITHIN, _FIRST_PAUSE
        while True:
            try:
                return self._attempt(request, ends)
            except _PASSING as error:
                wait = pause * random.uniform(0.5, 1)  # noqa: S311 - nothing secret hangs on it
                if ends - time.monotonic() - wait < _SHORTEST_ATTEMPT:
                    raise QueueUnavailable(
                        f"Cloud Tasks gives no answer{_because(error)}"
                    ) from error
            except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
                raise self._as_ours(error) from error
            time.sleep(wait)
            pause *= 2

    def _attempt(self, request: Callable[[tasks_v2.CloudTasksClient, float], T], ends: float) -> T:
        if not self._turn.acquire(timeout=max(0, ends - time.monotonic())):
            raise QueueUnavailable("Cloud Tasks does not answer those who asked before")
        try:
            # The library allows as much for connecting, and again for the answer.
            return request(self._opened(), max(_SHORTEST_ATTEMPT, ends - time.monotonic()) / 2)
        finally:
            self._turn.release()

    def _opened(self) -> tasks_v2.CloudTasksClient:
        if self._closed:
            raise QueueUnavailable("the queue is closed")
        if self._client is None:
            endpoint = self._endpoint
            self._client = tasks_v2.CloudTasksClient(
                transport="rest",
                credentials=AnonymousCredentials() if endpoint else None,
                client_options={"api_endpoint": endpoint} if endpoint else None,
            )
        return self._client

    def _as_ours(self, error: exceptions.GoogleAPICallError | GoogleAuthError) -> QueueError:
        if isinstance(error, GoogleAuthError):
            return QueueError(
                f"there are no credentials for Cloud Tasks: {error}; on a machine of your own run "
                "`gcloud auth application-default login`"
            )
        if isinstance(error, exceptions.TooManyRequests):
            return QueueUnavailable(f"a quota of {self._name} is used up ({_said(error)})")
        if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized):
            return QueueError(
                f"{self._name} refuses this account ({_said(error)}); give it "
                "roles/cloudtasks.enqueuer and roles/cloudtasks.viewer, and "
                f"roles/iam.serviceAccountUser on {self._account}"
            )
        if isinstance(error, exceptions.NotFound) or "Queue does not exist" in str(error):
            _, project, _, location, _, id = self._name.split("/")
            return QueueError(
                f"{self._name} does not exist; make it with `gcloud tasks queues create {id} "
                f"--project={project} --location={location}`"
            )
        return QueueError(f"{self._name} refused a request ({_said(error)})")


def task_id(name: str) -> str:
    """The name that the service gets: it stores names that begin alike slowly."""
    return f"{hashlib.sha256(name.encode()).hexdigest()[:8]}-{name}"


def _is_used_name(error: exceptions.Conflict) -> bool:
    """Whether this conflict is that one: over HTTP a request that was aborted is one, too."""
    return _answer(error).get("status") == "ALREADY_EXISTS"


def _said(error: exceptions.GoogleAPICallError) -> str:
    """What the service said, without the request that the library puts before it."""
    return str(_answer(error).get("message") or error.message)


def _because(error: Exception) -> str:
    if isinstance(error, exceptions.GoogleAPICallError):
        return f" ({_said(error)})"
    return f" ({type(error).__name__})"  # its text is a long one about sockets


def _answer(error: exceptions.GoogleAPICallError) -> dict[str, Any]:
    try:
        return dict(error.response.json()["error"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}  # not the service's own answer
