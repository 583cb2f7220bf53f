"""The jobs of Cloud Scheduler, which post to functions by the clock."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra.cloud.api import Api, Call
from infra.cloud.deployment import Deployment
from infra.cloud.settled import differs
from infra.cloud.steps import Change, Step
from infra.declarations import Declaration

_PREFIX = "yurt-"


class Jobs(Step):
    def __init__(
        self, deployment: Deployment, number: str, declared: Mapping[str, Declaration]
    ) -> None:
        jobs = [(function, job) for function, d in declared.items() for job in d.schedule]
        self.title = "scheduler jobs"
        listed = [f"{job.name} ({job.cron}) posts to {f}{job.path}" for f, job in jobs]
        self.wanted = "; ".join(listed) or "none"
        self._path = f"v1/{deployment.location}/jobs"
        self._wanted = {
            f"{_PREFIX}{job.name}": {
                "schedule": job.cron,
                "timeZone": "Etc/UTC",
                "attemptDeadline": f"{min(1800, max(15, declared[function].timeout))}s",
                # The next run is soon, and what this one leaves is found by it.
                "retryConfig": {"retryCount": 1},
                "httpTarget": {
                    "uri": deployment.private_url(function, number) + job.path,
                    "httpMethod": "POST",
                    "oidcToken": {
                        "serviceAccountEmail": deployment.caller,
                        "audience": deployment.private_url(function, number),
                    },
                },
            }
            for function, job in jobs
        }

    def look(self, api: Api) -> Any:
        return list(api.pages("cloudscheduler", self._path, "jobs"))

    def decide(self, found: Any) -> Sequence[Change]:
        there = {_id(job): job for job in found}
        changes = list(self._deleted(name for name in there if name not in self._wanted))
        for name, job in self._wanted.items():
            if name not in there:
                body = {"name": f"{self._path.removeprefix('v1/')}/{name}", **job}
                call = Call("POST", "cloudscheduler", self._path, body=body)
                changes.append(Change(f"create {name}", call))
                continue
            wrong = differs(job, there[name])
            if wrong:
                query = {"updateMask": ",".join(sorted({path.partition(".")[0] for path in wrong}))}
                call = Call("PATCH", "cloudscheduler", f"{self._path}/{name}", query, job)
                changes.append(Change(f"set {', '.join(wrong)} of {name}", call))
            if there[name].get("state") == "PAUSED":
                call = Call("POST", "cloudscheduler", f"{self._path}/{name}:resume", body={})
                changes.append(Change(f"resume {name}", call))
        return changes

    def removal(self, found: Any) -> Sequence[Change]:
        return self._deleted(map(_id, found))

    def _deleted(self, names: Iterable[str]) -> Sequence[Change]:
        return [
            Change(f"delete {name}", Call("DELETE", "cloudscheduler", f"{self._path}/{name}"))
            for name in names
            if name.startswith(_PREFIX)
        ]


def _id(job: Mapping[str, Any]) -> str:
    return str(job["name"]).rpartition("/")[2]
