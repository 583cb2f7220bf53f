"""`yurt rejects`: what could not be read, and why."""

import sys
from typing import TYPE_CHECKING

import click

from infra.cli.session import (
    Session,
    data_option,
    json_option,
    limit_option,
    pass_session,
    print_json,
)
from infra.cli.words import as_typed, in_shell, shown, size_text, time_text, when_text

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from shared.commands.answers import Rejected

_MOST = 10_000


@click.command(short_help="See what could not be read, and why.")
@click.argument("id", required=False)
@click.option("--raw", is_flag=True, help="Write the bytes of the reject ID to a file or pipe.")
@click.option("--source", metavar="S", help="Only what this source could not read, such as mbox.")
@limit_option(_MOST)
@json_option
@data_option
@pass_session
def rejects(
    session: Session, id: str | None, raw: bool, source: str | None, limit: int, as_json: bool
) -> None:
    """List what could not be read, the newest first; with ID, say all about one.

    Nothing that arrives is dropped silently: its bytes are kept, or the beginning of them where
    there are many. ID may be the beginning of one.

    \b
    Examples:
      yurt rejects
      yurt rejects --source mbox
      yurt rejects 3fa2
      yurt rejects 3fa2 --raw > reject.bin
    """
    if raw and id is None:
        raise click.UsageError(as_typed(session, "say of which one: yurt rejects ID --raw"))
    if id is None:
        _list(session, source, limit, as_json)
    elif raw:
        _write(session, id)
    else:
        _describe(session, id, as_json)


def _list(session: Session, source: str | None, limit: int, as_json: bool) -> None:
    from shared.commands.rejects import rejects as find

    with session.node() as node:
        found, zone = find(node, source, limit), session.profile(node).tzinfo()
    if as_json:
        print_json(found)
        return
    for reject in found:
        _show(reject, zone)
    if not found:
        of = f' of the source "{source}"' if source is not None else ""
        click.echo(f"There are no rejects{of}: everything could be read.")
        return
    click.echo(f"All about one: {as_typed(session, 'yurt rejects ID')}")
    if len(found) == limit:
        more = min(_MOST, limit * 10)
        click.echo(f"There may be more: {as_typed(session, 'yurt rejects ')}--limit {more}")


def _show(reject: "Rejected", zone: "ZoneInfo") -> None:
    id = reject.id.partition(":")[2][:12] or reject.id
    when = when_text(reject.time, zone)
    click.echo(f"{id}  {when}  {reject.source}  {size_text(reject.size)}")
    place = reject.where or (f"device {reject.device}" if reject.device else None)
    if place is not None:
        click.echo(f"  {shown(place)}")
    click.echo(f"  {shown(reject.reason)}\n")


def _describe(session: Session, id: str, as_json: bool) -> None:
    from shared.commands.rejects import reject

    with session.node() as node:
        found, zone = reject(node, id), session.profile(node).tzinfo()
    if as_json:
        print_json(found)
        return
    facts = {
        "Id": found.id,
        "Reason": found.reason,
        "Where": found.where,
        "Source": found.source,
        "Device": found.device,
        "Arrived": time_text(found.time, zone),
        "Size": size_text(found.size),
        "Kept": _kept(found),
    }
    for name, fact in facts.items():
        if fact is not None:
            click.echo(f"{name:<8}  {shown(fact)}")
    if found.kept:
        raw = f"{as_typed(session, 'yurt rejects')} {in_shell(found.id)} --raw > reject.bin"
        click.echo(f"\nIts bytes: {raw}")


def _kept(reject: "Rejected") -> str:
    if not reject.kept:
        return "nothing"
    return "only the beginning" if reject.truncated else "all of it"


def _write(session: Session, id: str) -> None:
    from shared.commands.errors import Refused
    from shared.commands.rejects import reject_bytes

    if sys.stdout.isatty():
        raise Refused(
            "these bytes come from outside and could command your terminal; send them to a file: "
            f"yurt rejects {in_shell(id)} --raw > reject.bin"
        )
    with session.node() as node:
        raw = reject_bytes(node, id)
    sys.stdout.buffer.write(raw)
