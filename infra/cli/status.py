"""`yurt status`: how all is, at a glance."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from infra.cli.session import Session, data_option, json_option, pass_session, print_json
from infra.cli.words import age_text, as_typed, percent, shown, table, when_text

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from shared.commands.answers import QuotaUse, StatusState

_BAR = 24


@click.command(short_help="See at a glance how all is.")
@json_option
@data_option
@pass_session
def status(session: Session, as_json: bool) -> None:
    """Show whether all is well: collectors, phones, imports, and what is used of the quotas.

    It ends with 1 if something needs you, so that a script can ask.

    \b
    Examples:
      yurt status
      yurt status --json
    """
    from shared.commands.status import status as glance

    with session.node() as node:
        state, zone = glance(node), session.profile(node).tzinfo()
    if as_json:
        print_json(state)
    else:
        for line in _lines(state, zone):
            click.echo(as_typed(session, line))
    if not state.well:
        raise click.exceptions.Exit(1)


def _lines(state: "StatusState", zone: "ZoneInfo") -> Iterator[str]:
    yield "All is well." if state.well else "Something needs you."
    yield ""
    yield from _collectors(state, zone)
    yield from _phones(state, zone)
    yield from _jobs(state, zone)
    if state.untold:
        yield f"Alerts not delivered yet: {state.untold}; why: yurt alerts"
    if state.quotas:
        yield ""
        yield table(
            ("QUOTA", "USED", "AND RESERVED", "OF", "", "UNTIL"),
            [_quota(use, zone) for use in state.quotas],
        )


def _collectors(state: "StatusState", zone: "ZoneInfo") -> Iterator[str]:
    if not state.collectors:
        yield "Collectors: none yet; to fetch something on a schedule: yurt collectors add --help"
        return
    counts = ", ".join(f"{number} {what}" for what, number in sorted(state.collectors.items()))
    looked = f"looked at {when_text(state.watched, zone)}" if state.watched else "never looked at"
    yield f"Collectors: {counts}; {looked}"
    if state.silent is not None:
        yield f"  nothing is heard of most of them since {when_text(state.silent, zone)}"
        yield "  -> see what is the matter with the node: yurt doctor"
    if state.unticked is not None:
        yield f"  nobody looks which slots are due since {when_text(state.unticked, zone)}"
        yield "  -> in the cloud see the job and the log of `tick`; at home start the node again"
    for trouble in state.troubles:
        why = shown(trouble.error or "it was not heard of")
        yield f"  {shown(trouble.collector)} {trouble.state}: {why}"
        if trouble.fix is not None:
            yield f"  -> {trouble.fix}"
    yield f"Plan: {_PLAN[state.plan]}"
    for lack in state.lacks:
        yield f"  {shown(lack)}"
    if state.held is not None:
        yield f"  {state.held}"


_PLAN = {
    "armed": "armed; what is protected and its recovery are kept free",
    "arming": "holds, but is no promise yet:",
    "overcommitted": "the quotas do not hold what is protected: see yurt plan",
}


def _phones(state: "StatusState", zone: "ZoneInfo") -> Iterator[str]:
    if not state.phones:
        yield "Phones: none was heard of yet; to connect one: yurt pair phone"
        return
    yield f"Phones: {len(state.phones)}"
    for phone in state.phones:
        age = age_text((state.at - phone.last).total_seconds())
        quiet = f", quiet since {when_text(phone.quiet, zone)}" if phone.quiet is not None else ""
        yield f"  {shown(phone.name)} {age}, battery {percent(phone.battery)}{quiet}"


def _jobs(state: "StatusState", zone: "ZoneInfo") -> Iterator[str]:
    for job in state.jobs:
        far = f"{min(1.0, job.done / job.total):.0%}" if job.total else "begun"
        goes = "stuck" if job.stuck else job.state
        paced = f", paced until {when_text(job.paced, zone)}" if job.paced is not None else ""
        yield f"Import {shown(job.title)}: {goes}, {far}{paced}"
        if job.fix is not None:
            yield f"  -> {job.fix}"


def _quota(use: "QuotaUse", zone: "ZoneInfo") -> tuple[str, ...]:
    taken = round(_BAR * min(1.0, use.used / use.capacity))
    both = round(_BAR * min(1.0, (use.used + use.reserved) / use.capacity))
    bar = "█" * taken + "▒" * (both - taken) + "░" * (_BAR - both)
    figures = (use.used, use.reserved, use.capacity)
    return (
        use.quota,
        *(f"{figure:,.4g}" if figure < 1000 else f"{figure:,.0f}" for figure in figures),
        bar,
        when_text(use.end, zone),
    )
