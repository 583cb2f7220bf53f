"""iCalendar objects: literal ones in, events out, and nothing that raises."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.model.ids import content_id
from shared.model.profile import Profile
from shared.model.records import Event, canonical
from shared.sources import ics
from shared.sources.resources import OBJECT_LIMIT, Keeping, Read
from shared.store.limits import packed_record

KEEPING = Keeping(source="caldav", where="/a.ics", profile=Profile(zone="Europe/Berlin"))

OUTLOOK = """BEGIN:VTIMEZONE
TZID:{tzid}
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""

SERIES = (
    """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Apple Inc.//macOS 15.1//EN
BEGIN:VTIMEZONE
TZID:Europe/London
BEGIN:STANDARD
DTSTART:19961027T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0000
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:5D3F-11@icloud.com
DTSTAMP:20260110T090000Z
LAST-MODIFIED:20260111T090000Z
DTSTART;TZID=Europe/London:20260601T090000
DTEND;TZID=Europe/London:20260601T093000
RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20261231T000000Z
EXDATE;TZID=Europe/London:20260608T090000
SUMMARY:Stand-up\\, weekly
LOCATION:12 St. James's Square\\nLondon
GEO:51.507;-0.135
ATTENDEE;CN="Babbage, Charles";PARTSTAT=ACCEPTED:mailto:charles@engines.exa
 mple
BEGIN:VALARM
ACTION:DISPLAY
DESCRIPTION:Soon
END:VALARM
END:VEVENT
BEGIN:VEVENT
UID:5D3F-11@icloud.com
DTSTAMP:20260110T090000Z
RECURRENCE-ID;TZID=Europe/London:20260615T090000
DTSTART;TZID=Europe/London:20260615T110000
DURATION:PT1H30M
SUMMARY:Stand-up\\, later
STATUS:CANCELLED
END:VEVENT
END:VCALENDAR
"""
).replace("\n", "\r\n")


def at(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[misc, arg-type]


def read(data: str | bytes, keeping: Keeping = KEEPING) -> Read:
    return ics.read(data.encode() if isinstance(data, str) else data, keeping)


def calendar(*lines: str, before: str = "") -> str:
    return "\n".join(["BEGIN:VCALENDAR", before, *lines, "END:VCALENDAR"])


def of(*lines: str, before: str = "", keeping: Keeping = KEEPING) -> Event:
    found = read(calendar("BEGIN:VEVENT", "UID:1", *lines, "END:VEVENT", before=before), keeping)
    assert not found.bad
    (event,) = found.records
    assert isinstance(event, Event)
    return event


def test_a_series_with_a_changed_instance() -> None:
    raw = content_id(SERIES.encode())
    found = read(SERIES)
    told: dict[str, Any] = {
        "source": "caldav", "source_version": 1, "raw": raw, "where": "/a.ics", "type": "calendar",
    }  # fmt: skip
    assert found.bad == []
    assert found.raws == {raw: SERIES.encode()}
    series, changed = found.records
    assert series == Event(
        **told,
        id=series.id,
        asof=at(2026, 1, 11, 9),
        time=at(2026, 6, 1, 8),
        end=at(2026, 6, 1, 8, 30),
        offset=60,
        title="Stand-up, weekly",
        lat=51.507,
        lon=-0.135,
        extra={
            "dtstamp": ["20260110T090000Z"],
            "last-modified": ["20260111T090000Z"],
            "dtstart": [{"value": "20260601T090000", "tzid": "Europe/London"}],
            "dtend": [{"value": "20260601T093000", "tzid": "Europe/London"}],
            "rrule": ["FREQ=WEEKLY;BYDAY=MO;UNTIL=20261231T000000Z"],
            "exdate": [{"value": "20260608T090000", "tzid": "Europe/London"}],
            "location": ["12 St. James's Square\nLondon"],
            "attendee": [
                {
                    "value": "mailto:charles@engines.example",
                    "cn": "Babbage, Charles",
                    "partstat": "ACCEPTED",
                }
            ],
        },
    )
    assert changed == Event(
        **told,
        id=changed.id,
        asof=at(2026, 1, 10, 9),
        time=at(2026, 6, 15, 10),
        end=at(2026, 6, 15, 11, 30),
        offset=60,
        title="Stand-up, later",
        extra={
            "dtstamp": ["20260110T090000Z"],
            "dtstart": [{"value": "20260615T110000", "tzid": "Europe/London"}],
            "status": ["CANCELLED"],
        },
    )
    assert len({series.id, changed.id}) == 2


@pytest.mark.parametrize(
    ("lines", "time", "end", "offset", "extra"),
    [
        (["DTSTART:20260601T080000Z"], at(2026, 6, 1, 8), None, None, {}),
        (
            ["DTSTART:20260601T080000Z", "DTEND:20260601T090000Z"],
            at(2026, 6, 1, 8), at(2026, 6, 1, 9), None, {},
        ),
        (
            ["DTSTART:20260601T080000Z", "DTEND:20260601T070000Z"],
            at(2026, 6, 1, 8), None, None, {},
        ),
        (
            ["DTSTART:20260601T080000Z", "DURATION:-PT1H"],
            at(2026, 6, 1, 8), None, None, {},
        ),
        (
            ["DTSTART:20260601T080000Z", "DURATION:P" + "9" * 90 + "D"],
            at(2026, 6, 1, 8), None, None, {},
        ),
        (
            ["DTSTART;VALUE=DATE:20260329"],
            at(2026, 3, 28, 23), at(2026, 3, 29, 22), 60,
            {"dtstart": ["20260329"], "all_day": True},
        ),
        (
            ["DTSTART;VALUE=DATE:20260329", "DTEND;VALUE=DATE:20260331"],
            at(2026, 3, 28, 23), at(2026, 3, 30, 22), 60,
            {"dtstart": ["20260329"], "dtend": ["20260331"], "all_day": True},
        ),
        (
            ["DTSTART;VALUE=DATE:20260329", "DURATION:P1W"],
            at(2026, 3, 28, 23), at(2026, 4, 4, 22), 60,
            {"dtstart": ["20260329"], "all_day": True},
        ),
        (
            ["DTSTART:20260601T080000"],
            at(2026, 6, 1, 6), None, 120,
            {"dtstart": ["20260601T080000"], "floating_time": True},
        ),
        (
            ["DTSTART;TZID=Mars:20260601T080000"],
            at(2026, 6, 1, 6), None, 120,
            {"dtstart": [{"value": "20260601T080000", "tzid": "Mars"}], "zone_unknown": "Mars"},
        ),
        (["DTSTART:20161231T235960Z"], at(2016, 12, 31, 23, 59, 59), None, None, {}),
    ],
    ids=range(11),
)  # fmt: skip
def test_times(
    lines: list[str],
    time: datetime,
    end: datetime | None,
    offset: int | None,
    extra: dict[str, Any],
) -> None:
    event = of(*lines)
    assert (event.time, event.end, event.offset, event.extra) == (time, end, offset, extra)


@pytest.mark.parametrize(
    ("tzid", "offset"),
    [
        ("America/New_York", -240),
        ("Eastern Standard Time", -240),
        ("/freeassociation.sourceforge.net/Asia/Kolkata", 330),
        ("/softwarestudio.org/Olson_20011030_5/America/Argentina/Buenos_Aires", -180),
        ("UTC", 0),
        ("Europe", None),
        ("../../etc/passwd", None),
        ("/etc/localtime", None),
        ("\0", None),
        ("a" * 3000, None),
    ],
    ids=range(10),
)
def test_zones_by_name(tzid: str, offset: int | None) -> None:
    event = of(f"DTSTART;TZID={tzid}:20260601T080000")
    assert event.offset == (120 if offset is None else offset)
    assert ("zone_unknown" in event.extra or "floating_time" in event.extra) == (offset is None)


@pytest.mark.parametrize(
    ("local", "offset"),
    [
        ("20260328T120000", 60),
        ("20260329T015900", 60),
        ("20260329T030000", 120),
        ("20260701T120000", 120),
        ("20261025T015900", 120),
        ("20261025T030000", 60),
        ("20261231T120000", 60),
        ("16000101T000000", 60),
    ],
)
def test_a_zone_of_its_own_is_evaluated_as_the_world_does(local: str, offset: int) -> None:
    zone = OUTLOOK.format(tzid="Custom time of mine")
    event = of(f"DTSTART;TZID=Custom time of mine:{local}", before=zone)
    assert event.offset == offset
    if local > "1980":
        assert event.time == of(f"DTSTART;TZID=Europe/Berlin:{local}").time
    assert "zone_unknown" not in event.extra


def test_zones_of_one_object_do_not_reach_another() -> None:
    zone = OUTLOOK.format(tzid="Mine")
    start = "DTSTART;TZID=Mine:20260601T080000"
    assert of(start, before=zone).extra.get("zone_unknown") is None
    assert of(start).extra["zone_unknown"] == "Mine"


def test_a_zone_is_what_its_name_says_before_what_it_defines() -> None:
    zone = OUTLOOK.format(tzid="Asia/Tokyo")
    assert of("DTSTART;TZID=Asia/Tokyo:20260601T080000", before=zone).offset == 540
    zone = OUTLOOK.format(tzid="x").replace("BEGIN:ST", "X-LIC-LOCATION:Asia/Tokyo\nBEGIN:ST")
    assert of("DTSTART;TZID=x:20260601T080000", before=zone).offset == 540


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FREQ=YEARLY", "FREQ=SECONDLY"),
        ("BYMONTH=3", "BYMONTH=13"),
        ("BYDAY=-1SU", "BYDAY=SU"),
        ("INTERVAL=1", "INTERVAL=2"),
        ("TZOFFSETTO:+0200", "TZOFFSETTO:+9900"),
        ("DTSTART:16010101T020000", "DTSTART:16011301T020000"),
        ("DTSTART:16010101T020000", "DTSTART:x"),
        ("BYMONTH=3", "BYMONTH=3;UNTIL=never"),
    ],
    ids=range(8),
)
def test_a_zone_that_cannot_be_evaluated_is_unknown(old: str, new: str) -> None:
    zone = OUTLOOK.format(tzid="x").replace(old, new)
    assert of("DTSTART;TZID=x:20260601T080000", before=zone).extra["zone_unknown"] == "x"


def test_a_zone_with_dates_and_an_end_of_its_rule() -> None:
    zone = """BEGIN:VTIMEZONE
TZID:x
BEGIN:STANDARD
DTSTART:20000101T000000
TZOFFSETFROM:+0000
TZOFFSETTO:+0300
RDATE:20100101T000000,20150201T000000
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:20050306T000000
TZOFFSETFROM:+0300
TZOFFSETTO:+0430
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=1SU;UNTIL=20150101T000000Z
END:DAYLIGHT
END:VTIMEZONE"""
    offsets = [
        of(f"DTSTART;TZID=x:{day}T120000", before=zone).offset
        for day in ("19990101", "20010101", "20060101", "20100201", "20100308", "20140601", "20150401")
    ]  # fmt: skip
    assert offsets == [0, 180, 270, 180, 270, 270, 180]


def test_the_id_is_the_uid_whatever_else_changes() -> None:
    one = of("DTSTART:20260601T080000Z")
    moved = of("DTSTART:20260602T080000Z", "SUMMARY:x")
    instance = of("DTSTART:20260602T080000Z", "RECURRENCE-ID:20260601T080000Z")
    again = of("DTSTART:20260603T080000Z", "recurrence-id:20260601t080000z")
    assert one.id == moved.id == "event:calendar:1"
    assert instance.id == again.id != one.id


def test_without_uid_the_id_is_the_place_or_the_content() -> None:
    def ids(title: str, place: str | None) -> list[str]:
        keeping = Keeping(source="caldav", where="", profile=Profile(), place=place)
        event = ["BEGIN:VEVENT", "DTSTART:20260601T080000Z", f"SUMMARY:{title}", "END:VEVENT"]
        return [record.id for record in read(calendar(*event, *event), keeping).records]

    assert ids("a", "mine:/1") == ids("b", "mine:/1") != ids("a", "mine:/2")
    assert ids("a", None) == ids("a", None) != ids("b", None)
    assert len(set(ids("a", None))) == 2


def test_which_version_stands() -> None:
    changed, seen = at(2026, 5, 5), at(2026, 6, 6)
    told: dict[str, Any] = {"source": "caldav", "where": "", "profile": Profile()}
    start = "DTSTART:20260601T080000Z"
    stamped = [start, "DTSTAMP:20260102T030405Z", "LAST-MODIFIED:soon"]
    both = Keeping(**told, changed=changed, seen=seen)
    silent = Keeping(**told, seen=seen)
    assert of(*stamped, keeping=both).asof == changed
    assert of(*stamped, keeping=silent).asof == at(2026, 1, 2, 3, 4, 5)
    assert of(start, keeping=silent).asof == seen


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("GEO:51.5;-0.1", (51.5, -0.1)),
        ("GEO:51.5", (None, None)),
        ("GEO:nan;0", (None, None)),
        ("GEO:91;0", (None, None)),
        ("X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-TITLE=Home:geo:51.5,-0.1", (51.5, -0.1)),
        ("X-APPLE-STRUCTURED-LOCATION:geo:1.1.1,2", (None, None)),
    ],
)
def test_places(line: str, place: tuple[float | None, float | None]) -> None:
    event = of("DTSTART:20260601T080000Z", line)
    assert (event.lat, event.lon) == place


def test_an_object_that_cancels_says_so() -> None:
    event = of("DTSTART:20260601T080000Z", before="METHOD:CANCEL")
    assert event.extra == {"method": ["CANCEL"]}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "BEGIN:VCALENDAR is missing"),
        (b"BEGIN:VCARD\nEND:VCARD", "BEGIN:VCALENDAR is missing"),
        (b"BEGIN:VCALENDAR\nEND:VCALENDAR", "there is no event"),
        (b"BEGIN:VCALENDAR\nBEGIN:VTODO\nEND:VTODO\nEND:VCALENDAR", "a to-do is no event"),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VEVENT\nEND:VCALENDAR", "when it begins"),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:x\nEND:VEVENT", "'x' is no time"),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260230T000000Z\nEND:VEVENT", "day is out of"),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:00010101T000000\nEND:VEVENT", "out of range"),
        (b"BEGIN:VCALENDAR\n" + b" " * OBJECT_LIMIT, "larger than any"),
    ],
    ids=range(9),
)
def test_what_is_no_event_is_told(data: bytes, reason: str) -> None:
    found = read(data)
    assert not found.records
    assert not found.raws
    assert [(bad.where, bad.size) for bad in found.bad] == [("/a.ics", len(data))]
    assert reason in found.bad[0].reason


def test_a_bad_event_costs_no_other() -> None:
    good = ["BEGIN:VEVENT", "UID:1", "DTSTART:20260601T080000Z", "END:VEVENT"]
    found = read(calendar("BEGIN:VEVENT", "UID:2", "END:VEVENT", *good))
    assert [record.id for record in found.records] == ["event:calendar:1"]
    assert [bad.reason for bad in found.bad] == [
        "event 1 cannot be read: it does not say when it begins (DTSTART)"
    ]


def test_more_events_than_are_read_are_told() -> None:
    event = "BEGIN:VEVENT\nDTSTART:20260601T080000Z\nEND:VEVENT"
    found = read(calendar(*[event] * (ics.MOST_EVENTS + 1)))
    assert len(found.records) == ics.MOST_EVENTS
    assert "more in it than is read" in found.bad[0].reason


_EVENT = "BEGIN:VEVENT\nUID:1\nDTSTART;TZID=x:20260601T080000\n"
LARGE = {
    "a line": _EVENT + "SUMMARY:" + "a" * 5_000_000,
    "text": _EVENT + ("DESCRIPTION:" + "\\\"'" * 20_000 + "\n") * 100,
    "guests": _EVENT + 'ATTENDEE;CN="a":mailto:a@example.org\n' * 100_000,
    "depth": _EVENT + "BEGIN:X\n" * 400_000,
    "zones": OUTLOOK.format(tzid="x").replace(
        "TZOFFSETFROM:+0200", "TZOFFSETFROM:+0200\n" + ("RDATE:20000101T000000\n" * 100)
    )
    + (_EVENT + "END:VEVENT\n") * 2_500,
    "observances": OUTLOOK.format(tzid="x").replace(
        "END:VTIMEZONE", "BEGIN:STANDARD\nDTSTART:x\nEND:STANDARD\n" * 5_000 + "END:VTIMEZONE"
    )
    + (_EVENT + "END:VEVENT\n"),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.timeout(20)
def test_large_objects_give_records_that_can_be_kept(name: str) -> None:
    found = read("BEGIN:VCALENDAR\n" + LARGE[name])
    assert found.records
    for record in found.records:
        packed_record(record)


_LINES = st.sampled_from([*SERIES.split("\r\n"), *OUTLOOK.splitlines()])
_DIGITS = st.text("0123456789TZ+-", max_size=17)
_TIMES = st.builds("{};TZID={}:{}".format, st.sampled_from(["DTSTART", "DTEND", "DURATION", "RRULE"]), st.sampled_from(["x", "{tzid}", "Asia/Tokyo"]), _DIGITS)  # fmt: skip
_PIECES = st.one_of(_LINES, _TIMES, st.text(max_size=40), st.binary(max_size=40))


@settings(deadline=None)
@given(st.lists(_PIECES, max_size=16), st.booleans())
@example(["DTSTART:99991231T235959", "DURATION:P1D"], True)
@example(["DTSTART:99991231", "DURATION:P1D"], True)
@example(["DTSTART:00010101"], True)
@example(["DTSTART:20260101T000000Z", "UID:\0"], True)
@example(["DTSTART;TZID=Asia/Tokyo:00010101T000000"], True)
@example(["DTSTART:20260101T246060Z"], True)
def test_nothing_raises_and_ids_are_stable(pieces: list[str | bytes], framed: bool) -> None:
    lines = [one.encode("utf-8", "replace") if isinstance(one, str) else one for one in pieces]
    begin, end = [b"BEGIN:VCALENDAR", b"BEGIN:VEVENT"], [b"END:VEVENT", b"END:VCALENDAR"]
    data = b"\r\n".join([*begin, *lines, *end] if framed else lines)
    found, again = read(data), read(data)
    assert found == again
    for record in found.records:
        assert msgspec.json.decode(canonical(record), type=Event) == record
        packed_record(record)
        assert isinstance(record, Event)
        assert record.end is None or record.end - record.time > timedelta(0)
    assert all(content_id(raw) == sha256 for sha256, raw in found.raws.items())
