"""`Timeline.json`, the timeline as an Android phone exports it since 2024.

`{"semanticSegments": [...], "rawSignals": [...], "userLocationProfile": {...}}`, in any order. The
file's name is in the phone's language, so only the content tells. Raw signals are of the last
weeks, segments of all years. Of the profile the places become places; habits (trips, means of
travel) have no time and are kept as they came.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from shared.model.records import Place
from shared.model.steps import File, Step
from shared.sources import google
from shared.sources.google_segments import place_point, read_segment
from shared.sources.google_signals import read_signal
from shared.sources.json_items import (
    Found,
    Lists,
    Run,
    not_known,
    outline,
    read_each,
    steps,
)

NAME = "google_timeline"
VERSION = 1
KEEPS = False

_NAMES = (b"semanticSegments", b"rawSignals", b"userLocationProfile")
_VALUES = msgspec.json.Decoder(list[Any])
_LISTS: Lists = {
    ("semanticSegments",): _VALUES,
    ("rawSignals",): _VALUES,
    ("userLocationProfile", "frequentPlaces"): _VALUES,
}
_SOURCE: dict[str, Any] = {"source": NAME, "source_version": VERSION}
_COMMON = {**_SOURCE, "device": google.ACCOUNT}


def recognise(path: str, head: bytes) -> bool:  # noqa: ARG001 - the name is in any language
    """Whether it is an object with one of the timeline's members."""
    found = outline(head) if any(name in head for name in _NAMES) else None
    names = {name.decode() for name in _NAMES}
    return found is not None and not found.is_list and not names.isdisjoint(found.members)


def read(file: File, cursor: str | None) -> Iterator[Step]:
    return steps(file.content, cursor, _LISTS, partial(_found, file.now))


def _found(now: datetime, run: Run) -> Found:
    if run.first is None:
        return not_known(run)
    if run.path == ("semanticSegments",):
        return read_each(run, partial(read_segment, _SOURCE, now))
    return read_each(run, _place if run.path[0] == "userLocationProfile" else partial(_signal, now))


def _signal(now: datetime, value: Any, _where: str, found: Found) -> None:
    signal = google.members(value)
    found.records.extend(read_signal(signal, {}, _COMMON, now, found.raws))


def _place(value: Any, _where: str, found: Found) -> None:
    said = google.members(value)
    place = said.get("placeId")
    if not isinstance(place, str) or not place:
        raise ValueError("its placeId is missing")
    lat, lon = place_point(said.get("placeLocation"))
    record = Place(
        id=google.place_id(place),
        name=(google.title(said.get("label")) or "").capitalize(),
        lat=lat,
        lon=lon,
        extra=google.without(said, "label", "placeLocation"),
        **_COMMON,
    )
    found.records.append(google.within_limit(record, said, found.raws))
