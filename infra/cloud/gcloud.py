"""The door to the command `gcloud`: who is signed in, and what uploads and builds functions."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from infra.cloud.api import Unreachable
from infra.cloud.steps import Blocked, Deploy

OLDEST = (481, 0, 0)
"""The first release of gcloud that lets a function be built by an account of one's own choice
(`--build-service-account`, June 2024, by its release notes); the other options are older."""

_TOKEN_WITHIN = 60
_DEPLOY_WITHIN = 1800


class GcloudFailed(Exception):
    """`gcloud` ended with an error; the text is the end of what it said."""


class Ran(NamedTuple):
    status: int
    output: str
    errors: str


Run = Callable[[Sequence[str], float], Ran]
"""Runs a command line for at most so many seconds. `FileNotFoundError` when there is no such
command, `subprocess.TimeoutExpired` when it took longer."""


class Commands:
    """`Run` for real, with this environment; several threads may call it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {
            **environ,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        }
        self._running: set[subprocess.Popen[str]] = set()

    def __call__(self, command: Sequence[str], within: float) -> Ran:
        program = shutil.which(command[0], path=self._environ.get("PATH"))
        if program is None:
            raise FileNotFoundError(command[0])
        with subprocess.Popen(
            [program, *command[1:]],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            self._running.add(process)
            try:
                output, errors = process.communicate(timeout=within)
            except BaseException:
                process.terminate()
                raise
            finally:
                self._running.discard(process)
        return Ran(process.returncode, output, errors)

    def stop(self) -> None:
        """Ends those that run in other threads. What they began in the cloud goes on."""
        for process in list(self._running):
            process.terminate()


@dataclass
class Gcloud:
    """stop: ends what runs in other threads, each of which then fails."""

    run: Run
    stop: Callable[[], None] = lambda: None

    def check(self) -> None:
        """`Blocked` unless it is there and new enough."""
        ran = self._asked(["gcloud", "version", "--format=json"])
        try:
            version = str(json.loads(ran.output)["Google Cloud SDK"])
        except (ValueError, KeyError, TypeError):
            raise Blocked(
                f"`gcloud version` says nothing of its version: {_end(ran)}; {_INSTALL}"
            ) from None
        if tuple(int(number) for number in re.findall(r"\d+", version)[:3]) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise Blocked(
                f"gcloud is version {version}, and {oldest} or newer is needed; "
                "run `gcloud components update`, or update the package it came with"
            )

    def token(self) -> str:
        """A bearer token of whoever is signed in, good for an hour at most. `Blocked`, or
        `Unreachable` when none comes in time."""
        ran = self._asked(["gcloud", "auth", "print-access-token"])
        token = ran.output.strip()
        if ran.status or not token:
            raise Blocked(f"gcloud has no credentials ({_end(ran)}); run `gcloud auth login`")
        return token

    def deploy(self, act: Deploy) -> None:
        """`GcloudFailed` when it says so, or does not end in time."""
        with ExitStack() as stack:
            arguments = list(act.arguments)
            if act.files:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                arguments = _with_files(arguments, act.files, folder)
            try:
                ran = self._ran(["gcloud", *arguments], _DEPLOY_WITHIN)
            except subprocess.TimeoutExpired as error:
                raise GcloudFailed(f"gcloud did not end within {error.timeout:.0f} s") from error
        if ran.status:
            raise GcloudFailed(_end(ran))

    def _asked(self, command: Sequence[str]) -> Ran:
        try:
            return self._ran(command, _TOKEN_WITHIN)
        except subprocess.TimeoutExpired as error:
            raise Unreachable(
                f"gcloud gave no answer within {error.timeout:.0f} seconds"
            ) from error

    def _ran(self, command: Sequence[str], within: float) -> Ran:
        try:
            return self.run(command, within)
        except FileNotFoundError:
            raise Blocked(f"gcloud is not installed here; {_INSTALL}") from None


_INSTALL = (
    "install it as https://cloud.google.com/sdk/docs/install says and run `gcloud auth login`, or "
    "use Cloud Shell, which has it"
)


def _with_files(
    arguments: Sequence[str], files: Sequence[tuple[str, str]], folder: Path
) -> list[str]:
    paths: dict[str, Path] = {}
    for word, text in files:
        paths[word] = folder / f"{len(paths)}.json"
        paths[word].write_text(text, "utf-8")
    return [
        f"{option}{equals}{paths.get(value, value)}"
        for option, equals, value in (argument.partition("=") for argument in arguments)
    ]


def _end(ran: Ran) -> str:
    """The last error that it said, or at least its last words."""
    said = ran.errors.strip() or ran.output.strip()
    _, error, rest = said.rpartition("ERROR: ")
    words = rest if error else "\n".join(said.splitlines()[-5:])
    return words.strip() or f"it ended with status {ran.status} and said nothing"
