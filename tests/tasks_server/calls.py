"""Calls as the service makes them: its headers, its identity, a bound in time."""

import http.client
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from google.cloud import tasks_v2

from tests.tasks_server.book import Call
from tests.tasks_server.tokens import signed

HERE = {"127.0.0.1", "localhost", "::1"}
"""Nothing is ever called beyond this machine."""

_REPLACED = ("host", "content-length", "user-agent", "x-google-", "x-appengine-", "x-cloudtasks-")


def made(call: Call, queue: str, now: datetime, scale: float) -> int | None:
    """What the worker answered; None if nothing in time. Who does not listen answers 503."""
    request = call.task.http_request
    parts = urlsplit(request.url)
    assert parts.hostname in HERE, f"{request.url} is not on this machine"
    deadline = call.task.dispatch_deadline.total_seconds() * scale
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=deadline)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        method = tasks_v2.HttpMethod(request.http_method).name
        connection.request(method, path, request.body, headers_of(call, queue, now))
        response = connection.getresponse()
        response.read()
    except TimeoutError:
        return None
    except (OSError, http.client.HTTPException):
        return 503
    finally:
        connection.close()
    return response.status


def headers_of(call: Call, queue: str, now: datetime) -> dict[str, str]:
    request = call.task.http_request
    headers = {
        name: value
        for name, value in request.headers.items()
        if not name.lower().startswith(_REPLACED)
    }
    headers |= {
        "User-Agent": "Google-Cloud-Tasks",
        "X-CloudTasks-QueueName": queue.rpartition("/")[2],
        "X-CloudTasks-TaskName": call.id,
        "X-CloudTasks-TaskRetryCount": str(call.attempt - 1),
        "X-CloudTasks-TaskExecutionCount": str(call.executions),
        "X-CloudTasks-TaskETA": f"{call.task.schedule_time.timestamp():.6f}",
    }
    if call.previous is not None:
        headers["X-CloudTasks-TaskPreviousResponse"] = str(call.previous)
        headers["X-CloudTasks-TaskRetryReason"] = ""
    if "oidc_token" in request:
        headers["Authorization"] = f"Bearer {_token(request, now)}"
    return headers


def _token(request: Any, now: datetime) -> str:
    token = request.oidc_token
    return signed(token.service_account_email, token.audience or request.url, now)
