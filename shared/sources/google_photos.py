"""Google Photos in a Takeout: what it tells of each photo and movie in a JSON file beside it.

A photo finds its sidecar by names (below) and becomes one `Media` with what both say: `joined`.
Parts of an export tear the two apart, and the parts may be imported in any order, weeks apart. Then
each half leaves a `Note` under an id that the other half can name: a sidecar one with what it says,
a photo one with its `Media` as it is alone. Whoever has stored notes calls `completed` for each of
them and stores what comes out. As a half is always stored before the other is looked for, one of
the two finds the other; as `joined` sees nothing but the two halves, the outcome is the same
whichever came first, and stands over the photo alone by its `asof`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.model.ids import named_id
from shared.model.records import AnyRecord, Media, Note
from shared.model.steps import HEAD, Bad, File, Folder, Step
from shared.model.time import EPOCH, from_epoch
from shared.sources.fields import kept, number, position
from shared.sources.push import BYTE_ORDER_MARK, parse_json
from shared.sources.taken import (
    IN_NAME,
    WEAK,
    ZONE,
    is_reset,
    offset_between,
    plausible,
    shifted,
)

NAME = "google_photos"
VERSION = 1
KEEPS = False

_LIMIT = 128 * 1024
"""Bytes of a sidecar. They have one or two thousand."""
_LONGEST = 10_000
_MOST_PEOPLE = 100

_SUFFIX = ".supplemental-metadata"
_BODY = 46
"""Characters of a sidecar's name before its number and `.json`: 51 in all, the rest is cut."""
_NUMBERED = re.compile(r"^(.+?)(\(\d{1,5}\))(\.[^.()]*)?$", re.DOTALL)
_EDITED = (
    *("-edited", "-effects", "-smile", "-mix", "-bearbeitet", "-modifié", "-modificato"),
    *("-editado", "-editada", "-ha editado", "-editat", "-bewerkt", "-edytowane", "-redigerad"),
    *("-redigeret", "-redigert", "-muokattu", "-upraveno", "-düzenlendi", "-szerkesztett"),
    *("-измененный", "-編集済み", "-已修改", "-수정됨"),
)
"""What Google puts behind the name of a picture that was edited, in the language of its owner."""
_MOVIE_ENDS = (".mp4", ".mov", ".mp", ".mv")
_STILL_ENDS = (".heic", ".HEIC", ".jpg", ".JPG", ".jpeg", ".JPEG", ".png", ".PNG", ".webp")
_MEDIA_ENDS = (".jpg", ".jpeg", ".png", ".heic", ".gif", ".webp", ".mp4", ".mov")

_ALBUM = {"title", "description", "access", "date", "location", "geoData", "enrichments"}
_ALBUM |= {"albumData", "sharedAlbumComments"}
_OTHERS = (
    "print-subscriptions.json",
    "shared_album_comments.json",
    "user-generated-memory-titles.json",
)


def recognise(path: str, head: bytes) -> bool:
    """A sidecar, an album's own file, or one of those that say nothing of photos."""
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not text.startswith(b"{"):
        return False
    if b'"photoTakenTime"' in text and b'"title"' in text:
        return True
    return path.rpartition("/")[2] in _OTHERS or _is_album(text)


def _is_album(text: bytes) -> bool:
    if len(text) >= HEAD - len(BYTE_ORDER_MARK):
        return False
    try:
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return False
    told = members.keys() & {"access", "date", "albumData"}
    return members.keys() <= _ALBUM and bool(told) and bool({"title", "albumData"} & members.keys())


def read(file: File, cursor: str | None) -> Iterator[Step]:
    """One step: with a note, if this is a sidecar and the file it tells of is not beside it."""
    if cursor is not None:
        return
    size = file.content.size
    data = file.content.read(0, _LIMIT)
    records: list[AnyRecord] = []
    bad: list[Bad] = []
    try:
        if size > _LIMIT:
            raise ValueError(f"it has {size:,} bytes: what is told of one photo has less")
        members = parse_json(data)
        if isinstance(members, dict) and "photoTakenTime" in members:
            note = _note(file.path, file.export, file.now, members)
            records = [] if _is_found(file, note.about) else [note]
    except ValueError as error:
        bad = [Bad("file", str(error), data[:HEAD], size)]
    yield Step(cursor="end", done=size, records=records, bad=bad)


def with_sidecar(file: File, media: Media) -> Sequence[AnyRecord]:
    """The media with what its sidecar says, if that lies beside it; else, in an export of Google
    Photos, with the note that waits for it."""
    name = _sidecar_in(file.folder, file.name)
    if name is not None and (note := _note_in(file, name)):
        return [joined(media, note)]
    return [media, _waiting(file, media)] if _in_google_photos(file.path) else [media]


def joined(media: Media, note: Note) -> Media:
    """The media, as it was read alone, with what the note tells of it.

    A time inside the file counts more than the note's, which also tells the offset of a clock; the
    place likewise; the owner's description counts more than a caption inside. Joining twice changes
    nothing more. It wins over the media alone (`records.winner`).
    """
    extra = {**media.extra, **({NAME: note.extra} if note.extra else {})}
    time, offset = _joined_time(media, note, extra)
    place = media if media.lat is not None else note
    return replace(
        media,
        asof=note.asof or EPOCH,
        time=time,
        offset=offset,
        lat=place.lat,
        lon=place.lon,
        altitude=place.altitude,
        caption=note.caption or media.caption,
        people=tuple(dict.fromkeys(media.people + note.people)),
        extra=extra,
    )


def completed(note: Note, find: Callable[[str], Note | None]) -> Iterator[Media]:
    """What a stored note and those it waited for make together, to be stored.

    find: a note by its id, from where this one is stored; None while there is none.
    """
    for id in note.others:
        other = find(id)
        if other is None:
            continue
        for held, told in ((note, other), (other, note)):
            if held.media is not None and told.media is None:
                yield joined(held.media, told)


def _joined_time(
    media: Media, note: Note, extra: dict[str, Any]
) -> tuple[datetime | None, int | None]:
    """Changes `extra`, which says where both are from."""
    weak = media.time is None or extra.get("time_from") in WEAK
    if note.time is None or not (weak or extra.get("offset_from") == ZONE):
        return media.time, media.offset
    offset = _told_offset(media, note.time)
    if weak:
        named = extra.get("time_from") == IN_NAME
        extra.pop("offset_from", None)
        extra["time_from"] = "photoTakenTime"
        return note.time, offset if named else None
    if offset is None or media.time is None or media.offset is None:
        return media.time, media.offset
    extra["offset_from"] = "photoTakenTime"
    return shifted(_shown(media.time, media.offset), offset), offset


def _told_offset(media: Media, time: datetime) -> int | None:
    if media.time is None or media.offset is None:
        return None
    return offset_between(_shown(media.time, media.offset), time)


def _shown(time: datetime, offset: int) -> datetime:
    local = shifted(time.replace(tzinfo=None), -offset)
    return (local or time).replace(tzinfo=None)


# What a sidecar says.


def _note_in(file: File, name: str) -> Note | None:
    content = file.folder.open(name)
    if content is None or content.size > _LIMIT:
        return None
    try:
        members = parse_json(content.read(0, _LIMIT))
        if isinstance(members, dict) and "photoTakenTime" in members:
            path = f"{file.path.rpartition('/')[0]}/{name}"
            return _note(path, file.export, file.now, members)
    except ValueError:
        pass  # It is read, and rejected, as a file of its own.
    return None


def _note(path: str, export: str, now: datetime, members: dict[str, Any]) -> Note:
    told = dict(members)
    time = _instant(told.get("photoTakenTime"), now)
    if time is not None and not is_reset(time):
        del told["photoTakenTime"]
    else:
        time = None
    lat, lon, altitude = _place(told)
    caption = told.pop("description", None)
    about = told.pop("title", None)
    folder, key = _key_of_sidecar(path)
    return Note(
        id=_id(export, folder, key, "told"),
        source=NAME,
        source_version=VERSION,
        asof=_latest(told, now),
        about=_text(about) or key,
        time=time,
        lat=lat,
        lon=lon,
        altitude=altitude,
        caption=_text(caption),
        people=_people(told),
        others=tuple(
            _id(export, folder, name, half)
            for name in _with_ends(key)
            for half in ("file", "edited")
        ),
        extra=kept(told),
    )


def _instant(value: Any, now: datetime) -> datetime | None:
    try:
        seconds = number(value.get("timestamp")) if isinstance(value, dict) else None
        time = from_epoch(seconds) if seconds is not None else None
    except ValueError:
        return None
    return time if time and plausible(time, now) else None


def _latest(told: Mapping[str, Any], now: datetime) -> datetime:
    """Which of two sidecars of one photo says more recent things, as far as they tell."""
    names = ("creationTime", "modificationTime", "photoLastModifiedTime")
    times = [time for name in names if (time := _instant(told.get(name), now))]
    return max(times, default=EPOCH)


def _place(told: dict[str, Any]) -> tuple[float | None, float | None, float | None]:
    """Of what the owner set before what the camera said; zeros mean that nobody knows."""
    places = [told.pop(name, None) for name in ("geoData", "geoDataExif")]
    for place in places:
        if not isinstance(place, dict):
            continue
        try:
            lat, lon = position(place.get("latitude"), place.get("longitude"))
        except ValueError:
            continue
        if lat or lon:
            altitude = place.get("altitude")
            return lat, lon, altitude if isinstance(altitude, float) and altitude else None
    return None, None, None


def _people(told: dict[str, Any]) -> tuple[str, ...]:
    people = told.pop("people", None)
    named = people[:_MOST_PEOPLE] if isinstance(people, list) else []
    texts = (_text(person.get("name")) for person in named if isinstance(person, dict))
    return tuple(dict.fromkeys(filter(None, texts)))


def _text(value: Any) -> str | None:
    return (value.strip()[:_LONGEST] or None) if isinstance(value, str) else None


# How the names of a file and of its sidecar belong together.


def sidecar_names(media: str) -> Iterator[str]:
    """The names that the sidecar of a file may have, the likelier first, some hundred at most.

    The suffix has had three forms: none, whole, and cut with the whole name at `_BODY` characters;
    the number of a second file of one name stands behind all of that: `IMG(1).jpg` has
    `IMG.jpg.supplemental-metadata(1).json`. An edited picture has that of the original, the movie
    of a moving photo that of the photo, and a name without an extension keeps none.
    """
    # Archives made on a Mac take letters with accents apart.
    names = dict.fromkeys((media, unicodedata.normalize("NFC", media), _original(media)))
    own = [reading for name in names if name for reading in _readings(name)]
    for base, index in own:
        yield f"{(base + _SUFFIX)[:_BODY]}{index}.json"
        yield f"{base[:_BODY]}{index}.json"
    for base, index in own:
        for cut in range(len(_SUFFIX), 0, -1):
            yield f"{base}{_SUFFIX[:cut]}{index}.json"
    for base, index in _relatives(media):
        yield f"{(base + _SUFFIX)[:_BODY]}{index}.json"
        yield f"{base[:_BODY]}{index}.json"


def _sidecar_in(folder: Folder, media: str) -> str | None:
    return next((name for name in sidecar_names(media) if name in folder), None)


def _is_found(file: File, about: str) -> bool:
    """Whether a file beside this sidecar takes it for its own."""
    key = _key_of_sidecar(file.path)[1]
    base, index = _split(key)
    names = {about, *_with_ends(_unsplit(base, index))}
    stem, dot, end = about.rpartition(".")
    if index and dot:
        names.add(f"{stem}{index}.{end}")
    if len(base) >= _BODY:
        # The file's own name was cut as well, somewhat later.
        names |= {f"{about[:cut]}{index}{dot}{end}" for cut in range(_BODY - 5, _BODY + 6)}
    return any(n in file.folder and _sidecar_in(file.folder, n) == file.name for n in names)


def _readings(media: str) -> list[tuple[str, str]]:
    """The name as it may stand in that of its sidecar, and the number behind that."""
    base, index = _split(media)
    return [(base, index), (media, "")] if index else [(media, "")]


def _split(name: str) -> tuple[str, str]:
    found = _NUMBERED.match(name)
    return (found[1] + (found[3] or ""), found[2]) if found else (name, "")


def _unsplit(base: str, index: str) -> str:
    stem, dot, end = base.rpartition(".")
    return f"{stem}{index}.{end}" if dot else f"{base}{index}"


def _original(media: str) -> str | None:
    """The name of the picture that this one was edited from."""
    base, index = _split(media)
    stem, dot, end = base.rpartition(".")
    for suffix in _EDITED:
        found = unicodedata.normalize("NFC", stem)
        if found.lower().endswith(suffix) and len(found) > len(suffix):
            return f"{found[: -len(suffix)]}{index}{dot}{end}"
    return None


def _relatives(media: str) -> Iterator[tuple[str, str]]:
    base, index = _split(media)
    stem, _, end = base.rpartition(".")
    if not stem:
        return
    yield stem, index
    if f".{end}".lower() in _MOVIE_ENDS:
        for still in _STILL_ENDS:
            yield stem + still, index
            yield base + still, index


def _key_of_sidecar(path: str) -> tuple[str, str]:
    """Its folder, and what the name of the file that it tells of is looked up by."""
    folder, _, name = path.rpartition("/")
    body, index = _split(name.removesuffix(".json"))
    return folder, _key(body, index)


def _key(base: str, index: str) -> str:
    base = unicodedata.normalize("NFC", base)[:_BODY]
    stem, dot, tail = base.rpartition(".")
    if dot and _SUFFIX.startswith(f".{tail}"):
        base = stem
    return _unsplit(base, index)


def _with_ends(key: str) -> list[str]:
    """Names that a file may have whose sidecar does not say its extension."""
    if key.lower().endswith((*_MEDIA_ENDS, *_MOVIE_ENDS)):
        return [key]
    return [key, *(key + end for end in _MEDIA_ENDS)]


def _waiting(file: File, media: Media) -> Note:
    folder = file.path.rpartition("/")[0]
    original = _original(file.name)
    key = _key(*_split(original or file.name))
    keys = [key, *([key.rpartition(".")[0]] if "." in key else [])]
    return Note(
        id=_id(file.export, folder, key, "edited" if original else "file"),
        source=NAME,
        source_version=VERSION,
        about=file.name,
        media=media,
        others=tuple(_id(file.export, folder, name, "told") for name in keys if name),
    )


def _id(export: str, folder: str, key: str, half: str) -> str:
    return named_id("note", export, unicodedata.normalize("NFC", folder), key, half)


def _in_google_photos(path: str) -> bool:
    """Whether it lies in an album of a Takeout. The folder between is named by language."""
    parts = path.split("/")
    return len(parts) >= 4 and parts[-4] == "Takeout"
