"""Find and start the emulators that stand in for the cloud on this machine.

`yurt up --emulated` and the tests both come here. `find_firestore` says what this machine has,
as a value: one that already runs, one that can be started, or what is missing and how to get it.
`launch` gives an `Emulator` that answers. A second emulator is a `Kind` and a `find_…` more.

Also here: `Process`, a server in a process group of its own that never outlives its parent.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

HOST = "127.0.0.1"
RULES = Path(__file__).with_name("firestore.rules")
FIREBASE_CONFIG = Path(__file__).parents[1] / "firebase.json"
SDK_ROOTS = (Path("/usr/lib/google-cloud-sdk"),)

_COMPONENT = Path("platform", "cloud-firestore-emulator")
_MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_OLDEST_JAVA = 11  # what the jars of 2025 are compiled for
_FIREBASE_15_JAVA = 21  # firebase-tools 15 refuses anything older
# Below the range that Linux and macOS give to outgoing connections, so that a client of the
# test beside us cannot take the port between our asking and the server's binding.
_PORTS = range(20_000, 32_000)
_POLL = 0.02

# A line on stdin means that the process has ended; end of file, that its parent died.
_GUARD = """
read -r _ && exit
kill -s TERM -- "-$1" && kill -s CONT -- "-$1" || exit
for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 0.5
    kill -s 0 -- "-$1" || exit
done
kill -s KILL -- "-$1"
"""


class NotReady(RuntimeError):
    """A server exited or stayed silent; the text ends with the last lines of its log."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on now."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise OSError(f"no free port on {HOST} in {_PORTS.start}-{_PORTS.stop - 1}")


def answers(url: str, greeting: bytes | None = None) -> bool:
    """Whether GET `url` is answered within a second: by anything, or by exactly `greeting`.

    Blank space around the body does not count. Proxies of the environment are not used.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=1)
    try:
        connection.request("GET", parts.path or "/")
        body = connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return greeting is None or body.strip() == greeting


def wait_until_ready(
    url: str,
    greeting: bytes | None = None,
    *,
    within: float = 30,
    process: Process | None = None,
) -> None:
    """Return as soon as `answers(url, greeting)`.

    Raises NotReady after `within` seconds, or at once when `process`, which should answer, exits.
    """
    deadline = time.monotonic() + within
    while not answers(url, greeting):
        if process and process.status is not None:
            raise NotReady(f"exited with status {process.status} before {url} answered\n{process}")
        if time.monotonic() > deadline:
            raise NotReady(f"{url} did not answer within {within:g} s\n{process or ''}")
        time.sleep(_POLL)


class Process:
    """A command that runs beside us, in a process group of its own, its output in a file.

    `end` leaves nobody of the group behind. If this process dies without calling it, even by
    SIGKILL, a guard (a shell that waits for its stdin to close) ends the group: unlike Linux's
    parent-death signal that works from any thread, for grandchildren, and on macOS.
    A child that makes a group of its own escapes, unless the command ends it on SIGTERM.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = list(command)
        self.log = log
        self._env = env
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def __str__(self) -> str:
        return f"command: {shlex.join(self.command)}\nlast lines of {self.log}:\n{self.tail()}"

    @property
    def pid(self) -> int:
        """The process id of the command, which is also its group's."""
        if self._child is None:
            raise RuntimeError(f"not started: {shlex.join(self.command)}")
        return self._child.pid

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs or before it starts."""
        return self._child.poll() if self._child else None

    def start(self) -> None:
        """Run the command, again if it ran before; its output is added to the log."""
        if self._child and self.status is None:
            raise RuntimeError(f"runs already: {shlex.join(self.command)}")
        self.kill()
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self._child.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def pause(self) -> None:
        """Freeze the group: connections are still accepted, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def end(self, grace: float = 10) -> None:
        """SIGTERM to the whole group, SIGKILL to what is left after `grace` seconds."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a frozen one would not hear the first
        self._wait(grace)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole group, at once."""
        self._signal(signal.SIGKILL)
        if self._child:
            self._child.wait()
        self._wait(1)  # not without end: not every container's init reaps orphans
        if self._guard:
            self._guard.communicate(b"\n")
            self._guard = None

    def tail(self, lines: int = 30) -> str:
        """The last lines of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _wait(self, seconds: float) -> None:
        """Until nobody is left in the group, but not longer."""
        deadline = time.monotonic() + seconds
        while self._signal(0) and time.monotonic() < deadline:
            time.sleep(_POLL)
            if self._child:
                self._child.poll()  # one that is dead but not waited for counts as alive

    def _signal(self, number: int) -> bool:
        """Signal the group; False if nobody is in it. Once `kill` was called, it is left alone."""
        if self._child is None or self._guard is None:
            return False
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            return False
        return True


@dataclass(frozen=True)
class Kind:
    """What tells one emulator from another."""

    name: str
    variable: str
    """The environment variable by which clients find it."""
    greeting: bytes
    """What it answers to GET / as soon as it is ready."""


FIRESTORE = Kind("Firestore emulator", "FIRESTORE_EMULATOR_HOST", b"Ok")


@dataclass(frozen=True)
class Running:
    """Somebody else runs it, and ends it."""

    kind: Kind
    address: str


@dataclass(frozen=True)
class Startable:
    """It is installed here."""

    kind: Kind
    how: str
    command: Callable[[int, Path], list[str]]
    """From a port and a folder for files of its own to the command line."""


@dataclass(frozen=True)
class Missing:
    """It cannot be had here yet. `str` is one line that says why and what to do."""

    kind: Kind
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"no {self.kind.name}: {self.reason}; {self.remedy}"


class Emulator:
    """An emulator, ours to stop and start or somebody else's to be used."""

    def __init__(self, kind: Kind, address: str, process: Process | None = None) -> None:
        self.kind = kind
        self.address = address
        """host:port, which stays the same over `stop` and `start`."""
        self.process = process
        """None when somebody else runs it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        """What a client needs in its environment."""
        return {self.kind.variable: self.address}

    def start(self, within: float = 60) -> None:
        """Start it if it is ours, and wait until it answers. Raises NotReady."""
        if self.process:
            self.process.start()
        try:
            wait_until_ready(
                f"http://{self.address}/", self.kind.greeting, within=within, process=self.process
            )
        except NotReady as error:
            self.stop()
            raise NotReady(f"{self.kind.name} at {self.address}: {error}") from None

    def stop(self) -> None:
        """End it if it is ours. An emulator keeps its data in memory: they are gone."""
        if self.process:
            self.process.end()


def launch(found: Running | Startable, folder: Path, within: float = 60) -> Emulator:
    """An emulator that answers; its log and its files are in `folder`.

    Raises NotReady when it does not answer within that many seconds.
    """
    if isinstance(found, Running):
        emulator = Emulator(found.kind, found.address)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        process = Process(found.command(port, folder), log=folder / "emulator.log", cwd=folder)
        emulator = Emulator(found.kind, f"{HOST}:{port}", process)
    emulator.start(within)
    return emulator


def find_firestore(
    environ: Mapping[str, str] = os.environ, sdk_roots: Sequence[Path] = SDK_ROOTS
) -> Running | Startable | Missing:
    """The Firestore emulator of this machine.

    In this order: the one that FIRESTORE_EMULATOR_HOST names; the jar of the gcloud SDK, run
    without gcloud (which costs a second and warns); an SDK with the component but another
    layout, through gcloud; the firebase CLI, which may download the jar first.
    """
    if address := environ.get(FIRESTORE.variable):
        return Running(FIRESTORE, address)
    java = _find_java(environ)
    path = environ.get("PATH", "")
    for root in _find_sdks(shutil.which("gcloud", path=path), sdk_roots):
        component = root / _COMPONENT
        if (jar := component / "cloud-firestore-emulator.jar").is_file():
            return _from_jar(jar, java)
        if component.is_dir():
            return _from_gcloud(root / "bin" / "gcloud", java)
    if firebase := shutil.which("firebase", path=path):
        return _from_firebase(firebase, java)
    return Missing(
        FIRESTORE,
        "neither the gcloud SDK's nor the firebase CLI's was found",
        "run `gcloud components install cloud-firestore-emulator` (with the SDK's apt packages: "
        "`apt-get install google-cloud-cli-firestore-emulator`) or `npm install -g firebase-tools`"
        f"{'' if java else ', and `make system-deps` for Java'}, "
        f"or set {FIRESTORE.variable} to the host:port of one that runs",
    )


@dataclass(frozen=True)
class _Java:
    path: str
    major: int


def _find_java(environ: Mapping[str, str]) -> _Java | None:
    path = environ.get("PATH", "")
    if home := environ.get("JAVA_HOME"):
        path = f"{home}/bin{os.pathsep}{path}"
    java = shutil.which("java", path=path)
    if java is None:
        return None
    # `openjdk version "17.0.15" …`, and up to Java 8 `java version "1.8.0_292"`; on stderr.
    version = re.search(r'version "(?:1\.)?(\d+)', _output([java, "-version"]))
    return _Java(java, int(version[1])) if version else None


def _java_missing(java: _Java | None, needed: int) -> Missing:
    if java is None:
        remedy = f"run `make system-deps` or install Java {needed} or newer"
        return Missing(FIRESTORE, "Java is missing", remedy)
    remedy = f"install Java {needed} or newer and let JAVA_HOME name its folder"
    return Missing(FIRESTORE, f"{java.path} is Java {java.major}, too old for it", remedy)


def _find_sdks(gcloud: str | None, roots: Sequence[Path]) -> Iterator[Path]:
    linked = Path(gcloud).resolve().parents[1] if gcloud else None
    if linked:
        yield linked
    yield from roots
    if gcloud and linked and not (linked / "lib" / "googlecloudsdk").is_dir():  # a wrapper script
        told = _output([gcloud, "info", "--format=value(installation.sdk_root)"])
        yield from (Path(line) for line in told.splitlines() if line.startswith("/"))


def _from_jar(jar: Path, java: _Java | None) -> Startable | Missing:
    try:
        needed = _java_needed(jar)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        return Missing(FIRESTORE, f"{jar} is not readable ({error})", "install it again")
    if java is None or java.major < needed:
        return _java_missing(java, needed)
    executable = java.path

    def command(port: int, _: Path) -> list[str]:
        return [
            executable,
            # As the SDK's own script does: clients compare the English messages.
            "-Duser.language=en",
            "-cp",
            str(jar),
            _MAIN_CLASS,
            "start",
            f"--host={HOST}",
            f"--port={port}",
            f"--rules={RULES}",
        ]

    return Startable(FIRESTORE, f"{jar} under Java {java.major}", command)


def _java_needed(jar: Path) -> int:
    """Read from the main class: bytes 6-7 of a class file are 44 + the Java version (JVMS 4.1)."""
    with (
        zipfile.ZipFile(jar) as archive,
        archive.open(_MAIN_CLASS.replace(".", "/") + ".class") as main,
    ):
        return int.from_bytes(main.read(8)[6:]) - 44


def _from_gcloud(gcloud: Path, java: _Java | None) -> Startable | Missing:
    if java is None or java.major < _OLDEST_JAVA:
        return _java_missing(java, _OLDEST_JAVA)

    def command(port: int, _: Path) -> list[str]:
        return [
            str(gcloud),
            "emulators",
            "firestore",
            "start",
            f"--host-port={HOST}:{port}",
            f"--rules={RULES}",
        ]

    return Startable(FIRESTORE, f"{gcloud} emulators firestore start", command)


def _from_firebase(firebase: str, java: _Java | None) -> Startable | Missing:
    version = re.search(r"\d+", _output([firebase, "--version"]))
    needed = _FIREBASE_15_JAVA if version and int(version[0]) >= 15 else _OLDEST_JAVA
    if java is None or java.major < needed:
        return _java_missing(java, needed)

    def command(port: int, folder: Path) -> list[str]:
        # The CLI takes a port from its configuration only, and no path outside its folder.
        config = json.loads(FIREBASE_CONFIG.read_text())
        config["firestore"] = {"rules": RULES.name}
        config["emulators"]["firestore"]["port"] = port
        (folder / "firebase.json").write_text(json.dumps(config))
        shutil.copy(RULES, folder)
        return [
            firebase,
            "emulators:start",
            "--only=firestore",
            "--project=demo-yurt",  # demo-…: never asks for an account
            f"--config={folder / 'firebase.json'}",
        ]

    return Startable(FIRESTORE, f"{firebase} emulators:start", command)


def _output(command: Sequence[str]) -> str:
    """What a tool says about itself; empty if it cannot be run."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
