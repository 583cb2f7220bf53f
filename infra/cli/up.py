"""`yurt up`: the home node."""

from typing import TYPE_CHECKING

import click

from infra.cli.addresses import DEFAULT_HOST, DEFAULT_PORT, local_base, node_base
from infra.cli.session import Session, data_option, pass_session

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

    settings = session.settings()
    try:
        home.run(settings, host, port, lambda running: _welcome(session, settings, running))
    except CannotStart as error:
        raise Failed(str(error)) from error
    click.echo("Stopped; everything that was received is in the data folder.")


def _remember_zone(session: Session) -> None:
    """From the first start on, words such as `yesterday` mean this machine's zone."""
    from shared.commands.profile import set_profile, show_profile

    zone = session.machine_zone()
    with session.node(create=True) as node:
        if not show_profile(node, zone).saved:
            set_profile(node, zone)
            click.echo(
                f"Your time zone is {zone}, as on this machine; to change it: yurt profile --zone"
            )


def _welcome(session: Session, settings: "Settings", running: "Running") -> None:
    from shared.commands.devices import device_states
    from shared.commands.pairing import is_loopback

    base, here = node_base(settings, running), local_base(running)
    click.echo(f"Yurt runs at {base} with its data in {settings.data.resolve()}")
    if base != here:
        click.echo(f"On this machine it is at {here} as well.")
    _remember_zone(session)
    with session.node() as node:
        paired = [state.name for state in device_states(node) if state.paired]
    if is_loopback(base):
        click.echo(
            "Only this machine reaches it. To let phones in, stop it and start it with:\n"
            "  yurt up --host 0.0.0.0"
        )
    if paired:
        click.echo(f"Paired: {', '.join(paired)}. Where you are, in another terminal: yurt where")
    else:
        click.echo("Next, in another terminal, connect your phone:\n  yurt pair phone")
    click.echo("Ctrl-C stops it.")
