"""Whether a plan fits the free tier: what the deployment itself takes of it, before any data."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from infra.cloud.allowances import Spending
from infra.cloud.steps import Blocked
from infra.declarations import Declaration
from shared.ha.allowances import Allowance

BUILD_MINUTES = 3.0
"""That a build of one function takes, as its users report (1 to 3)."""


class Line(NamedTuple):
    """used: of the allowance, in its unit. note: what is to be said besides."""

    name: str
    used: float
    allowance: Allowance
    note: str = ""


def taken(declared: Mapping[str, Declaration], given: Mapping[str, Allowance]) -> Sequence[Line]:
    """What a node takes of each allowance by being there. `Blocked` if that is more than is free.

    Only functions whose instances begin with a request are declared, so idle ones take nothing.
    """
    lines = [
        Line(name, used, given[name], _NOTES.get(name, ""))
        for name, used in spending(declared).items()
    ]
    over = [line for line in lines if line.used > line.allowance.amount]
    if over:
        said = ", ".join(
            f"{line.used:g} {line.allowance.unit} of {line.allowance.amount:g} ({line.name})"
            for line in over
        )
        raise Blocked(
            f"this would cost something: {said}; declare less in the function.toml of the functions"
        )
    return lines


def spending(declared: Mapping[str, Declaration]) -> Spending:
    """Of a first deployment."""
    wanted = {variable for d in declared.values() for variable in d.all_secrets}
    return {
        "scheduler.jobs": float(sum(len(d.schedule) for d in declared.values())),
        "secrets.versions": float(len(wanted)),
        "build.minutes": len(declared) * BUILD_MINUTES,
    }


_NOTES = {
    "build.minutes": "if all are built",
    "scheduler.jobs": "those of other projects of the same billing account count, too",
    "secrets.versions": "those of other projects of the same billing account count, too",
}
