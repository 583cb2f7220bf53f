"""Google Photos: which JSON file tells of which photo, and what the two say together."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.records import AnyRecord, Media, NamedRecord, Note, winner
from shared.model.steps import Step
from shared.sources import google_photos, movie, photo
from tests.reading import file_of, records_in, step_by_step
from tests.sources.media_bytes import GPS, LAT, LON, SMALL_MOVIE, jpeg, taken_at, tiff

ALBUM = "Takeout/Google Photos/Photos from 2019"
SUMMER = datetime(2019, 7, 4, 12, 34, 56, tzinfo=UTC)


def sidecar(title: str = "IMG.jpg", **members: Any) -> bytes:
    told: dict[str, Any] = {
        "title": title,
        "description": "At the lake",
        "imageViews": "12",
        "creationTime": {"timestamp": "1562500000", "formatted": "Jul 7, 2019, 11:46:40 AM UTC"},
        "photoTakenTime": {"timestamp": "1562243696", "formatted": "Jul 4, 2019, 12:34:56 PM UTC"},
        "geoData": {"latitude": 51.5, "longitude": -0.25, "altitude": 12.0, "latitudeSpan": 0.0, "longitudeSpan": 0.0},
        "people": [{"name": "Ada"}, {"name": "Grace"}],
        "url": "https://photos.google.com/photo/AF1Qip",
        "googlePhotosOrigin": {"mobileUpload": {"deviceType": "ANDROID_PHONE"}},
    }  # fmt: skip
    return json.dumps(told | members, indent=2).encode()


SAID = {
    "imageViews": "12",
    "creationTime": {"timestamp": "1562500000", "formatted": "Jul 7, 2019, 11:46:40 AM UTC"},
    "url": "https://photos.google.com/photo/AF1Qip",
    "googlePhotosOrigin": {"mobileUpload": {"deviceType": "ANDROID_PHONE"}},
}
PLAIN = jpeg()


def step_of(data: bytes, path: str = f"{ALBUM}/IMG.jpg.json", **said: Any) -> Step:
    assert google_photos.recognise(path, data[:65_536])
    (step,) = google_photos.read(file_of(data, path, **said), None)
    return step


def note_of(data: bytes, path: str = f"{ALBUM}/IMG.jpg.json", **said: Any) -> Note:
    (note,) = step_of(data, path, **said).records
    assert isinstance(note, Note)
    return note


def media_of(
    name: str, beside: Mapping[str, bytes], data: bytes = PLAIN, album: str = ALBUM, **said: Any
) -> Media:
    source = movie if data is SMALL_MOVIE else photo
    file = file_of(data, f"{album}/{name}", beside=beside, **said)
    (media,) = (r for r in records_in(source.read(file, None)) if isinstance(r, Media))
    return media


def is_told(name: str, sidecar_name: str, data: bytes = PLAIN) -> bool:
    return media_of(name, {sidecar_name: sidecar()}, data).caption == "At the lake"


# What the two say together.


def test_a_photo_without_facts_gets_them_from_its_sidecar() -> None:
    media = media_of("IMG.jpg", {"IMG.jpg.supplemental-metadata.json": sidecar()})
    assert (media.time, media.offset) == (SUMMER, None)
    assert (media.lat, media.lon, media.altitude) == (51.5, -0.25, 12.0)
    assert (media.caption, media.people) == ("At the lake", ("Ada", "Grace"))
    assert media.extra == {"time_from": "photoTakenTime", "google_photos": SAID}
    assert media.asof == datetime(2019, 7, 7, 11, 46, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("exif", "name", "time", "offset", "extra"),
    [
        # A time inside with its offset, or with GPS, counts.
        (taken_at("2019:07:04 10:00:00", "+02:00"), "IMG.jpg", (8, 0, 0), 120, {"time_from": "DateTimeOriginal"}),
        # Without: the sidecar tells the offset, if any zone fits.
        (taken_at("2019:07:04 14:34:56"), "IMG.jpg", (12, 34, 56), 120, {"time_from": "DateTimeOriginal", "offset_from": "photoTakenTime"}),
        (taken_at("2019:07:04 18:19:57"), "IMG.jpg", (12, 34, 57), 345, {"time_from": "DateTimeOriginal", "offset_from": "photoTakenTime"}),
        (taken_at("2019:07:04 14:10:00"), "IMG.jpg", (13, 10, 0), 60, {"time_from": "DateTimeOriginal", "offset_from": "zone"}),
        # A reset clock, a name, nothing: the sidecar's time counts.
        (taken_at("2010:01:01 00:00:00"), "IMG.jpg", (12, 34, 56), None, {"time_from": "photoTakenTime", "time_doubted": ["DateTimeOriginal 2010-01-01T00:00:00"]}),
        ({}, "IMG_20190704_143450.jpg", (12, 34, 56), 120, {"time_from": "photoTakenTime"}),
        ({}, "IMG-20190704-WA0001.jpg", (12, 34, 56), None, {"time_from": "photoTakenTime"}),
    ],
)  # fmt: skip
def test_whose_time_counts(
    exif: Any, name: str, time: tuple[int, int, int], offset: int | None, extra: dict[str, Any]
) -> None:
    media = media_of(name, {f"{name}.json": sidecar(name)}, jpeg(tiff({}, exif)))
    assert (media.time, media.offset) == (datetime(2019, 7, 4, *time, tzinfo=UTC), offset)
    assert media.extra == extra | {"google_photos": SAID}


def test_the_place_inside_counts_and_the_owners_words_do() -> None:
    inside = tiff({0x010E: "From the camera"}, {}, GPS)
    media = media_of("IMG.jpg", {"IMG.jpg.json": sidecar()}, jpeg(inside))
    assert (media.lat, media.lon, media.altitude) == (LAT, LON, 35.5)
    assert media.caption == "At the lake"


NOWHERE = {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0}


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"geoData": NOWHERE}, (None, None, None)),
        ({"geoData": NOWHERE, "geoDataExif": {"latitude": 1.5, "longitude": 2.5, "altitude": 0.0}}, (1.5, 2.5, None)),
        ({"geoData": {"latitude": 1.5, "longitude": 2.5}}, (1.5, 2.5, None)),
        ({"geoData": {"latitude": 91.5, "longitude": 2.5}}, (None, None, None)),
        ({"geoData": "London"}, (None, None, None)),
        ({"geoData": {"latitude": "north", "longitude": None}}, (None, None, None)),
    ],
)  # fmt: skip
def test_zeros_are_no_place(members: dict[str, Any], place: tuple[float | None, ...]) -> None:
    note = note_of(sidecar(**members))
    assert (note.lat, note.lon, note.altitude) == place


@pytest.mark.parametrize(
    "told",
    [{}, None, "1562243696", {"timestamp": ""}, {"timestamp": "soon"}, {"timestamp": "1e300"}, {"timestamp": "99999999999"}, {"timestamp": "0"}, {"timestamp": "1262304000"}],
)  # fmt: skip
def test_a_time_that_cannot_be_meant_is_kept_aside(told: Any) -> None:
    note = note_of(sidecar(photoTakenTime=told))
    assert note.time is None
    assert note.extra["photoTakenTime"] == told


def test_a_time_before_1970_can_be_meant() -> None:
    note = note_of(sidecar(photoTakenTime={"timestamp": "-141000000"}))
    assert note.time == datetime(1965, 7, 14, 1, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "members",
    [{"people": "Ada"}, {"people": [{"name": 7}, None]}, {"description": 7}, {"title": None}],
)
def test_members_of_other_types_say_nothing(members: dict[str, Any]) -> None:
    assert note_of(sidecar(**members)).about


# Which sidecar belongs to which file.

LONG = "Screenshot_20190704_123456_com.example.reader.jpg"
"""49 characters."""


@pytest.mark.parametrize(
    ("name", "sidecar_name"),
    [
        ("IMG.jpg", "IMG.jpg.json"),
        ("IMG.jpg", "IMG.jpg.supplemental-metadata.json"),
        # Cut with the name at 46 characters before `.json`, wherever that is.
        ("original_0123456789_photo.jpg", "original_0123456789_photo.jpg.supplemental-met.json"),
        ("original_0123456789_abcdefgh_photo.jpg", "original_0123456789_abcdefgh_photo.jpg.supplem.json"),
        ("original_0123456789_abcdefgh_ijklmnop_12.jpg", "original_0123456789_abcdefgh_ijklmnop_12.jpg.s.json"),
        ("original_0123456789_abcdefgh_ijklmnop_123.jpg", "original_0123456789_abcdefgh_ijklmnop_123.jpg..json"),
        ("original_0123456789_abcdefgh_ijklmnop_1234.jpg", "original_0123456789_abcdefgh_ijklmnop_1234.jpg.json"),
        (LONG, "Screenshot_20190704_123456_com.example.reader..json"),
        ("Screenshot_20190704_123456_com.example.reading.jpg", "Screenshot_20190704_123456_com.example.reading.json"),
        ("Screenshot_20190704_123456_com.example.readings.jpg", "Screenshot_20190704_123456_com.example.reading.json"),
        # Cut elsewhere, as letters of more than a byte let it.
        ("Föto.jpg", "Föto.jpg.supplemental-meta.json"),
        # The number of a second file of one name stands behind all of that.
        ("IMG(1).jpg", "IMG.jpg(1).json"),
        ("IMG(12).jpg", "IMG.jpg.supplemental-metadata(12).json"),
        ("IMG(1).jpg", "IMG(1).jpg.supplemental-metadata.json"),
        ("IMG(1).jpg", "IMG(1).jpg.json"),
        ("original_0123456789_photo(2).jpg", "original_0123456789_photo.jpg.supplemental-met(2).json"),
        ("Screenshot_20190704_123456_com.example.readings(1).jpg", "Screenshot_20190704_123456_com.example.reading(1).json"),
        # Edited, in the owner's language, sometimes cut, sometimes numbered.
        ("IMG-edited.jpg", "IMG.jpg.supplemental-metadata.json"),
        ("IMG-bearbeitet.jpg", "IMG.jpg.json"),
        ("IMG-modifié.jpg", "IMG.jpg.json"),
        ("IMG-modifie\u0301.jpg", "IMG.jpg.json"),
        ("IMG-ha editado.jpg", "IMG.jpg.json"),
        ("IMG-編集済み.jpg", "IMG.jpg.supplemental-metadata.json"),
        ("IMG-edited(1).jpg", "IMG.jpg.supplemental-metadata(1).json"),
        # Google gives an extension to a file that had none.
        ("Peanut Butter Balls.jpg", "Peanut Butter Balls.supplemental-metadata.json"),
    ],
)  # fmt: skip
def test_names_that_belong_together(name: str, sidecar_name: str) -> None:
    assert is_told(name, sidecar_name)


@pytest.mark.parametrize(
    ("name", "sidecar_name"),
    [
        ("IMG.MP4", "IMG.HEIC.supplemental-metadata.json"),
        ("IMG.mp4", "IMG.jpg.json"),
        ("IMG(1).MP4", "IMG.HEIC.supplemental-metadata(1).json"),
        ("PXL_20190704_123456789.MP", "PXL_20190704_123456789.MP.jpg.supplemental-met.json"),
        ("PXL_20190704_123456789.MP.mp4", "PXL_20190704_123456789.MP.jpg.json"),
        ("clip.mp4", "clip.mp4.supplemental-metadata.json"),
    ],
)
def test_the_movie_of_a_moving_photo_has_that_of_the_photo(name: str, sidecar_name: str) -> None:
    assert is_told(name, sidecar_name, SMALL_MOVIE)


@pytest.mark.parametrize(
    ("name", "sidecar_name"),
    [
        ("IMG.jpg", "IMG.jpg(1).json"),
        ("IMG(1).jpg", "IMG.jpg.json"),
        ("IMG(1).jpg", "IMG.jpg.supplemental-metadata(2).json"),
        ("IMG.jpg", "IMG.png.json"),
        ("IMG-lake.jpg", "IMG.jpg.json"),
        ("IMG.jpg", "IMG.jpg.supplementary.json"),
        ("-edited.jpg", ".jpg.json"),
    ],
)
def test_names_that_do_not(name: str, sidecar_name: str) -> None:
    assert not is_told(name, sidecar_name)


def test_the_own_sidecar_comes_before_that_of_a_relative() -> None:
    beside = {
        "IMG.HEIC.supplemental-metadata.json": sidecar("IMG.HEIC", description="the photo"),
        "IMG.MP4.supplemental-metadata.json": sidecar("IMG.MP4", description="the movie"),
    }
    assert media_of("IMG.MP4", beside, SMALL_MOVIE).caption == "the movie"


@pytest.mark.parametrize(
    "name", ["a.jpg", "a(1)-edited(2).MP4", "x" * 300, "." * 50, "", "(1)", "(1).(2)"]
)
def test_few_names_are_tried(name: str) -> None:
    assert len(list(google_photos.sidecar_names(name))) <= 150


@given(st.text(max_size=60))
def test_any_name_may_be_tried(name: str) -> None:
    assert not is_told(f"{name.replace('/', '')}.jpg", "other.json")


# When the two come in different parts of an export.


def imported(files: Iterable[tuple[str, bytes]]) -> dict[str, NamedRecord]:
    """What is in a store after an import of each file, alone, with the notes completed after it."""
    store: dict[str, NamedRecord] = {}

    def put(records: Iterable[AnyRecord]) -> None:
        for record in records:
            assert not isinstance(record, (type(None), int))
            known = store.get(record.id)
            store[record.id] = winner(known, record) if known else record  # type: ignore[arg-type,assignment]

    def find(id: str) -> Note | None:
        found = store.get(id)
        return found if isinstance(found, Note) else None

    for path, data in files:
        source = next(s for s in (google_photos, photo, movie) if s.recognise(path, data))
        records = records_in(source.read(file_of(data, path), None))
        put(records)
        for record in records:
            if isinstance(record, Note):
                put(google_photos.completed(record, find))
    return store


def only_media(store: Mapping[str, NamedRecord]) -> list[Media]:
    return [record for record in store.values() if isinstance(record, Media)]


EDITED = jpeg(tiff({0x010E: "edited"}))


@pytest.mark.parametrize(
    ("name", "sidecar_name"),
    [
        ("IMG.jpg", "IMG.jpg.json"),
        ("IMG.jpg", "IMG.jpg.supplemental-metadata.json"),
        ("IMG(1).jpg", "IMG.jpg.supplemental-metadata(1).json"),
        ("IMG(1).jpg", "IMG.jpg(1).json"),
        ("IMG(1).jpg", "IMG(1).jpg.supplemental-metadata.json"),
        ("IMG-edited.jpg", "IMG.jpg.supplemental-metadata.json"),
        ("original_0123456789_abcdefgh_ijklmnop_12.jpg", "original_0123456789_abcdefgh_ijklmnop_12.jpg.s.json"),
        ("original_0123456789_abcdefgh_ijklmnop_123.jpg", "original_0123456789_abcdefgh_ijklmnop_123.jpg..json"),
        (LONG, "Screenshot_20190704_123456_com.example.reader..json"),
        ("Screenshot_20190704_123456_com.example.readings(1).jpg", "Screenshot_20190704_123456_com.example.reading(1).json"),
        ("Peanut Butter Balls.jpg", "Peanut Butter Balls.supplemental-metadata.json"),
        ("Fo\u0308to.jpg", "Föto.jpg.supplemental-metadata.json"),
    ],
)  # fmt: skip
def test_halves_find_each_other_whichever_comes_first(name: str, sidecar_name: str) -> None:
    together = media_of(name, {sidecar_name: sidecar()})
    halves = [(f"{ALBUM}/{name}", PLAIN), (f"{ALBUM}/{sidecar_name}", sidecar())]
    for order in permutations(halves):
        assert only_media(imported(order)) == [together]


def test_every_order_of_every_half_ends_the_same() -> None:
    files = [
        (f"{ALBUM}/IMG.jpg", PLAIN),
        (f"{ALBUM}/IMG-edited.jpg", EDITED),
        (f"{ALBUM}/IMG.jpg.supplemental-metadata.json", sidecar()),
        ("Takeout/Google Photos/Lake/IMG.jpg", PLAIN),
        ("Takeout/Google Photos/Lake/IMG.jpg.json", sidecar(creationTime={"timestamp": "1562600000"}, description="later")),
    ]  # fmt: skip
    outcomes = [imported(order) for order in permutations(files)]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert imported([*files, *files]) == outcomes[0]
    assert {media.caption for media in only_media(outcomes[0])} == {"later", "At the lake"}


def test_joining_again_changes_nothing_and_wins_over_the_file_alone() -> None:
    alone = media_of("IMG.jpg", {})
    note = note_of(sidecar())
    both = google_photos.joined(alone, note)
    assert google_photos.joined(both, note) == both
    assert winner(alone, both) == winner(both, alone) == both


def test_a_sidecar_that_tells_nothing_of_its_age_wins_too() -> None:
    alone = media_of("IMG.jpg", {})
    both = google_photos.joined(alone, note_of(sidecar(creationTime=None)))
    assert winner(alone, both) == both


def test_a_sidecar_beside_its_photo_leaves_no_note() -> None:
    name = "IMG.jpg.supplemental-metadata.json"
    assert step_of(sidecar(), f"{ALBUM}/{name}", beside={"IMG.jpg": b"", name: b""}).records == []
    assert (
        len(step_of(sidecar(), f"{ALBUM}/{name}", beside={"IMG(1).jpg": b"", name: b""}).records)
        == 1
    )


def test_a_photo_beside_its_sidecar_leaves_no_note() -> None:
    file = file_of(PLAIN, f"{ALBUM}/IMG.jpg", beside={"IMG.jpg.json": sidecar()})
    assert len(records_in(photo.read(file, None))) == 1


def test_other_exports_and_folders_are_strangers() -> None:
    note = note_of(sidecar())
    assert note_of(sidecar(), export="another").id != note.id
    assert note_of(sidecar(), "Takeout/Google Photos/Lake/IMG.jpg.json").id != note.id
    assert note_of(sidecar(), export="another").others != note.others


@pytest.mark.parametrize("path", ["IMG.jpg", "holiday/IMG.jpg", "a/b/c/IMG.jpg"])
def test_a_photo_of_no_takeout_waits_for_nothing(path: str) -> None:
    assert len(records_in(photo.read(file_of(PLAIN, path), None))) == 1


def test_a_sidecar_that_cannot_be_read_is_left_out_beside_and_bad_alone() -> None:
    broken = sidecar()[:-20]
    assert media_of("IMG.jpg", {"IMG.jpg.json": broken}).caption is None
    step = step_of(broken)
    assert [(bad.where, bad.size) for bad in step.bad] == [("file", len(broken))]
    assert step.bad[0].data == broken


def test_a_sidecar_of_megabytes_is_bad() -> None:
    huge = sidecar(more="x" * 200_000)
    assert "200," in step_of(huge).bad[0].reason
    assert media_of("IMG.jpg", {"IMG.jpg.json": huge}).caption is None


def test_reading_goes_on_after_its_only_step() -> None:
    assert len(list(step_by_step(google_photos, file_of(sidecar())))) == 1


# What else is in the folder.


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (f"{ALBUM}/metadata.json", b'{"title": "Lake", "description": "", "access": "protected", "date": {"timestamp": "1562243696"}}'),
        (f"{ALBUM}/Metadaten.json", b'{"title": "See", "description": "", "access": "", "date": {"timestamp": "0"}, "location": "", "geoData": {"latitude": 0.0}}'),
        (f"{ALBUM}/m\xe9tadonn\xe9es.json", b'{"albumData": {"title": "Lac"}}'),
        ("Takeout/Google Photos/print-subscriptions.json", b'{"printSubscriptions": []}'),
        ("Takeout/Google Photos/shared_album_comments.json", b"{}"),
        ("Takeout/Google Photos/user-generated-memory-titles.json", b'{"titles": ["Lake"]}'),
        (f"{ALBUM}/metadata.json", b'\xef\xbb\xbf {"title": "", "access": "protected"}'),
    ],
)  # fmt: skip
def test_what_tells_of_no_photo_is_known_and_gives_nothing(path: str, data: bytes) -> None:
    step = step_of(data, path)
    assert (step.records, step.bad, step.done) == ([], [], len(data))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"{", b'{"title": "A chat", "messages": []}', b'{"locations": []}', b'{"title": "x", "date": 1, "pages": 2}', b'"photoTakenTime" "title"', b'{"a":' * 100_000, b"\xff\xd8\xff"],
)  # fmt: skip
def test_other_files_are_not_recognised(data: bytes) -> None:
    assert not google_photos.recognise(f"{ALBUM}/metadata.json", data[:65_536])


@given(st.binary(max_size=300))
def test_anything_behind_a_good_beginning_never_raises(rest: bytes) -> None:
    data = b'{"title": "IMG.jpg", "photoTakenTime": ' + rest
    (step,) = google_photos.read(file_of(data), None)
    assert len(step.records) + len(step.bad) <= 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["title", "description", "photoTakenTime", "geoData", "people", "creationTime"]
        ),
        json_values,
    )
)
def test_members_of_any_type_never_raise(members: dict[str, Any]) -> None:
    data = sidecar(**members)
    (step,) = google_photos.read(file_of(data), None)
    assert len(step.records) == 1
    assert media_of("IMG.jpg", {"IMG.jpg.json": data}).asof
