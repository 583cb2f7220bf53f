"""`yurt import`: files, folders and archives, into this machine's node or another one."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from infra.cli.progress import Progress
from infra.cli.session import (
    STOPPED,
    Session,
    data_option,
    json_option,
    pass_session,
    print_json,
)
from infra.cli.words import (
    as_typed,
    counted_text,
    files_text,
    records_text,
    shown,
    size_text,
    span_text,
    took_text,
    when_text,
)

if TYPE_CHECKING:
    from infra.exports import Export, Input
    from infra.importing import Importing, Look
    from shared.commands.answers import Imported, JobState, Recognised
    from shared.model.profile import Profile
    from shared.node import Node

_AT_ONCE = 0.3
"""Seconds."""


@click.command(name="import", short_help="Read archives, mail, photos, location history.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be imported, and write nothing.")
@click.option("--again", is_flag=True, help="Read again what was read before.")
@click.option("--to", "base", metavar="URL", help="Send it to the node at this address instead.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --to: a file with your token for that node (default: $YURT_TOKEN).",
)
@json_option
@data_option
@pass_session
def import_(
    session: Session,
    paths: tuple[Path, ...],
    dry_run: bool,
    again: bool,
    base: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Read files, folders and archives into your node.

    Yurt knows by its content what a file is: Google Takeout (as it was downloaded, all parts, or
    unpacked), location history from a phone, mail (mbox, Maildir, .eml), photos and movies. What
    nobody reads is counted, what cannot be read is kept and shown by `yurt rejects`.

    Nothing is there twice, however often it is imported; a folder is read again once something in
    it has changed. Ctrl-C pauses, and the same command goes on where it was. It works beside a
    running node and without one.

    With --to the files are sent to another node of yours, which goes on by itself once it has them.

    \b
    Examples:
      yurt import takeout-*.zip
      yurt import --dry-run ~/Mail ~/Pictures
      yurt import Records.json --to https://yurt.example.org --token-file token
    """
    from infra.exports import export_in

    if token_file is not None and base is None:
        raise click.UsageError("--token-file is only for --to; say where to send it: --to URL")
    try:
        with _stoppable():
            with Progress("Looking") as progress:
                export = export_in(paths, progress.look)
            if dry_run:
                _dry_run(export, as_json=as_json)
            elif base is not None:
                from infra.cli.sending import send

                send(session, export, base, token_file, again=again, as_json=as_json)
            else:
                _import(session, export, again=again, as_json=as_json)
    except KeyboardInterrupt:
        click.echo("\nStopped; nothing was under way.", err=True)
        raise SystemExit(STOPPED) from None


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, and so does closing the terminal, but under `nohup`.

    What comes at once counts once: a terminal and a shell send one signal each.
    """
    heard = -_AT_ONCE

    def stop(_: int, __: object) -> None:
        nonlocal heard
        before, heard = heard, time.monotonic()
        if heard - before >= _AT_ONCE:
            raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in signals}
    heeded = [number for number in signals if before[number] is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


# What it would be


def _dry_run(export: "Export", *, as_json: bool) -> None:
    from infra.exports import recognised

    found = []
    for input in export.inputs:
        with Progress(input.path.name) as progress:
            found.append(recognised(input, progress.look))
    if as_json:
        print_json(found)
        return
    for each in found:
        _show_recognised(each)
    if export.unread:
        click.echo(f"Documents that no source reads: {counted_text(export.unread)}")
    if not any(each.sources for each in found):
        click.echo("There is nothing here that Yurt reads. Nothing was written.")
    else:
        click.echo("Nothing was written. To import it, leave --dry-run out.")


def _show_recognised(found: "Recognised") -> None:
    kind = ", an archive" if found.archive else ""
    click.echo(f"{shown(found.path)} ({size_text(found.size)}{kind})")
    if found.sources:
        click.echo(f"  would be read  {files_text(found.sources)}")
    if found.unread:
        click.echo(f"  not read       {counted_text(found.unread)}")
    for problem in found.problems[:10]:
        click.echo(f"  problem        {shown(problem)}")
    if len(found.problems) > 10:
        click.echo(f"  and {len(found.problems) - 10:,} more problems")


# Into the node of this machine


def _import(session: Session, export: "Export", *, again: bool, as_json: bool) -> None:
    _check_place(session, export)
    from infra.importing import importing
    from shared.commands.answers import Imported, JobState

    # What goes wrong is said beside the progress, in more words.
    logging.getLogger("shared.work.engine").setLevel(logging.ERROR)
    began, states, done_now = time.monotonic(), list[JobState](), list[JobState]()
    with session.node(create=True) as node, importing(node) as imports:
        profile = session.profile(node)
        for input in export.inputs:
            state, fresh = _imported(session, node, imports, input, profile, again=again)
            states.append(state)
            done_now += [state] if fresh else []
            if not as_json:
                _show_imported(session, node, state, fresh=fresh)
    found = Imported(
        jobs=tuple(states),
        new=_sum(state.new for state in done_now),
        known=_sum(state.known for state in done_now),
        unread=_sum([export.unread, *(state.unread for state in done_now)]),
        rejects=sum(state.new.get("reject", 0) for state in done_now),
        seconds=time.monotonic() - began,
    )
    if as_json:
        print_json(found)
    elif len(done_now) > 1 or export.unread:
        _show_sum(session, found)
    if any(state.state != "done" for state in states):
        raise SystemExit(1)


def _check_place(session: Session, export: "Export") -> None:
    from shared.commands.errors import Refused

    settings = session.settings()
    if settings.firestore is not None:
        there = settings.public_base or "https://ADDRESS-OF-THE-FUNCTIONS"
        raise Refused(
            "YURT_STORE says that the node is in the cloud, which cannot read files of this "
            f"machine; send them: yurt import PATH --to {there}"
        )
    data = settings.data.resolve()
    for input in export.inputs:
        if input.folder and data.is_relative_to(input.path):
            raise Refused(
                f"your own data in {data} is in {input.path}, and would be imported too; name the "
                "folders beside it"
            )


def _imported(
    session: Session,
    node: "Node",
    imports: "Importing",
    input: "Input",
    profile: "Profile",
    *,
    again: bool,
) -> "tuple[JobState, bool]":
    """What became of it, and whether that is news."""
    from shared.commands.jobs import state_of

    begun = imports.begin(input, profile, again=again)
    fresh = begun.job.state != "done"
    if fresh:
        with Progress(begun.job.title) as progress:
            try:
                for look in imports.driven(begun.id):
                    _draw(progress, look)
            except KeyboardInterrupt:
                _pause(session, imports, begun.id, progress)
    return state_of(begun.id, imports.engine.job(begun.id), node.clock()), fresh


def _draw(progress: Progress, look: "Look", doing: str | None = None) -> None:
    records = sum(look.job.progress.new.values()) + sum(look.job.progress.known.values())
    if look.trouble is not None:
        said = f"tried again and again: {look.trouble}"
    elif look.waits is not None:
        pause = span_text(look.waits.total_seconds())
        said = f"tried again in {pause}: {look.job.last_error}"
    else:
        said = (look.doing or "") if look.here else _AWAY[look.job.lease is not None]
        said = said if said != look.job.title else ""
    verb = doing or ("unpacking" if look.total is None else "reading")
    progress.show(verb, look.done, look.total, records=records, said=said)


_AWAY = {True: "(another process is at it)", False: "(waits until another import is through)"}


def _pause(session: Session, imports: "Importing", id: str, progress: Progress) -> NoReturn:
    try:
        with progress:
            for look in imports.paused(id):
                _draw(progress, look, "pausing")
    except KeyboardInterrupt:
        click.echo("Ended at once. Nothing is lost: the same command goes on.", err=True)
        for output in (sys.stdout, sys.stderr):
            output.flush()
        os._exit(STOPPED)  # what the other thread is at is as good as a power cut: it holds
    job = imports.engine.job(id)
    done, total = job.progress.done, job.progress.total
    far = f"{size_text(done)} of {size_text(total)}" if total >= done > 0 else size_text(done)
    brought = job.progress.new
    error = job.last_error
    waited = f"It waited after an error: {shown(error)}\n" if error is not None else ""
    click.echo(
        f"\n{_HOW[job.state]}: {shown(job.title)}, after {far}"
        f"{f' and {records_text(brought)}' if brought else ''}.\n"
        f"{waited}The same command goes on where it was, and so does:\n"
        f"  {as_typed(session, 'yurt jobs')} resume {id}",
        err=True,
    )
    raise SystemExit(STOPPED)


_HOW = {
    "paused": "Paused",
    "running": "To be paused soon by the process that is at it",
    "ready": "To be paused",
    "done": "Done just before it could be paused",
    "failed": "Failed just before it could be paused",
    "cancelled": "Cancelled meanwhile",
}


# What came of it


def _show_imported(session: Session, node: "Node", state: "JobState", *, fresh: bool) -> None:
    title = shown(state.title)
    if state.state == "done" and not fresh:
        zone = session.profile(node).tzinfo()
        when = when_text(state.changed, zone)
        click.echo(f"{title}: imported before, on {when} (--again reads it again)")
    elif state.state == "done":
        click.echo(f"{title}: done in {took_text(state.seconds)}")
        _show_counts(session, state.new, state.known, state.unread)
    elif state.state == "failed":
        reason = (state.error or "").removeprefix(f"{state.title}: ")
        click.echo(f"{title}: not imported: {shown(reason)}")
        if state.new:
            _show_counts(session, state.new, state.known, state.unread)
    else:
        how = "paused" if state.state == "paused" else "cancelled"
        click.echo(f"{title}: {how} by somebody else. To go on, call the same again.")


def _show_counts(
    session: Session, new: Mapping[str, int], known: Mapping[str, int], unread: Mapping[str, int]
) -> None:
    rejects = new.get("reject", 0) + known.get("reject", 0)
    added = records_text({kind: count for kind, count in new.items() if kind != "reject"})
    there = records_text({kind: count for kind, count in known.items() if kind != "reject"})
    click.echo(f"  new           {added or 'nothing'}")
    if there:
        click.echo(f"  already here  {there}")
    if unread:
        click.echo(f"  not read      {counted_text(unread)} (no source reads these files)")
    if rejects:
        see = as_typed(session, "yurt rejects ").rstrip()
        click.echo(f"  rejects       {rejects:,}, which are kept; to see why: {see}")


def _show_sum(session: Session, found: "Imported") -> None:
    count = len(found.jobs)
    click.echo(
        f"In all, {count:,} {'import' if count == 1 else 'imports'} in {took_text(found.seconds)}"
    )
    _show_counts(session, found.new, found.known, found.unread)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    added = Counter[str]()
    for each in counts:
        added.update(each)
    return dict(added)
