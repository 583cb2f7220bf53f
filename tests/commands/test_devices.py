"""Devices, sharing, commands, positions, tokens and the profile, on a node at a fixed time."""

from datetime import timedelta

import pytest

from shared.commands.access import access_of
from shared.commands.devices import device_states, send, share, sharing, unpair
from shared.commands.errors import Failed, Refused
from shared.commands.pairing import Base, pair
from shared.commands.profile import owner_profile, set_profile, show_profile
from shared.commands.tokens import make_token, revoke_token, tokens
from shared.commands.when import parse_when
from shared.commands.where import where
from shared.model.profile import Profile
from shared.model.records import Fix, Status
from shared.node import Node
from tests.commands.conftest import NOW

BASE = Base("https://yurt.example.org", asked=True)


def fix(device: str, hours_ago: float, lat: float = 51.5, battery: float | None = None) -> Fix:
    return Fix(
        source="owntracks",
        source_version=1,
        device=device,
        time=NOW - timedelta(hours=hours_ago),
        lat=lat,
        lon=-0.12,
        accuracy=12.0,
        battery=battery,
    )


def test_a_device_that_never_reported_is_silent_a_day_after_pairing(node: Node) -> None:
    pair(node, "phone", None, BASE)
    (state,) = device_states(node)
    assert (state.last_report, state.age, state.battery, state.silent) == (None, None, None, False)
    node.clock = lambda: NOW + timedelta(days=1)
    (state,) = device_states(node)
    assert state.silent


def test_the_last_report_is_the_newer_of_fix_and_sign_of_life(node: Node) -> None:
    phone = pair(node, "phone", None, BASE).device
    alive = Status(
        source="owntracks", source_version=1, device=phone, time=NOW - timedelta(hours=1)
    )
    node.store.put([fix(phone, 2, battery=0.54), alive])
    (state,) = device_states(node)
    assert (state.last_report, state.age) == (alive.time, 3600)
    assert (state.battery, state.silent) == (0.54, False)


def test_unpairing_shuts_out_at_once_and_keeps_what_was_reported(node: Node) -> None:
    phone, tablet = (pair(node, name, None, BASE) for name in ("phone", "tablet"))
    node.store.put([fix(phone.device, 1)])
    share(node, "tablet", ["phone"])
    send(node, "phone", "reportLocation")
    assert node.keyring.device(phone.token) is not None

    assert unpair(node, "Phone").device == phone.device
    assert node.keyring.device(phone.token) is None
    assert node.keyring.device(tablet.token) is not None
    assert [(state.name, state.paired) for state in device_states(node)] == [
        ("phone", False),
        ("tablet", True),
    ]
    assert sharing(node, "tablet").sees == ()
    assert access_of(node).devices[phone.device].commands == ()
    assert where(node).device == phone.device


def test_a_device_that_is_paired_again_is_shown_nobody(node: Node) -> None:
    for name in ("phone", "tablet"):
        pair(node, name, None, BASE)
    assert share(node, "phone", ["tablet"]).sees
    unpair(node, "phone")
    assert access_of(node).device_named("phone") is not None
    pair(node, "phone", None, BASE)
    assert sharing(node, "phone").sees == ()


def test_sharing_names_all_that_a_device_may_see(node: Node) -> None:
    ids = {name: pair(node, name, None, BASE).device for name in ("phone", "tablet", "watch")}
    assert share(node, "phone", ["tablet", "watch", "tablet"]).sees == (ids["tablet"], ids["watch"])
    assert share(node, "phone", ["watch"]).sees == (ids["watch"],)
    assert sharing(node, "phone").sees == (ids["watch"],)
    assert share(node, "phone", []).sees == ()


def test_commands_wait_once_each(node: Node) -> None:
    pair(node, "phone", None, BASE)
    send(node, "phone", "reportlocation")
    assert send(node, "phone", "reportLocation").waiting == ("reportLocation",)
    assert send(node, "phone", "dump").waiting == ("reportLocation", "dump")
    (device,) = access_of(node).devices.values()
    assert device.commands[0] == {"_type": "cmd", "action": "reportLocation"}


def test_what_only_owntracks_can_do_is_refused_for_others(node: Node) -> None:
    pair(node, "ipad", "overland", BASE)
    pair(node, "phone", None, BASE)
    unpair(node, "phone")
    for name in ("ipad", "phone", "nobody"):
        with pytest.raises(Refused):
            send(node, name, "dump")
        with pytest.raises(Refused):
            share(node, name, ["ipad"])


def test_a_device_is_not_shown_itself_nor_told_nonsense(node: Node) -> None:
    pair(node, "phone", None, BASE)
    with pytest.raises(Refused, match="itself"):
        share(node, "phone", ["phone"])
    with pytest.raises(Refused, match="knows no command"):
        send(node, "phone", "format")


def test_where_is_the_newest_at_or_before_the_moment(node: Node) -> None:
    profile = Profile(zone="Europe/London")
    phone, tablet = (pair(node, name, None, BASE).device for name in ("phone", "tablet"))
    node.store.put(
        [fix(phone, 0, 1.0), fix(phone, 3, 2.0), fix(tablet, 2, 3.0), fix(phone, 30, 4.0)]
    )

    def at(words: str, device: str | None = None) -> tuple[float, float]:
        found = where(node, parse_when(words, NOW, profile), device)
        return found.lat, found.age

    assert where(node).lat == 1.0
    assert at("now") == (1.0, 0)
    assert at("today") == (1.0, 0)
    assert at("13:30", "phone") == (2.0, 0)
    assert at("13:29:59", "phone") == (4.0, 27 * 3600 - 1)
    assert at("1 hour ago") == (3.0, 3600)
    assert at("1 hour ago", "phone") == (2.0, 2 * 3600)
    assert at("yesterday") == (4.0, 13.5 * 3600)


def test_where_nobody_knows(node: Node) -> None:
    with pytest.raises(Failed, match="no device is paired"):
        where(node)
    pair(node, "phone", None, BASE)
    with pytest.raises(Failed, match="of phone is known yet"):
        where(node, device="phone")
    with pytest.raises(Refused, match="there is: phone"):
        where(node, device="tablet")


def test_tokens_read_until_revoked(node: Node) -> None:
    made = make_token(node, "laptop")
    assert node.keyring.owner(made.token) is not None
    assert [info.name for info in tokens(node)] == ["laptop"]
    with pytest.raises(Refused, match="--revoke"):
        make_token(node, "laptop")
    revoke_token(node, "laptop")
    assert node.keyring.owner(made.token) is None
    with pytest.raises(Refused, match="no token"):
        revoke_token(node, "laptop")


def test_the_profile_begins_with_the_machines_zone_and_keeps_what_is_not_set(node: Node) -> None:
    assert not show_profile(node, "Europe/Paris").saved
    assert owner_profile(node, "Europe/Paris").zone == "Europe/Paris"
    set_profile(node, "Europe/Paris", units="imperial")
    set_profile(node, "Asia/Tokyo", home_region="fr")
    answer = show_profile(node, "Asia/Tokyo")
    assert (answer.zone, answer.home_region, answer.units) == ("Europe/Paris", "FR", "imperial")
    assert answer.saved


def test_what_the_machine_is_set_to_can_be_saved(node: Node) -> None:
    assert set_profile(node, "Europe/Paris", zone="Europe/Paris").saved
    assert owner_profile(node, "Asia/Tokyo").zone == "Europe/Paris"


@pytest.mark.parametrize(
    ("typed", "zone"),
    [("Europe/London", "Europe/London"), ("america/new york", "America/New_York"), ("utc", "UTC")],
)
def test_zones_as_typed(node: Node, typed: str, zone: str) -> None:
    assert set_profile(node, "UTC", zone=typed).zone == zone


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("london", "Europe/London"),
        ("Europe/Lodnon", "Europe/London"),
        ("new york", "America/New_York"),
        ("../../etc/passwd", "write it like"),
        ("", "write it like"),
    ],
)
def test_unknown_zones_are_refused_with_near_ones(node: Node, typed: str, hint: str) -> None:
    with pytest.raises(Refused, match=hint):
        set_profile(node, "UTC", zone=typed)


def test_unknown_regions_are_refused(node: Node) -> None:
    with pytest.raises(Refused, match="is GB"):
        set_profile(node, "UTC", home_region="UK")
    with pytest.raises(Refused, match="two letters"):
        set_profile(node, "UTC", home_region="England")
