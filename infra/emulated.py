"""`yurt up --emulated`: the functions as the cloud would run them, wired together on emulators.

Each function is staged, gets an environment of exactly its packages, and is started by the bare
`functions-framework` script; one front door serves them all; the records are in an emulator. What
was received is gone when the emulator ends.
"""

import contextlib
import ipaddress
import os
import secrets
import shlex
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from infra.cli.addresses import base_url, lan_address
from infra.declarations import BadDeclaration, declaration
from infra.emulators import (
    HOST,
    Missing,
    NotReady,
    Process,
    Running,
    Startable,
    find_firestore,
    free_port,
    launch,
    wait_until_ready,
)
from infra.front_door import door
from infra.runtime import NoEnvironment, command, environment, variables
from infra.staging import BUILD, CannotStage, functions, stage
from shared.commands.errors import Failed

LOGS = BUILD / "emulated"

_PROJECT = "demo-yurt"  # demo-…: no tool ever takes it for a project in the cloud
_POLL = 0.1


def run(host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT; nothing that it started is left afterwards.

    port 0: any free one. `Failed`, saying why and what to do, when it cannot start, or when
    something that it started dies.
    """
    try:
        with _interrupted_by(signal.SIGTERM, signal.SIGINT), contextlib.ExitStack() as stack:
            _serve(host, port, stack)
    except KeyboardInterrupt:
        click.echo("Stopped.")
    except (BadDeclaration, CannotStage, NoEnvironment, NotReady) as error:
        raise Failed(str(error)) from error


def _serve(host: str, port: int, stack: contextlib.ExitStack) -> None:
    firestore = find_firestore()
    if isinstance(firestore, Missing):
        raise Failed(str(firestore))
    listener = stack.enter_context(_listening(host, port))
    host, port = listener.getsockname()[:2]
    logs = LOGS / str(port)
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    settings, watched = _wired(firestore, logs, base_url(_shown(host), port), stack)
    ports = {}
    for function in functions():
        ports[function] = free_port()
        process = _started(function, ports[function], settings, logs)
        stack.callback(process.end)
        process.start()
        wait_until_ready(f"http://{HOST}:{ports[function]}/", process=process)
        watched[f"the function {function}"] = process
    # In the cloud nobody but the platform calls the others.
    public = {f: port for f, port in ports.items() if declaration(f).exposure == "public"}
    _open(listener, public, stack)
    click.echo(_welcome(settings, list(public), logs))
    _watch(watched)


@contextlib.contextmanager
def _interrupted_by(*signals: signal.Signals) -> Iterator[None]:
    """Each of them is a KeyboardInterrupt, the first time; nothing disturbs what it sets off."""

    def interrupt(*_: object) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Failed(
            f"cannot listen on {host} port {port}: {reason}; choose another with --port or --host"
        ) from error


def _wired(
    firestore: Running | Startable, logs: Path, base: str, stack: contextlib.ExitStack
) -> tuple[dict[str, str], dict[str, Process]]:
    """The settings of a node on emulators, and the processes of those that are ours."""
    click.echo("Starting the Firestore emulator ...")
    emulator = stack.enter_context(launch(firestore, logs / "firestore"))
    settings = {
        "YURT_STORE": "firestore",
        "YURT_PROJECT": os.environ.get("YURT_PROJECT") or _PROJECT,
        "YURT_MASTER_KEY": os.environ.get("YURT_MASTER_KEY") or secrets.token_hex(32),
        "YURT_PUBLIC_BASE": os.environ.get("YURT_PUBLIC_BASE") or base,
        **emulator.env,
    }
    return settings, {emulator.kind.name: emulator.process} if emulator.process else {}


def _started(function: str, port: int, settings: Mapping[str, str], logs: Path) -> Process:
    click.echo(f"Starting {function} (the first time its packages are installed) ...")
    staged = stage(function)
    return Process(
        command(staged, environment(function), port),
        log=logs / f"{function}.log",
        env=variables(function, settings, declaration(function).concurrency),
        cwd=logs,
    )


def _open(listener: socket.socket, ports: Mapping[str, int], stack: contextlib.ExitStack) -> None:
    """Opens the front door; it closes first, so that the functions can finish what they began."""
    server = door(listener, ports)
    threading.Thread(target=server.serve_forever, args=(_POLL,), daemon=True).start()
    stack.callback(server.shutdown)


def _watch(watched: Mapping[str, Process]) -> None:
    while True:
        for name, process in watched.items():
            if process.status is not None:
                raise Failed(f"{name} ended with status {process.status}\n{process}")
        time.sleep(_POLL)


def _shown(host: str) -> str:
    """The address by which others know the one we listen on."""
    return (lan_address() or HOST) if ipaddress.ip_address(host).is_unspecified else host


def _welcome(settings: Mapping[str, str], names: list[str], logs: Path) -> str:
    exports = "\n".join(f"  export {name}={shlex.quote(settings[name])}" for name in settings)
    return f"""
Yurt runs at {settings["YURT_PUBLIC_BASE"]} with {", ".join(f"/{name}" for name in names)}
as the cloud would run it, on emulators: what it receives is gone when the emulator ends.
Its logs are in {os.path.relpath(logs)}.

In another terminal, for `yurt pair phone`, `yurt where` and the rest to act on it:
{exports}

Ctrl-C stops it."""
