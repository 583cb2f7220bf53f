"""What vCards and iCalendar objects have in common besides their grammar: one object of either is
read alone, and what it says that has no field is kept in the same way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from shared.model.profile import Profile
from shared.model.records import NamedRecord
from shared.model.steps import Bad
from shared.sources.contentlines import Line
from shared.sources.mime import from_base64

OBJECT_LIMIT = 8 * 1024 * 1024
"""Bytes of one object, with what is in it in base64."""

LINES_LIMIT = 250_000
"""Lines of one object, folded as they come: more than the largest picture has, and each takes some
memory."""

CUT = "extra_cut"
"""In `extra`: not all of the object is there. No property can be called so."""

_SHOWN = 64 * 1024
_EXTRA = 128 * 1024  # characters; JSON may escape each, and the record has to fit the store
_STRUCTURED = frozenset({"n", "adr", "org", "gender", "clientpidmap"})
_LISTS = frozenset({"categories", "resources"})
_OF_THE_FORM = frozenset({"charset", "encoding", "value"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What is known of an object besides its bytes.

    where: for whoever looks for it. changed: when its keeper says that it did. seen: when it was
    read, for what says nothing of that. place: what tells it from others if it has no UID; without
    one, its content does.
    """

    source: str
    where: str
    profile: Profile
    changed: datetime | None = None
    seen: datetime | None = None
    place: str | None = None


class Read(NamedTuple):
    """The records of one object, and the bytes to keep."""

    records: Sequence[NamedRecord] = ()
    raws: Mapping[str, bytes] = {}
    bad: Sequence[Bad] = ()


def is_too_large(data: bytes) -> bool:
    return len(data) > OBJECT_LIMIT or data.count(b"\n") + data.count(b"\r") > 2 * LINES_LIMIT


def bad_object(data: bytes, keeping: Keeping, reason: str) -> Bad:
    return Bad(keeping.where, reason, data[:_SHOWN], len(data))


def inline(line: Line) -> bytes | None:
    """The bytes that a value is in base64, if it is."""
    if line.encoding in ("b", "base64"):
        return from_base64(line.data())
    kind, comma, data = line.data().strip().partition(b",")
    if comma and kind[:5].lower() == b"data:" and kind.lower().endswith(b";base64"):
        return from_base64(data)
    return None


def entry(line: Line, label: str = "") -> Any:
    """The property as `extra` holds it: a text or a list of texts, and where there are parameters
    an object with the `value` beside them. Of bytes only how many. None if it says nothing."""
    value: Any
    data = inline(line)
    if data is not None:
        value = {"bytes": len(data)}
    elif line.name in _STRUCTURED:
        fields = line.fields()
        value = fields if any(fields) else None
    elif line.name in _LISTS:
        value = line.items() or None
    else:
        value = line.plain() or None
    if value is None:
        return None
    beside: dict[str, Any] = {
        name: values[0] if len(values) == 1 and name != "type" else list(values)
        for name, values in line.parameters.items()
        if values and name not in _OF_THE_FORM
    }
    if label:
        beside["label"] = label
    return {"value": value, **beside} if beside else value


def extra_of(entries: Iterable[tuple[str, Any]], cut: bool = False) -> dict[str, Any]:
    """By property in lower case a list of its entries, as far as they fit a record.

    cut: whether some are missing already.
    """
    kept: dict[str, Any] = {}
    room = _EXTRA
    for name, value in entries:
        size = len(repr(value)) + len(name)
        if size > room:
            cut = True
        elif value is not None:
            room -= size
            kept.setdefault(name, []).append(value)
    return {**kept, CUT: True} if cut else kept
