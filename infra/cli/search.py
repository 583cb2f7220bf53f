"""`yurt search`: what was written and named."""

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
from infra.cli.words import shown, when_text

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from shared.commands.answers import Hit


@click.command(short_help="Search mail, photos, people and places.")
@click.argument("words", nargs=-1, required=True, metavar="WORDS…")
@limit_option(1000)
@json_option
@data_option
@pass_session
def search(session: Session, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List what says all of the WORDS, the newest first.

    Beginnings of words are written insur*, one of several rent OR lease, words in sequence
    '"final notice"', what must not be there 'rent -spam'. from:, subject: and with: look only
    there. Accents and capital letters do not matter.

    \b
    Examples:
      yurt search rent flat
      yurt search from:ada bridge
      yurt search '"final notice" -spam'
    """
    from shared.commands.search import search as find

    with session.node() as node:
        found, zone = find(node, " ".join(words), limit), session.profile(node).tzinfo()
    if as_json:
        print_json(found)
        return
    for hit in found.hits:
        _show(hit, zone)
    if not found.hits:
        click.echo("Nothing says that. Fewer words find more; insur* finds what begins so.")
    elif found.cursor is not None:
        click.echo(f"There may be more: --limit {min(1000, limit * 5)}")


def _show(hit: "Hit", zone: "ZoneInfo") -> None:
    when = when_text(hit.time, zone) if hit.time is not None else "without a time  "
    sender = f"  {shown(hit.sender)}" if hit.sender else ""
    click.echo(f"{when}  {hit.kind}{sender}  {shown(hit.title or '')}".rstrip())
    if hit.text:
        click.echo(f"  {shown(hit.text)}")
