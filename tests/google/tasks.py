"""Cloud Tasks v2: queues. (Tasks themselves are the matter of `tests.tasks_server`.)"""

from dataclasses import replace
from typing import Any

from tests.google.access import access_routes
from tests.google.masks import patched, paths, without
from tests.google.project import Project
from tests.google.refusal import Refusal, invalid
from tests.google.service import (
    Call,
    Json,
    Route,
    Service,
    checked_id,
    exists,
    page,
    seconds,
    wants,
)

_OUTPUT = ("state", "purgeTime", "name")
_MISSING = (
    "Queue does not exist. If you just created the queue, wait at least a minute for the queue to "
    "initialize."
)
_TOO_RECENT = "The queue cannot be created because a queue with this name existed too recently."
_RATES = {"maxDispatchesPerSecond": 500.0, "maxConcurrentDispatches": 1000, "maxBurstSize": 100}
_RETRY = {"maxAttempts": 100, "minBackoff": "0.100s", "maxBackoff": "3600s", "maxDoublings": 16}


class Tasks(Service):
    host = "cloudtasks.googleapis.com"
    title = "Cloud Tasks API"
    messages = "cloudtasks"

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._queues: dict[str, Json] = {}
        self._deleted: set[str] = set()

    def routes(self) -> list[Route]:
        path = "v2/projects/{project}/locations/{location}/queues"
        one = f"{path}/{{queue}}"
        return [
            Route("GET", path, self._list, query="filter pageSize pageToken"),
            Route("GET", one, self._found, query="readMask"),
            Route(
                "POST",
                path,
                self._create,
                body="Queue",
                root="queue",
                needs="cloudtasks.queues.create",
            ),
            Route(
                "PATCH",
                one,
                self._patch,
                body="Queue",
                root="queue",
                query="updateMask",
                needs="cloudtasks.queues.update",
            ),
            Route("DELETE", one, self._delete, needs="cloudtasks.queues.delete"),
            *self._verbs(one),
            *access_routes(
                self.project,
                one,
                "queue",
                lambda call: str(self._found(call)["name"]),
                get="POST",
                get_body="GetIamPolicyRequest",
                needs="cloudtasks.queues",
            ),
        ]

    def _verbs(self, one: str) -> list[Route]:
        changes = {"pause": {"state": "PAUSED"}, "resume": {"state": "RUNNING"}, "purge": {}}
        return [
            Route(
                "POST",
                f"{one}:{verb}",
                lambda call, change=change: self._change(call, change),  # type: ignore[misc]
                body=f"{verb.capitalize()}QueueRequest",
                needs=f"cloudtasks.queues.{verb}",
            )
            for verb, change in changes.items()
        ]

    def picture(self) -> Json:
        return {
            name: without(queue, ("purgeTime",)) for name, queue in sorted(self._queues.items())
        }

    def _list(self, call: Call) -> Json:
        parent = f"{self._parent(call)}/queues/"
        return page(
            "queues", [q for name, q in sorted(self._queues.items()) if name.startswith(parent)]
        )

    def _create(self, call: Call) -> Json:
        name = call.body.get("name", "")
        prefix = f"{self._parent(call)}/queues/"
        if not name.startswith(prefix):
            raise invalid(f'Queue name must be formatted: "{prefix}QUEUE_ID"')
        checked_id(name.removeprefix(prefix), r"[A-Za-z0-9-]{1,100}", "Queue ID")
        if name in self._queues:
            raise exists("Queue already exists")
        if name in self._deleted:
            raise Refusal("FAILED_PRECONDITION", _TOO_RECENT)
        self._queues[name] = {"name": name, **_filled(call.body), "state": "RUNNING"}
        return self._queues[name]

    def _patch(self, call: Call) -> Json:
        """Makes the queue when there is none, as the API says of this method."""
        name = f"{self._parent(call)}/queues/{call['queue']}"
        if name not in self._queues:
            return self._create(replace(call, body={**call.body, "name": name}))
        mask = call.query.get("updateMask", "")
        fields = [path for path in paths(mask, self.messages, "Queue") if path not in _OUTPUT]
        old = self._queues[name]
        fields = fields or [key for key in call.body if key not in _OUTPUT]
        self._queues[name] = {**old, **_filled(patched(old, call.body, fields))}
        return self._queues[name]

    def _delete(self, call: Call) -> Json:
        name = self._found(call)["name"]
        del self._queues[name]
        self._deleted.add(name)
        self.project.policies.remove(name)
        return {}

    def _change(self, call: Call, change: Json) -> Json:
        queue = self._found(call)
        queue.update(change or {"purgeTime": self.project.now()})
        return queue

    def _found(self, call: Call) -> Json:
        return wants(self._queues.get(f"{self._parent(call)}/queues/{call['queue']}"), _MISSING)

    def _parent(self, call: Call) -> str:
        return f"{self.project.name}/locations/{call['location']}"


def _filled(queue: Json) -> Json:
    """Checked, and with what the service fills in."""
    rates = {**_RATES, **(queue.get("rateLimits") or {})}
    retry = {**_RETRY, **(queue.get("retryConfig") or {})}
    _check_rates(rates)
    _check_retry(retry)
    return {**without(queue, _OUTPUT), "rateLimits": rates, "retryConfig": retry}


def _check_rates(rates: dict[str, Any]) -> None:
    if not 0 < rates["maxDispatchesPerSecond"] <= 500:
        raise invalid("Queue.rate_limits.max_dispatches_per_second must be in the range (0, 500].")
    if not 1 <= rates["maxConcurrentDispatches"] <= 5000:
        raise invalid("Queue.rate_limits.max_concurrent_dispatches must be in the range [1, 5000].")


def _check_retry(retry: dict[str, Any]) -> None:
    if retry["maxAttempts"] < -1 or retry["maxAttempts"] == 0:
        raise invalid("Queue.retry_config.max_attempts must be -1 or positive.")
    low = seconds(retry["minBackoff"], "queue.retry_config.min_backoff")
    high = seconds(retry["maxBackoff"], "queue.retry_config.max_backoff")
    if not 0 < low <= high:
        raise invalid("Queue.retry_config.min_backoff must be positive and at most max_backoff.")
    if retry["maxDoublings"] < 0:
        raise invalid("Queue.retry_config.max_doublings must not be negative.")
    if seconds(retry.get("maxRetryDuration", "0s"), "queue.retry_config.max_retry_duration") < 0:
        raise invalid("Queue.retry_config.max_retry_duration must not be negative.")
