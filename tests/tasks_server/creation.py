"""Requests to create a task, refused for what the service refuses."""

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from google.cloud import tasks_v2
from google.protobuf import json_format

LARGEST_TASK = 100_000
"""Bytes. The service takes 1 MiB of late; its client's documentation still says 100 KB."""
LONGEST_URL = 2083
LARGEST_HEADERS = 80_000
FARTHEST = timedelta(days=30)
SHORTEST_DEADLINE, LONGEST_DEADLINE = timedelta(seconds=15), timedelta(minutes=30)
DEADLINE = timedelta(minutes=10)

Wire = Any
"""A message of the API as its client's library has it, whose types say "Timestamp" where it gives
a `datetime`."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")
_WITH_BODY = {"POST", "PUT", "PATCH"}


class Refusal(Exception):
    """An answer that is no success. status: as the service names it (`NOT_FOUND`)."""

    CODES = {  # noqa: RUF012 - a constant
        "INVALID_ARGUMENT": 400,
        "UNAUTHENTICATED": 401,
        "PERMISSION_DENIED": 403,
        "NOT_FOUND": 404,
        "ALREADY_EXISTS": 409,
        "ABORTED": 409,
        "RESOURCE_EXHAUSTED": 429,
        "UNAVAILABLE": 503,
    }

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = self.CODES[status]


def parsed(body: bytes, queue: str, accounts: frozenset[str], now: datetime) -> Wire:
    """The task of a request to `queue`, complete with what the service fills in."""
    message = tasks_v2.CreateTaskRequest.pb(tasks_v2.CreateTaskRequest())
    try:
        json_format.Parse(body, message)  # knows every field, and no other
    except json_format.ParseError as error:
        raise _invalid(f"Invalid JSON payload received. {error}") from error
    task = tasks_v2.CreateTaskRequest.wrap(message).task
    if message.ByteSize() > LARGEST_TASK:
        raise _invalid("Task size too large")
    if task.name:
        _check_name(task.name, queue)
    _check_schedule(task, now)
    if not task.http_request.url:
        raise _invalid("The task must have an HTTP request.")
    _check_http(task.http_request, accounts)
    return task


def _check_name(name: str, queue: str) -> None:
    before, slash, id = name.rpartition("/tasks/")
    if not slash or before != queue:
        raise _invalid(
            f"The queue name from request ('{queue}') must be the same as the queue name in the "
            f"named task ('{before}')."
        )
    if not _ID.fullmatch(id):
        raise _invalid(
            f'Task ID "{id}" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), or '
            "underscores (_). Task ID must between 1 and 500 characters."
        )


def _check_schedule(task: Wire, now: datetime) -> None:
    if "schedule_time" not in task or task.schedule_time < now:
        task.schedule_time = now
    if task.schedule_time - now > FARTHEST:
        raise _invalid("Task.schedule_time is too far in the future.")
    if "dispatch_deadline" not in task:
        task.dispatch_deadline = DEADLINE
    if not SHORTEST_DEADLINE <= task.dispatch_deadline <= LONGEST_DEADLINE:
        raise _invalid("Task.dispatchDeadline must be between [15s, 30m]")


def _check_http(request: Wire, accounts: frozenset[str]) -> None:
    parts = urlsplit(request.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _invalid('HttpRequest.url must begin with "http://" or "https://".')
    if len(request.url) > LONGEST_URL:
        raise _invalid(f"HttpRequest.url must be at most {LONGEST_URL} characters.")
    if not request.http_method:
        request.http_method = tasks_v2.HttpMethod.POST
    if request.body and request.http_method.name not in _WITH_BODY:
        raise _invalid("HttpRequest.body is allowed only with POST, PUT or PATCH.")
    if sum(len(name) + len(value) for name, value in request.headers.items()) >= LARGEST_HEADERS:
        raise _invalid("HttpRequest.headers must be less than 80KB.")
    if "oauth_token" in request:
        raise _invalid("OAuth tokens are for Google's own services.")
    if "oidc_token" in request:
        account = request.oidc_token.service_account_email
        if "@" not in account:
            raise _invalid("OidcToken.service_account_email must be set.")
        if account not in accounts:
            raise Refusal(
                "PERMISSION_DENIED",
                "The principal lacks IAM permission iam.serviceAccounts.actAs for the resource "
                f"{account} (or the resource may not exist).",
            )


def _invalid(message: str) -> Refusal:
    return Refusal("INVALID_ARGUMENT", message)
