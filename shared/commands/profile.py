"""The owner's profile: zone, home region, units."""

import difflib
from typing import Literal
from zoneinfo import available_timezones

from msgspec.structs import replace

from shared.commands.answers import OwnerProfile
from shared.commands.errors import Refused
from shared.model.profile import PROFILE, Profile
from shared.node import Node
from shared.store.changing import change, current

Units = Literal["metric", "imperial"]


def owner_profile(node: Node, machine_zone: str) -> Profile:
    """The saved profile, or one with the zone that this machine is set to."""
    return current(node.store, PROFILE, Profile(zone=machine_zone))


def show_profile(node: Node, machine_zone: str) -> OwnerProfile:
    held = node.store.read(Profile, PROFILE)
    return _answer(held.document if held else Profile(zone=machine_zone), saved=held is not None)


def set_profile(
    node: Node,
    machine_zone: str,
    *,
    zone: str | None = None,
    home_region: str | None = None,
    units: Units | None = None,
) -> OwnerProfile:
    """Saves what is given and keeps the rest. `Refused` for a zone or region nobody knows."""
    changes: dict[str, str] = {}
    if zone is not None:
        changes["zone"] = _zone(zone)
    if home_region is not None:
        changes["home_region"] = _region(home_region)
    if units is not None:
        changes["units"] = units
    begun = Profile(zone=machine_zone)
    profile = change(node.store, PROFILE, begun, lambda kept: replace(kept, **changes))
    return _answer(profile, saved=True)


def _answer(profile: Profile, *, saved: bool) -> OwnerProfile:
    return OwnerProfile(
        zone=profile.zone, home_region=profile.home_region, units=profile.units, saved=saved
    )


def _zone(asked: str) -> str:
    zones = {zone.casefold(): zone for zone in available_timezones() if zone not in _NOT_PLACES}
    wanted = asked.strip().replace(" ", "_").casefold()
    if wanted in zones:
        return zones[wanted]
    cities = {zone.rpartition("/")[2]: zone for zone in sorted(zones, reverse=True)}
    near = [cities[c] for c in difflib.get_close_matches(wanted, cities, n=3, cutoff=0.7)]
    near += difflib.get_close_matches(wanted, zones, n=3, cutoff=0.7)
    names = list(dict.fromkeys(zones[zone] for zone in near))[:4]
    hint = f"did you mean {' or '.join(names)}?" if names else "write it like Europe/London"
    raise Refused(f'there is no time zone "{asked}"; {hint}')


def _region(asked: str) -> str:
    import phonenumbers  # slow to load, and only this needs it

    region = asked.strip().upper()
    if region in phonenumbers.SUPPORTED_REGIONS:
        return region
    hint = "the United Kingdom is GB" if region == "UK" else "write its two letters, such as GB"
    raise Refused(f'there is no region "{asked}"; {hint}')


_NOT_PLACES = frozenset(("localtime", "posixrules", "Factory"))
