"""The jobs of Cloud Scheduler, which post to functions by the clock."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra.cloud.api import Api, Call
from infra.cloud.deployment import Deployment
from infra.cloud.settled import differs
from infra.cloud.steps import Blocked, Change, Step
from infra.declarations import Declaration

_PREFIX = "yurt-"
_MARK = "Yurt's; `yurt deploy` makes and deletes it"
"""The description by which a job is known to be ours, also one of an earlier version."""


class Jobs(Step):
    def __init__(
        self, deployment: Deployment, number: str, declared: Mapping[str, Declaration]
    ) -> None:
        jobs = [(function, job) for function, d in declared.items() for job in d.schedule]
        self.title = "scheduler jobs"
        listed = [f"{job.name} ({job.cron}) posts to {f}{job.path}" for f, job in jobs]
        self.wanted = "; ".join(listed) or "none"
        self._deployment = deployment
        self._path = f"v1/{deployment.location}/jobs"
        self._wanted = {
            f"{_PREFIX}{job.name}": {
                "description": _MARK,
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
        changes = list(self._deleted(job for job in found if _id(job) not in self._wanted))
        for name, job in self._wanted.items():
            if name not in there:
                body = {"name": f"{self._path.removeprefix('v1/')}/{name}", **job}
                call = Call("POST", "cloudscheduler", self._path, body=body)
                changes.append(Change(f"create {name}", call))
                continue
            if not _is_ours(there[name]):
                raise Blocked(
                    f"a scheduler job {name} is there that Yurt did not make; delete it: gcloud "
                    f"scheduler jobs delete {name} --location={self._deployment.region} "
                    f"--project={self._deployment.project}"
                )
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
        return self._deleted(found)

    def _deleted(self, jobs: Iterable[Mapping[str, Any]]) -> Sequence[Change]:
        names = [_id(job) for job in jobs if _is_ours(job)]
        return [
            Change(f"delete {name}", Call("DELETE", "cloudscheduler", f"{self._path}/{name}"))
            for name in names
        ]


def _is_ours(job: Mapping[str, Any]) -> bool:
    return _id(job).startswith(_PREFIX) and job.get("description") == _MARK


def _id(job: Mapping[str, Any]) -> str:
    return str(job["name"]).rpartition("/")[2]
