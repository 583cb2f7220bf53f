"""The queue of deferred calls, of Cloud Tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.cloud import policies
from infra.cloud.api import Api, Call
from infra.cloud.deployment import QUEUE, Deployment
from infra.cloud.settled import differs
from infra.cloud.steps import Blocked, Change, Step

MOST_ATTEMPTS = 100

_RETRYING = {
    # As at home, but for the first pause: a chunk that fails here has cost a share of a quota.
    "maxAttempts": MOST_ATTEMPTS,
    "minBackoff": "5s",
    "maxBackoff": "3600s",
    "maxDoublings": 10,
}


class Queue(Step):
    """at_once: how many calls are answered at once: one more would be refused, and called again
    later."""

    def __init__(self, deployment: Deployment, at_once: int) -> None:
        self.title = f"task queue {QUEUE}"
        self.wanted = f"{at_once} calls at once, {MOST_ATTEMPTS} attempts at most"
        self.stays = (
            "the task queue stays, paused and empty: it costs nothing, and its name could not be "
            "used again for a week"
        )
        self._deployment = deployment
        self._path = f"v2/{deployment.queue}"
        self._settings = {
            # A chunk takes seconds to minutes. What is beyond some a second would only be refused.
            "rateLimits": {"maxDispatchesPerSecond": 5, "maxConcurrentDispatches": at_once},
            "retryConfig": _RETRYING,
        }

    def look(self, api: Api) -> Any:
        """The queue, or None, and who may do what with it."""
        there = api.get("cloudtasks", self._path)
        policy = api.call(policies.of_queue(self._deployment.queue).get) if there else {}
        return there, policy

    def _is_ours(self, found: Mapping[str, Any], policy: Mapping[str, Any]) -> bool:
        """By who may use it; one that was only just made, by its settings."""
        members = {m for binding in policy.get("bindings", ()) for m in binding.get("members", ())}
        return any(map(self._deployment.is_ours, members)) or not differs(self._settings, found)

    def decide(self, found: Any) -> Sequence[Change]:
        found, policy = found
        if found is not None and not self._is_ours(found, policy):
            raise Blocked(
                f"a task queue {QUEUE} is there in {self._deployment.region} that Yurt did not "
                "make; deploy to a project of its own (a queue that is deleted blocks its name for "
                "a week)"
            )
        if found is None:
            path = f"v2/{self._deployment.location}/queues"
            body = {"name": self._deployment.queue, **self._settings}
            return [Change("create", Call("POST", "cloudtasks", path, body=body))]
        changes = []
        wrong = differs(self._settings, found)
        if wrong:
            query = {"updateMask": "rateLimits,retryConfig"}
            call = Call("PATCH", "cloudtasks", self._path, query, self._settings)
            changes.append(Change(f"set {', '.join(wrong)}", call))
        if found.get("state") == "PAUSED":
            changes.append(
                Change("resume", Call("POST", "cloudtasks", f"{self._path}:resume", body={}))
            )
        return changes

    def removal(self, found: Any) -> Sequence[Change]:
        found, policy = found
        if found is None or found.get("state") == "PAUSED" or not self._is_ours(found, policy):
            return ()
        return [
            # In this order: one that is paused is taken for done.
            Change("empty", Call("POST", "cloudtasks", f"{self._path}:purge", body={})),
            Change("pause", Call("POST", "cloudtasks", f"{self._path}:pause", body={})),
        ]
