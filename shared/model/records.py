"""The normalised records, and the rules that make every write idempotent and free of order.

A record's id comes from what it is, never from when it arrived. Units are SI: metres, metres per
second, degrees, pascals; levels are 0 to 1. What a source said that has no field here stays in
`extra` under the source's own name and unit.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import Struct

from shared.model.identity import IdentityKey
from shared.model.time import Instant, to_micros

Power = Literal["unplugged", "charging", "full"]
Network = Literal["wifi", "mobile", "offline"]


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every record says of itself besides its facts.

    source, source_version: the module that read it, and that module's `VERSION` then.
    raw: SHA-256 (hex) of the bytes it was made from, where they are kept.
    where: the place inside those bytes, e.g. `locations[3]`.
    asof: when the source said so; of two versions of one record the later wins.
    """

    SHAPE: ClassVar[int] = 1

    source: str
    source_version: int
    raw: str | None = None
    where: str | None = None
    asof: Instant | None = None
    extra: dict[str, Any] = {}


class Fix(Record, frozen=True, kw_only=True, omit_defaults=True, tag="fix"):
    """One position report of one device.

    offset: minutes east of UTC that were local then. accuracy: metres, radius of 68 %.
    course: degrees clockwise from north. pressure: pascals. trigger: what made the app report.
    """

    device: str
    time: Instant
    lat: float
    lon: float
    offset: int | None = None
    accuracy: float | None = None
    altitude: float | None = None
    altitude_accuracy: float | None = None
    speed: float | None = None
    speed_accuracy: float | None = None
    course: float | None = None
    course_accuracy: float | None = None
    battery: float | None = None
    power: Power | None = None
    network: Network | None = None
    wifi: str | None = None
    pressure: float | None = None
    motion: tuple[str, ...] = ()
    trigger: str | None = None

    @property
    def id(self) -> str:
        return f"{self.device}:{to_micros(self.time)}"


class Status(Record, frozen=True, kw_only=True, omit_defaults=True, tag="status"):
    """A sign of life without a position: the device was running at `time`."""

    device: str
    time: Instant
    battery: float | None = None
    power: Power | None = None
    network: Network | None = None
    trigger: str | None = None

    @property
    def id(self) -> str:
        return f"{self.device}:{to_micros(self.time)}"


class Named(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A record that is kept as a document of its own under its id."""

    id: str


class Place(Named, frozen=True, kw_only=True, omit_defaults=True, tag="place"):
    """Somewhere with a name. radius: metres. device: whose list of places it stands in."""

    name: str
    lat: float | None = None
    lon: float | None = None
    radius: float | None = None
    time: Instant | None = None
    device: str | None = None


class Visit(Named, frozen=True, kw_only=True, omit_defaults=True, tag="visit"):
    """A stay. Either end is missing while it is not known."""

    device: str
    time: Instant
    arrival: Instant | None = None
    departure: Instant | None = None
    lat: float
    lon: float
    accuracy: float | None = None
    place: str | None = None


class Event(Named, frozen=True, kw_only=True, omit_defaults=True, tag="event"):
    """Something that happened, at `time` or from `time` to `end`.

    type: `transition` (a place entered or left), `trip`, `steps`, `calendar` …
    """

    type: str
    time: Instant
    end: Instant | None = None
    offset: int | None = None
    title: str | None = None
    device: str | None = None
    place: str | None = None
    lat: float | None = None
    lon: float | None = None
    accuracy: float | None = None


class Person(Named, frozen=True, kw_only=True, omit_defaults=True, tag="person"):
    """What one source says of one person. face: SHA-256 of a picture kept as raw."""

    names: tuple[str, ...] = ()
    keys: tuple[IdentityKey, ...] = ()
    face: str | None = None
    time: Instant | None = None


class Attachment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file in a message. id: SHA-256 of its bytes, which are kept. size: bytes."""

    id: str
    media_type: str
    size: int
    name: str | None = None


class Message(Named, frozen=True, kw_only=True, omit_defaults=True, tag="message"):
    """A mail, a chat line, a text. text: what a person reads, without markup.

    time: missing where the message does not say (it cannot be listed by time then). thread: the id
    of the message that began it, or the service's own id. reply_to: a message's id, whether it has
    arrived or not.
    """

    type: Literal["mail", "chat"] = "mail"
    time: Instant | None = None
    offset: int | None = None
    sender: IdentityKey | None = None
    recipients: tuple[IdentityKey, ...] = ()
    thread: str | None = None
    reply_to: str | None = None
    subject: str | None = None
    text: str | None = None
    labels: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()


class Media(Named, frozen=True, kw_only=True, omit_defaults=True, tag="media"):
    """A photo, a movie, a sound. Its id is the SHA-256 of its bytes. size: bytes.

    width, height: pixels as stored, before `orientation` (as in EXIF, 1 to 8) turns them.
    altitude: metres. duration: seconds. thumbnail: SHA-256 of an upright JPEG, kept as raw.
    motion: where in the bytes the movie of a moving photo is, as `start+size`. people: names as
    its owner wrote them. device: what it was taken with, where it is one of ours.
    """

    media_type: str
    size: int
    time: Instant | None = None
    offset: int | None = None
    name: str | None = None
    device: str | None = None
    lat: float | None = None
    lon: float | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    camera: str | None = None
    altitude: float | None = None
    duration: float | None = None
    caption: str | None = None
    people: tuple[str, ...] = ()
    thumbnail: str | None = None
    motion: str | None = None


class Note(Named, frozen=True, kw_only=True, omit_defaults=True, tag="note"):
    """One half of what an export tells of a media file in two files, met without the other.

    Either what was written beside the media file (time, lat, lon, altitude, caption, people), or
    the media file itself, as it was read alone (media). about: the name of the media file.
    others: the ids of the notes that may hold the other half. `sources.google_photos.completed`
    makes one record of both.
    """

    about: str
    time: Instant | None = None
    lat: float | None = None
    lon: float | None = None
    altitude: float | None = None
    caption: str | None = None
    people: tuple[str, ...] = ()
    media: Media | None = None
    others: tuple[str, ...] = ()


class Reject(Named, frozen=True, kw_only=True, omit_defaults=True, tag="reject"):
    """Bytes that could not be read: kept as raw, with the reason, never silently dropped.

    time: when they last arrived. truncated: the raw bytes are only the beginning.
    """

    reason: str
    time: Instant
    device: str | None = None
    size: int = 0
    truncated: bool = False


Report = Fix | Status
NamedRecord = Place | Visit | Event | Person | Message | Media | Note | Reject
AnyRecord = Report | NamedRecord

NAMED_KINDS: dict[str, type[NamedRecord]] = {
    "place": Place,
    "visit": Visit,
    "event": Event,
    "person": Person,
    "message": Message,
    "media": Media,
    "note": Note,
    "reject": Reject,
}

_canonical = msgspec.json.Encoder(order="deterministic")


def canonical(record: AnyRecord) -> bytes:
    """The record as JSON with sorted members: equal records give equal bytes."""
    return _canonical.encode(record)


def winner(one: NamedRecord, other: NamedRecord) -> NamedRecord:
    """Which of two versions of one record stands.

    A total order over what they say, so any delivery order ends the same: the newer source
    module, then the later `asof`, then (having to choose) the greater bytes.
    """
    return max(one, other, key=_rank)


class Heard(NamedTuple):
    """What a device last said of itself. battery: the newest level that it told."""

    time: datetime
    battery: float | None


def last_heard(reports: Sequence[Report]) -> Heard:
    """From reports of one device, of which there is at least one."""
    newest_first = sorted(reports, key=lambda report: report.time, reverse=True)
    levels = (report.battery for report in newest_first if report.battery is not None)
    return Heard(newest_first[0].time, next(levels, None))


def _rank(record: NamedRecord) -> tuple[int, int, bytes]:
    asof = to_micros(record.asof) if record.asof else -(2**63)
    return record.source_version, asof, canonical(record)
