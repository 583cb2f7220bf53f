"""What doctor thinks of what it found: facts and the verdict on them."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.commands import checks
from shared.commands.answers import Check, DeviceState
from shared.commands.checks import Answer, Folder
from shared.model.access import App

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


@pytest.mark.parametrize(
    ("check", "status", "said"),
    [
        (checks.python_check((3, 11)), "ok", "3.11"),
        (checks.python_check((3, 10)), "fail", "3.10"),
        (checks.folder_check(Folder("/d", False)), "warn", "not there"),
        (checks.folder_check(Folder("/d", True, False)), "fail", "cannot be written"),
        (checks.folder_check(Folder("/d", True, True, 0o700, 2 << 30)), "ok", "2 GB"),
        (checks.folder_check(Folder("/d", True, True, 0o755, 2 << 30)), "warn", "other users"),
        (checks.folder_check(Folder("/d", True, True, 0o700, 900 << 20)), "warn", "900 MB"),
        (checks.folder_check(Folder("/d", True, True, 0o700, 9 << 20)), "fail", "9 MB"),
        (checks.database_check("/d/yurt.db", None), "ok", "whole"),
        (checks.database_check("/d/yurt.db", "file is not a database"), "fail", "not a database"),
        (checks.master_key_check("k", None, 1), "ok", "1"),
        (checks.master_key_check("k", "it is missing", 0), "ok", "nothing needs it"),
        (checks.master_key_check("k", "it is missing", 2), "fail", "missing"),
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
        (checks.rejects_check(0, False), "ok", "every report"),
        (checks.rejects_check(3, False), "warn", "3"),
        (checks.rejects_check(1000, True), "warn", "more than 1000"),
        (checks.refused_check({"ingest.other": 3}), "ok", "none"),
        (checks.refused_check({"ingest.unauthorized": 3}), "warn", "3 at ingest"),
        (checks.cloud_check("p", "(default)", None), "ok", "project p"),
        (checks.cloud_check("p", "(default)", "127.0.0.1:8"), "ok", "emulator"),
        (checks.store_check("the store", "no route"), "fail", "no route"),
        (checks.store_check("the store", None), "ok", "answers"),
    ],
)
def test_verdict(check: Check, status: str, said: str) -> None:
    assert check.status == status
    assert said in check.detail
    assert (check.fix is None) == (status == "ok"), "what is not well comes with what to do"
