"""Runs the steps: looks, lets decide, acts, and tells; again from the look after what may pass."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from infra.cloud.api import Api, ApiError, Call, Unreachable
from infra.cloud.gcloud import Gcloud, GcloudFailed
from infra.cloud.remedies import briefly, may_pass
from infra.cloud.steps import Change, Deploy, Step, Wait

AT_ONCE = 5
"""Functions that are built at once. It takes the same minutes of building, but less waiting."""

_PAUSES = (2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0, 60.0)
"""Seconds before each next attempt: what was enabled or created a moment ago is known everywhere
within minutes (https://cloud.google.com/iam/docs/access-change-propagation)."""

_EACH_WAIT = 10.0
_LONGEST_WAIT = 1800.0


_Decide = Callable[[Step], Sequence[Change]]
"""Looks, and says what to do."""


class Told(NamedTuple):
    """What came of a step. done: what was done in it, or would be. left: why an optional one was
    left out."""

    step: Step
    done: Sequence[str] = ()
    left: str | None = None


class Teller(Protocol):
    """Hears what goes on, perhaps from several threads at once."""

    def begins(self, step: Step) -> None: ...
    def does(self, step: Step, changes: Sequence[str]) -> None: ...
    def waits(self, step: Step, because: str) -> None: ...
    def ends(self, told: Told) -> None: ...


class StepFailed(Exception):
    """A step could not be done. The cause is what stood in its way."""

    def __init__(self, step: Step, cause: Exception) -> None:
        super().__init__(f"{step.title}: {cause}")
        self.step = step
        self.cause = cause


@dataclass
class Executor:
    """at_once: how many steps that may run side by side do."""

    api: Api
    gcloud: Gcloud
    teller: Teller
    at_once: int = AT_ONCE
    ended: list[Told] = field(default_factory=list)

    def deploy(self, steps: Sequence[Step]) -> None:
        """`StepFailed` at the first that cannot be done, once those beside it have ended."""
        self._run_all(steps, lambda step: step.decide(step.look(self.api)))

    def remove(self, steps: Sequence[Step]) -> None:
        """Takes down what the steps have made, the last first. `StepFailed`."""
        self._run_all(list(reversed(steps)), self._removal)

    def _removal(self, step: Step) -> Sequence[Change]:
        try:
            return step.removal(step.look(self.api))
        except ApiError as error:
            if error.reason == "SERVICE_DISABLED":
                return ()  # nothing is there of a service that was never enabled
            raise

    def _run_all(self, steps: Sequence[Step], decide: _Decide) -> None:
        for beside, group in itertools.groupby(steps, lambda step: step.beside):
            if beside and self.at_once > 1:
                self._run_beside(list(group), decide)
            else:
                for step in group:
                    self._run(step, decide)

    def _run_beside(self, steps: Sequence[Step], decide: _Decide) -> None:
        with ThreadPoolExecutor(self.at_once) as pool:
            running = [pool.submit(self._run, step, decide) for step in steps]
            try:
                failed = [run.exception() for run in running]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.gcloud.stop()
                raise
        for error in failed:
            if error is not None:
                raise error

    def _run(self, step: Step, decide: _Decide) -> None:
        self.teller.begins(step)
        try:
            told = Told(step, list(self._done(step, decide)))
        except ApiError as error:
            if not (step.optional and error.status in (400, 403)):
                raise StepFailed(step, error) from error
            told = Told(step, left=error.message)
        except StepFailed:
            raise
        except Exception as error:
            raise StepFailed(step, error) from error
        self.ended.append(told)
        self.teller.ends(told)

    def _done(self, step: Step, decide: _Decide) -> Iterator[str]:
        pauses, waited, told = iter(_PAUSES), 0.0, list[str]()
        while True:
            try:
                changes = decide(step)
                waiting = any(isinstance(change.act, Wait) for change in changes)
                says = [change.says for change in changes]
                if says and says != told:  # else it is only waited for, as before
                    self.teller.does(step, says)
                told = says
                for change in changes:
                    self._act(change)
                    if not isinstance(change.act, Wait):
                        yield change.says
            except (ApiError, Unreachable, GcloudFailed) as error:
                pause = next(pauses, None)
                if pause is None or not may_pass(error):
                    raise
                self.teller.waits(step, briefly(error))
                self.api.wait(pause)
                continue
            if not waiting:
                return
            if waited >= _LONGEST_WAIT:
                raise Unreachable(f"it did not end within {_LONGEST_WAIT / 60:.0f} minutes")
            self.api.wait(_EACH_WAIT)
            pauses, waited = iter(_PAUSES), waited + _EACH_WAIT

    def _act(self, change: Change) -> None:
        if isinstance(change.act, Deploy):
            self.gcloud.deploy(change.act)
        elif isinstance(change.act, Call):
            call = self.api.finish if change.waits else self.api.call
            answer = call(change.act)
            if change.then is not None:
                self.api.finish(change.then(answer))


def drift(api: Api, step: Step) -> list[str]:
    """What would be done in a step, and is not. Raises as looking and deciding do."""
    return [change.says for change in step.decide(step.look(api))]
