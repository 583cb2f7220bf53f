"""`location-history.json`, the timeline as Google Maps exports it on an iPhone.

A bare list of segments, as `google_segments` tells. Paths stand at the end, so that time goes back
once; order means nothing here.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from shared.model.steps import File, Step
from shared.sources.google_segments import read_segment
from shared.sources.json_items import Found, Lists, Run, not_known, outline, read_each, steps

NAME = "google_ios"
VERSION = 1
KEEPS = False

_LISTS: Lists = {(): msgspec.json.Decoder(list[Any])}
_SOURCE = {"source": NAME, "source_version": VERSION}


def recognise(path: str, head: bytes) -> bool:  # noqa: ARG001 - the name is in any language
    """Whether it is a list of segments."""
    found = outline(head) if b'"startTime"' in head else None
    if found is None or not found.is_list:
        return False
    names = found.members.get("", set())
    kinds = ("visit", "activity", "timelinePath", "timelineMemory")
    return {"startTime", "endTime"} <= names and not names.isdisjoint(kinds)


def read(file: File, cursor: str | None) -> Iterator[Step]:
    return steps(file.content, cursor, _LISTS, partial(_found, file.now))


def _found(now: datetime, run: Run) -> Found:
    if run.first is None:
        return not_known(run)
    return read_each(run, partial(read_segment, _SOURCE, now))
