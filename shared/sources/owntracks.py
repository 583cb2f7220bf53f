"""OwnTracks in HTTP mode: one message a request, plain or encrypted.

Facts are from the OwnTracks booklet (JSON, HTTP mode, payload encryption) and the apps' code.
Units there: speed in km/h, pressure in kPa, battery in percent. What other apps send in this form
is read by the same rules, although GPSLogger's templates in the wild put m/s under `vel`: nothing
in the message tells, so what the format documents holds.

What is delivered twice is stored once, with one exception: a sign of life that says neither `tst`
nor `created_at` is of the time it arrived, and so of another time when it arrives again.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from shared.model.identity import device_key
from shared.model.ids import content_id, named_id
from shared.model.records import Event, Fix, Media, Person, Place, Power, Status
from shared.model.time import EPOCH, from_epoch, to_micros
from shared.model.units import from_kilometres_per_hour, from_kilopascals
from shared.sources.fields import (
    Rules,
    charging,
    course,
    kept,
    not_negative,
    number,
    one_of,
    percentage,
    position,
    read_fields,
    required_number,
    text,
    texts,
    unless_negative,
)
from shared.sources.push import (
    Decoded,
    Friend,
    Outbox,
    Path,
    Push,
    Read,
    keep_beside,
    parse_json,
    plausible,
    read_each,
    with_extra,
)

if TYPE_CHECKING:
    from nacl.secret import SecretBox

NAME = "owntracks"
VERSION = 1

# Seconds from 1970 to Apple's epoch, 2001-01-01.
_APPLE_EPOCH = 978_307_200
_KEY_BYTES = 32
# Apps send one message or an array of them. An array in an array still is no accident of ours.
_DEEPEST_ARRAY = 2


def decode(push: Push) -> Decoded:
    """The records of one message, or of a JSON array of them."""
    decoded = Decoded()
    # iOS sends an empty body when a friend was deleted: nothing is said.
    if push.body:
        _read_text(push, push.body, decoded)
    return decoded


def reply(push: Push, outbox: Outbox, decoded: Decoded) -> bytes:
    """Friends' cards and positions, then commands: a JSON array, encrypted if the device does."""
    messages = [message for friend in outbox.friends for message in _about(friend)]
    messages += outbox.commands
    if not messages:
        return b"[]"
    plain = msgspec.json.encode(messages)
    # A phone that was not set up anew yet has the key it encrypts with. Later on, an earlier key
    # only says that the report waited long in its queue.
    key = decoded.key if push.renewing and decoded.key is not None else push.key
    if key is None:
        return plain
    sealed = _secret_box(key).encrypt(plain, outbox.nonce)
    return msgspec.json.encode(
        {"_type": "encrypted", "data": base64.b64encode(sealed).decode("ascii")}
    )


def _about(friend: Friend) -> Iterator[dict[str, Any]]:
    # The apps tell friends apart by topic, and show the tid where there is no card.
    who = {"tid": friend.short_name, "topic": f"owntracks/{friend.device}/{friend.device}"}
    card = {"_type": "card", "name": friend.name, **who}
    if friend.face is not None:
        card["face"] = base64.b64encode(friend.face).decode("ascii")
    yield card
    fix = friend.fix
    if fix is not None:
        location = {"_type": "location", "lat": fix.lat, "lon": fix.lon, **who}
        location["tst"] = to_micros(fix.time) // 1_000_000
        if fix.accuracy is not None:
            location["acc"] = round(fix.accuracy)
        yield location


def _read_text(push: Push, body: bytes, decoded: Decoded) -> None:
    try:
        value = parse_json(body)
    except ValueError as error:
        decoded.fault(str(error))
        return
    lists: list[tuple[Path, dict[str, Any]]] = []
    read_each(push, _messages(value, (), lists), _message, decoded)
    for path, message in lists:
        _waypoints(push, message, path, decoded)


def _messages(
    value: Any, path: Path, lists: list[tuple[Path, dict[str, Any]]]
) -> Iterator[tuple[Path, Any]]:
    """The messages with their places in the body. Lists of waypoints are put aside."""
    if isinstance(value, list) and (not path or (value and len(path) < _DEEPEST_ARRAY)):
        for index, item in enumerate(value):
            if type(item) is dict or type(item) is list:
                yield from _messages(item, (*path, index), lists)
            else:
                yield (*path, index), item
    elif isinstance(value, dict) and value.get("_type") == "waypoints":
        lists.append((path, value))
    else:
        yield path, value


def _waypoints(push: Push, message: dict[str, Any], path: Path, decoded: Decoded) -> None:
    listed = message.get("waypoints")
    if not isinstance(listed, list) or not listed:
        decoded.fault("its waypoints are no list, or none", path)
        return
    start = len(decoded.records)
    items = (
        ((*path, "waypoints", index), {"_type": "waypoint", **item} if type(item) is dict else item)
        for index, item in enumerate(listed)
    )
    read_each(push, items, _message, decoded)
    beside = {name: value for name, value in message.items() if name not in _OF_A_LIST}
    keep_beside("waypoints", beside, path, start, decoded)


def _message(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    kind = message.pop("_type", None)
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise ValueError("its _type is none that a phone reports with")
    read(push, message, decoded)


def _encrypted(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    """Reads what is inside. What of it cannot be read has no bytes of its own in the body: then the
    envelope is kept as a whole."""
    text, decoded.key = _opened(push, message.pop("data", None))
    inside = Decoded(raws=decoded.raws)
    _read_text(push, text, inside)
    if message and inside.records and not inside.faults:
        inside.records[0] = with_extra(inside.records[0], "encrypted", message)
    decoded.records += inside.records
    if inside.faults:
        first, count = inside.faults[0], len(inside.faults) + inside.more_faults
        number = f"{count} parts cannot be read; " if count > 1 else ""
        raise ValueError(f"{number}{f'{first.where}: ' if first.where else ''}{first.reason}")
    if not inside.records:
        raise ValueError("there is no report in it")


def _opened(push: Push, data: Any) -> tuple[bytes, bytes]:
    """The text inside, and the passphrase that opened it."""
    from nacl.exceptions import CryptoError

    keys = [key for key in (push.key, *push.earlier_keys) if key is not None]
    if not keys:
        raise ValueError("encrypted, and this device has no key here; pair it again with its key")
    refused: Exception | None = None
    for key in keys:
        try:
            return _secret_box(key).decrypt(_from_base64(data)), key
        except (CryptoError, ValueError) as error:
            refused = error
    raise ValueError("it cannot be decrypted with this device's key") from refused


def _secret_box(passphrase: bytes) -> "SecretBox":
    from nacl.secret import SecretBox  # loaded only where a device encrypts

    # The apps take the passphrase itself as key, without deriving one.
    return SecretBox(passphrase[:_KEY_BYTES].ljust(_KEY_BYTES, b"\0"))


def _location(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    lat, lon = message.pop("lat", None), message.pop("lon", None)
    if lat is None and lon is None:
        _sign_of_life(push, message, decoded)
        return
    lat, lon = position(lat, lon)
    # Overland's OwnTracks mode counts from 2001. It is told from OwnTracks by the missing tid.
    apple = "tid" not in message and "Overland" in push.user_agent
    time = _time(push, message.pop("tst", None), _APPLE_EPOCH if apple else 0)
    fields, extra = read_fields(message, _FIX)
    if "image" in extra:
        _keep_image(push, time, lat, lon, extra, decoded)
    decoded.records.append(
        Fix(
            source=NAME,
            source_version=VERSION,
            device=push.device,
            time=time,
            lat=lat,
            lon=lon,
            extra=extra,
            **fields,
        )
    )


def _sign_of_life(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    time = _time_of_life(push, message.pop("tst", None), message.get("created_at"))
    fields, extra = read_fields(message, _STATUS)
    decoded.records.append(
        Status(
            source=NAME,
            source_version=VERSION,
            device=push.device,
            time=time,
            extra=extra,
            **fields,
        )
    )


def _time_of_life(push: Push, tst: Any, created: Any) -> datetime:
    if tst is not None:
        return _time(push, tst)
    try:
        return _time(push, created)
    except ValueError:
        return push.received


def _status(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    _sign_of_life(push, {"t": "status", **message}, decoded)


def _last_will(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    _sign_of_life(push, {"t": "lwt", **message}, decoded)


def _transition(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    time = _time(push, message.pop("tst", None))
    place = _place_id(push, message.get("wtst"), message.get("rid"))
    lat, lon = _optional_position(message)
    fields, extra = read_fields(message, _EVENT)
    parts = place or fields.get("title", ""), str(extra.get("event", ""))
    decoded.records.append(
        Event(
            id=named_id("transition", push.device, time, *parts),
            source=NAME,
            source_version=VERSION,
            type="transition",
            device=push.device,
            time=time,
            place=place,
            lat=lat,
            lon=lon,
            extra=extra,
            **fields,
        )
    )


def _waypoint(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    tst, rid = message.get("tst"), message.get("rid")
    id = _place_id(push, tst, rid)
    if id is None:
        raise ValueError("a waypoint has a tst or a rid, by which transitions point to it")
    lat, lon = _optional_position(message)
    fields, extra = read_fields(message, _PLACE)
    # A place known by its region alone does not say when it was made: records are listed by time.
    fields.setdefault("time", push.received)
    decoded.records.append(
        Place(
            id=id,
            source=NAME,
            source_version=VERSION,
            # tst is when it was made, and stays so: the phone gives an edit no time of its own, so
            # of two versions the one that came last stands.
            asof=push.received,
            name=fields.pop("name", ""),
            device=push.device,
            lat=lat,
            lon=lon,
            extra=extra,
            **fields,
        )
    )


def _place_id(push: Push, made: Any, region: Any) -> str | None:
    # A transition names its waypoint by the time it was made (wtst), newer apps also by region.
    try:
        time = from_epoch(required_number("tst", made))
    except ValueError:
        time = EPOCH
    if time > EPOCH:
        return named_id("place", push.device, time)
    if isinstance(region, str) and region:
        return named_id("place", push.device, "region", region)
    return None


def _card(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    face = message.get("face")
    fields, extra = read_fields(message, _PERSON)
    if face:
        try:
            fields["face"] = decoded.keep_raw(_from_base64(face))
            del extra["face"]
        except ValueError:
            extra["face"] = face
    decoded.records.append(
        Person(
            id=named_id("person", push.device),
            source=NAME,
            source_version=VERSION,
            asof=push.received,
            time=push.received,
            keys=(device_key(push.device),),
            extra=extra,
            **fields,
        )
    )


def _steps(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    said, start, end = (message.pop(name, None) for name in ("tst", "from", "to"))
    asof = None if said is None else _time(push, said)
    time = _time(push, said if start is None else start)
    until = None if end is None else _time(push, end)
    decoded.records.append(
        Event(
            id=named_id("steps", push.device, time, until or ""),
            source=NAME,
            source_version=VERSION,
            type="steps",
            device=push.device,
            time=time,
            end=until,
            asof=asof,
            extra=read_fields(message, {})[1],
        )
    )


def _beacon(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    time = _time(push, message.pop("tst", None))
    beacon = (str(message.get(name, "")) for name in ("uuid", "major", "minor"))
    fields, extra = read_fields(message, _EVENT)
    decoded.records.append(
        Event(
            id=named_id("beacon", push.device, time, *beacon),
            source=NAME,
            source_version=VERSION,
            type="beacon",
            device=push.device,
            time=time,
            extra=extra,
            **fields,
        )
    )


def _configuration(push: Push, message: dict[str, Any], decoded: Decoded) -> None:
    settings = kept(_without_secrets(message))
    exact = msgspec.json.encode(settings, order="deterministic")
    decoded.records.append(
        Event(
            id=named_id("configuration", push.device, content_id(exact)),
            source=NAME,
            source_version=VERSION,
            type="configuration",
            device=push.device,
            time=push.received,
            asof=push.received,
            extra=settings,
        )
    )


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {
            name: _without_secrets(item) for name, item in value.items() if not _SECRET.search(name)
        }
    return value


# `url` may carry user, password or token; the headers may carry any credential.
_SECRET = re.compile("pass|key|secret|token|auth|header|credential|pkcs|cert|url", re.IGNORECASE)


def _keep_image(
    push: Push,
    time: datetime,
    lat: float,
    lon: float,
    extra: dict[str, Any],
    decoded: Decoded,
) -> None:
    try:
        image = _from_base64(extra["image"])
    except ValueError:
        return
    name = extra.get("imagename")
    extra["image"] = decoded.keep_raw(image)
    decoded.records.append(
        Media(
            id=extra["image"],
            source=NAME,
            source_version=VERSION,
            raw=extra["image"],
            media_type=_media_type(image),
            size=len(image),
            time=time,
            name=name if isinstance(name, str) else None,
            device=push.device,
            lat=lat,
            lon=lon,
        )
    )


def _media_type(image: bytes) -> str:
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if image.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "application/octet-stream"


def _from_base64(value: Any) -> bytes:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text in base64")
    return base64.b64decode("".join(value.split()), validate=True)


def _time(push: Push, value: Any, epoch: int = 0) -> datetime:
    seconds = required_number("tst", value)
    return plausible(from_epoch(seconds + epoch), push.received)


def _optional_position(message: dict[str, Any]) -> tuple[float, float] | tuple[None, None]:
    lat, lon = message.pop("lat", None), message.pop("lon", None)
    return (None, None) if lat is None and lon is None else position(lat, lon)


def _speed(value: Any) -> float | None:
    speed = unless_negative(value)
    return None if speed is None else from_kilometres_per_hour(speed)


def _pressure(value: Any) -> float | None:
    pressure = not_negative(value)
    return None if pressure is None else from_kilopascals(pressure)


def _power(value: Any) -> Power | None:
    """1 unplugged, 2 charging, 3 full; GPSLogger's templates say true or false instead."""
    if isinstance(value, str | bool) and str(value).lower() in ("true", "false"):
        return charging(value)
    state = number(value)
    if state is None:
        return None
    if state not in _POWERS:
        raise ValueError("none of the four battery states")
    return _POWERS[state]


def _name(value: Any) -> tuple[str, ...] | None:
    name = text(value)
    return None if name is None else (name,)


def _creation(value: Any) -> datetime | None:
    made = from_epoch(required_number("tst", value))
    return made if made > EPOCH else None


_OF_A_LIST = ("_type", "waypoints")
_POWERS: Mapping[float, Power | None] = {0: None, 1: "unplugged", 2: "charging", 3: "full"}

_STATUS: Rules = {
    "batt": ("battery", percentage),
    "bs": ("power", _power),
    "conn": ("network", one_of({"w": "wifi", "o": "offline", "m": "mobile"})),
    "t": ("trigger", text),
}
_FIX: Rules = {
    **_STATUS,
    "acc": ("accuracy", not_negative),
    "alt": ("altitude", number),
    "vac": ("altitude_accuracy", unless_negative),
    "vel": ("speed", _speed),
    "cog": ("course", course),
    "p": ("pressure", _pressure),
    "SSID": ("wifi", text),
    "motionactivities": ("motion", texts),
}
_EVENT: Rules = {"acc": ("accuracy", not_negative), "desc": ("title", text)}
_PLACE: Rules = {
    "desc": ("name", text),
    "rad": ("radius", not_negative),
    "tst": ("time", _creation),
}
_PERSON: Rules = {"name": ("names", _name)}

_READERS: Mapping[str, Read] = {
    "location": _location,
    "encrypted": _encrypted,
    "transition": _transition,
    "waypoint": _waypoint,
    "card": _card,
    "status": _status,
    "lwt": _last_will,
    "steps": _steps,
    "beacon": _beacon,
    "dump": _configuration,
    "configuration": _configuration,
}
