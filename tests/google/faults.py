"""What goes wrong on purpose."""

from typing import Literal, NamedTuple

from tests.google.refusal import Refusal

Kind = Literal["lost before", "lost after", "refused", "quota", "denied"]

_REFUSALS = {
    "refused": ("UNAVAILABLE", "The service is currently unavailable."),
    "quota": (
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'.",
    ),
    "denied": ("PERMISSION_DENIED", "The caller does not have permission"),
}


class _Planned(NamedTuple):
    left: int
    kind: Kind
    mutating: bool


class Lost(ConnectionError):
    """The connection breaks."""


class Faults:
    """A script of faults, each of which happens once."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []

    def after(self, n: int, kind: Kind, *, mutating: bool = False) -> None:
        """The n-th request from now on, counted from 1, fails; mutating: only such are counted.

        `lost before`: nothing happens and the connection breaks; `lost after`: it happens, and the
        answer is lost; `refused` is 503, `quota` 429, `denied` 403, and nothing happens.
        """
        self._planned.append(_Planned(n, kind, mutating))

    def due(self, mutates: bool) -> Kind | None:
        """What the request that comes now meets."""
        counted = [
            plan._replace(left=plan.left - 1) if mutates or not plan.mutating else plan
            for plan in self._planned
        ]
        self._planned = [plan for plan in counted if plan.left > 0]
        return next((plan.kind for plan in counted if plan.left == 0), None)


def refusal(kind: Kind) -> Refusal:
    return Refusal(*_REFUSALS[kind])
