"""The formats by name, and what each offers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from shared.formats import csv, geojson, gpx, json, owntracks
from shared.model.records import Fix


class TrackFormat(Protocol):
    MEDIA_TYPE: str
    EXTENSION: str

    def write(
        self,
        fixes: Iterable[Fix],
        names: Mapping[str, str],
        following: Callable[[], str | None] | None = None,
    ) -> Iterator[bytes]:
        """A complete document of these fixes, in pieces.

        fixes: by device, oldest first within each; taken one at a time, each written before the
        next is taken. names: of the devices by id; one without a name goes by its id.
        following: asked after the last fix for the URL of the next page; formats without a place
        for one never ask.
        """
        ...


FORMATS: Mapping[str, TrackFormat] = MappingProxyType(
    {"csv": csv, "geojson": geojson, "gpx": gpx, "json": json, "owntracks": owntracks}
)
