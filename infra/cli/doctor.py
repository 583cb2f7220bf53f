"""`yurt doctor`: what is configured, what is reachable, what is wrong and what to do."""

import os
import shutil
import sqlite3
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.addresses import local_base, node_base, running_node
from infra.cli.session import Session, data_option, json_option, pass_session, print_json

if TYPE_CHECKING:
    from shared.commands.answers import Check
    from shared.commands.checks import Answer, Folder
    from shared.node import Node
    from shared.settings import Settings

_PATIENCE = 3.0
_MOST_REJECTS = 1000


@click.command(short_help="Find out what is wrong, and what to do.")
@json_option
@data_option
@pass_session
def doctor(session: Session, as_json: bool) -> None:
    """Look at everything that can be wrong and say what to do about it.

    Changes nothing. Ends with status 1 if something does not work.

    \b
    Examples:
      yurt doctor
      yurt doctor --json
    """
    found = list(_checks(session))
    if as_json:
        print_json(found)
    else:
        _show(found)
    if any(check.status == "fail" for check in found):
        raise SystemExit(1)


def _show(found: "list[Check]") -> None:
    marks = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}
    for check in found:
        mark, colour = marks[check.status]
        text = f"{check.check}: {check.detail}"
        click.echo(f"{click.style(mark, fg=colour)}  {_indented(text)}")
        if check.fix is not None:
            click.echo(f"      {_indented('-> ' + check.fix)}")
    wrong = sum(check.status == "fail" for check in found)
    doubts = sum(check.status == "warn" for check in found)
    click.echo()
    if wrong or doubts:
        click.echo(f"{wrong} wrong, {doubts} to look at. Each -> says what to do.")
    else:
        click.echo("All is well.")


def _indented(text: str) -> str:
    return click.wrap_text(text, width=72).replace("\n", "\n      ")


def _checks(session: Session) -> "Iterator[Check]":
    from shared.commands import checks

    settings = session.settings()
    yield checks.python_check(sys.version_info[:2])
    if settings.firestore is None:
        yield checks.folder_check(_folder(settings.data))
        if not (settings.data / "yurt.db").exists():
            return
        problem = _database_problem(settings.data / "yurt.db")
        yield checks.database_check(str(settings.data / "yurt.db"), problem)
        if problem is not None:
            return
    else:
        emulator = session.environ.get("FIRESTORE_EMULATOR_HOST")
        yield checks.cloud_check(settings.firestore.project, settings.firestore.database, emulator)
        problem = _store_problem(session)
        yield checks.store_check("the store", problem)
        if problem is not None:
            return
    with session.node() as node:
        yield from _inside(session, settings, node)


def _inside(session: Session, settings: "Settings", node: "Node") -> "Iterator[Check]":
    from shared.commands import checks
    from shared.commands.devices import SILENT_AFTER, device_states
    from shared.commands.profile import show_profile
    from shared.model.records import Reject

    states = device_states(node)
    yield checks.master_key_check(
        *_master_key(settings), sealed=sum(state.encrypted for state in states)
    )
    running = running_node(settings)
    if settings.firestore is None:
        yield checks.node_check(_asked(local_base(running)) if running else None)
    elif settings.public_base:
        yield checks.node_check(_asked(settings.public_base + "/ingest"))
    if running is not None or settings.public_base is not None:
        yield checks.reach_check(node_base(settings, running), states)
    profile = show_profile(node, session.machine_zone())
    yield checks.zone_check(profile.zone, profile.saved)
    yield checks.devices_check(states, SILENT_AFTER)
    rejects = node.store.page(Reject, limit=_MOST_REJECTS)
    yield checks.rejects_check(len(rejects.records), rejects.cursor is not None)
    yield checks.refused_check(node.store.counters())


def _folder(path: Path) -> "Folder":
    from shared.commands.checks import Folder

    if not path.is_dir():
        return Folder(str(path.resolve()), exists=False)
    return Folder(
        str(path.resolve()),
        exists=True,
        writable=os.access(path, os.W_OK | os.X_OK),
        mode=stat.S_IMODE(path.stat().st_mode),
        free=shutil.disk_usage(path).free,
    )


def _database_problem(path: Path) -> str | None:
    """What is wrong with the file, read beside a running node and without changing it."""
    from shared.store.sqlite import MIGRATIONS

    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (shape,) = connection.execute("PRAGMA user_version").fetchone()
            if shape > len(MIGRATIONS):
                return f"a newer version of Yurt wrote it (shape {shape}); update Yurt"
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return None if verdict == "ok" else str(verdict)


def _store_problem(session: Session) -> str | None:
    from shared.commands.access import access_of
    from shared.store.protocol import StoreError

    try:
        with session.node() as node:
            access_of(node)
    except StoreError as error:
        return str(error)
    return None


def _master_key(settings: "Settings") -> tuple[str, str | None]:
    """Where it is, and what is wrong with it. Makes none."""
    from shared.sealing import MasterKey

    path, text = settings.data / "master.key", settings.master_key
    where = str(path) if text is None else "YURT_MASTER_KEY"
    try:
        MasterKey.from_hex(path.read_text("ascii") if text is None else text)
    except FileNotFoundError:
        return where, "it is missing"
    except (OSError, ValueError) as error:
        return where, str(error)
    return where, None


def _asked(url: str) -> "Answer":
    from shared.commands.checks import Answer

    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # noqa: S310 - a node's URL
            return Answer(url, answer.status)
    except urllib.error.HTTPError as error:
        # A 401 or 404 is an answer: the node is there.
        return Answer(url, error.code)
    except OSError as error:
        return Answer(url, None, str(getattr(error, "reason", error)))
