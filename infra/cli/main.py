"""The entry point: `yurt` and the list of its commands."""

import errno
import importlib
import keyword
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import click

from infra.cli.commands import COMMANDS
from infra.cli.session import Session, data_option, pass_session
from infra.cli.words import as_typed


class _Yurt(click.Group):
    """Loads a command's module when it is asked for; says errors in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        name = cmd_name.replace("-", "_")
        name = f"{name}_" if keyword.iskeyword(name) else name
        command: click.Command = getattr(importlib.import_module(f"infra.cli.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        return _in_one_sentence(ctx, lambda: super(_Yurt, self).invoke(ctx))


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
    """Yurt collects where you were, what you wrote and photographed, on a machine or a cloud
    project that you own.

    \b
    Examples:
      yurt up --host 0.0.0.0      run it where phones on your network reach it
      yurt pair phone             connect a phone by scanning a code
      yurt import takeout-*.zip   read what other services know of you
      yurt where yesterday 15:00  ask where you were
    """
    # Of each tag of a damaged picture that it leaves out.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if ctx.invoked_subcommand is None:
        click.echo(as_typed(session, _overview(session)))


def _overview(session: Session) -> str:
    return f"""Yurt collects where you were, what you wrote and photographed, on a machine or a
cloud project that you own.

Next: {_next_step(session)}

  yurt up          run the node on this machine
  yurt pair        connect a phone or a program
  yurt import      read archives, mail, photos and location histories
  yurt collectors  fetch mail, contacts and calendars on a schedule
  yurt where       ask where you were: yurt where last friday noon
  yurt search      search what you wrote and were written
  yurt devices     see what your phones last said
  yurt status      see whether all is well
  yurt doctor      find out what is wrong, and what to do

`{session.program} --help` lists all commands, `{session.program} COMMAND --help` explains one."""


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


def _in_one_sentence(ctx: click.Context, call: Callable[[], Any]) -> Any:
    """Errors that are expected end the command with one sentence, not with a traceback."""
    from shared.blobs.protocol import BlobsError
    from shared.commands.errors import CommandError, Refused
    from shared.queue.protocol import QueueError
    from shared.sealing import BadMasterKey, CannotUnseal
    from shared.settings import BadSettings
    from shared.store.protocol import StoreError

    try:
        return call()
    except (Refused, BadSettings) as error:
        raise _Misused(_said(ctx, error)) from error
    except (
        CommandError,
        StoreError,
        BlobsError,
        QueueError,
        BadMasterKey,
        CannotUnseal,
    ) as error:
        raise click.ClickException(_said(ctx, error)) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # whoever read the output had enough: click ends it quietly
        _give_up_output()
        what = error.filename or "the output"
        raise click.ClickException(f"{what} cannot be used: {error.strerror}") from error


def _said(ctx: click.Context, error: Exception) -> str:
    return as_typed(ctx.ensure_object(Session), str(error))


def _give_up_output() -> None:
    """Lets go of what the output did not take: Python would try, and fail, again at its end."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class _Misused(click.ClickException):
    exit_code = 2
