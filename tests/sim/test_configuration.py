"""What is configured, changed in any order through the commands, beside a plain model of it."""

import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct
from msgspec.structs import asdict, replace

from shared.collecting import configuring
from shared.collecting.slots import FAMILY
from shared.commands import collectors as commands
from shared.commands.answers import WhatIf
from shared.commands.errors import Refused
from shared.ha.changes import Hypothesis, what_if
from shared.ha.collectors import COLLECTORS, Caps, Collector, Collectors, Declared, Limits, larger
from shared.ha.planner import Plan, check_change
from shared.model.access import ACCESS, Access, Device
from shared.node import Node, open_node
from shared.settings import Settings
from shared.store.changing import change
from shared.work.jobs import Job
from tests.collecting.bench import Scripted

EXAMPLES = int(os.environ.get("SIM_CONFIGURATIONS", "20"))
AT_MOST = 100
"""Examples until a fault is caught."""
BEGINNING = datetime(2026, 10, 31, 20, tzinfo=UTC)
"""Eleven hours before a day that has 25."""

NAMES = st.sampled_from(["mail", "photos", "notes"])
SCHEDULES = st.sampled_from(["every 1m", "every 15m", "every 1h", "every 1d", "30 2 * * *"])
LEVELS = st.sampled_from(["protected", "protected", "best-effort", "unprotected"])
WRITES = st.sampled_from([5, 50, 100, 900])


class Model(Struct, frozen=True):
    """What an owner believes to have configured. measured: what a slot took, if it was more than it
    may, as long as that is the same."""

    collectors: dict[str, Declared] = {}
    tolerate: int = 1
    quotas: dict[str, float] = {}
    measured: dict[str, Limits] = {}

    def with_fleet(self, fleet: Mapping[str, Declared]) -> "Model":
        same = {
            id for id, one in self.collectors.items() if id in fleet and fleet[id].caps == one.caps
        }
        measured = {id: caps for id, caps in self.measured.items() if id in same}
        return replace(self, collectors=dict(fleet), measured=measured)

    def with_one(self, id: str, **more: Any) -> "Model":
        return self.with_fleet({**self.collectors, id: replace(self.collectors[id], **more)})

    def without(self, id: str) -> "Model":
        return self.with_fleet({name: one for name, one in self.collectors.items() if name != id})

    def file(self) -> str:
        lines = [f"tolerate = {self.tolerate}"]
        lines += [f'quotas."{name}" = {amount}' for name, amount in self.quotas.items()]
        for id, one in self.collectors.items():
            lines += [f"[collectors.{id}]", f'service = "{one.service}"']
            lines += [f'schedule = "{one.schedule}"', f'level = "{one.level}"']
            lines += [f"paused = {str(one.paused).lower()}", f"[collectors.{id}.caps]"]
            lines += [f"writes = {one.caps.writes}", f"seconds = {one.caps.seconds}"]
        return "\n".join(lines)


LITTLE = Limits(
    reads=10,
    writes=5,
    seconds=5,
    chunks=1,
    megabytes=0.1,
    object_writes=0,
    object_reads=0,
    object_megabytes=0,
)


def declared(schedule: str, level: str, writes: int) -> Declared:
    caps = Caps(writes=writes, seconds=5)
    return Declared(service="scripted", schedule=schedule, level=level, caps=caps)  # type: ignore[arg-type]


def is_allowed(before: Plan, after: Plan) -> bool:
    """It holds, or lacks no more of anything than it did where it did not hold."""
    if after.holds:
        return True
    lacked = {} if before.holds else {(x.dimension, x.start): x for x in before.lines}
    for line in after.lines:
        was = lacked.get((line.dimension, line.start))
        lack = was.deficit(before.wanted) if was is not None else 0.0
        if line.deficit(after.wanted) > lack + 1e-6 * line.capacity:
            return False
    return True


class Configuration(RuleBasedStateMachine):
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now = BEGINNING
        self.node = open_node(Settings(data=self.folder), lambda: self.now)
        self.services: Mapping[str, Any] = {"scripted": Scripted()}
        self.model = Model()

    def teardown(self) -> None:
        self.node.close()
        shutil.rmtree(self.folder)

    # What may be done

    @initialize()
    def begins(self) -> None:
        mail, photos = declared("every 1h", "protected", 100), declared("every 1d", "protected", 50)
        self.applies(Model({"mail": mail, "photos": photos}))

    @rule(hours=st.sampled_from([1, 10, 14, 24 * 20]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(number=st.sampled_from([0, 11, 14, 14]))
    def phones_are_paired(self, number: int) -> None:
        """What they report takes of the same quotas, and nobody is asked whether it fits."""
        phones = {
            f"phone{n}": Device(
                id=f"phone{n}",
                name=f"phone {n}",
                app="owntracks",
                current="token",
                created=self.now,
            )
            for n in range(number)
        }
        change(self.node.store, ACCESS, Access(), lambda held: replace(held, devices=phones))

    @rule(id=NAMES, writes=st.sampled_from([200, 2_000]))
    def a_slot_takes_more(self, id: str, writes: int) -> None:
        held = self.model.collectors.get(id)
        took = replace(LITTLE, writes=writes)
        configuring.note_measured(self.node.store, id, took)
        if held is not None:
            before = larger(held.limits, self.model.measured.get(id, held.limits))
            known = larger(before, took)
            if known != before:
                self.model = replace(self.model, measured={**self.model.measured, id: known})

    @rule(id=NAMES, schedule=SCHEDULES, level=LEVELS, writes=WRITES)
    def add(self, id: str, schedule: str, level: str, writes: int) -> None:
        one = declared(schedule, level, writes)
        wanted = self.model.with_fleet({**self.model.collectors, id: one})
        self.does(
            lambda: commands.add(self.node, self.services, id, one, None),
            None if id in self.model.collectors else wanted,
        )

    @rule(id=NAMES, schedule=SCHEDULES)
    def reschedule(self, id: str, schedule: str) -> None:
        self.changes(id, f"{id} {schedule}", {"schedule": schedule})

    @rule(id=NAMES, level=LEVELS)
    def relevel(self, id: str, level: str) -> None:
        self.changes(id, f"{id} {level}", {"level": level})

    @rule(id=NAMES, writes=WRITES)
    def recap(self, id: str, writes: int) -> None:
        held = self.model.collectors.get(id)
        wanted = (
            self.model.with_one(id, caps=Caps(writes=writes, seconds=5))
            if held is not None
            else None
        )
        self.does(
            lambda: commands.change(self.node, self.services, id, {}, {}, {"writes": writes}, None),
            wanted,
            f"{id} writes={writes}",
        )

    @rule(id=NAMES, paused=st.booleans())
    def pause(self, id: str, paused: bool) -> None:
        known = id in self.model.collectors
        self.does(
            lambda: commands.pause(self.node, id, paused=paused),
            self.model.with_one(id, paused=paused) if known else None,
            f"{id} {'paused' if paused else 'resumed'}",
        )

    @rule(id=NAMES)
    def remove(self, id: str) -> None:
        known = id in self.model.collectors
        self.does(
            lambda: commands.remove(self.node, id),
            self.model.without(id) if known else None,
            f"{id} removed",
        )

    @precondition(lambda self: not self.plan(self.config).holds)
    @rule(id=NAMES, level=LEVELS)
    def relevel_where_it_does_not_hold(self, id: str, level: str) -> None:
        self.relevel(id, level)

    @precondition(lambda self: not self.plan(self.config).holds)
    @rule(id=NAMES, writes=WRITES)
    def recap_where_it_does_not_hold(self, id: str, writes: int) -> None:
        self.recap(id, writes)

    @rule(number=st.integers(0, 3))
    def tolerate(self, number: int) -> None:
        self.applies(replace(self.model, tolerate=number), f"tolerate {number}")

    @rule(amount=st.sampled_from([6_000.0, 20_000.0, 40_000.0]))
    def quota(self, amount: float) -> None:
        quotas = {**self.model.quotas, "firestore.writes": amount}
        self.applies(replace(self.model, quotas=quotas), f"quota firestore.writes={int(amount)}")

    @rule(fleet=st.dictionaries(NAMES, st.builds(declared, SCHEDULES, LEVELS, WRITES), max_size=4))
    def apply(self, fleet: dict[str, Declared]) -> None:
        self.applies(self.model.with_fleet(fleet))

    def changes(self, id: str, text: str, members: Mapping[str, Any]) -> None:
        known = id in self.model.collectors
        self.does(
            lambda: commands.change(self.node, self.services, id, members, {}, {}, None),
            self.model.with_one(id, **members) if known else None,
            text,
        )

    def applies(self, wanted: Model, text: str | None = None) -> None:
        self.does(
            lambda: commands.apply(self.node, self.services, wanted.file(), "yurt.toml"),
            wanted,
            text,
        )

    # What must hold of each

    def does(
        self, act: Callable[[], object], wanted: Model | None, text: str | None = None
    ) -> None:
        """wanted: what it should lead to; None if it is refused whatever fits. text: the same
        change as words for what-if."""
        before, kept = self.config, self.bytes()
        foretold = self.foretells(text, wanted) if text is not None else None
        assert self.bytes() == kept, "what-if has written"
        expected = wanted is not None and is_allowed(self.plan(before), self.plan_of(wanted))
        assert foretold in (None, expected), "what-if says something else than the plan"
        try:
            act()
        except Refused:
            assert not expected
            self.seen["refused" if wanted is None else "refused for the plan"] += 1
            assert self.bytes() == kept, "what was refused left something behind"
            return
        assert expected
        assert wanted is not None
        self.seen["accepted"] += 1
        self.seen["accepted though it does not hold"] += not self.plan(self.config).holds
        self.seen["changed nothing"] += wanted == self.model
        grown = self.config.generation - before.generation
        assert grown == (wanted != self.model)
        self.model = wanted

    def foretells(self, text: str, wanted: Model | None) -> bool:
        try:
            found = commands.what_if(self.node, [text])
        except Refused:
            assert wanted is None
            return False
        self.seen["a refusal foretold"] += found.refused is not None
        return found.refused is None

    @invariant()
    def it_is_as_the_owner_believes(self) -> None:
        config, model = self.config, self.model
        members = Declared.__struct_fields__
        there = {
            id: Declared(**{name: getattr(one, name) for name in members})
            for id, one in config.collectors.items()
        }
        assert there == model.collectors
        assert (config.tolerate, config.quotas) == (model.tolerate, model.quotas)
        assert config.measured == model.measured
        state = commands.plan_state(self.node)
        assert state.generation == config.generation
        assert (state.state == "overcommitted") == (not self.plan(config).holds)

    @invariant()
    def each_is_looked_after_and_none_that_is_no_more(self) -> None:
        for found in self.node.store.controls(Job, FAMILY):
            collector = self.config.collectors.get(found.id)
            waited_for = collector is not None and not collector.paused
            assert (found.document.due is not None) == waited_for, found
        for id in self.config.collectors:
            assert self.node.store.control(Job, FAMILY, id) is not None

    @property
    def config(self) -> Collectors:
        return commands.config_of(self.node)

    def plan(self, config: Collectors) -> Plan:
        return commands.plan_of(self.node, config)

    def plan_of(self, model: Model) -> Plan:
        collectors = {
            id: Collector(**asdict(one), created=self.now) for id, one in model.collectors.items()
        }
        return self.plan(
            Collectors(
                collectors=collectors,
                tolerate=model.tolerate,
                quotas=model.quotas,
                measured=model.measured,
            )
        )

    def bytes(self) -> list[Any]:
        """All that is kept, table by table."""
        with closing(sqlite3.connect(self.folder / "yurt.db")) as database:
            names = database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
            )
            tables = sorted(name for (name,) in names if not name.startswith("sqlite_"))
            return [
                (table, sorted(map(repr, database.execute(f'SELECT * FROM "{table}"'))))
                for table in tables
            ]


SOMETIMES = {
    "accepted",
    "accepted though it does not hold",
    "changed nothing",
    "refused",
    "refused for the plan",
    "a refusal foretold",
}


def play(examples: int) -> None:
    run_state_machine_as_test(
        Configuration,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(0)
def test_whatever_is_changed_in_any_order_the_plan_is_kept() -> None:
    Configuration.seen.clear()
    play(EXAMPLES)
    assert SOMETIMES - (+Configuration.seen).keys() == set()


def refused_and_done(config: Collectors, changes: Any, pool: Any, now: datetime) -> Hypothesis:
    return what_if(config, changes, pool, now)._replace(refused=None)


def no_generation(before: Collectors, after: Collectors) -> Collectors:
    return replace(after, generation=before.generation)


def later_word(before: Plan | None, after: Plan) -> None:
    """Where it did not hold before, everything may be done."""
    if before is not None and before.holds:
        check_change(before, after)


def never_again(before: Plan | None, after: Plan) -> None:
    """Where it does not hold, nothing may be done."""
    check_change(None, after)


@pytest.mark.parametrize(
    ("name", "faulty"),
    [
        ("shared.collecting.configuring.what_if", refused_and_done),
        ("shared.collecting.configuring._generation", no_generation),
        ("shared.ha.changes.check_change", later_word),
        ("shared.ha.changes.check_change", never_again),
        ("shared.commands.collectors._retire", lambda node, id: None),
        ("shared.commands.collectors._reschedule", lambda node, id, collector: None),
    ],
)
def test_a_fault_of_the_commands_is_caught(
    name: str, faulty: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name, faulty)
    with pytest.raises(AssertionError):
        play(AT_MOST)


def test_a_question_that_writes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = commands.what_if

    def writes(node: Node, texts: Sequence[str]) -> WhatIf:
        held = node.store.read(Collectors, COLLECTORS)
        document = held.document if held is not None else Collectors()
        node.store.write(COLLECTORS, document, over=held.version if held is not None else None)
        return asked(node, texts)

    monkeypatch.setattr(commands, "what_if", writes)
    with pytest.raises(AssertionError):
        play(AT_MOST)
