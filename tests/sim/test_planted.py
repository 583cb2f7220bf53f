"""The judges of the simulation are judged: each of these engines or stores has one fault."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from shared.model.records import AnyRecord
from shared.store.protocol import NOTHING, Added, Found, Versioned
from shared.work import engine as engine_module
from shared.work.engine import Engine
from shared.work.jobs import FAMILY, Job, task_name
from shared.work.runs import Run
from tests.sim.history import History
from tests.sim.ports import SimStore
from tests.sim.world import World

Decide = Callable[[Added], Any]
AT_MOST = 300
"""Histories until a fault is caught."""


class NoGuard(SimStore):
    """Whoever comes last, wins."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.guards = False


class CursorFirst(SimStore):
    """The records come after the document that says that they are there."""

    def commit(
        self,
        family: str,
        id: str,
        over: str | None,
        decide: Decide,
        records: Sequence[AnyRecord] = (),
        raws: Mapping[str, bytes] = NOTHING,
    ) -> Versioned[Any]:
        added = self._added(records)
        written = super().commit(family, id, over, lambda _: decide(added), (), raws)
        self.world.effect()
        self.records.update((record.id, record) for record in records)
        return written


class RecordsFirst(SimStore):
    """The records come before the document that counts them."""

    def commit(
        self,
        family: str,
        id: str,
        over: str | None,
        decide: Decide,
        records: Sequence[AnyRecord] = (),
        raws: Mapping[str, bytes] = NOTHING,
    ) -> Versioned[Any]:
        added = self._added(records)
        self.records.update((record.id, record) for record in records)
        return super().commit(family, id, over, lambda _: decide(added), (), raws)


class _Altering(SimStore, ABC):
    @abstractmethod
    def altered(self, before: Job | None, after: Job) -> Job: ...

    def commit(
        self,
        family: str,
        id: str,
        over: str | None,
        decide: Decide,
        records: Sequence[AnyRecord] = (),
        raws: Mapping[str, bytes] = NOTHING,
    ) -> Versioned[Any]:
        def altered(added: Added) -> Any:
            held = self.documents.get(id)
            return self.altered(held.document if held is not None else None, decide(added))

        return super().commit(family, id, over, altered, records, raws)


class NeverTired(_Altering):
    """Tries begin at none with every claim."""

    def altered(self, before: Job | None, after: Job) -> Job:
        return replace(after, tries=0)


class NeverRested(_Altering):
    """Tries are counted on, however far the job comes."""

    def altered(self, before: Job | None, after: Job) -> Job:
        is_commit = before is not None and after.commits > before.commits
        return replace(after, tries=before.tries) if before is not None and is_commit else after


class NobodyLooks(_Altering):
    """A run is never overdue."""

    def altered(self, before: Job | None, after: Job) -> Job:
        return replace(after, due=None) if after.state == "running" else after


class NotFenced(Engine):
    """A run that was refused goes on over whatever is there."""

    def _was_ours(self, run: Run) -> bool:
        held = self.store.control(Job, FAMILY, run.id)
        assert held is not None
        run.version = held.version
        return False


class ForgetsItsCommit(Engine):
    """A run does not find out that its commit took effect."""

    def _was_ours(self, run: Run) -> bool:
        return super()._was_ours(run) and False


class RevivesWithoutTask(Engine):
    def _revive(self, found: Found[Job], tasks: set[str], *, dead: bool = False) -> bool:
        return super()._revive(found, {task_name(found.id, found.document)}, dead=dead)


class ClearsUpOnce(Engine):
    """What an ended job had in hand is not freed by the sweep."""

    def sweep(self) -> list[str]:
        found = self.store.due(Job, FAMILY, self.clock())
        return [
            one.id for one in found if one.document.state != "done" and self._revive(one, set())
        ]


class ForgetsWishes(Engine):
    """Whoever revives a job passes over what its owner wished."""

    def _settle(self, id: str, held: Versioned[Job]) -> None:
        return


STORES = [NoGuard, CursorFirst, RecordsFirst, NeverTired, NeverRested, NobodyLooks]
ENGINES = [NotFenced, ForgetsItsCommit, RevivesWithoutTask, ClearsUpOnce, ForgetsWishes]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module._log, "disabled", True)


def caught(**options: Any) -> list[str]:
    for seed in range(AT_MOST):
        wrong = History(seed, **options).play().wrong
        if wrong:
            return wrong
    return []


@pytest.mark.parametrize("store", STORES)
def test_a_faulty_store_is_caught(store: type[SimStore]) -> None:
    assert caught(store=store)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_faulty_engine_is_caught(engine: type[Engine]) -> None:
    assert caught(engine=engine)


def test_a_name_without_the_token_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "task_name", lambda id, job: f"{id}-{job.cursor}")
    assert caught()


def test_a_lease_that_is_not_heeded_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "is_held", lambda job, now: False)
    assert caught()


def test_a_hand_that_outlives_the_job_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "hand", lambda job, id: f"{id}-1")
    assert caught()
