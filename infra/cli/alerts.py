"""`yurt alerts`: who is told when something needs somebody."""

from typing import TYPE_CHECKING

import click

from infra.cli.asking import asked_for, pairs
from infra.cli.session import Session, data_option, json_option, pass_session, print_json
from infra.cli.words import as_typed, shown, table, when_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from shared.commands.answers import AlertsState, ChannelState


@click.group(short_help="Be told when something needs you.", invoke_without_command=True)
@json_option
@data_option
@pass_session
@click.pass_context
def alerts(context: click.Context, session: Session, as_json: bool) -> None:
    """List who is told when a collector is late or fails, a phone has gone quiet, or the quotas do
    not hold; with a command, change it. Each is told once, and again when it is well.

    \b
    Examples:
      yurt alerts add phone ntfy --set topic=my-secret-topic
      yurt alerts add chat webhook --secret
      yurt alerts add mail email --set host=smtp.example.org \\
        --set from=me@example.org --set to=me@example.org --set user=me --secret
      yurt alerts test
      yurt alerts ping
    """
    if context.invoked_subcommand is None:
        _list(session, as_json)


@alerts.command(short_help="Tell somebody more, or in another way.")
@click.argument("name")
@click.argument("kind")
@click.option("--set", "options", metavar="NAME=VALUE", multiple=True, help="An option of it.")
@click.option(
    "--secret", is_flag=True, help="Ask for its secret; from a pipe, the first line of that."
)
@data_option
@pass_session
def add(session: Session, name: str, kind: str, options: "Sequence[str]", secret: bool) -> None:
    """Add a channel: NAME is yours to choose, KIND is email, webhook or ntfy.

    \b
    email    --set host, from, to; user (with --secret: the password); security: starttls, tls or
             none; port
    webhook  --secret: the URL that a JSON document is posted to
    ntfy     --set topic; server (https://ntfy.sh); --secret: an access token
    """
    from shared.alerting.registry import CHANNELS
    from shared.commands.alerts import add as added

    asks = CHANNELS[kind].ASKS if kind in CHANNELS else "secret"
    with session.node(create=True) as node:
        given = asked_for(session, asks) if secret else None
        added(node, CHANNELS, name, kind, pairs(options), given)
    said = f"{name} is told from now on. To try it: yurt alerts test {name}"
    click.echo(as_typed(session, said))


@alerts.command(short_help="Tell one no more.")
@click.argument("name")
@data_option
@pass_session
def remove(session: Session, name: str) -> None:
    """Tell this channel no more."""
    from shared.commands.alerts import remove as removed

    with session.node() as node:
        removed(node, name)
    click.echo(f"{name} is told no more.")


@alerts.command(short_help="Send a test.")
@click.argument("name", required=False)
@json_option
@data_option
@pass_session
def test(session: Session, name: str | None, as_json: bool) -> None:
    """Send a test alert on one channel, or on all, and say what came of it.

    It ends with 1 if one was not taken.
    """
    from shared.commands.alerts import test as tested
    from shared.workshop import telling_of

    with session.node() as node:
        found = tested(node, telling_of(node), name)
    if as_json:
        print_json(found)
    else:
        for each in found:
            said = "was taken" if each.error is None else f"was not taken: {shown(each.error)}"
            click.echo(f"{each.channel}: the test {said}")
    if any(each.error is not None for each in found):
        raise click.exceptions.Exit(1)


@alerts.command(short_help="Be told from outside when Yurt itself is silent.")
@click.option("--off", is_flag=True, help="Ask for it no more.")
@data_option
@pass_session
def ping(session: Session, off: bool) -> None:
    """Ask for a URL after each completed look at the collectors, so that a service outside misses
    it when Yurt itself has stopped: Healthchecks, or any that takes a GET as a sign of life. The
    URL is asked for, or read from a pipe; at home a look comes each half minute and the URL is
    asked for each minute, in the cloud each ten minutes.

    \b
    Examples:
      yurt alerts ping
      echo https://hc-ping.com/... | yurt alerts ping
      yurt alerts ping --off
    """
    from shared.commands.alerts import set_ping

    with session.node(create=True) as node:
        set_ping(node, None if off else asked_for(session, "URL", "ping"))
    click.echo(f"It is asked for {'no more' if off else 'after each look from now on'}.")


def _list(session: Session, as_json: bool) -> None:
    from shared.commands.alerts import alerts_state

    with session.node() as node:
        state, zone = alerts_state(node), session.profile(node).tzinfo()
    if as_json:
        print_json(state)
        return
    if state.channels:
        click.echo(table(_HEADINGS, [_row(channel, zone) for channel in state.channels]))
    else:
        said = "Alerts go to the log alone. To be told of them: yurt alerts add --help"
        click.echo(as_typed(session, said))
    _show_trouble(session, state)


def _show_trouble(session: Session, state: "AlertsState") -> None:
    for channel in state.channels:
        if channel.error is not None:
            click.echo(f"\n{channel.channel}:\n  {shown(channel.error)}")
            said = f"  -> once that is mended: yurt alerts test {channel.channel}"
            click.echo(as_typed(session, said))
    if state.ping:
        click.echo("\nSign of life: a URL is asked for after each look.")
    else:
        said = "\nSign of life: none. To be told when Yurt itself is silent: yurt alerts ping"
        click.echo(as_typed(session, said))


_HEADINGS = ("CHANNEL", "KIND", "STATE", "NOT TOLD YET", "AGAIN")


def _row(channel: "ChannelState", zone: "ZoneInfo") -> tuple[str, ...]:
    failing = channel.failing
    return (
        channel.channel,
        channel.kind,
        "takes them" if failing is None else f"fails since {when_text(failing, zone)}",
        str(channel.untold),
        when_text(channel.again, zone) if channel.again is not None else "-",
    )
