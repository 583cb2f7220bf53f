"""What `yurt doctor` thinks of what it found: facts in, verdicts out."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from shlex import quote
from typing import NamedTuple

from shared.commands.answers import AlertsState, Check, CollectorState, DeviceState, JobState
from shared.model.address import is_loopback, is_readable_on_the_way
from shared.store.protocol import NewerData, StoreError

OLDEST_PYTHON = (3, 11)
LITTLE_ROOM = 1 << 30
NO_ROOM = 50 << 20


class Folder(NamedTuple):
    """is_file: something is there that is no folder. mode: permission bits. free: bytes left."""

    path: str
    exists: bool
    is_file: bool = False
    writable: bool = False
    mode: int = 0
    free: int = 0


class Key(NamedTuple):
    """A master key. where: its file or variable. problem: why it cannot be used. mode: its file's
    permission bits. sealed: names of the devices whose keys are sealed; lost: of those that it does
    not open.
    """

    where: str
    exists: bool
    problem: str | None = None
    mode: int = 0o600
    sealed: Sequence[str] = ()
    lost: Sequence[str] = ()


class Answer(NamedTuple):
    """What a request to the node gave: the HTTP status, or why there was none."""

    url: str
    status: int | None
    error: str | None = None


def python_check(version: tuple[int, int]) -> Check:
    shown = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return _fail(
            "python",
            f"this is Python {shown}",
            "install Python 3.11 or newer and run `make clean up`",
        )
    return _ok("python", f"this is Python {shown}")


def folder_check(folder: Folder) -> Check:
    if folder.is_file:
        return _fail(
            "data folder",
            f"{folder.path} is no folder",
            "name the right folder with --data or YURT_DATA",
        )
    if not folder.exists:
        return _warn(
            "data folder",
            f"{folder.path} is not there yet",
            "start a node with `yurt up`, or name the right folder with --data",
        )
    if not folder.writable:
        return _fail(
            "data folder",
            f"{folder.path} cannot be read and written",
            f"{_give(folder.path)}; chmod u+rwx {quote(folder.path)}",
        )
    if folder.free < LITTLE_ROOM:
        judge = _fail if folder.free < NO_ROOM else _warn
        return judge(
            "data folder",
            f"{folder.path} has {folder.free >> 20} MB left on its disk",
            "free some space, or move the folder and name it with --data",
        )
    if folder.mode & 0o077:
        return _warn(
            "data folder",
            f"{folder.path} is open to other users of this machine",
            f"close it: chmod 700 {quote(folder.path)}",
        )
    return _ok("data folder", f"{folder.path}, {folder.free / (1 << 30):,.0f} GB left on its disk")


def database_check(where: str, problem: StoreError | None, forbidden: Sequence[str] = ()) -> Check:
    """forbidden: files that this user cannot both read and write."""
    if forbidden:
        files = " ".join(map(quote, forbidden))
        return _fail(
            "database",
            f"cannot be read and written: {', '.join(forbidden)}",
            f"{_give(*forbidden)}; chmod u+rw {files}",
        )
    if isinstance(problem, NewerData):
        return _fail("database", f"{where}: {problem}", "update Yurt: git pull && make up")
    if problem is not None:
        return _fail(
            "database",
            f"{where}: {problem}",
            "stop the node, keep a copy of the data folder, and put a backup in its place",
        )
    return _ok("database", f"{where} opens and is whole")


def master_key_check(key: Key) -> Check:
    if not key.exists and not key.sealed:
        return _ok("master key", "there is none, and nothing needs it yet")
    if key.problem is not None:
        judge = _fail if key.sealed else _warn
        return judge("master key", key.problem, _RESTORE if key.sealed else _REMOVE)
    if key.lost:
        names = ", ".join(key.lost)
        return _fail("master key", f"{key.where} does not open the keys of: {names}", _RESTORE)
    if key.mode != 0o600:
        return _warn(
            "master key",
            f"{key.where} has the mode {key.mode:04o}",
            f"leave it to its owner alone: chmod 600 {quote(key.where)}",
        )
    sealed = len(key.sealed)
    return _ok("master key", f"{key.where} can be used (secrets sealed with it: {sealed})")


def node_check(answer: Answer | None, start: str = "yurt up") -> Check:
    """start: the command that starts it as it was."""
    if answer is None:
        return _warn("node", "no node runs on this data", "start it: yurt up")
    if answer.status is None:
        return _fail(
            "node",
            f"{answer.url} does not answer: {answer.error}",
            f"stop the node and start it again: {start}",
        )
    if answer.status >= 500:
        return _fail(
            "node",
            f"{answer.url} answers with error {answer.status}",
            "read what `yurt up` printed; the other checks here may say why",
        )
    return _ok("node", f"{answer.url} answers")


def reach_check(
    base: str, devices: Sequence[DeviceState], start: str | None = "yurt up --host 0.0.0.0"
) -> Check:
    """Whether phones can get to the base URL that they are given.

    start: the command that lets them in, if the node runs on this machine.
    """
    phones = [d.name for d in devices if d.paired and d.app != "other"]
    if is_loopback(base) and phones:
        return _warn(
            "reach",
            f"{', '.join(phones)} cannot reach {base}, which is this machine only",
            (f"start the node with `{start}`, or " if start else "")
            + "set YURT_PUBLIC_BASE to the URL at which others reach it",
        )
    if is_loopback(base):
        return _ok("reach", f"{base}, from this machine only; no phone is paired")
    if is_readable_on_the_way(base):
        return _warn(
            "reach",
            f"{base} sends positions readable to anyone on the way",
            "put it behind https, and set YURT_PUBLIC_BASE to the https:// URL",
        )
    return _ok("reach", f"devices are told to deliver to {base}")


def zone_check(zone: str, saved: bool) -> Check:
    if not saved:
        return _warn(
            "time zone",
            f"none is saved; {zone} is what this machine is set to",
            f"save yours: yurt profile --zone {zone}",
        )
    return _ok("time zone", f"{zone}; to change it: yurt profile --zone")


def devices_check(devices: Sequence[DeviceState], silent_after: timedelta) -> Check:
    paired = [device for device in devices if device.paired]
    if not paired:
        return _warn("devices", "no device is paired", "connect your phone: yurt pair phone")
    silent = [device.name for device in paired if device.silent]
    if silent:
        hours = silent_after.total_seconds() / 3600
        return _warn(
            "devices",
            f"nothing came for {hours:.0f} hours from: {', '.join(silent)}",
            "open the app on the phone and let it report; if nothing comes, pair it again; "
            "if it is gone, `yurt unpair NAME`",
        )
    return _ok("devices", f"{len(paired)} paired, none silent")


def rejects_check(count: int, at_least: bool) -> Check:
    if not count:
        return _ok("rejects", "everything could be read")
    more = "more than " if at_least else ""
    return _warn(
        "rejects",
        f"{more}{count} things could not be read; their bytes are kept",
        "see why: yurt rejects",
    )


def jobs_check(jobs: Sequence[JobState]) -> Check:
    failed = [job for job in jobs if job.state == "failed"]
    if failed:
        return _fail(
            "jobs",
            f"{_listed(failed)} failed: {failed[0].error}",
            "mend that and begin it again (yurt jobs resume JOB), or give it up (yurt jobs cancel "
            "JOB); all of them: yurt jobs",
        )
    stuck = [job for job in jobs if job.stuck]
    if stuck:
        reason = f": {stuck[0].error}" if stuck[0].error is not None else ""
        return _warn(
            "jobs",
            f"nobody works on {_listed(stuck)}{reason}",
            "start the node, which goes on with it (yurt up), or import the same again",
        )
    paused = [job for job in jobs if job.state == "paused"]
    if paused:
        return _ok("jobs", f"{_listed(paused)} waits until you say: yurt jobs resume JOB")
    going = sum(job.state in ("ready", "running") for job in jobs)
    return _ok("jobs", f"{going} under way, none failed")


def _listed(jobs: Sequence[JobState]) -> str:
    return _and_more([job.title for job in jobs])


def collectors_check(collectors: Sequence[CollectorState]) -> Check:
    failed = [state for state in collectors if state.state == "failed"]
    if failed:
        return _fail(
            "collectors",
            f"{_and_more([state.collector for state in failed])} failed: {failed[0].error}",
            "mend that; the next slot tries again: yurt collectors",
        )
    late = [state for state in collectors if state.state == "late"]
    if late:
        return _warn(
            "collectors",
            f"nothing was heard of {_and_more([state.collector for state in late])}",
            "start the node, which begins it again (yurt up)",
        )
    paused = sum(state.state == "paused" for state in collectors)
    return _ok("collectors", f"{len(collectors) - paused} at work, {paused} paused, none failed")


def alerts_check(alerts: AlertsState, watched: int) -> Check:
    """watched: collectors and devices that there may be something to tell of."""
    failing = [channel for channel in alerts.channels if channel.failing is not None]
    if failing:
        names = _and_more([channel.channel for channel in failing])
        return _fail(
            "alerts",
            f"{names} cannot be told since {failing[0].failing:%Y-%m-%d %H:%M} UTC: "
            f"{failing[0].error}",
            f"mend that, then try it: yurt alerts test {failing[0].channel}",
        )
    life = "a sign of life is given" if alerts.ping else "no sign of life is given"
    if alerts.channels:
        told = ", ".join(channel.channel for channel in alerts.channels)
        return _ok("alerts", f"told to {told}; {life}")
    if watched and not alerts.ping:
        return _warn(
            "alerts",
            "they go to the log alone, and nobody would miss this node if it stopped",
            "be told: yurt alerts add --help, and yurt alerts ping --help",
        )
    return _ok("alerts", f"they go to the log alone; {life}")


def _and_more(names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def usable_check(check: str, where: str, forbidden: Sequence[str], problem: str | None) -> Check:
    """A file or folder that the node makes when it needs it. forbidden: what of it this user cannot
    read and write. problem: why it cannot be used all the same."""
    if forbidden:
        listed = ", ".join(forbidden)
        return _fail(check, f"cannot be read and written: {listed}", _give(*forbidden))
    if problem is not None:
        return _fail(check, f"{where}: {problem}", _ASIDE)
    return _ok(check, f"{where} can be used")


def refused_check(counters: Mapping[str, int]) -> Check:
    refused = {name: n for name, n in counters.items() if name.endswith(".unauthorized") and n}
    if not refused:
        return _ok("refused requests", "none so far")
    listed = ", ".join(f"{n} at {name.partition('.')[0]}" for name, n in sorted(refused.items()))
    return _warn(
        "refused requests",
        f"without a known credential, since the beginning: {listed}",
        "if one of your phones is silent, pair it again; otherwise strangers knocked in vain",
    )


def cloud_check(project: str, database: str, emulator: str | None) -> Check:
    where = f"Firestore of project {project}, database {database}"
    if emulator:
        return _ok("cloud", f"{where}, on the emulator at {emulator}")
    return _ok("cloud", where)


def store_check(where: str, problem: StoreError | None) -> Check:
    if problem is not None:
        return _fail(
            "store",
            f"{where}: {problem}",
            "check the network, YURT_PROJECT and who you are signed in as; for the emulator, "
            "FIRESTORE_EMULATOR_HOST",
        )
    return _ok("store", f"{where} answers")


def deployed_check(
    project: str,
    title: str,
    wanted: str,
    changes: Sequence[str],
    problem: str | None,
    *,
    optional: bool = False,
) -> Check:
    """Part of a node in the cloud. changes: what deploying would do to it. problem: why that is not
    known. optional: the node works without it."""
    if problem is not None:
        judge = _warn if optional else _fail
        return judge(title, problem, f"mend that, then ask again: yurt doctor --project {project}")
    if changes:
        return _fail(title, f"to do: {'; '.join(changes)}", f"do it: yurt deploy {project}")
    return _ok(title, wanted)


def unseen_check(check: str, problem: str) -> Check:
    """What could not be looked at."""
    return _fail(
        check,
        f"could not be looked at: {problem}",
        "mend what is wrong with the data first, then ask doctor again",
    )


def _give(*paths: str) -> str:
    return f"give it to the user who runs Yurt: sudo chown -R $USER {' '.join(map(quote, paths))}"


def _ok(check: str, detail: str) -> Check:
    return Check(check=check, status="ok", detail=detail)


def _warn(check: str, detail: str, fix: str) -> Check:
    return Check(check=check, status="warn", detail=detail, fix=fix)


def _fail(check: str, detail: str, fix: str) -> Check:
    return Check(check=check, status="fail", detail=detail, fix=fix)


_ASIDE = (
    "stop the node and move it aside: it is made anew, and what goes on is found in the database"
)
_ANEW = "unpair the devices that encrypt and pair them again with --encrypt"
_RESTORE = f"restore it from a backup, or, if there is none, {_ANEW}"
_REMOVE = "remove it: nothing is sealed with it, and `yurt pair --encrypt` makes a new one"
