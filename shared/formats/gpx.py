"""GPX 1.1: one track a device, broken into segments where it was silent.

Speed and course go into Garmin's TrackPointExtension v2 (metres per second, degrees), which most
programs read. GPX has no place for the rest, accuracy and battery among it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from html import escape
from itertools import groupby
from operator import attrgetter

from shared.model.records import Fix
from shared.model.time import format_rfc3339

MEDIA_TYPE = "application/gpx+xml"
EXTENSION = "gpx"

GAP = timedelta(minutes=10)
"""A longer silence ends a segment: nobody knows how the device got from one end to the other."""

_HEAD = b"""<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="Yurt" xmlns="http://www.topografix.com/GPX/1/1"\
 xmlns:gpxtpx="http://www.garmin.com/xmlschemas/TrackPointExtension/v2">
"""

# What XML 1.0 has no way to say (section 2.2), not even as a reference.
_UNSPEAKABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(
    fixes: Iterable[Fix],
    names: Mapping[str, str],
    following: Callable[[], str | None] | None = None,  # noqa: ARG001 - GPX has no place for it
) -> Iterator[bytes]:
    yield _HEAD
    for device, track in groupby(fixes, key=attrgetter("device")):
        yield f"<trk><name>{_text(names.get(device, device))}</name><trkseg>\n".encode()
        last = None
        for fix in track:
            if last is not None and fix.time - last > GAP:
                yield b"</trkseg><trkseg>\n"
            last = fix.time
            yield _point(fix)
        yield b"</trkseg></trk>\n"
    yield b"</gpx>\n"


def _point(fix: Fix) -> bytes:
    # Longitudes are below 180 by GPX's schema, and its decimals have no exponent.
    lon = fix.lon if fix.lon < 180 else -180.0
    inside = f"<time>{format_rfc3339(fix.time)}</time>"
    if fix.altitude is not None:
        inside = f"<ele>{fix.altitude:.2f}</ele>{inside}"
    if fix.speed is not None or fix.course is not None:
        inside += _motion(fix.speed, fix.course)
    return f'<trkpt lat="{fix.lat:.7f}" lon="{lon:.7f}">{inside}</trkpt>\n'.encode()


def _motion(speed: float | None, course: float | None) -> str:
    inside = f"<gpxtpx:speed>{speed:.2f}</gpxtpx:speed>" if speed is not None else ""
    if course is not None:
        inside += f"<gpxtpx:course>{course:.1f}</gpxtpx:course>"
    extension = f"<gpxtpx:TrackPointExtension>{inside}</gpxtpx:TrackPointExtension>"
    return f"<extensions>{extension}</extensions>"


def _text(text: str) -> str:
    return escape(_UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text), quote=False)
