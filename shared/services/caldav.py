"""The events of a CalDAV server; see `dav` for how it is asked."""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.model.steps import Step
from shared.services import dav
from shared.services.protocol import Asked
from shared.sources import ics

NAME = "caldav"
VERSION = ics.VERSION

_KIND = dav.Kind(
    name=NAME,
    what="calendar",
    namespace="urn:ietf:params:xml:ns:caldav",
    collection="calendar",
    home="calendar-home-set",
    data="calendar-data",
    multiget="calendar-multiget",
    component="VEVENT",
    read=ics.read,
)


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    return dav.checked(options)


def steps(asked: Asked) -> Iterator[Step]:
    return dav.steps(_KIND, asked)
