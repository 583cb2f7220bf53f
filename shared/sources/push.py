"""What every app that pushes reports has in common: the shape of a source for `ingest`.

An app's module is a `PushSource`: `decode` turns one request into records, `reply` says what the
app needs to hear once they are durable. `decode` never refuses: it tells what it could not read as
faults, and `with_rejects` keeps their bytes, because an app that is told "no" deletes the report or
jams its queue.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from shared.model.ids import content_id, named_id
from shared.model.records import AnyRecord, Fix, Record, Reject
from shared.model.time import EPOCH
from shared.sources.fields import kept

OLDEST = EPOCH + timedelta(days=30 * 365.25)
NEWEST_AHEAD = timedelta(days=1)
"""A report's time must lie between 2000 and a day from now: a phone whose clock was never set says
1970, and one that is ahead would be "the last known position" for as long as it is."""

MOST_PARTS = 100
"""Rejects that one body may leave singly; of one with more, the whole is kept instead."""

REPORT_LIMIT = 64 * 1024
"""Bytes of what one record keeps in `extra`. Apps say some hundred; documents of the store are
bounded."""

_LONGEST_REASON = 200
_LONGEST_NAME = 100
_msgpack = msgspec.msgpack.Encoder()
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Path = tuple[str | int, ...]
"""The way to a value in a JSON body, e.g. `("locations", 3)`."""

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Push:
    """One request of an app, after its credential was accepted.

    body: what was sent; of a request without any, the parameters of its URL but for the credential.
    device: our id of it. key: the passphrase the device encrypts with, if it does.
    earlier_keys: those it had before, newest first: a phone's queue may still hold what it
    encrypted with them. renewing: its newest credential was never used, so the phone may not have
    `key` yet.
    truncated: the body was longer than `ingest` reads; `body` is its beginning.
    """

    body: bytes
    device: str
    received: datetime
    key: bytes | None = None
    earlier_keys: tuple[bytes, ...] = ()
    renewing: bool = False
    user_agent: str = ""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """A value in the body that could not be read. An empty path: the body as a whole."""

    reason: str
    path: Path = ()

    @property
    def where(self) -> str | None:
        """The path as text, e.g. `locations[3]`."""
        return "".join(map(_step, self.path)).removeprefix(".") or None


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    # A member's name may be anything, at any length.
    return f".{step[:_LONGEST_NAME]}" if step else '[""]'


@dataclass(slots=True)
class Decoded:
    """What a request held: records, the raw bytes that they point to by SHA-256, and faults.

    more_faults: how many there are beyond those that are listed. key: the passphrase that opened
    it, if it was encrypted.
    """

    records: list[AnyRecord] = field(default_factory=list)
    raws: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    more_faults: int = 0
    key: bytes | None = None

    def fault(self, reason: str, path: Path = ()) -> None:
        """Adds a fault. Beyond what is told one by one they are only counted: a body of 4 MB may
        hold two million."""
        if len(self.faults) > MOST_PARTS:
            self.more_faults += 1
        else:
            self.faults.append(Fault(reason[:_LONGEST_REASON], path))

    def keep_raw(self, data: bytes) -> str:
        sha256 = content_id(data)
        self.raws[sha256] = data
        return sha256


@dataclass(frozen=True, slots=True)
class Friend:
    """Somebody whose position the owner shares with the reporting device.

    face: a PNG or JPEG picture.
    """

    device: str
    short_name: str
    name: str
    fix: Fix | None = None
    face: bytes | None = None


@dataclass(frozen=True, slots=True)
class Outbox:
    """What waits for the device. commands: in the app's own words.

    nonce: 24 random bytes, fresh for each outbox that is not empty; without them encrypting fails,
    so that no two answers are ever encrypted with the same ones.
    """

    friends: Sequence[Friend] = ()
    commands: Sequence[dict[str, Any]] = ()
    nonce: bytes = b""


class PushSource(Protocol):
    NAME: str
    VERSION: int

    def decode(self, push: Push) -> Decoded: ...

    def reply(self, push: Push, outbox: Outbox, decoded: Decoded, /) -> bytes:
        """The JSON body of the 200 that tells the app its reports are delivered."""
        ...


Read = Callable[[Push, dict[str, Any], Decoded], None]
"""Adds to `Decoded` what one JSON object of the body says; `ValueError` where it cannot be read."""


def read_each(push: Push, items: Iterable[tuple[Path, Any]], read: Read, decoded: Decoded) -> None:
    """Reads values of the body one by one: a bad one becomes a fault and costs no other."""
    for path, value in items:
        if not isinstance(value, dict):
            decoded.fault(f"{type(value).__name__} where a JSON object belongs", path)
            continue
        try:
            before = len(decoded.records)
            read(push, value, decoded)
            if len(push.body) > REPORT_LIMIT and any(map(_too_large, decoded.records[before:])):
                del decoded.records[before:]
                raise ValueError(f"it says more than {REPORT_LIMIT} bytes that no field holds")
        except ValueError as error:
            decoded.fault(str(error), path)


def keep_beside(
    name: str, members: Mapping[str, Any], path: Path, start: int, decoded: Decoded
) -> None:
    """Keeps what stands at `path` beside a list of reports, with the first record of the list.

    start: where the records of the list begin. Where there is none, or no room in it, each member
    becomes a fault of its own.
    """
    told = {member: value for member, value in members.items() if value is not None}
    if told and len(decoded.records) > start:
        record = with_extra(decoded.records[start], name, told)
        if not _too_large(record):
            decoded.records[start] = record
            return
    for member in told:
        decoded.fault("it stands beside reports, and with none of them", (*path, member))


def with_extra(record: R, name: str, members: Mapping[str, Any]) -> R:
    """The record with these members in `extra`, under the name or one like it that is free."""
    while name in record.extra:
        name += "_"
    return replace(record, extra={**record.extra, name: kept(members)})


def _too_large(record: AnyRecord) -> bool:
    # Fields are bounded by their readers: only `extra` grows with what an app says.
    return len(_msgpack.encode(record.extra)) > REPORT_LIMIT


def with_rejects(source: PushSource, push: Push, decoded: Decoded) -> Decoded:
    """The same, with a reject for each fault, so that every byte that said something is kept.

    A body that said nothing at all is a fault too; an empty one (OwnTracks sends it) is not.
    """
    if push.body and not decoded.records and not decoded.faults:
        decoded.fault("there is no report in it")
    count = len(decoded.faults) + decoded.more_faults
    if count > MOST_PARTS:
        first = decoded.faults[0]
        reason = f"{count} parts cannot be read; {first.where}: {first.reason}"
        decoded.faults = [Fault(reason)]
    paths = [fault.path for fault in decoded.faults]
    for fault, part in zip(decoded.faults, _parts(push.body, paths), strict=True):
        record, raw = reject(source, push, fault.reason, part=part, where=fault.where)
        decoded.records.append(record)
        decoded.raws[content_id(raw)] = raw
    return decoded


def _parts(body: bytes, paths: Iterable[Path]) -> Iterator[bytes]:
    """The bytes at each path; of one that leads nowhere (the body was encrypted) the whole body."""
    containers: dict[Path, Any] = {}
    for path in paths:
        part = body
        try:
            for depth, step in enumerate(path):
                at = path[:depth]
                if at not in containers:
                    containers[at] = _container(part, step)
                part = bytes(containers[at][step])
        except (msgspec.DecodeError, UnicodeDecodeError, LookupError, RecursionError):
            part = body
        yield part


def _container(text: bytes, step: str | int) -> dict[str, msgspec.Raw] | list[msgspec.Raw]:
    text = text.removeprefix(BYTE_ORDER_MARK)
    if isinstance(step, str):
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return msgspec.json.decode(text, type=list[msgspec.Raw])


def reject(
    source: PushSource,
    push: Push,
    reason: str,
    *,
    part: bytes | None = None,
    where: str | None = None,
) -> tuple[Reject, bytes]:
    """The reject of a whole body, or of the `part` of it found at `where`, and its raw bytes."""
    raw = push.body if part is None else part
    sha256 = content_id(raw)
    record = Reject(
        id=named_id("reject", push.device, sha256, where or "body"),
        source=source.NAME,
        source_version=source.VERSION,
        raw=sha256,
        where=where,
        reason=reason,
        time=push.received,
        device=push.device,
        size=len(raw),
        truncated=push.truncated,
    )
    return record, raw


def plausible(time: datetime, received: datetime) -> datetime:
    """The time itself; `ValueError` when no running phone can have meant it."""
    if time < OLDEST:
        raise ValueError(f"the time {time:%Y-%m-%d} is before 2000: the phone's clock was not set")
    if time > received and time > received + NEWEST_AHEAD:
        raise ValueError(f"the time {time:%Y-%m-%d} is more than a day in the future")
    return time


def parse_json(body: bytes) -> Any:
    """Any JSON value; `ValueError` saying what is wrong with the text, nesting included.

    A number or character that JSON or the store cannot hold (`NaN`, `1e400`, half of an emoji, a
    byte of another encoding) is text in the result: it must not cost a batch its other points. Of
    members with the same name in one object the last one counts.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _parse_leniently(body, f"not JSON: {error}")


def _parse_leniently(body: bytes, reason: str) -> Any:
    try:
        value = json.loads(
            body.decode("utf-8", "surrogateescape"),
            parse_constant=str,
            parse_float=_finite_or_text,
            parse_int=_finite_or_text,
        )
        return _encodable(value)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    except ValueError as error:
        raise ValueError(reason) from error


def _finite_or_text(digits: str) -> int | float | str:
    try:
        return int(digits)
    except ValueError:
        number = float(digits)
    return number if math.isfinite(number) else digits


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {_encodable(name): _encodable(item) for name, item in value.items()}
    return value
