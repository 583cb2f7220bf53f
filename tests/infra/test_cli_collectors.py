"""`yurt collectors`, `yurt plan` and `yurt what-if` as their user meets them."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from infra.cli.main import main
from infra.cli.session import Session
from shared.commands.collectors import config_of
from shared.model.steps import Step
from shared.node import open_node
from shared.services import registry
from shared.services.protocol import Asked, BadOptions
from shared.settings import Settings
from shared.work.jobs import Job

NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
Yurt = Callable[..., Result]


class Letters:
    """A service whose only option is a host."""

    NAME = "letters"
    VERSION = 1

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        if "host" not in options:
            raise BadOptions("say which host: --set host=imap.example.org")
        return dict(options)

    def steps(self, asked: Asked) -> Iterator[Step]:
        return iter(())


@pytest.fixture
def yurt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yurt:
    monkeypatch.setattr(registry, "SERVICES", {"letters": Letters()})

    def run(*arguments: str, given: str | None = None) -> Result:
        environ = {"TZ": "Europe/Berlin", "YURT_DATA": str(tmp_path / "data")}
        session = Session(environ=environ, clock=lambda: NOW)
        runner = CliRunner()
        return runner.invoke(main, list(arguments), obj=session, input=given)

    return run


def listed(yurt: Yurt) -> dict[str, Any]:
    shown = yurt("collectors", "--json")
    assert shown.exit_code == 0, shown.output
    return {state["collector"]: state for state in json.loads(shown.stdout)}


def add(yurt: Yurt, name: str, *more: str) -> Result:
    return yurt("collectors", "add", name, "letters", "--set", "host=h", *more)


def test_one_is_added_listed_changed_paused_and_removed(yurt: Yurt) -> None:
    added = add(yurt, "mail", "--schedule", "0 7 * * *")
    assert added.exit_code == 0, added.output
    # In the zone of whoever added it.
    assert added.stdout == "mail is fetched 0 7 * * *, next at 2026-11-26 07:00.\n"
    state = listed(yurt)["mail"]
    assert (state["zone"], state["level"], state["state"]) == ("Europe/Berlin", "protected", "new")
    assert "mail" in yurt("collectors").stdout

    changed = yurt("collectors", "change", "mail", "--schedule", "every 6h", "--cap", "writes=50")
    assert changed.stdout == "mail is changed.\n", changed.output
    assert listed(yurt)["mail"]["schedule"] == "every 6h"
    assert yurt("collectors", "pause", "mail").stdout == "mail is paused.\n"
    assert (listed(yurt)["mail"]["state"], listed(yurt)["mail"]["next"]) == ("paused", None)
    assert yurt("collectors", "resume", "mail").stdout == "mail goes on at its next slot.\n"
    assert yurt("collectors", "remove", "mail").exit_code == 0
    assert listed(yurt) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "mail", "post"), "there is no service 'post'; there is letters"),
        (("add", "mail", "letters"), "mail: say which host: --set host=imap.example.org"),
        (("add", "Mail", "letters", "--set", "host=h"), "'Mail' cannot be the name of a collector"),
        (("add", "mail", "letters", "--set", "host"), "'host' is no option: write NAME=VALUE"),
        (("add", "x", "letters", "--set", "host=h", "--cap", "writes=1"), "Expected `int` >= 5"),
        (("add", "x", "letters", "--set", "host=h", "--cap", "wishes=9"), "unknown field `wishes`"),
        (("add", "x", "letters", "--set", "host=h", "--cap", "writes=a"), "is no number"),
        (("add", "x", "letters", "--set", "host=h", "--schedule", "x"), "is no schedule"),
        (("add", "x", "letters", "--set", "host=h", "--schedule", "0 0 * * *", "--zone", "Mars"), "there is no time zone 'Mars'"),
        (("add", "there", "letters", "--set", "host=h"), "there is a collector 'there' already"),
        (("change", "there"), "say what to change"),
        (("change", "post", "--priority", "5"), "there is no collector 'post'; there is there"),
        (("change", "there", "--cap", "seconds=3601"), "may work 3601 seconds, but has a slot every"),
        (("pause", "post"), "there is no collector 'post'"),
        (("remove", "post"), "there is no collector 'post'"),
        (("run", "post"), "there is no collector 'post'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_to_write(
    arguments: tuple[str, ...], said: str, yurt: Yurt
) -> None:
    add(yurt, "there")
    before = yurt("collectors", "--json").stdout
    refused = yurt("collectors", *arguments)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert yurt("collectors", "--json").stdout == before


def test_what_would_leave_no_plan_is_refused(yurt: Yurt) -> None:
    assert add(yurt, "mail").exit_code == 0
    refused = add(yurt, "photos", "--schedule", "every 1m")
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert "that would leave no plan: " in said
    assert "not even runs without a failure would fit" in said
    assert "yurt what-if" in said
    assert list(listed(yurt)) == ["mail"]
    assert add(yurt, "photos", "--schedule", "every 1m", "--level", "best-effort").exit_code == 0


@pytest.mark.parametrize("schedule", ["every 15m", "every 1h", "every 6h", "0 7 * * *"])
def test_some_fit_however_often_they_come(yurt: Yurt, schedule: str) -> None:
    for number in range(7):
        added = add(yurt, f"mail-{number}", "--schedule", schedule)
        assert added.exit_code == 0, added.output


def test_twenty_small_ones_fit_each_quarter_of_an_hour(yurt: Yurt) -> None:
    small = (
        "writes=5",
        "reads=20",
        "seconds=2",
        "megabytes=0.1",
        "object_writes=2",
        "object_reads=2",
    )
    caps = [word for cap in (*small, "object_megabytes=5") for word in ("--cap", cap)]
    for number in range(20):
        added = add(yurt, f"mail-{number}", "--schedule", "every 15m", *caps)
        assert added.exit_code == 0, added.output


def test_the_quotas_are_what_the_owner_says(yurt: Yurt) -> None:
    assert add(yurt, "mail").exit_code == 0
    free = "Planned with what the free tier gives; failures that must fit besides: 1.\n"
    assert yurt("collectors", "quotas").stdout == free
    more = add(yurt, "much", "--schedule", "every 5m", "--cap", "writes=100")
    assert more.exit_code == 2
    assert yurt("collectors", "quotas", "firestore.writes=50000", "--tolerate", "2").stdout == (
        "Planned with what the free tier gives, but firestore.writes 50,000; failures that must fit "
        "besides: 2.\n"
    )
    assert add(yurt, "much", "--schedule", "every 5m", "--cap", "writes=100").exit_code == 0
    refused = yurt("collectors", "quotas", "--free")
    assert (refused.exit_code, "that would leave no plan" in refused.stderr) == (2, True)
    unlimited = yurt("collectors", "quotas", "--unlimited", "--json")
    assert json.loads(unlimited.stdout) == {
        "tolerate": 2,
        "unlimited": True,
        "quotas": {"firestore.writes": 50_000.0},
    }
    assert add(yurt, "more", "--schedule", "every 1m").exit_code == 0
    assert yurt("plan").stdout.startswith("No quota is planned with, as you said; ")
    assert yurt("what-if", "mail fails at 18:00").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing=3",), "no allowance is called nothing; there is firestore.reads, "),
        (("firestore.writes=0",), "firestore.writes is to be a number above 0, and not 0"),
        (("firestore.writes=x",), "is no number"),
        (("firestore.writes",), "NAME=VALUE"),
        (("--unlimited", "--free"), "--unlimited goes with no amount"),
        (("--tolerate", "-1"), "0<=x<=1000"),
        (("--tolerate", "1001"), "0<=x<=1000"),
    ],
)
def test_quotas_that_cannot_be_are_refused(
    yurt: Yurt, arguments: tuple[str, ...], said: str
) -> None:
    add(yurt, "mail")
    refused = yurt("collectors", "quotas", *arguments)
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    "text",
    [
        "tolerate = -1",
        "tolerate = 5000",
        "[quotas]\n'firestore.writes' = nan",
        "[quotas]\n'firestore.writes' = inf",
        "[quotas]\n'firestore.writes' = 0",
        "[quotas]\nnothing = 7",
        "[collectors.x]\nservice = 'letters'\nschedule = 'every 1h'\nrun_limit = 10000000000",
        "[collectors.x]\nservice = 'letters'\nschedule = 'every 1h'\ngrace = 10000000000",
    ],
)
def test_a_file_with_a_number_that_cannot_be_is_refused(
    yurt: Yurt, tmp_path: Path, text: str
) -> None:
    add(yurt, "mail")
    file = tmp_path / "fleet.toml"
    file.write_text(text)
    assert yurt("collectors", "apply", str(file)).exit_code == 2
    assert list(listed(yurt)) == ["mail"]


def test_limits_of_its_runs_are_those_that_were_said(yurt: Yurt, tmp_path: Path) -> None:
    assert add(yurt, "mail", "--start-limit", "120").exit_code == 0
    assert yurt("collectors", "change", "mail", "--run-limit", "900").exit_code == 0
    with contextlib.closing(open_node(Settings(data=tmp_path / "data"))) as node:
        mail = config_of(node).collectors["mail"]
    assert (mail.start_limit, mail.run_limit, mail.grace) == (120, 900, 600)


def test_one_is_fetched_now(yurt: Yurt) -> None:
    add(yurt, "mail", "--schedule", "0 7 * * *")
    asked = yurt("collectors", "run", "mail")
    assert asked.exit_code == 0, asked.output
    assert " ".join(asked.stdout.split()) == (
        "mail is fetched once the node runs (yurt up), if within an hour; "
        "what comes of it: yurt collectors"
    )
    yurt("collectors", "pause", "mail")
    refused = yurt("collectors", "run", "mail")
    assert refused.exit_code == 2
    assert "mail is paused; to go on: yurt collectors resume mail" in refused.stderr


def test_one_that_is_removed_and_added_again_begins_anew(yurt: Yurt, tmp_path: Path) -> None:
    def job() -> Job:
        with contextlib.closing(open_node(Settings(data=tmp_path / "data"), lambda: NOW)) as node:
            held = node.store.control(Job, "collector", "mail")
            assert held is not None
            return held.document

    add(yurt, "mail")
    assert job().due is not None
    with contextlib.closing(open_node(Settings(data=tmp_path / "data"), lambda: NOW)) as node:
        held = node.store.control(Job, "collector", "mail")
        assert held is not None
        read = replace(held.document, cursor="far")
        node.store.commit("collector", "mail", held.version, lambda _: read)
    yurt("collectors", "remove", "mail")
    assert (job().state, job().due, job().cursor) == ("cancelled", None, "far")
    token = job().token
    add(yurt, "mail")
    assert (job().cursor, job().token > token, job().due is not None) == (None, True, True)
    assert (listed(yurt)["mail"]["state"], listed(yurt)["mail"]["slot"]) == ("new", None)


def test_the_secret_is_asked_for_and_never_shown(yurt: Yurt, tmp_path: Path) -> None:
    added = yurt(
        "collectors", "add", "mail", "letters", "--set", "host=h", "--secret", given="hunter2\n"
    )
    assert added.exit_code == 0, added.output
    assert "hunter2" not in added.output
    assert "hunter2" not in yurt("collectors", "--json").output
    for path in (tmp_path / "data").iterdir():
        assert path.is_dir() or b"hunter2" not in path.read_bytes()
    missing = yurt("collectors", "change", "mail", "--secret", given="")
    assert missing.exit_code == 2
    assert "--secret reads a line from the pipe" in missing.stderr


FILE = """
tolerate = 1
[quotas]
"firestore.writes" = 15000
[collectors.mail]
service = "letters"
schedule = "every 2h"
options = { host = "h" }
[collectors.news]
service = "letters"
schedule = "30 6 * * 1"
zone = "Europe/London"
level = "best-effort"
options = { host = "n" }
caps = { writes = 20 }
"""


def test_a_file_is_matched_whole(yurt: Yurt, tmp_path: Path) -> None:
    add(yurt, "old")
    yurt("collectors", "add", "mail", "letters", "--set", "host=h", "--secret", given="x\n")
    path = tmp_path / "collectors.toml"
    path.write_text(FILE)
    applied = yurt("collectors", "apply", str(path))
    assert applied.exit_code == 0, applied.output
    assert applied.stdout.splitlines() == [
        "Added: news",
        "Changed: mail",
        "Removed: old",
        "news has no secret; to give it one: yurt collectors change news --secret",
    ]
    assert {id: s["schedule"] for id, s in listed(yurt).items()} == {
        "mail": "every 2h",
        "news": "30 6 * * 1",
    }
    again = yurt("collectors", "apply", str(path))
    assert again.stdout.splitlines()[0] == "All is as the file says."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("collectors = [", "cannot be used: "),
        ("[collectors.mail]\nservice = 'letters'", "missing required field `schedule`"),
        ("wishes = 3", "unknown field `wishes`"),
        (FILE.replace("firestore.writes", "firestore.wishes"), "no allowance is called"),
        (FILE.replace("every 2h", "every 1m"), "that would leave no plan"),
        (FILE.replace("[collectors.mail]", "[collectors.'a b']"), "'a b' cannot be the name"),
    ],
)
def test_a_file_that_cannot_be_changes_nothing(
    text: str, said: str, yurt: Yurt, tmp_path: Path
) -> None:
    add(yurt, "old")
    path = tmp_path / "collectors.toml"
    path.write_text(text)
    refused = yurt("collectors", "apply", str(path))
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert list(listed(yurt)) == ["old"]


def test_the_plan_says_what_holds_and_what_is_tightest(yurt: Yurt) -> None:
    add(yurt, "a", "--level", "best-effort")
    assert "Nothing is protected" in yurt("plan").stdout
    add(yurt, "mail")
    shown = yurt("plan")
    assert "The plan holds, and is not armed yet: any 1 of 1 protected" in shown.stdout
    assert "nobody looks after the collectors: does the node run?" in shown.stdout
    assert "storage.class_a" in shown.stdout
    state = json.loads(yurt("plan", "--json").stdout)
    assert (state["state"], state["failures_tolerated"], state["generation"]) == ("arming", 1, 2)
    assert {w["quota"] for w in state["windows"]} >= {"firestore.writes", "run.vcpu_seconds"}


def test_what_if_changes_nothing(yurt: Yurt) -> None:
    add(yurt, "mail")
    before = yurt("collectors", "--json").stdout
    shown = yurt("what-if", "mail every 1m")
    assert shown.exit_code == 0, shown.output
    assert "Failures tolerated: 1 before, not even none after." in shown.stdout
    assert "It would be refused: that would leave no plan" in shown.stdout
    found = json.loads(yurt("what-if", "mail every 2h", "tolerate 0", "--json").stdout)
    assert found["refused"] is None
    assert found["after"]["tolerate"] == 0
    assert yurt("collectors", "--json").stdout == before
    refused = yurt("what-if", "mail sometimes")
    assert refused.exit_code == 2
    assert "write it like 'mail every 1m'" in refused.stderr
