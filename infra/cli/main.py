"""The entry point: `yurt` and the list of its commands."""

import importlib
from collections.abc import Callable
from typing import Any

import click

from infra.cli.session import Session, data_option, pass_session

COMMANDS = {
    "up": "up",
    "pair": "pair",
    "devices": "devices",
    "unpair": "devices",
    "share": "devices",
    "send": "devices",
    "where": "where",
    "profile": "profile",
    "export": "export",
    "token": "token",
    "doctor": "doctor",
}
"""Each command and the module of this package that has it, in the order of the help."""


class _Yurt(click.Group):
    """Loads a command's module when it is asked for; says errors in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(f"infra.cli.{module}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        return _in_one_sentence(lambda: super(_Yurt, self).invoke(ctx))


@click.group(
    cls=_Yurt,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@data_option
@click.version_option(package_name="yurt", message="yurt %(version)s")
@pass_session
@click.pass_context
def main(ctx: click.Context, session: Session) -> None:
    """Yurt collects where you were, on a machine or a cloud project that you own.

    \b
    Examples:
      yurt up --host 0.0.0.0      run it where phones on your network reach it
      yurt pair phone             connect a phone by scanning a code
      yurt where yesterday 15:00  ask where you were
    """
    if ctx.invoked_subcommand is None:
        click.echo(_overview(session))


def _overview(session: Session) -> str:
    return f"""Yurt collects where you were, on a machine or a cloud project that you own.

Next: {_next_step(session)}

  yurt up        run the node on this machine
  yurt pair      connect a phone or a program
  yurt where     ask where you were: yurt where last friday noon
  yurt devices   see what your phones last said
  yurt doctor    find out what is wrong, and what to do

`yurt --help` lists all commands, `yurt COMMAND --help` explains one."""


def _next_step(session: Session) -> str:
    settings = session.settings()
    if settings.firestore is None and not (settings.data / "yurt.db").exists():
        return "start a node with `yurt up`."
    from shared.commands.access import access_of, is_paired

    with session.node() as node:
        paired = any(map(is_paired, access_of(node).devices.values()))
    if not paired:
        return "connect your phone with `yurt pair phone`."
    return "see where you are with `yurt where`."


def _in_one_sentence(call: Callable[[], Any]) -> Any:
    """Errors that are expected end the command with one sentence, not with a traceback."""
    from shared.commands.errors import CommandError, Refused
    from shared.sealing import CannotUnseal
    from shared.settings import BadSettings
    from shared.store.protocol import StoreError

    try:
        return call()
    except (Refused, BadSettings) as error:
        raise _Misused(str(error)) from error
    except (CommandError, StoreError, CannotUnseal) as error:
        raise click.ClickException(str(error)) from error
    except PermissionError as error:
        raise click.ClickException(f"{error.filename} cannot be used: {error.strerror}") from error


class _Misused(click.ClickException):
    exit_code = 2
