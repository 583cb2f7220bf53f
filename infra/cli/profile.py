"""`yurt profile`: zone, home region, units."""

from typing import TYPE_CHECKING

import click

from infra.cli.session import Session, data_option, json_option, pass_session, print_json

if TYPE_CHECKING:
    from shared.commands.profile import Units


@click.command(short_help="Show or set your time zone, region and units.")
@click.option("--zone", metavar="ZONE", help="Your time zone, such as Europe/London.")
@click.option("--home-region", metavar="XX", help="Where you live, two letters, such as GB.")
@click.option("--units", type=click.Choice(["metric", "imperial"]), help="Metres or feet.")
@json_option
@data_option
@pass_session
def profile(
    session: Session,
    zone: str | None,
    home_region: str | None,
    units: "Units | None",
    as_json: bool,
) -> None:
    """Show or set what Yurt knows about you.

    The time zone gives words such as "yesterday 15:00" their meaning; the first `yurt up` saves the
    one this machine is set to. The home region tells how dates such as 01/11/2026 and telephone
    numbers without a country code are meant.

    \b
    Examples:
      yurt profile
      yurt profile --zone America/New_York --units imperial
      yurt profile --home-region US
    """
    from shared.commands.profile import set_profile, show_profile

    machine_zone = session.machine_zone()
    if zone is None and home_region is None and units is None:
        with session.node() as node:
            answer = show_profile(node, machine_zone)
    else:
        with session.node(create=True) as node:
            answer = set_profile(
                node, machine_zone, zone=zone, home_region=home_region, units=units
            )
    if as_json:
        print_json(answer)
        return
    click.echo(f"Time zone    {answer.zone}{'' if answer.saved else '  (of this machine)'}")
    click.echo(f"Home region  {answer.home_region or 'not set'}")
    click.echo(f"Units        {answer.units}")
