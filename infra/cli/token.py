"""`yurt token`: the owner's credentials for the API."""

import click

from infra.cli.addresses import node_base, running_node
from infra.cli.session import Session, data_option, json_option, pass_session, print_json
from infra.cli.words import as_typed, in_shell, table


@click.command(short_help="Make, list or revoke your credentials for the API.")
@click.argument("name", required=False)
@click.option("--revoke", is_flag=True, help="Make the token NAME worthless.")
@json_option
@data_option
@pass_session
def token(session: Session, name: str | None, revoke: bool, as_json: bool) -> None:
    """Make, list or revoke credentials for your own programs, over HTTP.

    Each reads everything, and may send what is to be imported (yurt import --to).

    With NAME, makes one and prints it this once. Without, lists those there are. Give each program
    a token of its own, so that one can be revoked without the others.

    \b
    Examples:
      yurt token laptop
      yurt token
      yurt token laptop --revoke
    """
    if name is None:
        if revoke:
            raise click.UsageError(as_typed(session, "say which one: yurt token NAME --revoke"))
        _list(session, as_json)
    elif revoke:
        _revoke(session, name, as_json)
    else:
        _make(session, name, as_json)


def _list(session: Session, as_json: bool) -> None:
    from shared.commands.tokens import tokens

    with session.node() as node:
        held, zone = tokens(node), session.profile(node).tzinfo()
    if as_json:
        print_json(held)
    elif held:
        rows = [(info.name, f"{info.created.astimezone(zone):%Y-%m-%d %H:%M}") for info in held]
        click.echo(table(("NAME", "MADE"), rows))
    else:
        click.echo(as_typed(session, "There is no token yet. Make one: yurt token laptop"))


def _make(session: Session, name: str, as_json: bool) -> None:
    from shared.commands.tokens import make_token

    with session.node(create=True) as node:
        made = make_token(node, name)
    if as_json:
        print_json(made)
        return
    settings = session.settings()
    base = node_base(settings, running_node(settings))
    click.echo(f"{made.token}\n")
    click.echo(
        f'This is the token "{made.name}". It reads everything, may send imports, and is shown '
        "this once. Try:"
    )
    click.echo(f"  curl -H 'Authorization: Bearer {made.token}' \\\n    {base}/query/loc")
    revoke = as_typed(session, "yurt token")
    click.echo(f"To make it worthless: {revoke} {in_shell(made.name)} --revoke")


def _revoke(session: Session, name: str, as_json: bool) -> None:
    from shared.commands.tokens import revoke_token

    with session.node() as node:
        revoked = revoke_token(node, name)
    if as_json:
        print_json(revoked)
    else:
        click.echo(f'The token "{revoked.name}" is worthless now.')
