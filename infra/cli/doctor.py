"""`yurt doctor`: what is configured, what is reachable, what is wrong and what to do."""

import os
import shutil
import sqlite3
import stat
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.addresses import ANY_HOST, local_base, node_base, running_node, up_command
from infra.cli.session import Session, data_option, json_option, pass_session, print_json
from infra.cli.words import as_typed

if TYPE_CHECKING:
    from infra.running import Running
    from shared.commands.answers import Check
    from shared.commands.checks import Answer, Folder, Key
    from shared.node import Node
    from shared.settings import Settings
    from shared.store.protocol import StoreError

    _Look = Callable[[Node], Check]

_PATIENCE = 3.0
_MOST_REJECTS = 1000


@click.command(short_help="Find out what is wrong, and what to do.")
@click.option(
    "--project",
    metavar="P",
    help="Look at the node in this cloud project: what is not as `yurt deploy` made it.",
)
@json_option
@data_option
@pass_session
def doctor(session: Session, project: str | None, as_json: bool) -> None:
    """Look at everything that can be wrong and say what to do about it.

    Changes nothing. Ends with status 1 if something does not work.

    \b
    Examples:
      yurt doctor
      yurt doctor --json
      yurt doctor --project my-project
    """
    checks = _checks(session) if project is None else _project_checks(session, project)
    found = [_typed(session, check) for check in checks]
    if as_json:
        print_json(found)
    else:
        _show(found)
    if any(check.status == "fail" for check in found):
        raise SystemExit(1)


def _typed(session: Session, check: "Check") -> "Check":
    from msgspec.structs import replace

    fix = as_typed(session, check.fix) if check.fix is not None else None
    return replace(check, detail=as_typed(session, check.detail), fix=fix)


def _show(found: "list[Check]") -> None:
    marks = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}
    for check in found:
        mark, colour = marks[check.status]
        text = f"{check.check}: {check.detail}"
        click.echo(f"{click.style(mark, fg=colour)}  {_indented(text)}")
        if check.fix is not None:
            click.echo(f"      -> {check.fix}")  # in one line, so that it can be copied
    wrong = sum(check.status == "fail" for check in found)
    doubts = sum(check.status == "warn" for check in found)
    click.echo()
    if wrong or doubts:
        click.echo(f"{wrong} wrong, {doubts} to look at. Each -> says what to do.")
    else:
        click.echo("All is well.")


def _indented(text: str) -> str:
    lines = textwrap.wrap(text, 72, break_long_words=False, break_on_hyphens=False)
    return "\n      ".join(lines)


def _checks(session: Session) -> "Iterator[Check]":
    from shared.commands import checks
    from shared.node import problem_of

    settings = session.settings()
    yield checks.python_check(sys.version_info[:2])
    if settings.firestore is None:
        database = settings.data / "yurt.db"
        yield checks.folder_check(_folder(settings.data))
        if not _is_there(database):
            return
        forbidden = _forbidden(database)
        node = None if forbidden else _opened(session, problem_of(settings))
        problem = node if isinstance(node, Exception) else None
        yield checks.database_check(str(database), problem, forbidden)
    else:
        emulator = session.environ.get("FIRESTORE_EMULATOR_HOST")
        yield checks.cloud_check(settings.firestore.project, settings.firestore.database, emulator)
        node = _opened(session, problem_of(settings, session.credentials(settings)))
        yield checks.store_check("the store", node if isinstance(node, Exception) else None)
    try:
        running = running_node(settings)
        if settings.firestore is None:
            yield _node_check(running)
        elif settings.public_base:
            yield checks.node_check(_asked(settings.public_base + "/ingest"))
        if settings.firestore is None:
            yield _queue_check(settings.data / "queue.db")
            yield _blobs_check(settings.data / "blobs")
        for name, look in _looks(session, settings, running):
            yield _looked(name, look, node)
    finally:
        if node is not None and not isinstance(node, Exception):
            node.close()


def _project_checks(session: Session, project: str) -> "Iterator[Check]":
    from infra.cli.deploy import in_plain_words, looked_up
    from infra.cloud.api import ApiError, Unreachable
    from infra.cloud.executor import drift
    from infra.cloud.preflight import preflight
    from infra.cloud.remedies import explained
    from infra.cloud.steps import Blocked
    from shared.commands import checks

    with in_plain_words():
        doors = session.cloud(project)
        steps = looked_up(doors, preflight).steps()
    for step in steps:
        try:
            changed, problem = drift(doors.api, step), None
        except (ApiError, Unreachable, Blocked) as error:
            changed, problem = [], explained(error)
        yield checks.deployed_check(
            project, step.title, step.wanted, changed, problem, optional=step.optional
        )


def _opened(session: Session, problem: "StoreError | None") -> "Node | StoreError":
    from shared.node import open_node
    from shared.store.protocol import StoreError

    try:
        settings = session.settings()
        return problem or open_node(settings, session.clock, session.credentials(settings))
    except StoreError as error:
        return error


def _node_check(running: "Running | None") -> "Check":
    from shared.commands import checks

    if running is None:
        return checks.node_check(None)
    again = up_command(running.host, running.port)
    return checks.node_check(_asked(local_base(running)), again)


def _queue_check(path: Path) -> "Check":
    from shared.commands import checks

    forbidden = _forbidden(path) if _is_there(path) else []
    problem = _damage(path) if not forbidden and _is_there(path) else None
    return checks.usable_check("queue", str(path), forbidden, problem)


def _damage(database: Path) -> str | None:
    """What is wrong with a database that this process only reads."""
    try:
        with closing(
            sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
        ) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return None if verdict == "ok" else str(verdict)


def _blobs_check(folder: Path) -> "Check":
    from shared.commands import checks

    if not _is_there(folder):
        return checks.usable_check("blobs", str(folder), [], None)
    if not folder.is_dir():
        return checks.usable_check("blobs", str(folder), [], "it is no folder")
    needed = [folder, *(path for path in sorted(folder.glob("*")) if path.is_dir())]
    forbidden = [str(path) for path in needed if not os.access(path, os.R_OK | os.W_OK | os.X_OK)]
    return checks.usable_check("blobs", str(folder), forbidden, None)


def _looks(
    session: Session, settings: "Settings", running: "Running | None"
) -> "Iterator[tuple[str, _Look]]":
    """What is to be found in the store, each by itself: one that fails hides no other."""
    from shared.commands import checks
    from shared.commands.alerts import alerts_state
    from shared.commands.collectors import collector_states, config_of
    from shared.commands.devices import SILENT_AFTER, device_states
    from shared.commands.jobs import job_states
    from shared.commands.profile import show_profile
    from shared.model.records import Reject

    def zone(node: "Node") -> "Check":
        profile = show_profile(node, session.machine_zone())
        return checks.zone_check(profile.zone, profile.saved)

    def rejects(node: "Node") -> "Check":
        page = node.store.page(Reject, limit=_MOST_REJECTS)
        return checks.rejects_check(len(page.records), page.cursor is not None)

    def alerts(node: "Node") -> "Check":
        phones = sum(state.paired for state in device_states(node))
        watched = len(config_of(node).collectors) + phones
        return checks.alerts_check(alerts_state(node), watched)

    yield "master key", lambda node: checks.master_key_check(_master_key(settings, node))
    if running is not None or settings.public_base is not None:
        base = node_base(settings, running)
        lets_in = up_command(ANY_HOST, running.port) if running else None
        yield "reach", lambda node: checks.reach_check(base, device_states(node), lets_in)
    yield "time zone", zone
    yield "devices", lambda node: checks.devices_check(device_states(node), SILENT_AFTER)
    yield "rejects", rejects
    yield "jobs", lambda node: checks.jobs_check(job_states(node))
    yield "collectors", lambda node: checks.collectors_check(collector_states(node))
    yield "alerts", alerts
    yield "refused requests", lambda node: checks.refused_check(node.store.counters())


def _looked(name: str, look: "_Look", node: "Node | StoreError | None") -> "Check":
    from shared.commands import checks
    from shared.store.protocol import StoreError

    if node is None or isinstance(node, Exception):
        return checks.unseen_check(name, "the database cannot be opened")
    try:
        return look(node)
    except (StoreError, OSError) as error:
        return checks.unseen_check(name, str(error))


def _folder(path: Path) -> "Folder":
    from shared.commands.checks import Folder

    shown = str(path.resolve())
    try:
        found = path.stat()
        free = shutil.disk_usage(path).free
    except (FileNotFoundError, NotADirectoryError):
        return Folder(shown, exists=False)
    except OSError:
        return Folder(shown, exists=True)
    return Folder(
        shown,
        exists=True,
        is_file=not stat.S_ISDIR(found.st_mode),
        writable=os.access(path, os.R_OK | os.W_OK | os.X_OK),
        mode=stat.S_IMODE(found.st_mode),
        free=free,
    )


def _is_there(path: Path) -> bool:
    """Whether there is such a file, or it cannot be told."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def _forbidden(database: Path) -> list[str]:
    """Which of the database's files this user cannot both read and write."""
    if not os.access(database.parent, os.X_OK):
        return [str(database.resolve())]
    files = [database.with_name(f"{database.name}{end}") for end in ("", "-wal", "-shm", "-stamp")]
    return [
        str(file.resolve())
        for file in files
        if _is_there(file) and not os.access(file, os.R_OK | os.W_OK)
    ]


def _master_key(settings: "Settings", node: "Node") -> "Key":
    """What there is of it, and whether it opens what was sealed. Makes none."""
    from shared.commands.access import access_of
    from shared.commands.alerts import alerting_of
    from shared.commands.checks import Key
    from shared.commands.collectors import config_of
    from shared.sealing import BadMasterKey, CannotUnseal

    path, given = settings.data / "master.key", settings.master_key is not None
    where = "YURT_MASTER_KEY" if given else str(path.resolve())
    devices = access_of(node).devices.values()
    keys = {device.name: device.sealed_key for device in devices if device.sealed_key is not None}
    collectors = config_of(node).collectors.items()
    keys |= {id: collector.sealed for id, collector in collectors if collector.sealed is not None}
    keys |= alerting_of(node).sealed
    exists, lost = given or _is_there(path), []
    try:
        key = node.master_key
    except BadMasterKey as error:
        return Key(where, exists, error.problem, sealed=tuple(keys))
    for name, sealed in keys.items():
        try:
            key.unseal(sealed)
        except CannotUnseal:
            lost.append(name)
    mode = 0o600 if given else stat.S_IMODE(path.stat().st_mode)
    return Key(where, exists, None, mode, tuple(keys), lost)


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
