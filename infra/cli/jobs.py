"""`yurt jobs`: what goes on, and what may be done about it."""

from typing import TYPE_CHECKING

import click

from infra.cli.session import Session, data_option, json_option, pass_session, print_json
from infra.cli.words import as_typed, records_text, shown, size_text, span_text, table, when_text

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from shared.commands.answers import JobState


@click.command(short_help="See how far imports are; pause, resume, cancel.")
@click.argument(
    "action",
    type=click.Choice(["pause", "resume", "cancel"]),
    required=False,
    metavar="[pause|resume|cancel]",
)
@click.argument("name", metavar="[JOB]", required=False)
@json_option
@data_option
@pass_session
def jobs(session: Session, action: str | None, name: str | None, as_json: bool) -> None:
    """List the jobs, the newest first: how far each is, what went wrong, what to do.

    JOB is the id or the title of one, or a beginning of either that only one has. What is paused
    goes on only when it is resumed, or imported again; what a cancelled one has brought so far
    stays.

    \b
    Examples:
      yurt jobs
      yurt jobs pause takeout-2026
      yurt jobs resume import-8c1f
      yurt jobs cancel import-8c1f
    """
    if action is None:
        _list(session, as_json)
        return
    if name is None:
        raise click.UsageError(as_typed(session, f"say which one: yurt jobs {action} JOB"))
    from shared.commands import jobs as act
    from shared.workshop import engine_of

    moves = {"pause": act.pause, "resume": act.resume, "cancel": act.cancel}
    with session.node() as node:
        state = moves[action](node, engine_of(node), name)
    if as_json:
        print_json(state)
    else:
        click.echo(f"{shown(state.title)} {_outcome(session, state)}")


def _outcome(session: Session, state: "JobState") -> str:
    if state.wish is not None:
        return f"will {state.wish} as soon as what it has in hand is stored."
    if state.state == "ready":
        from infra.cli.addresses import running_node

        settings = session.settings()
        if settings.firestore is None and running_node(settings) is None:
            up = as_typed(session, "yurt up")
            return f"goes on once the node runs ({up}), or when the same is imported again."
        return "goes on."
    return {"running": "goes on.", "paused": "is paused."}.get(state.state, f"is {state.state}.")


def _list(session: Session, as_json: bool) -> None:
    from shared.commands.jobs import job_states

    with session.node() as node:
        states, zone = job_states(node), session.profile(node).tzinfo()
    if as_json:
        print_json(states)
    elif states:
        click.echo(table(_HEADINGS, [_row(state, zone) for state in states]))
        for state in states:
            _show_pace(state, zone)
            _show_trouble(session, state)
    else:
        click.echo(as_typed(session, "There is no job yet. To begin one: yurt import PATH"))


_HEADINGS = ("JOB", "BEGUN", "WHAT", "STATE", "DONE", "BROUGHT")
_TITLE = 40


def _row(state: "JobState", zone: "ZoneInfo") -> tuple[str, ...]:
    title = shown(state.title)
    return (
        state.job,
        when_text(state.created, zone),
        title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…",
        _state(state),
        _far(state),
        records_text(state.new) or "-",
    )


def _state(state: "JobState") -> str:
    if state.stuck:
        return "stuck"
    if state.wish is not None:
        return f"to {state.wish}"
    if state.retry is not None:
        return "waits after an error"
    if state.paced is not None:
        return "paced"
    return "waits" if state.state == "ready" else state.state


def _far(state: "JobState") -> str:
    # What was moved first and then read counts twice: in the end, a size would mislead.
    if state.state == "done":
        return "all"
    if not state.total:
        return size_text(state.done)
    text = f"{min(1.0, state.done / state.total):.0%}"
    if state.work != "import":  # what others count is no bytes
        return text
    text += f" of {size_text(state.total)}"
    if state.state == "running" and state.rate:
        text += f", {size_text(state.rate)}/s"
        text += f", {span_text(state.left)} left" if state.left else ""
    return text


def _show_pace(state: "JobState", zone: "ZoneInfo") -> None:
    if state.paced is None:
        return
    click.echo(f"\n{shown(state.title)}:")
    click.echo(f"  {state.paced_by}; it goes on at {when_text(state.paced, zone)}.")
    if state.done_by is not None:
        click.echo(f"  At this pace it is done by {when_text(state.done_by, zone)}.")


def _show_trouble(session: Session, state: "JobState") -> None:
    if state.state == "done" or (state.error is None and state.fix is None):
        return
    click.echo(f"\n{shown(state.title)}:")
    if state.error is not None:
        click.echo(f"  {shown(state.error)}")
    if state.fix is not None:
        click.echo(f"  -> {as_typed(session, state.fix)}")
