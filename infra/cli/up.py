"""`yurt up`: the home node."""

import contextlib
from typing import TYPE_CHECKING

import click

from infra.cli.addresses import (
    ANY_HOST,
    DEFAULT_HOST,
    DEFAULT_PORT,
    local_base,
    node_base,
    up_command,
)
from infra.cli.session import Session, data_option, pass_session
from infra.cli.words import as_typed

if TYPE_CHECKING:
    from infra.running import Running
    from shared.settings import Settings


@click.command(short_help="Run the node on this machine.")
@click.option(
    "--host",
    default=DEFAULT_HOST,
    show_default=True,
    metavar="H",
    help="The address to listen on; 0.0.0.0 lets others in.",
)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    metavar="P",
    help="The port to listen on; 0 takes any free one.",
)
@click.option(
    "--emulated",
    is_flag=True,
    help="Run the functions as the cloud would, wired together on emulators.",
)
@data_option
@pass_session
def up(session: Session, host: str, port: int, emulated: bool) -> None:
    """Run the node on this machine until Ctrl-C.

    It keeps everything in one folder, ./data unless --data or YURT_DATA says otherwise, and needs
    no account and no other server. Only programs on this machine reach it at first; --host 0.0.0.0
    lets the phones on your network in.

    \b
    Examples:
      yurt up
      yurt up --host 0.0.0.0 --port 9000
      yurt up --data /srv/yurt
    """
    if emulated:
        from infra import emulated as emulation

        emulation.run(host, port)
        return
    from infra import home
    from infra.running import CannotStart
    from shared.commands.errors import Failed
    from shared.node import problem_of

    settings = session.settings()
    if settings.firestore is not None:
        problem = problem_of(settings)
        if problem is not None:
            raise problem
    try:
        home.run(settings, host, port, lambda running: _greet(session, settings, running))
    except CannotStart as error:
        raise Failed(str(error)) from error
    click.echo(f"Stopped; everything that was received is in {_place(settings)}.")


def _remember_zone(session: Session) -> None:
    """From the first start on, words such as `yesterday` mean this machine's zone."""
    from shared.commands.profile import set_profile, show_profile

    zone = session.machine_zone()
    with session.node(create=True) as node:
        if not show_profile(node, zone).saved:
            set_profile(node, zone)
            change = as_typed(session, "yurt profile --zone")
            click.echo(f"Your time zone is {zone}, as on this machine; to change it: {change}")


def _greet(session: Session, settings: "Settings", running: "Running") -> None:
    try:
        _welcome(session, settings, running)
    except Exception as error:  # noqa: BLE001 - the node runs, whatever keeps us from saying so
        with contextlib.suppress(OSError):
            look = as_typed(session, "yurt doctor")
            click.echo(f"The node runs, but something is wrong: {error}; try: {look}", err=True)


def _place(settings: "Settings") -> str:
    if settings.firestore is not None:
        return f"Firestore, project {settings.firestore.project}"
    return str(settings.data.resolve())


def _welcome(session: Session, settings: "Settings", running: "Running") -> None:
    from shared.commands.devices import device_states
    from shared.model.address import is_loopback

    base, here = node_base(settings, running), local_base(running)
    click.echo(f"Yurt runs at {base} with its data in {_place(settings)}")
    if base != here:
        click.echo(f"On this machine it is at {here} as well.")
    _remember_zone(session)
    with session.node() as node:
        paired = [state.name for state in device_states(node) if state.paired]
    if is_loopback(base):
        click.echo(
            "Only this machine reaches it. To let phones in, stop it and start it with:\n  "
            + as_typed(session, up_command(ANY_HOST, running.port))
        )
    if paired:
        where = as_typed(session, "yurt where")
        click.echo(f"Paired: {', '.join(paired)}. Where you are, in another terminal: {where}")
    else:
        pair = as_typed(session, "yurt pair phone")
        click.echo(f"Next, in another terminal, connect your phone:\n  {pair}")
    click.echo("Ctrl-C stops it.")
