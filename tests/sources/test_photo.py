"""Photos: what is read of each kind of file, and what is not believed."""

import struct
import zlib
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.model.ids import content_id
from shared.model.profile import Profile
from shared.model.records import Media
from shared.model.steps import Step
from shared.sources import movie, photo, thumbnail
from tests.reading import NOW, Bytes, file_of, step_by_step
from tests.sources.media_bytes import (
    FTYP,
    GPS,
    LAT,
    LON,
    SMALL_MOVIE,
    box,
    corners,
    encoded,
    heic,
    jpeg,
    mvhd,
    plain_jpeg,
    png,
    png_chunk,
    taken_at,
    tiff,
)

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
TAKEN = tiff({0x010F: "Google", 0x0110: "Pixel 7"}, taken_at("2019:07:04 12:34:56"), GPS)


def step_of(data: bytes, path: str = "photos/picture", **said: Any) -> Step:
    (step,) = photo.read(file_of(data, path, **said), None)
    return step


def media_of(data: bytes, path: str = "photos/picture", **said: Any) -> Media:
    (record,) = step_of(data, path, **said).records
    assert isinstance(record, Media)
    return record


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def test_a_photo_is_one_record_named_by_its_bytes() -> None:
    data = jpeg(TAKEN)
    step = step_of(data, "Takeout/holiday.jpg")
    (media,) = step.records
    (sha256,) = step.raws
    assert media == Media(
        id=content_id(data),
        source="photo",
        source_version=1,
        raw=content_id(data),
        media_type="image/jpeg",
        size=len(data),
        name="holiday.jpg",
        time=utc(2019, 7, 4, 11, 34, 56),
        offset=60,
        lat=LAT,
        lon=LON,
        altitude=35.5,
        camera="Google Pixel 7",
        width=64,
        height=48,
        thumbnail=sha256,
        extra={"time_from": "DateTimeOriginal", "offset_from": "GPS"},
    )
    assert step.done == len(data)
    assert not step.bad


def test_reading_goes_on_after_its_only_step() -> None:
    assert len(list(step_by_step(photo, file_of(jpeg(TAKEN))))) == 1


def test_the_id_that_is_known_is_not_computed_again() -> None:
    assert media_of(jpeg(), sha256="ab" * 32).id == "ab" * 32


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("image/jpeg", jpeg),
        ("image/heic", heic),
        ("image/png", lambda exif: png(png_chunk(b"eXIf", exif))),
        ("image/webp", lambda exif: encoded("WEBP", exif=exif)),
        ("image/avif", lambda exif: encoded("AVIF", exif=exif)),
    ],
)
def test_every_kind_of_picture_carries_exif(media_type: str, data: Any, order: str) -> None:
    exif = tiff({0x0110: "X100"}, taken_at("2019:07:04 12:34:56", "+02:00"), GPS, order)
    media = media_of(data(exif))
    assert (media.media_type, media.width, media.height) == (media_type, 64, 48)
    assert (media.time, media.offset) == (utc(2019, 7, 4, 10, 34, 56), 120)
    assert (media.lat, media.lon, media.camera) == (LAT, LON, "X100")
    assert media.thumbnail


def test_a_gif_says_its_size() -> None:
    media = media_of(encoded("GIF"))
    assert (media.media_type, media.width, media.height) == ("image/gif", 64, 48)
    assert media.thumbnail


# Times.

ORIGINAL = 0x9003


@pytest.mark.parametrize(
    ("tags", "gps", "time", "offset", "extra"),
    [
        # With the offset, in several spellings.
        (
            {ORIGINAL: "2019:07:04 12:34:56", 0x9011: "+02:00"},
            {},
            utc(2019, 7, 4, 10, 34, 56),
            120,
            {},
        ),
        (
            {ORIGINAL: "2019:07:04 12:34:56", 0x9011: "-0330"},
            {},
            utc(2019, 7, 4, 16, 4, 56),
            -210,
            {},
        ),
        (
            {ORIGINAL: "2019-07-04T12:34:56", 0x9011: "+00:00"},
            {},
            utc(2019, 7, 4, 12, 34, 56),
            0,
            {},
        ),
        # With a fraction of the second.
        (
            {ORIGINAL: "2019:07:04 12:34:56", 0x9011: "+02:00", 0x9291: "12"},
            {},
            utc(2019, 7, 4, 10, 34, 56, 120_000),
            120,
            {},
        ),
        # Nobody's clock shows more than 14 hours.
        (
            {ORIGINAL: "2019:07:04 12:34:56", 0x9011: "+15:00"},
            {},
            utc(2019, 7, 4, 11, 34, 56),
            60,
            {"offset_from": "zone"},
        ),
        (
            {ORIGINAL: "2019:07:04 12:34:56", 0x9011: "   :  "},
            {},
            utc(2019, 7, 4, 11, 34, 56),
            60,
            {"offset_from": "zone"},
        ),
        # Without: of the GPS fix, of any zone in use, else the owner's, in summer and winter.
        (
            {ORIGINAL: "2019:07:04 12:34:56"},
            {},
            utc(2019, 7, 4, 11, 34, 56),
            60,
            {"offset_from": "zone"},
        ),
        (
            {ORIGINAL: "2019:01:04 12:34:56"},
            {},
            utc(2019, 1, 4, 12, 34, 56),
            0,
            {"offset_from": "zone"},
        ),
        (
            {ORIGINAL: "2019:07:04 17:19:56"},
            GPS,
            utc(2019, 7, 4, 11, 34, 56),
            345,
            {"offset_from": "GPS"},
        ),
        (
            {ORIGINAL: "2019:07:04 02:05:00"},
            GPS,
            utc(2019, 7, 4, 11, 35, 0),
            -570,
            {"offset_from": "GPS"},
        ),
        # An hour and ten minutes are no zone: the fix was old.
        (
            {ORIGINAL: "2019:07:04 12:45:50"},
            GPS,
            utc(2019, 7, 4, 11, 45, 50),
            60,
            {"offset_from": "zone"},
        ),
        (
            {ORIGINAL: "2019:07:09 12:34:56"},
            GPS,
            utc(2019, 7, 9, 11, 34, 56),
            60,
            {"offset_from": "zone"},
        ),
        # Other times, where the first is missing or blank.
        (
            {ORIGINAL: "    :  :     :  :  ", 0x9004: "2019:07:04 12:34:56", 0x9012: "+02:00"},
            {},
            utc(2019, 7, 4, 10, 34, 56),
            120,
            {"time_from": "DateTimeDigitized"},
        ),
        (
            {ORIGINAL: "0000:00:00 00:00:00"},
            GPS,
            utc(2019, 7, 4, 11, 34, 50),
            None,
            {"time_from": "GPS"},
        ),
        ({}, GPS, utc(2019, 7, 4, 11, 34, 50), None, {"time_from": "GPS"}),
        ({ORIGINAL: "2019:13:45 12:34:56"}, {}, None, None, {}),
        ({}, {}, None, None, {}),
        # A clock that was reset, or runs ahead.
        (
            {ORIGINAL: "2010:01:01 00:00:00"},
            {},
            None,
            None,
            {"time_doubted": ["DateTimeOriginal 2010-01-01T00:00:00"]},
        ),
        (
            {ORIGINAL: "2010:01:01 00:00:00"},
            GPS,
            utc(2019, 7, 4, 11, 34, 50),
            None,
            {"time_from": "GPS", "time_doubted": ["DateTimeOriginal 2010-01-01T00:00:00"]},
        ),
        (
            {ORIGINAL: "2042:06:03 12:00:00"},
            {},
            None,
            None,
            {"time_doubted": ["DateTimeOriginal 2042-06-03T12:00:00"]},
        ),
        (
            {ORIGINAL: "2042:06:03 12:00:00", 0x9004: "2019:07:04 12:34:56", 0x9012: "+02:00"},
            {},
            utc(2019, 7, 4, 10, 34, 56),
            120,
            {
                "time_from": "DateTimeDigitized",
                "time_doubted": ["DateTimeOriginal 2042-06-03T12:00:00"],
            },
        ),
        (
            {},
            {**GPS, 7: ((0, 1), (0, 1), (0, 1)), 29: "1980:01:01"},
            None,
            None,
            {"time_doubted": ["GPS 1980-01-01T00:00:00+00:00"]},
        ),
        ({}, {**GPS, 7: ((0, 1), (0, 0), (0, 1))}, None, None, {}),
        # The first second of a year, as the GPS fix confirms.
        (
            {ORIGINAL: "2019:01:01 00:00:00"},
            {**GPS, 7: ((0, 1), (0, 1), (3, 1)), 29: "2019:01:01"},
            utc(2019, 1, 1),
            0,
            {"offset_from": "GPS"},
        ),
        # A scan, dated by its owner.
        ({ORIGINAL: "1965:08:20 15:00:00", 0x9011: "+01:00"}, {}, utc(1965, 8, 20, 14), 60, {}),
    ],
)
def test_the_time_of_a_photo(
    tags: Any, gps: Any, time: datetime | None, offset: int | None, extra: dict[str, Any]
) -> None:
    media = media_of(jpeg(tiff({}, tags, gps)))
    assert (media.time, media.offset) == (time, offset)
    origin = {"time_from": "DateTimeOriginal"} if time else {}
    assert media.extra == origin | extra


def test_the_time_that_a_program_changed_it_is_the_last_of_exif() -> None:
    media = media_of(jpeg(tiff({0x0132: "2019:07:04 12:34:56"}, {0x9010: "+02:00"})))
    assert (media.time, media.extra) == (utc(2019, 7, 4, 10, 34, 56), {"time_from": "DateTime"})


@pytest.mark.parametrize(
    ("name", "time", "origin"),
    [
        ("IMG_20190704_123456.jpg", utc(2019, 7, 4, 11, 34, 56), "name"),
        ("MVIMG_20190704_123456.jpg", utc(2019, 7, 4, 11, 34, 56), "name"),
        ("20190704_123456(0).jpg", utc(2019, 7, 4, 11, 34, 56), "name"),
        ("PXL_20190704_123456789.MP.jpg", utc(2019, 7, 4, 12, 34, 56, 789_000), "name"),
        ("Screenshot_20190704-123456.png", utc(2019, 7, 4, 11, 34, 56), "name"),
        ("Screenshot_2019-07-04-12-34-56.png", utc(2019, 7, 4, 11, 34, 56), "name"),
        ("Screenshot from 2019-07-04 12-34-56.png", utc(2019, 7, 4, 11, 34, 56), "name"),
        ("2019-07-04 12.34.56.jpg", utc(2019, 7, 4, 11, 34, 56), "name"),
        ("WIN_20190704_12_34_56_Pro.jpg", utc(2019, 7, 4, 11, 34, 56), "name"),
        ("signal-2019-07-04-123456.jpg", utc(2019, 7, 4, 11, 34, 56), "name"),
        ("FB_IMG_1562243696123.jpg", utc(2019, 7, 4, 12, 34, 56, 123_000), "name"),
        ("IMG-20190704-WA0001.jpg", utc(2019, 7, 4, 11), "day in name"),
        ("Scan 2019.07.04.jpg", utc(2019, 7, 4, 11), "day in name"),
        ("IMG_20420704_123456.jpg", None, None),
        ("IMG_20191304_123456.jpg", None, None),
        ("IMG_20190704123456789012.jpg", None, None),
        ("IMG_1234.jpg", None, None),
        ("DSC19870704.jpg", None, None),
    ],
)
def test_a_name_may_carry_the_time(name: str, time: datetime | None, origin: str | None) -> None:
    media = media_of(jpeg(), f"photos/{name}")
    assert (media.time, media.extra.get("time_from")) == (time, origin)


def test_the_time_inside_counts_more_than_that_of_the_name() -> None:
    assert media_of(jpeg(TAKEN), "IMG_20200101_101010.jpg").time == utc(2019, 7, 4, 11, 34, 56)


def test_a_name_confirms_the_first_second_of_a_year() -> None:
    exif = tiff({}, taken_at("2019:01:01 00:00:00"))
    assert media_of(jpeg(exif), "IMG-20190101-WA0001.jpg").extra["time_from"] == "DateTimeOriginal"
    assert media_of(jpeg(exif), "IMG-20190704-WA0001.jpg").extra["time_from"] == "day in name"


def test_the_time_of_the_file_comes_last_and_is_said() -> None:
    media = media_of(jpeg(), modified=utc(2020, 2, 2))
    assert (media.time, media.extra) == (utc(2020, 2, 2), {"time_from": "file modified"})
    assert media_of(jpeg(), modified=NOW + timedelta(days=9)).time is None


def test_the_owners_zone_is_the_last_resort() -> None:
    exif = tiff({}, taken_at("2019:07:04 12:34:56"))
    media = media_of(jpeg(exif), profile=Profile(zone="Asia/Tokyo"))
    assert (media.time, media.offset) == (utc(2019, 7, 4, 3, 34, 56), 540)
    assert media.extra["offset_from"] == "zone"


# Places, cameras, captions.


@pytest.mark.parametrize(
    ("gps", "lat", "lon", "altitude"),
    [
        (GPS, LAT, LON, 35.5),
        ({**GPS, 1: "S", 3: "E"}, -LAT, -LON, 35.5),
        ({**GPS, 5: b"\1"}, LAT, LON, -35.5),
        ({**GPS, 5: 3}, LAT, LON, -35.5),
        ({**GPS, 6: ((355, 0),)}, LAT, LON, None),
        ({1: "N", 2: ((515, 10),), 3: "W", 4: ((1, 4),)}, 51.5, -0.25, None),
        ({1: "N", 2: ((0, 1),) * 3, 3: "E", 4: ((0, 1),) * 3}, None, None, None),
        ({**GPS, 2: ((0, 0),) * 3}, None, None, 35.5),
        ({**GPS, 2: ((91, 1), (0, 1), (0, 1))}, None, None, 35.5),
        ({**GPS, 4: "west"}, None, None, 35.5),
        ({1: "N", 2: GPS[2]}, None, None, None),
    ],
)
def test_the_place_of_a_photo(
    gps: Any, lat: float | None, lon: float | None, altitude: float | None
) -> None:
    media = media_of(jpeg(tiff({}, {}, gps)))
    assert (media.lat, media.lon, media.altitude) == (lat, lon, altitude)


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Google", "Pixel 7", "Google Pixel 7"),
        ("NIKON CORPORATION", "NIKON D750", "NIKON D750"),
        ("Canon", "Canon EOS 80D\0\0\0", "Canon EOS 80D"),
        ("SAMSUNG", "SM-G973F", "Samsung SM-G973F"),
        ("", "X100", "X100"),
        ("Ricoh", "", "Ricoh"),
        ("", "", None),
    ],
)
def test_the_name_of_a_camera_is_said_once(make: str, model: str, camera: str | None) -> None:
    assert media_of(jpeg(tiff({0x010F: make, 0x0110: model}))).camera == camera


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("Grandma's café", "Grandma's café"),
        ("OLYMPUS DIGITAL CAMERA         ", None),
        ("DCIM\\100MEDIA\\DJI_0001.JPG", None),
        ("   ", None),
    ],
)
def test_a_description_is_the_caption_unless_the_camera_wrote_it(
    text: str, caption: str | None
) -> None:
    assert media_of(jpeg(tiff({0x010E: text}))).caption == caption


def test_a_png_says_things_in_texts() -> None:
    packed = b"Description\0\0" + zlib.compress(b"A map")
    data = png(
        png_chunk(b"tEXt", b"Creation Time\x002019:07:04 12:34:56"), png_chunk(b"zTXt", packed)
    )
    media = media_of(data)
    assert (media.caption, media.time) == ("A map", utc(2019, 7, 4, 11, 34, 56))
    assert media.extra["time_from"] == "Creation Time"


def test_a_text_that_unpacks_to_gigabytes_is_cut() -> None:
    packed = b"Description\0\0" + zlib.compress(bytes(50_000_000))
    assert media_of(png(png_chunk(b"zTXt", packed))).width == 64


# XMP.


def packet(*properties: str, attributes: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:mwg="http://www.metadataworkinggroup.com/schemas/regions/"'
        ' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
        ' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
        ' xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
        ' xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f" {attributes}>{''.join(properties)}</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


CAPTION = '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">At the lake</rdf:li></rdf:Alt></dc:description>'
FACES = """<mwg:Regions rdf:parseType="Resource"><mwg:RegionList><rdf:Bag>
  <rdf:li><rdf:Description mwg:Name="Ada" mwg:Type="Face"/></rdf:li>
  <rdf:li rdf:parseType="Resource"><mwg:Name>Grace</mwg:Name><mwg:Type>Face</mwg:Type></rdf:li>
  <rdf:li><rdf:Description mwg:Name="Rex" mwg:Type="Pet"/></rdf:li>
</rdf:Bag></mwg:RegionList></mwg:Regions>"""
SHOWN = "<ext:PersonInImage><rdf:Bag><rdf:li>Ada</rdf:li><rdf:li>Emmy</rdf:li></rdf:Bag></ext:PersonInImage>"


@pytest.mark.parametrize(
    "data",
    [
        lambda xmp: jpeg(b"", xmp),
        lambda xmp: png(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)),
        lambda xmp: png(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp))),
        lambda xmp: encoded("WEBP", xmp=xmp),
        lambda xmp: encoded("AVIF", xmp=xmp),
    ],
    ids=["jpeg", "png", "packed png", "webp", "avif"],
)
def test_xmp_tells_captions_people_and_times(data: Any) -> None:
    xmp = packet(CAPTION, FACES, SHOWN, attributes='xmp:CreateDate="2019-07-04T12:34:56+02:00"')
    media = media_of(data(xmp))
    assert (media.caption, media.people) == ("At the lake", ("Ada", "Grace", "Emmy"))
    assert (media.time, media.offset) == (utc(2019, 7, 4, 10, 34, 56), 120)


@pytest.mark.parametrize(
    "xmp",
    [
        packet(CAPTION)[:-60],
        b"not XML",
        b"<a>" * 50_000,
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>',
        b'<!DOCTYPE x [<!ENTITY a "At the lake">]>' + packet(CAPTION.replace("At the lake", "&a;")),
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        b'<?xml version="1.0" encoding="unknown-9"?><x/>',
    ],
)
def test_xmp_that_is_none_says_nothing(xmp: bytes) -> None:
    media = media_of(png(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)))
    assert (media.caption, media.people, media.width) == (None, (), 64)


# Thumbnails.


def quarters(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours of the quarters, clockwise from the upper left."""
    x, y = image.width, image.height
    spots = [(x // 4, y // 4), (3 * x // 4, y // 4), (3 * x // 4, 3 * y // 4), (x // 4, 3 * y // 4)]
    rgb = image.convert("RGB")
    nearest = [rgb.getpixel(spot) for spot in spots]
    return [tuple(255 * (value > 127) for value in pixel) for pixel in nearest]  # type: ignore[union-attr]


def thumbnail_of(data: bytes) -> Image.Image:
    step = step_of(data)
    (raw,) = step.raws.values()
    assert getattr(step.records[0], "thumbnail", None) == content_id(raw)
    return Image.open(BytesIO(raw))


UPRIGHT = {
    1: [RED, GREEN, BLUE, WHITE],
    2: [GREEN, RED, WHITE, BLUE],
    3: [BLUE, WHITE, RED, GREEN],
    4: [WHITE, BLUE, GREEN, RED],
    5: [RED, WHITE, BLUE, GREEN],
    6: [WHITE, RED, GREEN, BLUE],
    7: [BLUE, GREEN, RED, WHITE],
    8: [GREEN, BLUE, WHITE, RED],
}
"""What EXIF says has to be done before a picture is shown (CIPA DC-008, table of tag 0x0112)."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("form", ["jpeg", "png", "heic", "avif"])
def test_thumbnails_are_upright(orientation: int, form: str) -> None:
    exif = tiff({0x0112: orientation})
    made = {
        "jpeg": lambda: jpeg(exif),
        "png": lambda: png(png_chunk(b"eXIf", exif)),
        # These encoders write the turn into the container.
        "heic": lambda: heic(exif),
        "avif": lambda: encoded("AVIF", exif=exif),
    }
    data = made[form]()
    assert quarters(thumbnail_of(data)) == UPRIGHT[orientation]
    media = media_of(data)
    if form in ("heic", "avif"):
        sides = (48, 64) if orientation > 4 else (64, 48)
        assert (media.width, media.height, media.orientation) == (*sides, None)
    else:
        assert (media.width, media.height, media.orientation) == (64, 48, orientation)


@pytest.mark.parametrize("orientation", [0, 9, 700])
def test_an_orientation_that_is_none_turns_nothing(orientation: int) -> None:
    data = jpeg(tiff({0x0112: orientation}))
    assert quarters(thumbnail_of(data)) == UPRIGHT[1]
    assert media_of(data).orientation is None


def test_thumbnails_are_small() -> None:
    small = thumbnail_of(encoded("JPEG", corners(4000, 3000)))
    assert small.size == (320, 240)
    assert thumbnail_of(encoded("JPEG", corners(100, 4000))).size == (8, 320)
    assert thumbnail_of(jpeg()).size == (64, 48)


def test_the_thumbnail_inside_a_heic_is_enough() -> None:
    data = heic(b"", 1024, 768, thumbnails=(320,))
    assert quarters(thumbnail_of(data)) == UPRIGHT[1]
    assert thumbnail_of(data).size == (320, 240)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "I;16", "CMYK"])
def test_every_mode_of_pixels_gives_a_thumbnail(mode: str) -> None:
    form = "TIFF" if mode == "CMYK" else "PNG"
    image = corners().convert("L").convert("I;16") if mode == "I;16" else corners().convert(mode)
    data = encoded("JPEG", image) if form == "TIFF" else encoded(form, image)
    assert thumbnail_of(data).mode in ("RGB", "L")


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    assert quarters(thumbnail_of(encoded("PNG", clear))) == [WHITE] * 4


def sized(data: bytes, width: int, height: int) -> bytes:
    """A JPEG that says it has so many pixels."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def big_png(width: int, height: int) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


@pytest.mark.parametrize(
    ("data", "size", "reason"),
    [
        (sized(plain_jpeg(), 65_000, 65_000), (65_000, 65_000), "4,225,000,000 pixels"),
        (b"\x89PNG\r\n\x1a\n" + big_png(60_000, 60_000), (60_000, 60_000), "3,600,000,000 pixels"),
        (
            b"\x89PNG\r\n\x1a\n" + big_png(9_000, 9_000) + png_chunk(b"IDAT", b""),
            (9_000, 9_000),
            "81,000,000 pixels takes",
        ),
        (
            b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(20),
            (65_535, 65_535),
            "4,294,836,225",
        ),
        (
            b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xfe\x3f\0\xfe\x3f\0",
            (16_383, 16_383),
            "pixels",
        ),
        (plain_jpeg()[:-200], (64, 48), "cannot be decoded"),
        (encoded("PNG")[:-30], (64, 48), "cannot be decoded"),
        (heic()[:-100], (64, 48), "cannot be decoded"),
    ],
)
def test_what_cannot_be_decoded_within_bounds_keeps_its_facts(
    data: bytes, size: tuple[int, int], reason: str
) -> None:
    step = step_of(data, "IMG_20190704_123456.jpg")
    media = media_of(data, "IMG_20190704_123456.jpg")
    assert (media.width, media.height, media.thumbnail) == (*size, None)
    assert reason in media.extra["thumbnail"]
    assert media.time == utc(2019, 7, 4, 11, 34, 56)
    assert not step.raws


def test_a_picture_that_says_two_sizes_is_not_decoded() -> None:
    at = plain_jpeg().index(b"\xff\xc0")
    first = sized(plain_jpeg(), 8, 8)[at : at + 19]
    media = media_of(plain_jpeg()[:at] + first + plain_jpeg()[at:])
    assert (media.width, media.thumbnail) == (8, None)
    assert "two sizes" in media.extra["thumbnail"]


def test_a_progressive_picture_costs_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    progressive = encoded("JPEG", progressive=True)
    assert step_of(progressive).raws
    # Two bytes of each of the values: three components, two of them of a quarter of the size.
    monkeypatch.setattr(thumbnail, "MOST_MEMORY", 64 * 48 * 3 - 1)
    assert "9,216 bytes" in media_of(progressive).extra["thumbnail"]
    assert step_of(plain_jpeg()).raws


def test_a_progressive_picture_of_many_scans_costs_time() -> None:
    progressive = encoded("JPEG", progressive=True)
    scan = progressive.rindex(b"\xff\xda")
    data = progressive[:-2] + progressive[scan:-2] * 200 + b"\xff\xd9"
    assert "scans" in media_of(data).extra["thumbnail"]


def test_of_a_large_file_only_the_beginning_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo, "WHOLE_LIMIT", 10_000)
    data = jpeg(TAKEN) + bytes(20_000_000)
    file = file_of(data, sha256="ab" * 32)
    ((media,),) = (step.records for step in photo.read(file, None))
    assert isinstance(media, Media)
    assert (media.lat, media.width) == (LAT, 64)
    assert "10,000 bytes" in media.extra["thumbnail"]
    assert isinstance(file.content, Bytes)
    assert sum(size for _, size in file.content.reads) < 5_000_000


# Moving photos.


def motion_of(data: bytes) -> bytes | None:
    motion = media_of(data).motion
    if motion is None:
        return None
    start, size = map(int, motion.split("+"))
    return data[start : start + size]


MICRO = packet(attributes=f'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="{len(SMALL_MOVIE)}"')
ITEMS = """<Container:Directory><rdf:Seq>
  <rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" Item:Semantic="Primary"/></rdf:li>
  <rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="video/mp4" Item:Semantic="MotionPhoto"
    Item:Length="{size}"/></rdf:li>
</rdf:Seq></Container:Directory>"""
LISTED = packet(ITEMS.format(size=len(SMALL_MOVIE)), attributes='GCamera:MotionPhoto="1"')
SAMSUNG_END = b"SEFH" + bytes(20) + b"SEFT"


@pytest.mark.parametrize(
    "data",
    [
        jpeg(b"", MICRO, SMALL_MOVIE),
        jpeg(b"", LISTED, SMALL_MOVIE),
        jpeg(
            TAKEN,
            tail=b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data"
            + SMALL_MOVIE
            + SAMSUNG_END,
        ),
        jpeg(tail=SMALL_MOVIE),
        jpeg(b"", packet(ITEMS.format(size=5)), SMALL_MOVIE),
        heic() + box(b"mpvd", SMALL_MOVIE),
    ],
    ids=["MicroVideo", "list of items", "Samsung", "appended", "wrong size", "HEIC"],
)
def test_where_the_movie_of_a_moving_photo_is(data: bytes) -> None:
    assert motion_of(data) == SMALL_MOVIE
    assert media_of(data).thumbnail


@pytest.mark.parametrize(
    "data",
    [
        jpeg(b"", MICRO),
        jpeg(b"", LISTED, bytes(len(SMALL_MOVIE))),
        jpeg(tail=FTYP),
        jpeg(tail=b"MotionPhoto_Data"),
        jpeg(b"", packet(attributes='GCamera:MicroVideoOffset="99999999999999999999"')),
        heic() + box(b"mpvd", b"no movie"),
    ],
)
def test_a_photo_that_only_says_so_does_not_move(data: bytes) -> None:
    assert motion_of(data) is None


def test_an_apple_photo_names_what_moves_it() -> None:
    note = b"Apple iOS\0\0\1MM\0\1" + bytes(30) + b"01234567-89AB-CDEF-0123-456789ABCDEF\0"
    exif = tiff({0x010F: "Apple"}, {0x927C: note})
    assert (
        media_of(heic(exif)).extra["content_identifier"] == "01234567-89AB-CDEF-0123-456789ABCDEF"
    )


# What comes in is anything.


@pytest.mark.parametrize("name", ["a.jpg", "a.txt", "a", "movie.mp4"])
@pytest.mark.parametrize(
    "data", [jpeg(), heic(), png(), encoded("GIF"), encoded("WEBP"), encoded("AVIF")]
)
def test_pictures_are_recognised_by_their_bytes(name: str, data: bytes) -> None:
    assert photo.recognise(name, data)
    assert not movie.recognise(name, data)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"GIF",
        b"RIFF\0\0\0\0WAVE",
        b"From a@b.c\n",
        b"{}",
        SMALL_MOVIE,
        b"\0\0\0\x18ftyp",
        b"\x89PNG",
    ],
)
def test_other_things_are_no_pictures(head: bytes) -> None:
    assert not photo.recognise("a.jpg", head)


GOOD = {
    "jpeg": jpeg(TAKEN, LISTED, SMALL_MOVIE),
    "heic": heic(TAKEN) + box(b"mpvd", SMALL_MOVIE),
    "png": png(
        png_chunk(b"eXIf", TAKEN), png_chunk(b"tEXt", b"Creation Time\x002019:07:04 12:34:56")
    ),
    "webp": encoded("WEBP", exif=TAKEN, xmp=LISTED),
    "avif": encoded("AVIF", exif=TAKEN),
    "gif": encoded("GIF"),
}


@pytest.mark.parametrize("form", GOOD)
@given(data=st.data())
def test_a_picture_cut_anywhere_is_read_or_said_to_be_bad(form: str, data: st.DataObject) -> None:
    good = GOOD[form]
    size = data.draw(st.integers(48, len(good) - 1))
    step = step_of(good[:size])
    (media,) = step.records
    assert isinstance(media, Media)
    assert (media.width is None) == bool(step.bad)
    assert media.id == content_id(good[:size])


@pytest.mark.parametrize("form", GOOD)
@given(data=st.data())
def test_damaged_bytes_never_raise(form: str, data: st.DataObject) -> None:
    damaged = bytearray(GOOD[form])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, min(len(damaged) - 1, 2_000)))
        damaged[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]))
    (step,) = photo.read(file_of(bytes(damaged)), None)
    assert len(step.records) == photo.recognise("a", bytes(damaged))


@given(
    st.sampled_from(
        [
            b"\xff\xd8\xff\xe1",
            b"\x89PNG\r\n\x1a\n",
            b"RIFF\0\0\0\0WEBP",
            b"GIF89a",
            FTYP.replace(b"isom", b"heic"),
        ]
    ),
    st.binary(max_size=500),
)
def test_anything_behind_a_good_head_never_raises(head: bytes, rest: bytes) -> None:
    photo.recognise("a", head + rest)
    assert len(list(photo.read(file_of(head + rest), None))) == 1


def test_what_is_no_picture_is_bad() -> None:
    step = step_of(b"From a@example.org\n")
    assert (step.records, step.bad[0].data) == ((), b"From a@example.org\n")
    assert "does not begin like any picture" in step.bad[0].reason


def test_a_picture_is_read_at_once() -> None:
    file = file_of(heic(TAKEN), sha256="ab" * 32)
    list(photo.read(file, None))
    assert isinstance(file.content, Bytes)
    assert file.content.reads == [(0, file.content.size)]


def test_a_picture_that_breaks_off_at_once_is_bad_and_kept() -> None:
    step = step_of(plain_jpeg()[:4], "IMG_20190704_123456.jpg")
    (bad,) = step.bad
    assert (bad.where, bad.size) == ("head", 4)
    assert "before it says its size" in bad.reason
    (media,) = step.records
    assert isinstance(media, Media)
    assert media.time == utc(2019, 7, 4, 11, 34, 56)


@pytest.mark.timeout(5)
def test_a_list_of_places_that_never_ends_is_left() -> None:
    # 65,535 items of 65,535 extents each, which are described with no bytes at all.
    places = box(b"iloc", bytes([1, 0, 0, 0, 0, 0]), b"\xff\xff", b"\0\1\0\0\0\0\xff\xff" * 30_000)
    data = FTYP.replace(b"isom", b"heic") + box(b"meta", bytes(4), places)
    assert media_of(data).width is None


def test_directories_of_very_many_tags_are_not_read() -> None:
    entries = b"".join(struct.pack("<HHII", tag, 7, 60_000, 0) for tag in range(5_000))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 5_000) + entries
    assert media_of(png(png_chunk(b"eXIf", data))).width == 64


def test_a_movie_of_a_photo_is_not_the_photo() -> None:
    assert not photo.recognise("a.jpg", FTYP + box(b"moov", mvhd(1)))
