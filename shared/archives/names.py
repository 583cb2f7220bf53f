"""What members of archives are called, and which archives are parts of one export."""

import re
import unicodedata
from typing import NamedTuple

from shared.archives.members import PATH_LIMIT


class BadName(NamedTuple):
    """Why a member may not be called so."""

    reason: str


def path_of(name: str) -> str | BadName:
    """A member's path as a `Member` has it, or why it is refused.

    Nothing is ever written to where a name points; but what points out of its archive was made to
    do harm, or tells nothing that is true about where the file belongs.
    """
    if len(name.encode("utf-8", "surrogatepass")) > PATH_LIMIT:
        return BadName(f"its path is longer than {PATH_LIMIT} bytes")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        return BadName("its path has characters that no file's name has")
    # Some programs of Windows write its separator, against the format's own words.
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    if name.startswith("/"):
        return BadName("its path is absolute; pack the folder by its relative path")
    if re.match(r"[A-Za-z]:", name):
        return BadName("its path names a drive; pack the folder by its relative path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        return BadName("its path leads out of the archive")
    return "/".join(parts) or BadName("it has no name")


def text_of(name: bytes) -> str:
    """A name whose encoding is not told: nowadays UTF-8, else what the zip format says."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")


# Google's names say when the export was made; then, if there are groups, the group, and the part:
# takeout-20260101T000000Z-001.zip, takeout-20260101T000000Z-3-002.tgz. Its Drive's the same way.
_STAMPED = re.compile(r"(.*\d{8}t\d{6}z)(-\d{1,4}){0,2}")
_COPY = re.compile(r"( ?\(\d{1,3}\)| - copy)$")
_ENDING = re.compile(r"\.(zip|tgz|tar\.gz|tar)$")


def export_of(name: str) -> str:
    """The id of the export that a file of this name belongs to: the same for all its parts.

    name: of the file, without its folder. Google splits exports into archives that are each
    complete; a browser numbers what it loads twice.
    """
    name = unicodedata.normalize("NFC", name).casefold()
    name = _COPY.sub("", _ENDING.sub("", name)).rstrip()
    name = _COPY.sub("", _ENDING.sub("", name)).rstrip()
    stamped = _STAMPED.fullmatch(name)
    return stamped[1] if stamped else name
