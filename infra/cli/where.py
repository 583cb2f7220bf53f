"""`yurt where`: the newest position known at a moment."""

from typing import TYPE_CHECKING

import click

from infra.cli.session import Session, data_option, json_option, pass_session, print_json
from infra.cli.words import age_text, length_text, span_text, time_text

if TYPE_CHECKING:
    from shared.commands.answers import Location
    from shared.commands.when import When
    from shared.model.profile import Profile


@click.command(short_help="Ask where you were.")
@click.argument("when", nargs=-1, metavar="[WHEN]…")
@click.option("--device", metavar="NAME", help="This device only; otherwise the newest of all.")
@json_option
@data_option
@pass_session
def where(session: Session, when: tuple[str, ...], device: str | None, as_json: bool) -> None:
    """Say where you were: the newest position known at that time or before.

    Without WHEN, the last that is known. WHEN is in words, in your time zone (yurt profile); a day
    without a time means the end of that day.

    \b
    Examples:
      yurt where
      yurt where yesterday 15:00
      yurt where last friday noon
      yurt where 3 hours ago
      yurt where 2026-11-01 --device phone
      yurt where 2026-11-01T14:30:00+01:00
    """
    from shared.commands.when import parse_when
    from shared.commands.where import where as find

    with session.node() as node:
        profile = session.profile(node)
        asked = parse_when(" ".join(when), session.clock(), profile) if when else None
        found = find(node, asked, device)
    if as_json:
        print_json(found)
    else:
        _show(found, asked, profile)


def _show(found: "Location", asked: "When | None", profile: "Profile") -> None:
    zone, units = profile.tzinfo(), profile.units
    within = f", within {length_text(found.accuracy, units)}" if found.accuracy is not None else ""
    was = "was" if asked else "was last"
    click.echo(f"{found.name} {was} at {found.lat:.5f}, {found.lon:.5f}{within}.")
    if asked is None:
        click.echo(f"Reported {time_text(found.time, zone)}, {_age(found.age)}.")
    else:
        click.echo(f"Reported {time_text(found.time, zone)}.")
        click.echo(f"That is {_lead(found.age)} {time_text(found.asked, zone)}.")
    if found.battery is not None:
        click.echo(f"Its battery was at {found.battery:.0%}.")
    click.echo(f"Map: https://www.openstreetmap.org/?mlat={found.lat:.5f}&mlon={found.lon:.5f}")


def _age(seconds: float) -> str:
    if seconds < 0:
        return f"{span_text(-seconds)} ahead of this machine's clock"
    return age_text(seconds)


def _lead(seconds: float) -> str:
    return f"{span_text(seconds)} before" if seconds >= 1 else "exactly"
