"""`yurt pair`: a credential for a phone or program, and the code its app is set up with."""

import io
import shutil
from typing import TYPE_CHECKING

import click

from infra.cli.addresses import (
    ANY_HOST,
    DEFAULT_PORT,
    base_url,
    lan_address,
    node_base,
    running_node,
    up_command,
)
from infra.cli.session import Session, data_option, json_option, pass_session, print_json
from infra.cli.words import as_typed, in_shell

if TYPE_CHECKING:
    from infra.running import Running
    from shared.commands.answers import Paired
    from shared.model.access import App
    from shared.settings import Settings

_APPS = {"owntracks": "OwnTracks", "overland": "Overland", "other": "another app"}


@click.command(short_help="Connect a phone or a program.")
@click.argument("name")
@click.option(
    "--app",
    type=click.Choice(list(_APPS)),
    help="What the device runs. A new device: owntracks; one that is there: what it was.",
)
@click.option(
    "--url",
    metavar="BASE",
    help="Where the phone reaches this node. Default: $YURT_PUBLIC_BASE, else the address at "
    "which the node runs.",
)
@click.option("--encrypt", is_flag=True, help="Make a new encryption key (OwnTracks only).")
@json_option
@data_option
@pass_session
def pair(
    session: Session, name: str, app: "App | None", url: str | None, encrypt: bool, as_json: bool
) -> None:
    """Connect a phone or a program, or give it a new credential.

    Prints where its app delivers, the credential, and for a phone the link that sets the app up,
    also as a code to scan. Each is shown this once.

    A name that is paired already gets a new credential and stays the same device: nothing that it
    reported is lost, and the old credential works until the new one is first used. (OwnTracks for
    Android drops what it has not delivered yet when its URL changes: let it deliver first.)

    With --encrypt the phone encrypts what it sends with a key of its own, which is made anew.
    Without it a device keeps the key it has. After a change of key, reports that the phone made
    before and has not delivered yet cannot be read any more.

    \b
    Examples:
      yurt pair phone
      yurt pair phone --url https://yurt.example.org
      yurt pair ipad --app overland
      yurt pair phone --encrypt
      yurt pair script --app other
    """
    from shared.commands import pairing

    settings = session.settings()
    running = running_node(settings)
    if url is not None:
        base = pairing.Base(pairing.checked_base(url), asked=True)
    else:
        base = pairing.Base(node_base(settings, running))
    with session.node(create=True) as node:
        paired = pairing.pair(node, name, app, base, encrypt=encrypt)
    if as_json:
        print_json(paired)
        _warn(paired)
        return
    show(paired)
    if paired.setup_link is None and paired.app != "other":
        click.echo(_ways_out(session, settings, running, paired.name))


def _warn(paired: "Paired") -> None:
    if paired.warning is not None:
        click.echo(click.wrap_text(f"\nWarning: {paired.warning}", width=78), err=True)


def show(paired: "Paired") -> None:
    click.echo(f'"{paired.name}" is paired with {_APPS[paired.app]}. Its id is {paired.device}.')
    if paired.renewed:
        click.echo("The old credential works until this one is first used.")
    click.echo()
    click.echo(f"  URL       {paired.url}")
    click.echo(f"  Username  {paired.username}")
    click.echo(f"  Password  {paired.password}")
    if paired.encryption_key is not None:
        click.echo(f"  Key       {paired.encryption_key}   (encrypts what the phone sends)")
    if paired.app != "owntracks":
        click.echo(f"  Token     {paired.token}   (the same, for apps that ask for a token)")
    _warn(paired)
    if paired.setup_link is not None:
        _show_link(paired, paired.setup_link)
    if paired.app == "other":
        click.echo(
            f"\nTry it:\n  curl -u {paired.username}:{paired.password} "
            f"-H 'Content-Type: application/json' \\\n    -d '{_EXAMPLE_REPORT}' \\\n"
            f"    {paired.url}"
        )


def _show_link(paired: "Paired", link: str) -> None:
    from shared.model.address import is_local, is_loopback

    here = is_loopback(paired.url)
    if here:
        click.echo(f"\nFor {_APPS[paired.app]} on this machine itself:\n")
    else:
        click.echo(f"\nInstall {_APPS[paired.app]} on the phone, then scan this with its camera:\n")
    code, width = _code(link)
    for line in code.splitlines():
        click.secho(line, fg="bright_white", bg="black")
    click.echo()
    if width > shutil.get_terminal_size().columns:
        click.echo(f"(The code is {width} columns wide: make the window wider to scan it.)")
    click.echo(f"Or open this link {'there' if here else 'on the phone'}:\n\n{link}")
    if is_local(paired.url):
        click.echo(
            "\nThis address works while the phone is in the same network as the node.\n"
            "Elsewhere the phone keeps its reports and delivers them when it is back."
        )


def _code(link: str) -> tuple[str, int]:
    """A QR code drawn with half blocks, and how many columns it takes."""
    import segno

    code = segno.make_qr(link, error="l", boost_error=False)
    drawing = io.StringIO()
    code.terminal(out=drawing, border=_QUIET, compact=True)
    return drawing.getvalue(), int(code.symbol_size(border=_QUIET)[0])


def _ways_out(session: Session, settings: "Settings", running: "Running | None", name: str) -> str:
    """What to do about a base that no phone can reach."""
    again = f"{as_typed(session, 'yurt pair')} {in_shell(name)}"
    if settings.firestore is not None and "FIRESTORE_EMULATOR_HOST" not in session.environ:
        return f"""
No link and no code are shown, because the phone could not deliver anything.
Name the URL at which your functions are reached, here or with YURT_PUBLIC_BASE:

      {again} --url https://ADDRESS-OF-THE-FUNCTIONS"""
    cloud = "\n  - With a node in the cloud instead of this machine."
    return f"""
No link and no code are shown, because the phone could not deliver anything.
To let the phone in, take one of these ways, then pair it again:

{_on_the_network(session, settings, running, again)}
  - From everywhere, through a tunnel such as Tailscale or cloudflared that
    leads to port {_port(settings, running)} of this machine; give the address it shows you.
      {again} --url https://ADDRESS-OF-THE-TUNNEL
  - From everywhere, under a name of your own that leads here over https.
      {again} --url https://yurt.example.org{cloud if settings.firestore is None else ""}"""


def _on_the_network(
    session: Session, settings: "Settings", running: "Running | None", again: str
) -> str:
    port = _port(settings, running)
    start = up_command(ANY_HOST, port)
    if settings.firestore is not None:
        start = start.replace("yurt up", "yurt up --emulated")
        then = "export the variables that it prints, and pair again"
    else:
        then = "pair again"
    lan = lan_address()
    there = f"\n      (the node is then at {base_url(lan, port)})" if lan else ""
    restart = "stop the node, start it" if running or settings.firestore else "start the node"
    return f"""  - In your own network: {restart} so that others
    reach it, and {then}.
      {as_typed(session, start)}{there}
      {again}"""


def _port(settings: "Settings", running: "Running | None") -> int:
    from urllib.parse import urlsplit

    if running is not None:
        return running.port
    return urlsplit(settings.public_base or "").port or DEFAULT_PORT


_QUIET = 2
"""Modules of white around the code. Four are the standard; two are read by phones and fit."""

_EXAMPLE_REPORT = '{"time": "2026-11-01T12:00:00Z", "lat": 51.5, "lon": -0.12}'
