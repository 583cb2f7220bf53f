"""Words about time, as literal phrases and the instants they mean."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.commands.errors import Refused
from shared.commands.when import parse_when
from shared.model.profile import Profile

NOW = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)
"""A Sunday."""

LONDON = Profile(zone="Europe/London", home_region="GB")
NEW_YORK = Profile(zone="America/New_York", home_region="US")
HAVANA = Profile(zone="America/Havana", home_region="CU")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("yesterday 15:00", "2026-11-21 15:00"),
        ("15:00 yesterday", "2026-11-21 15:00"),
        ("Yesterday at 3 PM", "2026-11-21 15:00"),
        ("yesterday, 3:15 p.m.", "2026-11-21 15:15"),
        ("last friday noon", "2026-11-20 12:00"),
        ("noon last friday", "2026-11-20 12:00"),
        ("friday at 12am", "2026-11-20 00:00"),
        ("fri midnight", "2026-11-20 00:00"),
        ("monday 9am", "2026-11-16 09:00"),
        ("sunday 9am", "2026-11-22 09:00"),
        ("sunday 18:00", "2026-11-15 18:00"),
        ("last sunday 9am", "2026-11-15 09:00"),
        ("15:00", "2026-11-22 15:00"),
        ("15:00:07", "2026-11-22 15:00:07"),
        ("18:00", "2026-11-21 18:00"),
        ("this morning", "2026-11-22 09:00"),
        ("in the morning", "2026-11-22 09:00"),
        ("yesterday in the afternoon", "2026-11-21 15:00"),
        ("last night", "2026-11-21 22:00"),
        ("2026-11-01 14:30", "2026-11-01 14:30"),
        ("2026-11-01T14:30", "2026-11-01 14:30"),
        ("1 nov 14:30", "2026-11-01 14:30"),
        ("nov 1st 2025 3pm", "2025-11-01 15:00"),
        ("24 december noon", "2025-12-24 12:00"),
        ("two weeks ago 8am", "2026-11-08 08:00"),
        ("the day before yesterday at noon", "2026-11-20 12:00"),
        ("now", "2026-11-22 16:30"),
        ("3 hours ago", "2026-11-22 13:30"),
        ("an hour ago", "2026-11-22 15:30"),
        ("half an hour ago", "2026-11-22 16:00"),
        ("1h 30m ago", "2026-11-22 15:00"),
        ("1h30m ago", "2026-11-22 15:00"),
        ("seven hours ago", "2026-11-22 09:30"),
        ("ten minutes ago", "2026-11-22 16:20"),
        ("2026-11-01 14:30 +02:00", "2026-11-01 12:30"),
        ("90 minutes ago", "2026-11-22 15:00"),
        ("1.5 hours ago", "2026-11-22 15:00"),
        ("2026-11-01T14:30:00Z", "2026-11-01 14:30"),
        ("2026-11-01t14:30:00.25+01:00", "2026-11-01 13:30:00.250000"),
        ("2026-11-01 14:30-0500", "2026-11-01 19:30"),
        ("1700000000", "2023-11-14 22:13:20"),
    ],
)
def test_a_moment(words: str, expected: str) -> None:
    when = parse_when(words, NOW, LONDON)
    assert when.start == when.end == when.asked == utc(expected)
    assert when.before == when.asked + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("words", "first", "after"),
    [
        ("2026-11-01", "2026-11-01 00:00", "2026-11-02 00:00"),
        ("2026/11/01", "2026-11-01 00:00", "2026-11-02 00:00"),
        ("20261101", "2026-11-01 00:00", "2026-11-02 00:00"),
        ("01/11/2026", "2026-11-01 00:00", "2026-11-02 00:00"),
        ("yesterday", "2026-11-21 00:00", "2026-11-22 00:00"),
        ("day before yesterday", "2026-11-20 00:00", "2026-11-21 00:00"),
        ("2 days ago", "2026-11-20 00:00", "2026-11-21 00:00"),
        ("friday", "2026-11-20 00:00", "2026-11-21 00:00"),
        ("last sunday", "2026-11-15 00:00", "2026-11-16 00:00"),
        ("this week", "2026-11-16 00:00", "2026-11-23 00:00"),
        ("last week", "2026-11-09 00:00", "2026-11-16 00:00"),
        ("this month", "2026-11-01 00:00", "2026-12-01 00:00"),
        ("last month", "2026-09-30 23:00", "2026-11-01 00:00"),
        ("this year", "2026-01-01 00:00", "2027-01-01 00:00"),
        ("last year", "2025-01-01 00:00", "2026-01-01 00:00"),
        ("seven days ago", "2026-11-15 00:00", "2026-11-16 00:00"),
        ("a month ago", "2026-10-21 23:00", "2026-10-22 23:00"),
        ("friday 20 november", "2026-11-20 00:00", "2026-11-21 00:00"),
        ("fri, 20 nov. 2026", "2026-11-20 00:00", "2026-11-21 00:00"),
        ("the 1st of november", "2026-11-01 00:00", "2026-11-02 00:00"),
        ("1-nov-2025", "2025-11-01 00:00", "2025-11-02 00:00"),
        ("november 1st", "2026-11-01 00:00", "2026-11-02 00:00"),
        ("december 1", "2025-12-01 00:00", "2025-12-02 00:00"),
        ("2025", "2025-01-01 00:00", "2026-01-01 00:00"),
        ("january 2025", "2025-01-01 00:00", "2025-02-01 00:00"),
        ("december", "2025-12-01 00:00", "2026-01-01 00:00"),
        ("2025-02", "2025-02-01 00:00", "2025-03-01 00:00"),
        # The days on which clocks change have 23 and 25 hours.
        ("2026-03-29", "2026-03-29 00:00", "2026-03-29 23:00"),
        ("2026-10-25", "2026-10-24 23:00", "2026-10-26 00:00"),
    ],
)
def test_a_day_or_longer(words: str, first: str, after: str) -> None:
    when = parse_when(words, NOW, LONDON)
    assert (when.start, when.end) == (utc(first), utc(after))
    asked = min(utc(after), NOW)
    assert when.asked == asked
    assert when.before in (asked, asked + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("profile", "words", "first", "second"),
    [
        # Repeated hour: both instants; the later is the moment in question.
        (LONDON, "2026-10-25 01:30", "2026-10-25 00:30", "2026-10-25 01:30"),
        (NEW_YORK, "2026-11-01 1:30am", "2026-11-01 05:30", "2026-11-01 06:30"),
        # Skipped hour: the offset before it (RFC 5545, section 3.3.5).
        (LONDON, "2026-03-29 01:30", "2026-03-29 01:30", "2026-03-29 01:30"),
        (NEW_YORK, "2026-03-08 02:30", "2026-03-08 07:30", "2026-03-08 07:30"),
        # Summer and winter on either side of a change.
        (LONDON, "2026-10-24 12:00", "2026-10-24 11:00", "2026-10-24 11:00"),
        (NEW_YORK, "2026-11-01 noon", "2026-11-01 17:00", "2026-11-01 17:00"),
        (NEW_YORK, "11/01/2026 noon", "2026-11-01 17:00", "2026-11-01 17:00"),
        (NEW_YORK, "yesterday 23:00", "2026-11-22 04:00", "2026-11-22 04:00"),
    ],
)
def test_clock_changes(profile: Profile, words: str, first: str, second: str) -> None:
    when = parse_when(words, NOW, profile)
    assert (when.start, when.asked) == (utc(first), utc(second))


def test_a_day_whose_midnight_was_skipped_begins_when_clocks_went_on() -> None:
    when = parse_when("2026-03-08", NOW, HAVANA)
    assert (when.start, when.end) == (utc("2026-03-08 05:00"), utc("2026-03-09 04:00"))


def test_elapsed_hours_count_across_a_change_of_clocks() -> None:
    morning = utc("2026-10-25 06:00")
    assert parse_when("12 hours ago", morning, LONDON).asked == utc("2026-10-24 18:00")
    assert parse_when("yesterday 18:00", morning, LONDON).asked == utc("2026-10-24 17:00")


def test_a_day_that_is_not_over_ends_now() -> None:
    when = parse_when("today", NOW, LONDON)
    assert (when.start, when.end) == (utc("2026-11-22 00:00"), utc("2026-11-23 00:00"))
    assert when.asked == NOW < when.before


def test_between_the_two_times_of_a_repeated_hour_the_first_is_meant() -> None:
    between = utc("2026-10-25 01:10")
    assert parse_when("today 01:30", between, LONDON).asked == utc("2026-10-25 00:30")


def test_today_is_the_owners_and_not_the_machines() -> None:
    late = utc("2026-11-23 03:00")
    assert parse_when("yesterday 15:00", late, NEW_YORK).asked == utc("2026-11-21 20:00")


@pytest.mark.parametrize(
    "words",
    [
        *("", " ", "banana", "the", "last", "ago", "5", "noon noon", "32 nov", "30 feb 2026"),
        *("2026-13-45", "2026-02-30", "2026-11-01 25:00", "2026-11-01 14:75", "13pm", "0am"),
        *(
            "2026 noon",
            "march 2025 15:00",
            "1 nov 15h",
            "1 nov 15:00:00.5",
            "2 days ago 8",
            "2026-11-01 14:30 CET",
        ),
        # Each has a part that would have to be dropped.
        *("at 3 o'clock yesterday", "yesterday afternoon at 3", "yesterday at 3", "now now"),
        *(
            "yesterday 15:00 +02:00",
            "yesterday 15:00 utc",
            "15:00 16:00",
            "yesterday evening 15:00",
        ),
        *("monday 20 november", "1 nov 15", "last week noon", "this week 15:00", "1h30mago"),
        *("yesterday today", "last last friday", "2 days 3 hours ago", "3 hours", "1 nov 2025 x"),
        *("next friday", "1e9", "-1", "９９", "noon\0", "9" * 400, "a" * 400, "0000-01-01"),
    ],
)
def test_words_that_mean_no_time_are_refused_with_examples(words: str) -> None:
    with pytest.raises(Refused, match="yesterday 15:00, last friday noon"):
        parse_when(words, NOW, LONDON)


@pytest.mark.parametrize(
    "words", ["tomorrow", "today 18:00", "2026-11-23", "2027", "in 3 days", "1900000000"]
)
def test_the_future_is_refused_unless_a_range_ends_there(words: str) -> None:
    with pytest.raises(Refused, match="in the future"):
        parse_when(words, NOW, LONDON)
    assert parse_when(words, NOW, LONDON, future=True).start > NOW


def test_a_date_that_reads_two_ways_is_refused_without_a_home_region() -> None:
    nowhere = Profile(zone="Europe/London")
    with pytest.raises(Refused, match="two ways"):
        parse_when("01/11/2026", NOW, nowhere)
    assert parse_when("13/11/2026", NOW, nowhere).start == utc("2026-11-13 00:00")
    assert parse_when("11/11/2026", NOW, nowhere).start == utc("2026-11-11 00:00")
