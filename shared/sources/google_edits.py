"""`Timeline Edits.json`: what Google Takeout still has since the timeline moved onto the phones.

`{"timelineEdits": [{"deviceId": "…", "rawSignal": {…}} | {"deviceId": "…", "placeAggregates":
{…}}]}`. A raw signal is a position (a fix), detected activities or a Wi-Fi scan (signs of life of
the device). Place aggregates are the places that counted most in a window of weeks: an event.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from shared.model.ids import named_id
from shared.model.records import Event
from shared.model.steps import File, Step
from shared.sources import google
from shared.sources.google_signals import read_signal
from shared.sources.json_items import Found, Lists, Run, not_known, outline, read_each, steps

NAME = "google_edits"
VERSION = 1
KEEPS = False

_LISTS: Lists = {("timelineEdits",): msgspec.json.Decoder(list[Any])}


def recognise(path: str, head: bytes) -> bool:  # noqa: ARG001 - the name is in any language
    """Whether it is an object with `timelineEdits`."""
    found = outline(head) if b'"timelineEdits"' in head else None
    return found is not None and not found.is_list and "timelineEdits" in found.members


def read(file: File, cursor: str | None) -> Iterator[Step]:
    return steps(file.content, cursor, _LISTS, partial(_found, file.now))


def _found(now: datetime, run: Run) -> Found:
    return not_known(run) if run.first is None else read_each(run, partial(_edit, now))


def _edit(now: datetime, value: Any, _where: str, found: Found) -> None:
    edit = google.members(value)
    device = google.device_id(edit.get("deviceId"))
    common: dict[str, Any] = {"source": NAME, "source_version": VERSION, "device": device}
    beside = google.without(edit, "deviceId", "rawSignal", "placeAggregates")
    if edit.get("rawSignal") is not None:
        raw = google.members(edit["rawSignal"], "rawSignal")
        beside |= google.without(raw, "signal")
        signal = google.members(raw.get("signal"), "signal")
        found.records.extend(read_signal(signal, beside, common, now, found.raws))
    elif edit.get("placeAggregates") is not None:
        said = google.members(edit["placeAggregates"], "placeAggregates")
        window = google.members(said.get("processWindow"), "processWindow")
        start, end = google.span(window.get("startTime"), window.get("endTime"), now)
        event = Event(
            id=named_id("places", device, start, end),
            type="places",
            time=start,
            end=end,
            extra=google.without(said, "processWindow") | beside,
            **common,
        )
        found.records.append(google.within_limit(event, edit, found.raws))
    else:
        raise ValueError("there is neither a rawSignal nor placeAggregates in it")
