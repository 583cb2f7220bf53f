"""`yurt alerts` and `yurt status` as their user meets them."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result

from shared.ha.watching import WATCHED, Watched
from shared.node import open_node
from shared.settings import Settings
from tests.alerting.servers import Web
from tests.infra.test_cli_collectors import NOW, Yurt, add, yurt

__all__ = ["yurt"]


@pytest.fixture
def web() -> Iterator[Web]:
    with Web().running() as web:
        yield web


def said(result: Result, exit_code: int = 0) -> str:
    assert result.exit_code == exit_code, result.output
    return result.stdout


def test_a_channel_is_added_tried_and_removed(yurt: Yurt, web: Web) -> None:
    url = f"{web.url}/secret-part"
    assert "chat is told from now on" in said(
        yurt("alerts", "add", "chat", "webhook", "--secret", given=f"{url}\n")
    )
    assert said(yurt("alerts", "test")) == "chat: the test was taken\n"
    (request,) = web.requests
    assert json.loads(request.body)["title"] == "Yurt: a test"
    web.status = 403
    assert said(yurt("alerts", "test", "chat"), 1) == (
        "chat: the test was not taken: it does not let us in (status 403): give it the right secret\n"
    )
    listed = yurt("alerts", "--json")
    assert json.loads(listed.stdout)["channels"] == [
        {
            "channel": "chat",
            "kind": "webhook",
            "untold": 0,
            "failing": None,
            "error": None,
            "again": None,
        }
    ]
    assert "secret-part" not in listed.output + yurt("alerts").output
    assert said(yurt("alerts", "remove", "chat")) == "chat is told no more.\n"
    assert "Alerts go to the log alone" in said(yurt("alerts"))


def damage(tmp_path: Path, name: str) -> None:
    """Something else wrote over a document of the node."""
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "yurt.db")) as database:
        database.execute("UPDATE document SET data = '{]' WHERE name = ?", (name,))
        database.commit()


def test_channels_that_cannot_be_read_any_more_are_added_anew(yurt: Yurt, tmp_path: Path) -> None:
    url = "https://x.example.org/secret-part"
    said(yurt("alerts", "add", "chat", "webhook", "--secret", given=f"{url}\n"))
    damage(tmp_path, "alerting")
    for command in (("alerts",), ("alerts", "test"), ("alerts", "remove", "chat")):
        failed = yurt(*command)
        assert failed.exit_code == 1
        assert "a stored Alerting is damaged" in failed.stderr
        assert failed.stderr.endswith("; add each channel anew: yurt alerts add --help\n")
    said(yurt("alerts", "add", "other", "webhook", "--secret", given=f"{url}\n"))
    channels = json.loads(said(yurt("alerts", "--json")))["channels"]
    assert [channel["channel"] for channel in channels] == ["other"]


def test_collectors_that_cannot_be_read_any_more_are_written_anew(
    yurt: Yurt, tmp_path: Path
) -> None:
    add(yurt, "mail")
    damage(tmp_path, "collectors")
    for command in (("collectors",), ("plan",), ("status",), ("collectors", "pause", "mail")):
        failed = yurt(*command)
        assert failed.exit_code == 1
        assert failed.stderr.endswith("; write it anew from a file: yurt collectors apply FILE\n")
    file = tmp_path / "fleet.toml"
    file.write_text(
        '[collectors.mail]\nservice = "letters"\nschedule = "every 1h"\noptions = {host = "h"}\n'
    )
    said(yurt("collectors", "apply", str(file)))
    assert "mail" in said(yurt("collectors"))


def test_the_sign_of_life_is_set_and_taken_away(yurt: Yurt) -> None:
    yurt("token", "x")
    assert "Sign of life: none" in said(yurt("alerts"))
    said(yurt("alerts", "ping", given="https://hc.example.org/secret-part\n"))
    shown = said(yurt("alerts"))
    assert "a URL is asked for after each look" in shown
    assert "secret-part" not in shown
    said(yurt("alerts", "ping", "--off"))
    assert "Sign of life: none" in said(yurt("alerts"))


@pytest.mark.parametrize(
    ("arguments", "given", "text"),
    [
        (("add", "X", "webhook", "--secret"), "https://x.org\n", "cannot be the name of a channel"),
        (("add", "log", "webhook", "--secret"), "https://x.org\n", "and not log"),
        (("add", "chat", "pigeon"), None, "there is email, webhook, ntfy"),
        (("add", "chat", "webhook"), None, "the secret of a webhook (--secret) must be a URL"),
        (("add", "chat", "webhook", "--secret"), "", "--secret reads a line from the pipe"),
        (("add", "phone", "ntfy"), None, "topic"),
        (("remove", "chat"), None, "there is no channel 'chat'; there is none yet"),
        (("test",), None, "nobody is told of alerts yet"),
        (("ping",), "example.org\n", "it must be a URL"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(
    arguments: tuple[str, ...], given: str | None, text: str, yurt: Yurt
) -> None:
    yurt("token", "x")
    refused = yurt("alerts", *arguments, given=given)
    assert refused.exit_code == 2
    assert text in refused.stderr


def test_doctor_looks_at_who_is_told_and_at_their_secrets(yurt: Yurt, tmp_path: Path) -> None:
    def found(check: str) -> tuple[str, str]:
        checks = json.loads(yurt("doctor", "--json").stdout)
        return next((each["status"], each["detail"]) for each in checks if each["check"] == check)

    yurt("token", "x")
    assert found("alerts") == ("ok", "they go to the log alone; no sign of life is given")
    add(yurt, "mail")
    assert found("alerts")[0] == "warn"
    url = "https://hooks.example.org/secret-part\n"
    yurt("alerts", "add", "chat", "webhook", "--secret", given=url)
    yurt("alerts", "ping", given=url)
    assert found("alerts") == ("ok", "told to chat; a sign of life is given")
    assert found("master key")[0] == "ok"
    (tmp_path / "data" / "master.key").write_text("5e" * 32)
    status, detail = found("master key")
    assert (status, "chat, ping" in detail) == ("fail", True)


def test_status_says_what_needs_somebody(yurt: Yurt) -> None:
    yurt("token", "x")
    assert said(yurt("status")).startswith("All is well.\n")
    add(yurt, "mail")
    shown = said(yurt("status"), 1)
    assert shown.startswith("Something needs you.\n")
    assert "Collectors: 1 new; never looked at" in shown
    assert "nobody looks after the collectors: does the node run?" in shown
    assert "firestore.writes" in shown
    state = json.loads(said(yurt("status", "--json"), 1))
    assert (state["well"], state["plan"], state["collectors"]) == (False, "arming", {"new": 1})


def test_status_says_when_nobody_ticks(yurt: Yurt, tmp_path: Path) -> None:
    add(yurt, "mail")
    with contextlib.closing(open_node(Settings(data=tmp_path / "data"))) as node:
        watched = Watched(swept=NOW, unticked=NOW - timedelta(hours=1))
        node.store.write(WATCHED, watched, over=None)
    shown = said(yurt("status"), 1)
    assert "  nobody looks which slots are due since 2026-11-25 14:30\n  -> in the cloud" in shown
