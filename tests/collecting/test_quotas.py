"""What the sweep makes of the quotas: the ledger, arming, and who has to wait."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from shared.collecting.books import ledger_of
from shared.collecting.monitor import Looked
from shared.collecting.pool import pool_of
from shared.commands import collectors
from shared.commands.collectors import plan_state
from shared.commands.errors import Refused
from shared.ha.collectors import COLLECTORS, Caps, Collectors, Declared
from shared.ha.ledger import LEDGER, Ledger
from shared.ha.outbox import Alert
from shared.ha.planner import plan
from shared.model.steps import Step
from shared.node import Node
from shared.settings import FirestoreDatabase, Settings
from shared.store.changing import change
from shared.store.protocol import Damaged
from shared.workshop import monitor_of
from tests.collecting.bench import START, event
from tests.collecting.counted import Counted
from tests.collecting.test_monitor import MINUTE, Watch

NEXT_DAY = START.replace(hour=8) + timedelta(days=1)


class Cloud(Watch):
    """A node whose platform counts."""

    def __init__(self, folder: Path) -> None:
        self.counters = Counted()
        super().__init__(folder)

    def sweep(self) -> Looked:
        return monitor_of(self.node, self.collecting, MINUTE, self.post, self.counters).sweep()

    @property
    def config(self) -> Collectors:
        held = self.node.store.read(Collectors, COLLECTORS)
        assert held is not None
        return held.document

    @property
    def ledger(self) -> Ledger:
        ledger = ledger_of(self.node.store)
        assert ledger is not None
        return ledger

    def damage(self, name: str) -> None:
        """Something else wrote over a document."""
        with closing(sqlite3.connect(self.node.settings.data / "yurt.db")) as database:
            database.execute("UPDATE document SET data = '{]' WHERE name = ?", (name,))
            database.commit()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path)
    yield cloud
    cloud.node.close()


def kinds(alerts: list[Alert]) -> list[str]:
    return [alert.kind for alert in alerts]


def test_it_is_armed_once_it_has_run_and_a_change_disarms_until_it_has_again(cloud: Cloud) -> None:
    armed = [looked.armed for looked in cloud.minutes(16)]
    assert armed == [False] * 14 + [True] * 2
    cloud.enrol(generation=1)
    cloud.minutes(1)
    arming = cloud.watched.arming
    assert arming is not None
    assert arming.lacks == ("mail has not run yet as it is configured now",)
    assert [looked.armed for looked in cloud.minutes(14)] == [False] * 12 + [True] * 2


def test_what_is_not_known_of_the_quotas_disarms(cloud: Cloud) -> None:
    cloud.minutes(16)
    cloud.counters.unknown["firestore.writes"] = "403: no permission"
    assert not cloud.minutes(1)[0].armed
    assert cloud.watched.arming is not None
    assert cloud.watched.arming.lacks == (
        "nobody knows how much of firestore.writes was used: 403: no permission",
    )
    cloud.counters.unknown.clear()
    assert cloud.minutes(1)[0].armed


def test_the_plan_counts_what_the_platform_counted(cloud: Cloud) -> None:
    cloud.counters.used["firestore.writes"] = 4_321
    cloud.minutes(1)
    assert cloud.ledger.used["firestore.writes"] == 4_321
    assert cloud.ledger.at == cloud.clock()


def test_a_lost_quota_is_told_once_and_disarms_and_so_is_its_return(cloud: Cloud) -> None:
    cloud.minutes(16)
    cloud.counters.used["firestore.writes"] = 17_000
    cloud.minutes(5)
    assert kinds(cloud.post.alerts) == ["overcommitted"]
    assert cloud.watched.arming is not None
    assert cloud.watched.arming.armed is None
    said = cloud.post.alerts[0].text
    assert "firestore.writes are needed and 18,000 may be used; see yurt plan" in said
    cloud.counters.used["firestore.writes"] = 1_000
    assert cloud.minutes(5)[-1].armed
    assert kinds(cloud.post.alerts) == ["overcommitted", "fits"]


def test_best_effort_waits_near_the_end_and_is_not_missed_for_it(cloud: Cloud) -> None:
    cloud.enrol("photos", level="best-effort", caps=Caps(writes=20))
    cloud.enrol(level="protected", caps=Caps(writes=20))
    cloud.counters.used["firestore.writes"] = 15_930
    cloud.minutes(16)
    assert kinds(cloud.post.alerts) == ["held"]
    said = "best-effort collectors wait until 2026-11-26 08:00 UTC: firestore.writes is nearly"
    assert cloud.post.alerts[0].text.startswith(said)
    cloud.minutes(120)
    assert {asked.collector for asked in cloud.service.asked} == {"mail"}
    assert kinds(cloud.post.alerts) == ["held"]
    cloud.counters.used.clear()
    cloud.clock.now = NEXT_DAY - MINUTE
    cloud.sweep()
    cloud.minutes(30)
    assert {asked.collector for asked in cloud.service.asked} == {"mail", "photos"}
    assert kinds(cloud.post.alerts) == ["held"]


def test_a_task_that_waits_already_does_not_run_who_has_to_wait(cloud: Cloud) -> None:
    cloud.enrol(level="best-effort")
    cloud.minutes(14)
    cloud.counters.used["firestore.writes"] = 18_000
    cloud.clock.forward(minutes=1)
    cloud.collecting.tick()
    cloud.sweep()
    assert cloud.work() == ["stopped"]


def test_who_looks_anew_at_a_damaged_ledger_makes_it_again(cloud: Cloud) -> None:
    cloud.counters.used["firestore.writes"] = 4_321
    cloud.minutes(16)
    cloud.damage(LEDGER)
    with pytest.raises(Damaged):
        ledger_of(cloud.node.store)
    assert cloud.minutes(1)[0].armed
    assert cloud.ledger.used["firestore.writes"] == 4_321


def test_a_damaged_watch_is_begun_anew(cloud: Cloud) -> None:
    cloud.minutes(16)
    cloud.damage("watched")
    assert not cloud.minutes(1)[0].late
    assert cloud.minutes(16)[-1].armed


def test_a_damaged_configuration_disarms_and_is_told_once(cloud: Cloud) -> None:
    cloud.minutes(16)
    cloud.damage(COLLECTORS)
    for _ in range(3):
        cloud.clock.forward(minutes=1)
        with pytest.raises(Damaged):
            cloud.sweep()
    assert kinds(cloud.post.alerts) == ["unreadable"]
    text = cloud.post.alerts[0].text
    assert text.startswith("nothing is fetched: a stored Collectors is damaged: ")
    assert text.endswith("; write it anew from a file: yurt collectors apply FILE")
    assert cloud.watched.arming is not None
    assert cloud.watched.arming.armed is None


@pytest.mark.parametrize("data", ["{]", '{"work": "collect"}', None])
def test_one_whose_document_is_damaged_is_told_of_and_spoils_no_other(
    cloud: Cloud, data: str | None
) -> None:
    cloud.enrol("photos", caps=Caps(writes=20))
    cloud.minutes(14)
    with closing(sqlite3.connect(cloud.node.settings.data / "yurt.db")) as database:
        if data is None:
            (text,) = database.execute("SELECT data FROM control WHERE id = 'photos'").fetchone()
            data = str(bytes(text), "utf-8") if isinstance(text, bytes) else str(text)
            data = data.replace('"slot"', '"slat"')
        database.execute("UPDATE control SET data = ?, due = 1 WHERE id = 'photos'", (data,))
        database.commit()
    cloud.minutes(3, works=False)
    cloud.enrol("other", caps=Caps(writes=20))
    (alert,) = [alert for alert in cloud.post.alerts if alert.collector == "photos"]
    assert alert.kind == "failed"
    assert alert.text.endswith("; begin it anew: yurt collectors remove photos, then add it again")
    (state,) = [s for s in collectors.collector_states(cloud.node) if s.collector == "photos"]
    assert (state.state, state.fix is not None and "remove photos" in state.fix) == ("failed", True)
    collectors.remove(cloud.node, "photos")
    declared = Declared(service="scripted", schedule="*/15 * * * *", caps=Caps(writes=20))
    collectors.add(cloud.node, {"scripted": cloud.service}, "photos", declared, None)
    cloud.minutes(32)
    assert {"photos", "mail"} == {asked.collector for asked in cloud.service.asked} - {"other"}


def test_one_whose_schedule_cannot_be_read_any_more_is_told_of_and_spoils_no_other(
    cloud: Cloud,
) -> None:
    cloud.enrol("photos", caps=Caps(writes=20))

    def gone(config: Collectors) -> Collectors:
        photos = replace(config.collectors["photos"], zone="Nowhere/Gone")
        return replace(config, collectors={**config.collectors, "photos": photos})

    change(cloud.node.store, COLLECTORS, Collectors(), gone)
    looked = cloud.minutes(60)
    assert {asked.collector for asked in cloud.service.asked} == {"mail"}
    assert kinds(cloud.post.alerts) == ["failed"]
    assert "there is no time zone 'Nowhere/Gone'" in cloud.post.alerts[0].text
    assert not looked[-1].armed
    (state,) = [s for s in collectors.collector_states(cloud.node) if s.collector == "photos"]
    assert (state.state, state.next) == ("failed", None)
    with pytest.raises(Refused, match="there is no time zone"):  # without a plan nothing else is
        collectors.pause(cloud.node, "mail", paused=True)
    collectors.change(
        cloud.node, {"scripted": cloud.service}, "photos", {"zone": "UTC"}, {}, {}, None
    )
    cloud.minutes(20)
    assert kinds(cloud.post.alerts) == ["failed", "recovered"]


def test_a_run_besides_the_schedule_takes_nothing_that_is_kept_free(cloud: Cloud) -> None:
    cloud.minutes(16)
    assert collectors.run(cloud.node, "mail")
    cloud.counters.used["firestore.writes"] = 17_500
    cloud.minutes(1)
    # A node at home knows of no use.
    assert collectors.run(cloud.node, "mail")
    settings = Settings(firestore=FirestoreDatabase("p-yurt", "(default)"))
    in_cloud = Node(settings, cloud.node.store, cloud.clock)
    with pytest.raises(Refused, match=r"what is left of firestore\.writes until"):
        collectors.run(in_cloud, "mail")


def test_what_is_configured_after_a_damage_has_to_run_before_it_is_armed(cloud: Cloud) -> None:
    cloud.enrol(generation=1)
    assert cloud.minutes(16)[-1].armed
    cloud.damage(COLLECTORS)
    text = '[collectors.mail]\nservice = "scripted"\nschedule = "*/15 * * * *"\n'
    collectors.apply(cloud.node, {"scripted": cloud.service}, text, "fleet.toml")
    assert not cloud.minutes(1)[0].armed
    assert cloud.minutes(16)[-1].armed


def test_a_slot_that_took_more_than_its_caps_is_planned_with_that(cloud: Cloud) -> None:
    cloud.enrol(caps=Caps(writes=10))
    many = [event(str(number)) for number in range(40)]
    cloud.service.gives = lambda asked: iter([Step("x", 1, many)])
    cloud.minutes(16)
    config = cloud.config
    assert config.measured["mail"].writes >= 40
    assert config.limits_of("mail").writes == config.measured["mail"].writes
    assert config.generation == 1
    (writes,) = [
        window
        for window in plan_state(cloud.node).windows
        if (window.quota, window.start) == ("firestore.writes", NEXT_DAY)
    ]
    assert writes.protected == 96 * config.measured["mail"].writes
    cloud.minutes(30)
    assert replace(cloud.config, ticked=config.ticked) == config


def test_the_day_before_is_remembered_without_what_runs_took(cloud: Cloud) -> None:
    cloud.minutes(30)
    counted = cloud.job().days[-1].writes
    cloud.counters.used["firestore.writes"] = 500 + counted
    cloud.clock.now = NEXT_DAY - 2 * MINUTE
    cloud.sweep()
    cloud.clock.now = NEXT_DAY + 6 * MINUTE
    cloud.sweep()
    (day,) = cloud.ledger.days
    assert day.began == NEXT_DAY - timedelta(days=1)
    assert day.besides["firestore.writes"] == 500


def test_what_imports_may_take_is_what_all_others_leave(cloud: Cloud) -> None:
    cloud.counters.used["firestore.writes"] = 5_000
    cloud.minutes(1)
    free = cloud.ledger.free
    assert free is not None
    made = plan(cloud.config, pool_of(0, cloud.ledger, cloud.clock()), cloud.clock())
    (line,) = [line for line in made.current(cloud.clock()) if line.dimension == "firestore.writes"]
    left = 18_000 - 5_000 - line.watch - line.protected - line.recoveries[0].need
    assert free["firestore.writes"] == pytest.approx(left)


def test_a_node_at_home_is_counted_by_nobody_and_holds_nobody_back(watch_home: Watch) -> None:
    watch_home.minutes(16)
    assert ledger_of(watch_home.node.store) is None
    assert watch_home.watched.arming is not None
    assert watch_home.watched.arming.armed is not None


@pytest.fixture
def watch_home(tmp_path: Path) -> Iterator[Watch]:
    watch = Watch(tmp_path)
    yield watch
    watch.node.close()
