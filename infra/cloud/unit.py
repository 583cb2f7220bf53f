"""The service of systemd that keeps the XMPP bridge running, on a machine in the cloud or here."""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

UNIT = "yurt-bridge.service"
GIVES_UP = 2
"""The status with which a command refuses what only its owner can mend, such as a wrong password:
trying again every few seconds would get the account locked."""

Run = Callable[[Sequence[str]], None]
"""Runs a command. `FileNotFoundError` when there is none of that name,
`subprocess.CalledProcessError` when it fails."""


class CannotInstall(Exception):
    """The service cannot be set up here; the text says why, and how to run the bridge anyway."""


def unit_text(
    command: Sequence[str],
    folder: str,
    variables: Mapping[str, str],
    user: str | None = None,
) -> str:
    """The unit (systemd.service(5)). folder: where the command runs. variables: its environment, in
    which no secret belongs: every user may read a unit. user: whom a system's unit runs as; None
    for a unit of the user's own.
    """
    environment = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n" for name, value in sorted(variables.items())
    )
    # What a user's own service manager cannot do, it would refuse to start the unit for.
    confined = _CONFINED.format(user=user) if user is not None else ""
    program, *arguments = command
    target = "multi-user.target" if user is not None else "default.target"
    return f"""[Unit]
Description=Yurt's XMPP bridge
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
WorkingDirectory={folder.replace("%", "%%")}
ExecStart={_quoted(program)}{"".join(f" {_argument(word)}" for word in arguments)}
{environment}Restart=always
RestartSec=10
RestartPreventExitStatus={GIVES_UP}
NoNewPrivileges=yes
{confined}
[Install]
WantedBy={target}
"""


def install(text: str, environ: Mapping[str, str], run: Run) -> bool:
    """Makes it a service of this user, and starts it; whether anything changed. `CannotInstall`.

    Killed at any moment, it does the rest the next time.
    """
    config = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "~"), ".config")
    path = Path(config).expanduser() / "systemd" / "user" / UNIT
    # It stays until what runs is what the unit says.
    pending = path.with_suffix(".pending")
    same = path.exists() and path.read_text("utf-8") == text and not pending.exists()
    try:
        # Before anything is left behind where there is none, or none of this user's.
        run(["systemctl", "--user", "show-environment"])
        if not same:
            path.parent.mkdir(parents=True, exist_ok=True)
            pending.touch()
            draft = path.with_suffix(".new")
            draft.write_text(text, "utf-8")
            draft.replace(path)
        run(["systemctl", "--user", "daemon-reload"])
        run(["systemctl", "--user", "enable", "--now", UNIT])
        if not same:
            run(["systemctl", "--user", "restart", UNIT])
            pending.unlink(missing_ok=True)
    except FileNotFoundError as error:
        raise CannotInstall(_by_hand("there is no systemd here", text, path)) from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotInstall(_by_hand(f"systemd cannot be used ({error})", text, path)) from error
    return not same


def run_command(command: Sequence[str]) -> None:
    """`Run` for real."""
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


_CONFINED = """User={user}
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
"""


def _quoted(word: str) -> str:
    """As systemd reads it: `%` stands for something else unless it is doubled."""
    if re.fullmatch(r"[\w./:=@+-]+", word, re.ASCII):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + escaped.replace("%", "%%") + '"'


def _argument(word: str) -> str:
    """The same, of a program: in these alone `$` stands for something else, too."""
    return _quoted(word).replace("$", "$$")


def _by_hand(reason: str, text: str, path: Path) -> str:
    return (
        f"{reason}; run `yurt bridge` by hand or under a supervisor of yours, or, on a machine "
        f"that has it, put this into {path} and run `systemctl --user enable --now {UNIT}`:\n\n"
        f"{text}"
    )
