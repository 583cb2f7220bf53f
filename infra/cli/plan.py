"""`yurt plan` and `yurt what-if`: whether the quotas hold, and what a change would do."""

from typing import TYPE_CHECKING

import click

from infra.cli.session import Session, data_option, json_option, pass_session, print_json
from infra.cli.words import as_typed, shown, table, when_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from shared.commands.answers import PlanState, QuotaWindow, Recovers


@click.command(short_help="See whether the quotas hold, and how many failures besides.")
@click.option("--all", "every", is_flag=True, help="Every window, not only the tightest of each.")
@json_option
@data_option
@pass_session
def plan(session: Session, every: bool, as_json: bool) -> None:
    """Show whether the free tier holds all that is protected, and how many failures besides.

    Each protected collector may take what its caps allow, at each slot; whichever fail, as many as
    are to be tolerated, find their recovery free. A home node plans with the same quotas, unless
    you say otherwise: yurt collectors quotas.

    \b
    Examples:
      yurt plan
      yurt plan --json
    """
    from shared.commands.collectors import plan_state

    with session.node() as node:
        state, zone = plan_state(node), session.profile(node).tzinfo()
    if as_json:
        print_json(state)
        return
    click.echo(as_typed(session, _verdict(state)))
    for lack in state.lacks:
        click.echo(f"  {shown(lack)}")
    if state.held is not None:
        click.echo(f"  {state.held}")
    if state.windows:
        click.echo()
        click.echo(_windows(state.windows if every else _tightest(state.windows), zone))


@click.command(name="what-if", short_help="See what a change would do, without making it.")
@click.argument("changes", nargs=-1, required=True, metavar="CHANGE...")
@json_option
@data_option
@pass_session
def what_if(session: Session, changes: "Sequence[str]", as_json: bool) -> None:
    """Show what changes would do to the plan, one after another. Nothing is changed.

    \b
    A CHANGE is one of
      'mail every 1m'            another schedule
      'mail best-effort'         another level
      'mail writes=500'          another cap
      'mail paused'              or resumed, or removed
      'quota firestore.writes=10000'
      'tolerate 2'
      'mail fails at 18:00'      what would run then

    \b
    Examples:
      yurt what-if 'mail every 1m' 'photos best-effort'
      yurt what-if 'mail fails at 18:00' 'photos fails at 18:00'
    """
    from shared.commands.collectors import what_if as hypothesis

    with session.node() as node:
        found, zone = hypothesis(node, changes), session.profile(node).tzinfo()
    if as_json:
        print_json(found)
        return
    before = found.before.failures_tolerated if found.before is not None else None
    click.echo(f"Failures tolerated: {_number(before)} before, ", nl=False)
    click.echo(f"{_number(found.after.failures_tolerated)} after.")
    if found.refused is not None:
        click.echo(f"\nIt would be refused: {found.refused}.")
    for each in found.recoveries:
        click.echo("\n" + _recovery(each, zone))
    if found.after.windows:
        click.echo()
        click.echo(_windows(_tightest(found.after.windows), zone))


def _recovery(each: "Recovers", zone: "ZoneInfo") -> str:
    said = (
        f"If {each.collector} fails, its slot of {when_text(each.missed, zone)} is missed, "
        f"and that is seen by {when_text(each.noticed, zone)}."
    )
    if each.restarts:
        times = ", ".join(when_text(at, zone) for at in each.restarts)
        said += f" It is begun again by {times}, until it works."
    else:
        said += " Nothing but its own slots brings it back."
    if each.short is not None and each.until is not None:
        said += f" {each.short} does not hold that until {when_text(each.until, zone)}."
    elif each.restarts:
        said += " All quotas hold that."
    return said


def _verdict(state: "PlanState") -> str:
    if not state.protected:
        return "Nothing is protected, so nothing has to be kept free."
    if not state.windows:
        return "No quota is planned with, as you said; to plan again: yurt collectors quotas --free"
    wanted = f"{state.tolerate} of them {'is' if state.tolerate == 1 else 'are'} to be tolerable"
    if state.failures_tolerated is None:
        return (
            f"Overcommitted: what the {state.protected} protected collectors may take does not "
            "fit, even if none fails."
        )
    holds = "Overcommitted" if state.state == "overcommitted" else _HOLDS[state.state]
    return (
        f"{holds}: any {state.failures_tolerated} of {state.protected} protected collectors may "
        f"fail in one window, and {wanted}."
    )


_HOLDS = {
    "armed": "The plan holds, and is armed",
    "arming": "The plan holds, and is not armed yet",
    "holds": "The plan holds",
}


def _number(failures: int | None) -> str:
    return "not even none" if failures is None else str(failures)


def _tightest(windows: "Sequence[QuotaWindow]") -> "list[QuotaWindow]":
    """Of each quota; they come in that order."""
    seen: dict[str, QuotaWindow] = {}
    for window in windows:
        seen.setdefault(window.quota, window)
    return list(seen.values())


_HEADINGS = ("QUOTA", "WINDOW", "FROM", "MAY USE", "USED", "PHONES", "WATCH", "SLOTS", "RECOVERY")


def _windows(windows: "Sequence[QuotaWindow]", zone: "ZoneInfo") -> str:
    rows = [
        (
            window.quota,
            window.window,
            when_text(window.start, zone),
            *(
                f"{figure:,.4g}" if figure < 1000 else f"{figure:,.0f}"
                for figure in (
                    window.capacity,
                    window.used,
                    window.forecast,
                    window.watch,
                    window.protected,
                    window.recoveries,
                )
            ),
        )
        for window in windows
    ]
    return table(_HEADINGS, rows)
