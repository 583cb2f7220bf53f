"""What a deployment says while it goes on: a line for each step, more where it takes long."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from infra.cli.words import shown

if TYPE_CHECKING:
    from infra.cloud.executor import Told
    from infra.cloud.steps import Step

_OK, _DONE, _GOES, _LEFT = "ok  ", "done", "... ", "left"


class Lines:
    """A teller that several threads may talk to; `ended` are the titles of what is done."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._lock = threading.Lock()
        self.ended: list[str] = []

    def begins(self, step: "Step") -> None:
        """Most steps end at once: only what is done in them is worth a line."""

    def does(self, step: "Step", changes: Sequence[str]) -> None:
        self._say(_GOES, f"{step.title}: {some_of(changes)}", "cyan")

    def waits(self, step: "Step", because: str) -> None:
        self._say(_GOES, f"{step.title}: trying again soon, since {shown(because)}", "yellow")

    def ends(self, told: "Told") -> None:
        with self._lock:
            self.ended.append(told.step.title)
            number = f"[{len(self.ended)}/{self._steps}]"
        if told.left is not None:
            self._say(_LEFT, f"{number} {told.step.title}: {shown(told.left)}", "yellow")
        elif told.done:
            self._say(_DONE, f"{number} {told.step.title}", "green")
        else:
            self._say(_OK, f"{number} {told.step.title}", "green")

    def _say(self, mark: str, text: str, colour: str) -> None:
        with self._lock:
            click.echo(f"{click.style(mark, fg=colour)}  {text}")


def left_over(steps: "Sequence[Step]", ended: Sequence[str]) -> str:
    """What was done and what was not, in a sentence or two."""
    left = [step.title for step in steps if step.title not in ended]
    if not left:
        return ""
    return f"{len(ended)} of {len(steps)} steps are done; not done: {some_of(left)}"


def some_of(names: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
