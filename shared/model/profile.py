"""The owner's profile: what texts and readings need to know about the one person."""

from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

PROFILE = "profile"
"""The name of the document in the store."""


class Profile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """zone: IANA name. home_region: ISO 3166 alpha-2, for phone numbers without country code."""

    SHAPE: ClassVar[int] = 1

    zone: str = "UTC"
    home_region: str | None = None
    units: Literal["metric", "imperial"] = "metric"

    def tzinfo(self) -> ZoneInfo:
        return ZoneInfo(self.zone)
