"""`yurt collectors`: what is fetched from services on a schedule."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.cli.asking import asked_for, pairs
from infra.cli.session import Session, data_option, json_option, pass_session, print_json
from infra.cli.words import as_typed, records_text, shown, table, when_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from shared.commands.answers import CollectorState


@click.group(
    short_help="Fetch mail, contacts and calendars on a schedule.", invoke_without_command=True
)
@json_option
@data_option
@pass_session
@click.pass_context
def collectors(context: click.Context, session: Session, as_json: bool) -> None:
    """List what is fetched on a schedule, and how it goes; with a command, change it.

    Each change is planned first, and refused if the free tier could not hold it, with as many
    failures as are to be tolerated: see `yurt plan` and `yurt what-if`.

    \b
    Examples:
      yurt collectors
      yurt collectors add mail imap --schedule "every 1h" --secret \\
        --set host=imap.example.org --set user=ada
      yurt collectors change mail --schedule "0 7 * * *" --cap writes=300
      yurt collectors run mail
      yurt collectors pause mail
      yurt collectors apply collectors.toml
    """
    if context.invoked_subcommand is None:
        _list(session, as_json)


_ASKED = "password or token"
_schedule = click.option(
    "--schedule", metavar="WHEN", help='Like "every 15 minutes", or cron: "0 7 * * *".'
)
_zone = click.option("--zone", metavar="ZONE", help="Of cron; your own if you name none.")
_level = click.option(
    "--level",
    type=click.Choice(["protected", "best-effort", "unprotected"]),
    help="protected: quota is kept free for it and its recovery. Others run of what is left.",
)
_priority = click.option(
    "--priority", type=click.IntRange(0, 1000), help="Of restarts, the smallest first (100)."
)
_grace = click.option(
    "--grace",
    type=click.IntRange(1),
    metavar="SECONDS",
    help="After a slot, until it is late (600).",
)
_start_limit = click.option(
    "--start-limit",
    type=click.IntRange(1),
    metavar="SECONDS",
    help="The same, where a run must begin sooner than its grace says.",
)
_run_limit = click.option(
    "--run-limit",
    type=click.IntRange(1),
    metavar="SECONDS",
    help="For a run, with its tries; then it is given up (1800).",
)
_set = click.option(
    "--set", "options", metavar="NAME=VALUE", multiple=True, help="An option of the service."
)
_cap = click.option(
    "--cap",
    "caps",
    metavar="NAME=N",
    multiple=True,
    help="What one slot may take: reads, writes, seconds, chunks, megabytes; and one day: "
    "object_writes, object_reads, object_megabytes. By its schedule if you say nothing.",
)
_secret = click.option(
    "--secret", is_flag=True, help="Ask for the password or token; from a pipe, its first line."
)


@collectors.command(short_help="Begin to fetch something.")
@click.argument("name")
@click.argument("service")
@_schedule
@_zone
@_level
@_priority
@_grace
@_start_limit
@_run_limit
@_set
@_cap
@_secret
@json_option
@data_option
@pass_session
def add(
    session: Session,
    /,
    name: str,
    service: str,
    options: "Sequence[str]",
    caps: "Sequence[str]",
    secret: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Add a collector: NAME is yours to choose, SERVICE is what it asks.

    \b
    Example:
      yurt collectors add mail imap --schedule "every 1h" --secret \\
        --set host=imap.example.org --set user=ada
    """
    from msgspec import ValidationError, convert

    from shared.commands.collectors import add as added
    from shared.commands.errors import Refused
    from shared.ha.collectors import Declared
    from shared.services.registry import SERVICES

    with session.node(create=True) as node:
        members = {key: value for key, value in said.items() if value is not None}
        members.setdefault("schedule", "every 1 hour")
        members.setdefault("zone", session.profile(node).zone)
        members |= {"service": service, "options": pairs(options), "caps": _numbers(caps)}
        try:
            declared = convert(members, Declared)
        except ValidationError as error:
            raise Refused(f"{name}: {error}") from None
        state = added(
            node,
            SERVICES,
            name,
            declared,
            asked_for(session, _ASKED) if secret else None,
        )
        zone = session.profile(node).tzinfo()
    if as_json:
        print_json(state)
    else:
        click.echo(f"{name} is fetched {state.schedule}, {_next_text(state, zone)}.")


@collectors.command(short_help="Change one.")
@click.argument("name")
@_schedule
@_zone
@_level
@_priority
@_grace
@_start_limit
@_run_limit
@_set
@_cap
@_secret
@data_option
@pass_session
def change(
    session: Session,
    /,
    name: str,
    options: "Sequence[str]",
    caps: "Sequence[str]",
    secret: bool,
    **said: Any,
) -> None:
    """Change what is named, and keep the rest; where it has read to is kept as well."""
    from shared.commands.collectors import change as changed
    from shared.services.registry import SERVICES

    members = {key: value for key, value in said.items() if value is not None}
    if not (members or options or caps or secret):
        raise click.UsageError("say what to change: see yurt collectors change --help")
    with session.node() as node:
        given = asked_for(session, _ASKED) if secret else None
        changed(node, SERVICES, name, members, pairs(options), _numbers(caps), given)
    click.echo(f"{name} is changed.")


@collectors.command(name="run", short_help="Fetch now, besides the schedule.")
@click.argument("name")
@data_option
@pass_session
def run_(session: Session, name: str) -> None:
    """Fetch now, besides the schedule. What comes of it: yurt collectors."""
    from shared.commands.collectors import run

    with session.node() as node:
        soon = run(node, name)
    when = "within minutes" if soon else "once the node runs (yurt up), if within an hour"
    click.echo(as_typed(session, f"{name} is fetched {when}; what comes of it: yurt collectors"))


@collectors.command(short_help="Let its slots pass until it is resumed.")
@click.argument("name")
@data_option
@pass_session
def pause(session: Session, name: str) -> None:
    """Let the slots of a collector pass until it is resumed. A run that goes on may end."""
    _pause(session, name, paused=True)


@collectors.command(short_help="Go on with one that was paused.")
@click.argument("name")
@data_option
@pass_session
def resume(session: Session, name: str) -> None:
    """Go on with a collector that was paused, where it had read to."""
    _pause(session, name, paused=False)


@collectors.command(short_help="Fetch it no more; what it brought stays.")
@click.argument("name")
@data_option
@pass_session
def remove(session: Session, name: str) -> None:
    """Fetch it no more. What it has brought stays."""
    from shared.commands.collectors import remove as removed

    with session.node() as node:
        removed(node, name)
    click.echo(f"{name} is removed; what it brought stays.")


@collectors.command(short_help="Say how much of each quota may be planned with.")
@click.argument("quotas", nargs=-1, metavar="[NAME=AMOUNT]...")
@click.option(
    "--tolerate", type=click.IntRange(0, 1000), metavar="N", help="Failures that must fit."
)
@click.option("--unlimited", is_flag=True, help="Plan with no quota: at home nothing is billed.")
@click.option("--free", is_flag=True, help="Plan with what the free tier gives, again.")
@json_option
@data_option
@pass_session
def quotas(
    session: Session,
    quotas: "Sequence[str]",
    tolerate: int | None,
    unlimited: bool,
    free: bool,
    as_json: bool,
) -> None:
    """Say what is planned with; without an argument, show it. Names and amounts: yurt plan.

    A node at home plans as if it was in the cloud, so that it could move there. Where it stays,
    --unlimited lets its collectors take whatever there is.

    \b
    Examples:
      yurt collectors quotas --unlimited
      yurt collectors quotas firestore.writes=10000 --tolerate 2
      yurt collectors quotas --free
    """
    from shared.commands.collectors import config_of, quotas_of, set_quotas

    if unlimited and (free or quotas):
        raise click.UsageError("--unlimited goes with no amount, and not with --free")
    says_nothing = not (quotas or unlimited or free or tolerate is not None)
    with session.node(create=not says_nothing) as node:
        if says_nothing:
            state = quotas_of(config_of(node))
        else:
            limited = True if unlimited else False if free else None
            state = set_quotas(node, _numbers(quotas), tolerate, limited)
    if as_json:
        print_json(state)
        return
    given = ", ".join(f"{name} {amount:,g}" for name, amount in sorted(state.quotas.items()))
    what = "no quota" if state.unlimited else "what the free tier gives"
    but = f", but {given}" if given and not state.unlimited else ""
    click.echo(f"Planned with {what}{but}; failures that must fit besides: {state.tolerate}.")


@collectors.command(name="apply", short_help="Make them match a file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@data_option
@pass_session
def apply_(session: Session, file: Path, as_json: bool) -> None:
    """Make the collectors match a file (TOML): all that it says, and no others, or nothing.

    Secrets are not in the file; they are kept by the collector's name.

    \b
    Example of a file:
      tolerate = 1               # or unlimited = true, at home
      [collectors.mail]
      service = "imap"
      schedule = "every 1h"
      level = "protected"
      caps = { writes = 300 }
      options = { host = "imap.example.org", user = "ada" }
    """
    from shared.commands.collectors import apply
    from shared.commands.errors import Refused
    from shared.services.registry import SERVICES

    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is no text in UTF-8") from error
    with session.node(create=True) as node:
        applied = apply(node, SERVICES, text, str(file))
    if as_json:
        print_json(applied)
        return
    said = [
        f"{what}: {', '.join(names)}"
        for what, names in (
            ("Added", applied.added),
            ("Changed", applied.changed),
            ("Removed", applied.removed),
        )
        if names
    ]
    click.echo("\n".join(said) or "All is as the file says.")
    for name in applied.without_secret:
        click.echo(
            as_typed(session, f"{name} has no secret; to give it one: yurt collectors change ")
            + f"{name} --secret"
        )


def _pause(session: Session, name: str, *, paused: bool) -> None:
    from shared.commands.collectors import pause as moved

    with session.node() as node:
        moved(node, name, paused=paused)
    click.echo(f"{name} is paused." if paused else f"{name} goes on at its next slot.")


def _list(session: Session, as_json: bool) -> None:
    from shared.commands.collectors import collector_states

    with session.node() as node:
        states = collector_states(node)
        zone = session.profile(node).tzinfo()
    if as_json:
        print_json(states)
        return
    if not states:
        click.echo(
            as_typed(session, "Nothing is fetched yet. To begin: yurt collectors add --help")
        )
        return
    click.echo(table(_HEADINGS, [_row(state, zone) for state in states]))
    for state in states:
        if state.error is not None or state.fix is not None:
            click.echo(f"\n{shown(state.collector)}:")
            if state.error is not None:
                click.echo(f"  {shown(state.error)}")
            if state.fix is not None:
                click.echo(f"  -> {as_typed(session, state.fix)}")


_HEADINGS = ("COLLECTOR", "SERVICE", "SCHEDULE", "LEVEL", "STATE", "LAST SLOT", "NEXT", "BROUGHT")


def _row(state: "CollectorState", zone: "ZoneInfo") -> tuple[str, ...]:
    return (
        state.collector,
        state.service,
        state.schedule,
        state.level,
        state.state,
        when_text(state.slot, zone) if state.slot else "-",
        when_text(state.next, zone) if state.next else "-",
        records_text(state.new) or "-",
    )


def _next_text(state: "CollectorState", zone: "ZoneInfo") -> str:
    return f"next at {when_text(state.next, zone)}" if state.next else "but paused"


def _numbers(texts: "Sequence[str]") -> dict[str, Any]:
    numbers = pairs(texts)
    for name, value in numbers.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise click.UsageError(f"{name}={value} is no number: write NAME=NUMBER")
    return numbers
