"""What doctor thinks of what it found: facts and the verdict on them."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.commands import checks
from shared.commands.answers import (
    AlertsState,
    ChannelState,
    Check,
    CollectorIs,
    CollectorState,
    DeviceState,
)
from shared.commands.checks import Answer, Folder, Key
from shared.model.access import App
from shared.store.protocol import NewerData, StoreError

DAY = timedelta(days=1)


def device(
    name: str, app: App = "owntracks", *, paired: bool = True, silent: bool = False
) -> DeviceState:
    return DeviceState(
        device=name,
        name=name,
        app=app,
        paired=paired,
        encrypted=False,
        created=datetime(2026, 11, 1, tzinfo=UTC),
        last_report=None,
        age=None,
        battery=None,
        silent=silent,
        sees=(),
    )


def collector(id: str, state: CollectorIs = "done", error: str | None = None) -> CollectorState:
    return CollectorState(
        collector=id,
        service="imap",
        schedule="every 1h",
        zone="UTC",
        level="protected",
        priority=100,
        state=state,
        slot=None,
        changed=None,
        next=None,
        new={},
        error=error,
        fix=None,
    )


def channel(name: str, error: str | None = None) -> ChannelState:
    since = datetime(2026, 11, 25, 12, tzinfo=UTC) if error is not None else None
    return ChannelState(
        channel=name, kind="ntfy", untold=0, failing=since, error=error, again=since
    )


@pytest.mark.parametrize(
    ("check", "status", "said"),
    [
        (checks.python_check((3, 11)), "ok", "3.11"),
        (checks.python_check((3, 10)), "fail", "3.10"),
        (checks.folder_check(Folder("/d", False)), "warn", "not there"),
        (checks.folder_check(Folder("/d", True, is_file=True)), "fail", "no folder"),
        (checks.folder_check(Folder("/d", True)), "fail", "cannot be read and written"),
        (checks.folder_check(Folder("/d", True, False, True, 0o700, 2 << 30)), "ok", "2 GB"),
        (
            checks.folder_check(Folder("/d", True, False, True, 0o755, 2 << 30)),
            "warn",
            "other users",
        ),
        (checks.folder_check(Folder("/d", True, False, True, 0o700, 900 << 20)), "warn", "900 MB"),
        (checks.folder_check(Folder("/d", True, False, True, 0o700, 9 << 20)), "fail", "9 MB"),
        (checks.database_check("/d/yurt.db", None), "ok", "whole"),
        (checks.database_check("/d/yurt.db", StoreError("no database")), "fail", "no database"),
        (checks.database_check("/d/yurt.db", NewerData("shape 9")), "fail", "shape 9"),
        (checks.database_check("/d/yurt.db", None, ["/d/yurt.db-shm"]), "fail", "/d/yurt.db-shm"),
        (checks.master_key_check(Key("k", True, sealed=["ada"])), "ok", "1"),
        (checks.master_key_check(Key("k", False, "it is missing")), "ok", "nothing needs it"),
        (checks.master_key_check(Key("k", True, "it is no text")), "warn", "no text"),
        (checks.master_key_check(Key("k", False, "missing", sealed=["ada"])), "fail", "missing"),
        (checks.master_key_check(Key("k", True, sealed=["a", "b"], lost=["b"])), "fail", "of: b"),
        (checks.master_key_check(Key("k", True, mode=0o644)), "warn", "0644"),
        (checks.unseen_check("devices", "no"), "fail", "looked at: no"),
        (checks.node_check(None), "warn", "no node runs"),
        (checks.node_check(Answer("http://h", 200)), "ok", "answers"),
        (checks.node_check(Answer("http://h", 401)), "ok", "answers"),
        (checks.node_check(Answer("http://h", 502)), "fail", "502"),
        (checks.node_check(Answer("http://h", None, "timed out")), "fail", "timed out"),
        (checks.reach_check("http://127.0.0.1", []), "ok", "no phone"),
        (checks.reach_check("http://127.0.0.1", [device("script", "other")]), "ok", "no phone"),
        (checks.reach_check("http://127.0.0.1", [device("old", paired=False)]), "ok", "no phone"),
        (checks.reach_check("http://127.0.0.1", [device("ada")]), "warn", "ada"),
        (checks.reach_check("http://192.168.1.5", [device("ada")]), "ok", "192.168.1.5"),
        (checks.reach_check("http://example.org", [device("ada")]), "warn", "readable"),
        (checks.zone_check("UTC", saved=False), "warn", "UTC"),
        (checks.zone_check("Europe/London", saved=True), "ok", "Europe/London"),
        (checks.devices_check([], DAY), "warn", "no device"),
        (checks.devices_check([device("old", paired=False)], DAY), "warn", "no device"),
        (checks.devices_check([device("ada")], DAY), "ok", "1 paired"),
        (checks.devices_check([device("ada"), device("bob", silent=True)], DAY), "warn", "bob"),
        (checks.collectors_check([]), "ok", "0 at work"),
        (checks.collectors_check([collector("a"), collector("b", "paused")]), "ok", "1 at work, 1"),
        (checks.collectors_check([collector("a", "late"), collector("b")]), "warn", "heard of a"),
        (
            checks.collectors_check([collector("a", "late"), collector("b", "failed", "no way")]),
            "fail",
            "b failed: no way",
        ),
        (checks.alerts_check(AlertsState(channels=[], ping=False), 0), "ok", "the log alone"),
        (checks.alerts_check(AlertsState(channels=[], ping=False), 1), "warn", "nobody would miss"),
        (
            checks.alerts_check(AlertsState(channels=[], ping=True), 1),
            "ok",
            "sign of life is given",
        ),
        (
            checks.alerts_check(AlertsState(channels=[channel("a")], ping=False), 1),
            "ok",
            "told to a",
        ),
        (
            checks.alerts_check(
                AlertsState(channels=[channel("a"), channel("b", "no way")], ping=True), 1
            ),
            "fail",
            "b cannot be told since 2026-11-25 12:00 UTC: no way",
        ),
        (checks.rejects_check(0, False), "ok", "everything"),
        (checks.rejects_check(3, False), "warn", "3"),
        (checks.rejects_check(1000, True), "warn", "more than 1000"),
        (checks.refused_check({"ingest.other": 3}), "ok", "none"),
        (checks.refused_check({"ingest.unauthorized": 3}), "warn", "3 at ingest"),
        (checks.cloud_check("p", "(default)", None), "ok", "project p"),
        (checks.cloud_check("p", "(default)", "127.0.0.1:8"), "ok", "emulator"),
        (checks.store_check("the store", StoreError("no route")), "fail", "no route"),
        (checks.store_check("the store", None), "ok", "answers"),
    ],
)
def test_verdict(check: Check, status: str, said: str) -> None:
    assert check.status == status
    assert said in check.detail
    assert (check.fix is None) == (status == "ok"), "what is not well comes with what to do"


@pytest.mark.parametrize(
    ("check", "advice", "not_said"),
    [
        (checks.database_check("/d", StoreError("damaged")), "put a backup in its place", "update"),
        (checks.database_check("/d", NewerData("shape 9")), "update Yurt", "backup"),
        (checks.database_check("/d", None, ["/a b"]), "chmod u+rw '/a b'", "backup"),
        (
            checks.node_check(Answer("http://h", None), "yurt up --port 9000"),
            "yurt up --port 9000",
            "host",
        ),
        (
            checks.reach_check("http://127.0.0.1:1", [device("ada")], "yurt up --port 1"),
            "yurt up --port 1",
            "0.0.0.0",
        ),
        (
            checks.reach_check("http://127.0.0.1:1", [device("ada")], None),
            "YURT_PUBLIC_BASE",
            "yurt up",
        ),
    ],
)
def test_advice(check: Check, advice: str, not_said: str) -> None:
    assert advice in (check.fix or "")
    assert not_said not in (check.fix or "")
