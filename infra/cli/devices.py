"""`yurt devices` and what is done to one: `unpair`, `share`, `send`."""

from typing import TYPE_CHECKING

import click

from infra.cli.session import Session, data_option, json_option, pass_session, print_json
from infra.cli.words import age_text, as_typed, in_shell, percent, table

if TYPE_CHECKING:
    from shared.commands.answers import DeviceState


@click.command(short_help="See what your phones last said.")
@click.option("--all", "everything", is_flag=True, help="Devices that were unpaired, too.")
@json_option
@data_option
@pass_session
def devices(session: Session, everything: bool, as_json: bool) -> None:
    """List the devices with their last report, battery and silence.

    Those that are known only from imported archives are listed too: `yurt where --device` and
    `yurt export --device` find what they reported.

    \b
    Examples:
      yurt devices
      yurt devices --json
    """
    from shared.commands.devices import device_states

    with session.node() as node:
        states = device_states(node)
    shown = [state for state in states if state.paired or everything or _is_archived(state)]
    if as_json:
        print_json(shown)
        return
    if shown:
        click.echo(table(_HEADINGS, [_row(state) for state in shown]))
    else:
        click.echo(as_typed(session, "No device is paired yet. Connect one: yurt pair phone"))
    hidden = len(states) - len(shown)
    if hidden:
        every = as_typed(session, "yurt devices --all")
        click.echo(f"\n{hidden} more unpaired, with records that are kept: {every}")


@click.command(short_help="Shut a device out; its records stay.")
@click.argument("name")
@json_option
@data_option
@pass_session
def unpair(session: Session, name: str, as_json: bool) -> None:
    """Shut a device out, at once.

    Its credential stops working. What it reported stays and is still found by its name; pairing
    the name again goes on with the same device.

    \b
    Example:
      yurt unpair old-phone
    """
    from shared.commands.devices import unpair as take_away

    with session.node() as node:
        gone = take_away(node, name)
    if as_json:
        print_json(gone)
        return
    click.echo(
        f'"{gone.name}" can no longer deliver anything. What it reported stays and is found:\n'
        f"  {as_typed(session, 'yurt where')} --device {in_shell(gone.name)}"
    )


@click.command(short_help="Show a phone where other devices are.")
@click.argument("name")
@click.option("--with", "others", multiple=True, metavar="OTHER…", help="Devices it may see.")
@click.argument("more", nargs=-1, metavar="")
@click.option("--none", "nobody", is_flag=True, help="It may see nobody.")
@json_option
@data_option
@pass_session
def share(
    session: Session,
    name: str,
    others: tuple[str, ...],
    more: tuple[str, ...],
    nobody: bool,
    as_json: bool,
) -> None:
    """Let OwnTracks on the device NAME show where other devices are.

    Nobody is shown at first. --with names all that NAME may see from now on; --none ends it.
    Without either, says what is.

    \b
    Examples:
      yurt share phone --with tablet laptop
      yurt share phone --none
    """
    from shared.commands import devices as act

    if (nobody and others) or (more and not others):
        raise click.UsageError("say either --with OTHER or --none")
    with session.node() as node:
        if others or nobody:
            shared = act.share(node, name, [*others, *more])
        else:
            shared = act.sharing(node, name)
        names = {state.device: state.name for state in act.device_states(node)}
    if as_json:
        print_json(shared)
        return
    seen = ", ".join(names[id] for id in shared.sees) or "nobody"
    click.echo(f'"{shared.name}" is shown: {seen}.')


@click.command(short_help="Tell OwnTracks to do something.")
@click.argument("name")
@click.argument("action")
@json_option
@data_option
@pass_session
def send(session: Session, name: str, action: str, as_json: bool) -> None:
    """Tell OwnTracks on the device NAME to do something.

    It hears of it in the answer to its next report, so this may take a while. The phone obeys
    only while "Remote commands" is on in the app's settings. ACTION is one of:

    \b
      reportLocation  report where it is now
      reportSteps     report the steps taken (iOS)
      status          report its settings that matter for tracking
      dump            report all its settings
      waypoints       report its list of places
      clearWaypoints  forget its list of places

    \b
    Examples:
      yurt send phone reportLocation
      yurt send phone waypoints
    """
    from shared.commands.devices import send as queue

    with session.node() as node:
        queued = queue(node, name, action)
    if as_json:
        print_json(queued)
        return
    click.echo(f'"{queued.name}" will be told with its next report: {", ".join(queued.waiting)}.')


def _is_archived(state: "DeviceState") -> bool:
    """Whether it is known only from what was imported."""
    return state.app == "archive"


_HEADINGS = ("NAME", "ID", "APP", "LAST REPORT", "BATTERY", "")


def _row(state: "DeviceState") -> tuple[str, ...]:
    last = age_text(state.age) if state.age is not None else "never"
    notes = ["silent"] if state.silent else []
    notes += ["encrypts"] if state.encrypted else []
    if not state.paired:
        notes.append("from an archive" if _is_archived(state) else "unpaired")
    return (
        state.name,
        state.device,
        state.app,
        last,
        percent(state.battery),
        ", ".join(notes),
    )
