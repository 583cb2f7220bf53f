"""What the cloud gives a staged function, on this machine: its packages, its script, its variables.

`environment` makes a virtual environment of exactly a function's pinned packages, one for each
distinct set, and keeps it. `command` and `variables` start the function in it as the cloud does: by
the bare script `functions-framework`, which has only the function's own folder on its path.
"""

import hashlib
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.emulators import HOST
from infra.staging import BUILD, Staged, local_markers, requirement_set, taking_turns

VENVS = BUILD / "venvs"


class NoEnvironment(Exception):
    """The packages could not be installed; the text is what pip said."""


def environment(function: str, venvs: Path = VENVS) -> Path:
    """A virtual environment of this Python with all that the function needs, and nothing else."""
    return environment_of(requirement_set(function, local_markers()), venvs)


def environment_of(pins: Sequence[str], venvs: Path = VENVS) -> Path:
    """The same for any set of `name==version`. `NoEnvironment` when it cannot be made.

    One that is there is used again; the first time takes some ten seconds.
    """
    venvs = venvs.resolve()
    # Scripts in it name their folder and its Python: if one changes, so must the other.
    made_of = "\n".join((sys.version, sys.base_prefix, str(venvs), *pins))
    folder = venvs / hashlib.sha256(made_of.encode()).hexdigest()[:16]
    complete = folder / "complete"
    venvs.mkdir(parents=True, exist_ok=True)
    with taking_turns(venvs):
        if not (complete.exists() and (folder / "bin" / "python").exists()):
            _make(folder, pins)
            complete.touch()
    return folder


def command(staged: Staged, environment: Path, port: int) -> list[str]:
    """The command line that serves the function at this port of the loopback interface."""
    return [
        str(environment / "bin" / "functions-framework"),
        f"--target={staged.function}",
        f"--source={staged.folder / 'main.py'}",
        f"--host={HOST}",
        f"--port={port}",
    ]


def variables(function: str, settings: Mapping[str, str], threads: int = 8) -> dict[str, str]:
    """The whole environment of a function: nothing comes from ours but what is in `settings`."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "K_SERVICE": function,
        "THREADS": str(threads),
        # A staged folder stays as it is deployed. And its files all have one time, by which Python
        # would take an old compiled one for that of a new source.
        "PYTHONDONTWRITEBYTECODE": "1",
        **settings,
    }


def _make(folder: Path, pins: Sequence[str]) -> None:
    venv.create(folder, clear=True, symlinks=True, with_pip=False)
    wanted = folder / "requirements.txt"
    wanted.write_text("".join(f"{pin}\n" for pin in pins))
    # Nothing that is not in the set is brought along, so that a set with a hole is found out here.
    _pip(folder, "install", "--quiet", "--no-deps", "--requirement", str(wanted))
    _pip(folder, "check")


def _pip(folder: Path, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--python", str(folder / "bin" / "python"), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise NoEnvironment(f"pip {' '.join(arguments)} in {folder}:\n{done.stdout.strip()}")
