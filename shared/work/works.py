"""What the engine drives: a kind of work, which hands out what it has done in parts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from shared.model.records import AnyRecord
from shared.store.protocol import NOTHING


class Part(NamedTuple):
    """Some of the work. cursor: where to go on after it.

    done, total: bytes, for the progress; `done` never falls, `total` may grow. raws: bytes to keep,
    by SHA-256 (hex). doing: what a person would say is being done, such as the name of a file.
    beat: only a sign of life from within something that cannot be left half done; its cursor is
    that of the part before. settle: what follows looks at what is stored, so this and all before
    it is committed first.
    """

    cursor: str
    done: int
    total: int
    records: Sequence[AnyRecord] = ()
    raws: Mapping[str, bytes] = NOTHING
    doing: str | None = None
    beat: bool = False
    settle: bool = False


class CannotGoOn(Exception):
    """The job cannot be done, and trying again will not help; the text says what to do."""


class Work(Protocol):
    def versions(self) -> Mapping[str, int]:
        """Of what decides the outcome: a finished job is worth doing again when one has grown."""
        ...

    def parts(self, job: str, spec: Mapping[str, Any], cursor: str | None) -> Iterator[Part]:
        """The parts from the beginning (None) or after an earlier one; it is done when they end.

        job: a name for what it has in hand, of letters, digits, `-` and `_`; another one whenever
        the job is begun anew.

        What they do besides giving records must be idempotent: a part is done again, perhaps at
        the same time, whenever it may not have been committed. Each takes seconds at most and fits
        in memory. `OSError`: try again later. `CannotGoOn`.
        """
        ...

    def forget(self, job: str, spec: Mapping[str, Any]) -> None:
        """Frees what only the job needed, once it is done or cancelled. Idempotent.

        `OSError`: it is called again later.
        """
        ...
