"""Which node serves a data folder: one at a time, and how others find it."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec


class CannotStart(Exception):
    """The node cannot run here; the text says what to do about it."""


class Running(msgspec.Struct, frozen=True):
    """What a running node says of itself in `node.json` in its data folder."""

    pid: int
    host: str
    port: int


def running_node(data: Path) -> Running | None:
    """The node that serves this data folder now, if one does."""
    try:
        with (data / "node.lock").open("rb") as file:
            if _lock(file.fileno(), fcntl.LOCK_SH):
                return None  # nobody holds it: what node.json says is of a node that died
        return msgspec.json.decode((data / "node.json").read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None


@contextlib.contextmanager
def data_of_our_own(data: Path) -> Iterator[None]:
    """Holds the data folder, which is made if need be, against other nodes on this machine.

    `CannotStart` when another node has it, or when it cannot be used.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (data / "node.lock").open("ab")
    except OSError as error:
        raise CannotStart(
            f"the data folder {data} cannot be used: {error.strerror}; choose another with --data"
        ) from error
    with file:
        if not _lock(file.fileno(), fcntl.LOCK_EX, patience=0.5):
            other = running_node(data)
            where = f" at http://{other.host}:{other.port} (process {other.pid})" if other else ""
            raise CannotStart(
                f"a node runs on {data} already{where}; stop it first, or choose other data "
                "with --data"
            )
        try:
            yield
        finally:
            (data / "node.json").unlink(missing_ok=True)


class Turn:
    """The turn to run jobs of a data folder: that of one process at a time, the node's or a
    command's, and over when that dies.

    So whoever gets it knows that no job is being run, whatever the jobs say of themselves.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def taken(self) -> bool:
        """Takes it if nobody else has it; whether it is ours then."""
        return _lock(self._file.fileno(), fcntl.LOCK_EX)


@contextlib.contextmanager
def turn_at_jobs(data: Path) -> Iterator[Turn]:
    """What was taken of it within is given back at the end."""
    with (data / "jobs.lock").open("ab") as file:
        yield Turn(file)


def _lock(handle: int, kind: int, patience: float = 0.0) -> bool:
    # Who asks whether a node runs shares the lock for a moment: a node that starts waits for it.
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True
