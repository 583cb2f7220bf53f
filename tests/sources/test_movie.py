"""Movies: what their boxes say, whatever their order and sizes."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.ids import content_id
from shared.model.records import Media
from shared.model.steps import Step
from shared.sources import movie as source
from shared.sources import photo
from shared.sources.bmff import Box, Window, boxes
from tests.reading import Bytes, file_of, step_by_step
from tests.sources.media_bytes import (
    FTYP,
    QUICKTIME,
    SMALL_MOVIE,
    box,
    heic,
    large_box,
    movie,
    mvhd,
    quicktime_meta,
    trak,
    user_text,
)

SUMMER_1904 = 3_645_088_496
"""2019-07-04 12:34:56 UTC in seconds since 1904."""


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


SUMMER = utc(2019, 7, 4, 12, 34, 56)


def step_of(data: bytes, path: str = "movies/clip", **said: Any) -> Step:
    (step,) = source.read(file_of(data, path, **said), None)
    return step


def media_of(data: bytes, path: str = "movies/clip", **said: Any) -> Media:
    (record,) = step_of(data, path, **said).records
    assert isinstance(record, Media)
    return record


PHONE = quicktime_meta(
    creationdate="2019-07-04T14:34:56+0200",
    make="Apple",
    model="iPhone 12",
    location_ISO6709="+51.5073-000.1278+035.500/",
    content_identifier="01234567-89AB-CDEF-0123-456789ABCDEF",
    description="The lake",
)


def test_a_movie_is_one_record_named_by_its_bytes() -> None:
    data = movie(
        mvhd(SUMMER_1904), trak(1920, 1080, (0, 1, 0, -1, 0, 0, 0, 0, 1)), PHONE, head=QUICKTIME
    )
    step = step_of(data, "Takeout/clip.MOV")
    assert step.records == [
        Media(
            id=content_id(data),
            source="movie",
            source_version=1,
            raw=content_id(data),
            media_type="video/quicktime",
            size=len(data),
            name="clip.MOV",
            time=SUMMER,
            offset=120,
            lat=51.5073,
            lon=-0.1278,
            altitude=35.5,
            camera="Apple iPhone 12",
            width=1920,
            height=1080,
            orientation=6,
            duration=12.5,
            caption="The lake",
            extra={
                "time_from": "com.apple.quicktime.creationdate",
                "content_identifier": "01234567-89AB-CDEF-0123-456789ABCDEF",
            },
        )
    ]
    assert (step.done, step.bad) == (len(data), [])


def test_reading_goes_on_after_its_only_step() -> None:
    assert len(list(step_by_step(source, file_of(SMALL_MOVIE)))) == 1


@pytest.mark.parametrize(
    ("inside", "time", "offset", "origin"),
    [
        ([mvhd(SUMMER_1904)], SUMMER, None, "creation_time"),
        ([mvhd(SUMMER_1904, version=1)], SUMMER, None, "creation_time"),
        # Since 1970, as some recorders count.
        ([mvhd(1_562_243_696)], SUMMER, None, "creation_time"),
        ([mvhd(0)], None, None, None),
        ([mvhd(0), quicktime_meta(creationdate="2019-07-04T14:34:56+02:00")], SUMMER, 120, "com.apple.quicktime.creationdate"),
        ([mvhd(0), quicktime_meta(creationdate="2019-07-04T12:34:56Z")], SUMMER, 0, "com.apple.quicktime.creationdate"),
        # The clock's offset, from UTC beside it.
        ([mvhd(SUMMER_1904), quicktime_meta(creationdate="2019-07-04T18:19:57")], utc(2019, 7, 4, 12, 34, 57), 345, "com.apple.quicktime.creationdate"),
        ([mvhd(0), box(b"udta", user_text(b"\xa9day", "2019-07-04T14:34:56+0200"))], SUMMER, 120, "©day"),
        ([mvhd(SUMMER_1904), box(b"udta", user_text(b"\xa9day", "2019"))], SUMMER, None, "creation_time"),
        # 2010-01-01 00:00:00 and a day of 2036: clocks that nobody set.
        ([mvhd(3_345_148_800)], None, None, None),
        ([mvhd(4_170_000_000)], None, None, None),
        ([mvhd(2**64 - 1, version=1)], None, None, None),
    ],
)  # fmt: skip
def test_the_time_of_a_movie(
    inside: list[bytes], time: datetime | None, offset: int | None, origin: str | None
) -> None:
    media = media_of(movie(*inside))
    assert (media.time, media.offset, media.extra.get("time_from")) == (time, offset, origin)


def test_a_name_may_carry_the_time() -> None:
    media = media_of(movie(mvhd(0)), "VID_20190704_133456.mp4")
    assert (media.time, media.extra["time_from"]) == (SUMMER, "name")


LOCI = struct.pack(">3i", -8_376, 3_375_582, 35 << 16)


@pytest.mark.parametrize(
    ("inside", "place"),
    [
        (box(b"udta", user_text(b"\xa9xyz", "+51.5073-000.1278/")), (51.5073, -0.1278, None)),
        (box(b"udta", user_text(b"\xa9xyz", "-51.5073+179.1278-12.5/")), (-51.5073, 179.1278, -12.5)),
        (box(b"meta", quicktime_meta(location_ISO6709="+51.5-000.1+035.5CRSWGS_84/")[8:]), (51.5, -0.1, 35.5)),
        (box(b"udta", quicktime_meta(location_ISO6709="+51.5-000.1/")), (51.5, -0.1, None)),
        (box(b"udta", box(b"loci", bytes(4), b"\x15\xc7London\0\0", LOCI)), (51.5072937, -0.1278076, 35.0)),
        (box(b"udta", user_text(b"\xa9xyz", "+00.0000+000.0000/")), (None, None, None)),
        (box(b"udta", user_text(b"\xa9xyz", "+91.0000+000.0000/")), (None, None, None)),
        (box(b"udta", user_text(b"\xa9xyz", "somewhere")), (None, None, None)),
        (box(b"udta", box(b"loci", bytes(8))), (None, None, None)),
    ],
)  # fmt: skip
def test_the_place_of_a_movie(inside: bytes, place: tuple[float | None, ...]) -> None:
    media = media_of(movie(mvhd(SUMMER_1904), inside))
    assert (media.lat, media.lon, media.altitude) == place


def test_a_list_of_metadata_may_begin_with_a_version() -> None:
    versioned = box(b"meta", bytes(4), PHONE[8:])
    assert media_of(movie(mvhd(0), versioned)).camera == "Apple iPhone 12"


def test_old_boxes_name_the_camera() -> None:
    texts = user_text(b"\xa9mak", "Canon"), user_text(b"\xa9mod", "Canon EOS 80D")
    assert media_of(movie(mvhd(0), box(b"udta", *texts))).camera == "Canon EOS 80D"


@pytest.mark.parametrize(
    ("matrix", "orientation"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), None),
        ((0, 1, 0, -1, 0, 0, 0, 0, 1), 6),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), 3),
        ((0, -1, 0, 1, 0, 0, 0, 0, 1), 8),
        ((5, 5, 0, 5, 5, 0, 0, 0, 1), None),
    ],
)
@pytest.mark.parametrize("version", [0, 1])
def test_how_a_movie_is_turned(
    matrix: tuple[int, ...], orientation: int | None, version: int
) -> None:
    sound = trak(0, 0)
    media = media_of(movie(mvhd(0), sound, trak(1920, 1080, matrix, version)))
    assert (media.width, media.height, media.orientation) == (1920, 1080, orientation)


@pytest.mark.parametrize(
    ("header", "duration"),
    [
        (mvhd(0, 600, 7500), 12.5),
        (mvhd(0, 600, 7500, version=1), 12.5),
        (mvhd(0, 0, 7500), None),
        (mvhd(0, 600, 0), None),
        (mvhd(0, 1, 2**32 - 1), None),
        (mvhd(0, 1, 2**64 - 1, version=1), None),
        (box(b"mvhd", bytes(6)), None),
    ],
)
def test_how_long_a_movie_is(header: bytes, duration: float | None) -> None:
    assert media_of(movie(header)).duration == duration


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (FTYP, "video/mp4"),
        (QUICKTIME, "video/quicktime"),
        (box(b"ftyp", b"3gp5", bytes(4)), "video/3gpp"),
        (box(b"ftyp", b"M4A ", bytes(4)), "audio/mp4"),
        (box(b"wide"), "video/quicktime"),
    ],
)
def test_what_kind_of_movie_it_is(head: bytes, media_type: str) -> None:
    data = movie(mvhd(SUMMER_1904), head=head)
    assert source.recognise("clip.jpg", data)
    assert not photo.recognise("clip.jpg", data)
    assert (media_of(data).media_type, media_of(data).time) == (media_type, SUMMER)


@pytest.mark.parametrize(
    "head",
    [b"", b"\0\0\0\x08", b"\xff\xd8\xff\xe0", heic(), b"free text of no movie", b"\0\0\0\x18ftypcrx ", b"mdat" * 9, b"\0\0\0\x0cfree----\n\n\n\n\n\n\n\n"],
)  # fmt: skip
def test_other_things_are_no_movies(head: bytes) -> None:
    assert not source.recognise("clip.mp4", head)


# Boxes of any size, in any order.

MOOV = box(b"moov", mvhd(SUMMER_1904), trak(64, 48))


@pytest.mark.parametrize(
    "data",
    [
        FTYP + MOOV + box(b"mdat", bytes(100_000)),
        FTYP + box(b"mdat", bytes(100_000)) + MOOV,
        FTYP + large_box(b"mdat", bytes(100_000)) + MOOV,
        FTYP + large_box(b"moov", MOOV[8:]),
        FTYP + bytes(4) + MOOV[4:],
        FTYP + b"".join(box(b"free", bytes(n)) for n in range(300)) + MOOV,
        # The last box claims more than there is.
        FTYP + b"\x7f\xff\xff\xff" + MOOV[4:],
    ],
    ids=["first", "last", "64 bits before", "64 bits", "to the end", "many before", "too large"],
)
def test_the_list_is_found_wherever_it_is(data: bytes) -> None:
    media = media_of(data)
    assert (media.time, media.width) == (SUMMER, 64)


@pytest.mark.parametrize(
    "data",
    [
        FTYP,
        FTYP + box(b"mdat", bytes(100)),
        FTYP + struct.pack(">I4s", 2**31, b"mdat") + bytes(100),
        FTYP + struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1) + MOOV,
        FTYP + struct.pack(">I4sQ", 1, b"mdat", 0) + MOOV,
        FTYP + struct.pack(">I4s", 7, b"free") + MOOV,
        FTYP + b"\0\0\0\4" + MOOV,
        FTYP + struct.pack(">I4s", 8, b"free") * 20_000 + MOOV,
    ],
    ids=[
        "nothing",
        "broken off",
        "larger than the file",
        "huge",
        "zero",
        "seven",
        "four",
        "too many",
    ],
)
def test_a_movie_without_its_list_is_bad_and_kept(data: bytes) -> None:
    step = step_of(data, "VID_20190704_133456.mp4")
    (bad,) = step.bad
    assert (bad.where, bad.size) == ("moov", len(data))
    (media,) = step.records
    assert isinstance(media, Media)
    assert (media.id, media.time) == (content_id(data), SUMMER)


def test_a_box_ends_with_what_holds_it() -> None:
    inner = struct.pack(">I4s", 1_000, b"free") + bytes(20)
    data = box(b"udta", inner) + box(b"free", bytes(100))
    window = Window(Bytes(data))
    (outer, _) = boxes(window, 0, len(data))
    assert list(boxes(window, outer.start, outer.end)) == [Box(b"free", 16, outer.end, False)]


class Sparse(Bytes):
    """Five gigabytes between a head and a tail."""

    def __init__(self, head: bytes, gap: int, tail: bytes) -> None:
        super().__init__(b"")
        self._head, self._gap, self._tail = head, gap, tail

    @property
    def size(self) -> int:
        return len(self._head) + self._gap + len(self._tail)

    def read(self, start: int, size: int) -> bytes:
        self.reads.append((start, size))
        back = start - len(self._head) - self._gap
        return self._head[start : start + size] if back < 0 else self._tail[back : back + size]


def test_of_five_gigabytes_some_pieces_are_read() -> None:
    gap = 5_000_000_000
    content = Sparse(FTYP + struct.pack(">I4sQ", 1, b"mdat", gap + 16), gap, MOOV)
    file = file_of(b"", sha256="ab" * 32)
    object.__setattr__(file, "content", content)
    ((record,),) = (step.records for step in source.read(file, None))
    assert isinstance(record, Media)
    assert (record.time, record.size) == (SUMMER, content.size)
    assert len(content.reads) <= 4
    assert sum(size for _, size in content.reads) <= 4 * 65_536


def test_boxes_spread_over_terabytes_are_not_followed_for_ever() -> None:
    class Endless(Bytes):
        size = 2**60

        def read(self, start: int, size: int) -> bytes:
            self.reads.append((start, size))
            return struct.pack(">I4sQ", 1, b"free", 2**40).ljust(size, b"\0")

    content = Endless(b"")
    file = file_of(b"", sha256="ab" * 32)
    object.__setattr__(file, "content", content)
    ((bad,),) = (step.bad for step in source.read(file, None))
    assert bad.where == "moov"
    assert len(content.reads) <= 500


GOOD = movie(
    mvhd(SUMMER_1904), trak(64, 48), PHONE, box(b"udta", user_text(b"\xa9xyz", "+1.5+2.5/"))
)


@given(st.integers(1, len(GOOD) - 1))
def test_a_movie_cut_anywhere_is_read_or_said_to_be_bad(size: int) -> None:
    assert len(step_of(GOOD[:size]).records) == 1


@given(st.data())
def test_damaged_bytes_never_raise(data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.sampled_from([0, 1, 8, 0x7F, 0x80, 0xFF]))
    source.recognise("clip", bytes(damaged))
    assert len(step_of(bytes(damaged)).records) == 1


@given(st.binary(max_size=500))
def test_anything_behind_a_good_head_never_raises(rest: bytes) -> None:
    assert len(step_of(FTYP + box(b"moov", rest)).records) == 1
