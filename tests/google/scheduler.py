"""Cloud Scheduler v1: jobs that call over HTTP."""

import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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

_OUTPUT = ("name", "userUpdateTime", "state", "status", "scheduleTime", "lastAttemptTime")
_RETRY = {
    "maxRetryDuration": "0s",
    "minBackoffDuration": "5s",
    "maxBackoffDuration": "3600s",
    "maxDoublings": 5,
}
# The five fields of unix-cron, each with its lowest and highest number and its names.
_CRON = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    (
        "month",
        1,
        12,
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    ),
    ("day of week", 0, 7, ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
)
_LONGEST_URI = 2083


class Scheduler(Service):
    host = "cloudscheduler.googleapis.com"
    title = "Cloud Scheduler API"
    messages = "cloudscheduler"

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._jobs: dict[str, Json] = {}

    def routes(self) -> list[Route]:
        path = "v1/projects/{project}/locations/{location}/jobs"
        one = f"{path}/{{job}}"
        return [
            Route("GET", path, self._list, query="pageSize pageToken"),
            Route("GET", one, self._found),
            Route(
                "POST",
                path,
                self._create,
                body="Job",
                root="job",
                needs="cloudscheduler.jobs.create",
            ),
            Route(
                "PATCH",
                one,
                self._patch,
                body="Job",
                root="job",
                query="updateMask",
                needs="cloudscheduler.jobs.update",
            ),
            Route("DELETE", one, self._delete, needs="cloudscheduler.jobs.delete"),
            Route(
                "POST",
                f"{one}:pause",
                lambda call: self._switch(call, "ENABLED", "PAUSED"),
                body="PauseJobRequest",
                needs="cloudscheduler.jobs.pause",
            ),
            Route(
                "POST",
                f"{one}:resume",
                lambda call: self._switch(call, "PAUSED", "ENABLED"),
                body="ResumeJobRequest",
                needs="cloudscheduler.jobs.enable",
            ),
        ]

    def picture(self) -> Json:
        volatile = ("userUpdateTime", "scheduleTime")
        return {name: without(job, volatile) for name, job in sorted(self._jobs.items())}

    def _list(self, call: Call) -> Json:
        parent = f"{self._parent(call)}/jobs/"
        return page(
            "jobs", [job for name, job in sorted(self._jobs.items()) if name.startswith(parent)]
        )

    def _create(self, call: Call) -> Json:
        prefix = f"{self._parent(call)}/jobs/"
        name = call.body.get("name", "")
        if not name.startswith(prefix):
            raise invalid(f'Job name must be formatted: "{prefix}<JOB_ID>"')
        checked_id(name.removeprefix(prefix), r"[A-Za-z0-9_-]{1,500}", "Job ID")
        if name in self._jobs:
            raise exists(f"Job {name} already exists.")
        self._jobs[name] = {"name": name, "state": "ENABLED", **self._filled(call.body)}
        return self._jobs[name]

    def _patch(self, call: Call) -> Json:
        old = self._found(call)
        mask = call.query.get("updateMask", "")
        fields = paths(mask, self.messages, "Job") or [*call.body]
        new = patched(old, call.body, [field for field in fields if field not in _OUTPUT])
        self._jobs[old["name"]] = {"name": old["name"], "state": old["state"], **self._filled(new)}
        return self._jobs[old["name"]]

    def _delete(self, call: Call) -> Json:
        del self._jobs[self._found(call)["name"]]
        return {}

    def _switch(self, call: Call, old: str, new: str) -> Json:
        job = self._found(call)
        if job["state"] != old:
            raise Refusal("FAILED_PRECONDITION", f"Job state must be {old}.")
        job["state"] = new
        return job

    def _found(self, call: Call) -> Json:
        return wants(self._jobs.get(f"{self._parent(call)}/jobs/{call['job']}"), "Job not found.")

    def _parent(self, call: Call) -> str:
        return f"{self.project.name}/locations/{call['location']}"

    def _filled(self, job: Json) -> Json:
        """Checked, and with what the service fills in."""
        zone = job.get("timeZone") or "UTC"
        _check_schedule(job.get("schedule", ""))
        _check_zone(zone)
        if not 15 <= seconds(job.get("attemptDeadline", "180s"), "job.attempt_deadline") <= 1800:
            raise invalid("The attempt deadline must be between 15 seconds and 30 minutes.")
        retry = {**_RETRY, **(job.get("retryConfig") or {})}
        _check_retry(retry)
        filled = {
            "attemptDeadline": "180s",
            **without(job, _OUTPUT),
            "timeZone": zone,
            "retryConfig": retry,
            "httpTarget": self._target(job.get("httpTarget")),
        }
        return {**filled, "userUpdateTime": self.project.now(), "scheduleTime": self.project.now()}

    def _target(self, target: Json | None) -> Json:
        if target is None:
            raise invalid("Job target is required.")
        uri = target.get("uri", "")
        if not re.fullmatch(r"https?://[^/\s]+\S*", uri) or len(uri) > _LONGEST_URI:
            raise invalid(
                f"HttpTarget.uri must be a valid URL of at most {_LONGEST_URI} characters."
            )
        method = target.get("httpMethod", "POST")
        if "body" in target and method not in ("POST", "PUT", "PATCH"):
            raise invalid("HttpTarget.body is only allowed for POST, PUT and PATCH.")
        filled = {**target, "httpMethod": method}
        if "oidcToken" in target:
            filled["oidcToken"] = self._token(target["oidcToken"], uri)
        headers = {"User-Agent": "Google-Cloud-Scheduler", **(target.get("headers") or {})}
        return {**filled, "headers": headers}

    def _token(self, token: dict[str, Any], uri: str) -> Json:
        if not uri.startswith("https://"):
            raise invalid("HttpTarget.uri must be HTTPS when an authorization header is sent.")
        self.project.needs_account(token.get("serviceAccountEmail", ""))
        return {"audience": uri, **token}


def _check_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise invalid(f"Time zone {zone} is invalid.") from None


def _check_retry(retry: dict[str, Any]) -> None:
    if not 0 <= retry.get("retryCount", 0) <= 5:
        raise invalid("RetryConfig.retry_count must be between 0 and 5.")
    if not 0 <= retry["maxDoublings"] <= 16:
        raise invalid("RetryConfig.max_doublings must be between 0 and 16.")
    low = seconds(retry["minBackoffDuration"], "job.retry_config.min_backoff_duration")
    high = seconds(retry["maxBackoffDuration"], "job.retry_config.max_backoff_duration")
    if not 0 < low <= high:
        raise invalid("RetryConfig.min_backoff_duration must be positive and at most the maximum.")
    if seconds(retry["maxRetryDuration"], "job.retry_config.max_retry_duration") < 0:
        raise invalid("RetryConfig.max_retry_duration must not be negative.")


def _check_schedule(schedule: str) -> None:
    """unix-cron; the App Engine form is taken as `every N minutes|hours` alone."""
    if re.fullmatch(r"every [1-9]\d* (mins|minutes|hours)", schedule):
        return
    parts = schedule.split()
    if len(parts) != len(_CRON) or not all(map(_is_cron, parts, _CRON)):
        raise invalid(
            f"Schedule or time zone is invalid. Schedule '{schedule}' is not a unix-cron schedule."
        )


def _is_cron(part: str, field: tuple[str, int, int, Any]) -> bool:
    _, low, high, names = field
    numbers = {name: number + low for number, name in enumerate(names)}

    def is_number(word: str) -> bool:
        return word.lower() in numbers or (word.isdigit() and low <= int(word) <= high)

    for item in part.split(","):
        span, slash, step = item.partition("/")
        if slash and not (step.isdigit() and 1 <= int(step) <= high):
            return False
        if span != "*" and not all(map(is_number, span.split("-", 1))):
            return False
    return True
