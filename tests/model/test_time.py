"""Instants: exact, in UTC, and an offset only where one was said."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.time import (
    EPOCH,
    format_rfc3339,
    from_epoch,
    from_micros,
    parse_rfc3339,
    to_micros,
)

INSTANTS = st.datetimes(timezones=st.just(UTC))


@given(INSTANTS)
def test_micros_are_exact(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


@given(INSTANTS)
def test_text_is_exact(instant: datetime) -> None:
    text = format_rfc3339(instant)
    assert text.endswith("Z")
    assert parse_rfc3339(text) == (instant, None)


def test_an_instant_in_another_zone_is_the_same_instant() -> None:
    there = EPOCH.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert to_micros(there) == 0
    assert format_rfc3339(there) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "instant", "offset"),
    [
        ("2026-03-01T08:30:00Z", (2026, 3, 1, 8, 30), None),
        ("2026-03-01t08:30:00z", (2026, 3, 1, 8, 30), None),
        ("2026-03-01 08:30:00Z", (2026, 3, 1, 8, 30), None),
        ("2026-03-01T08:30:00.25Z", (2026, 3, 1, 8, 30, 0, 250_000), None),
        ("2026-03-01T08:30:00.1234567Z", (2026, 3, 1, 8, 30, 0, 123_456), None),
        ("2026-03-01T08:30:00+00:00", (2026, 3, 1, 8, 30), 0),
        ("2026-03-01T08:30:00+05:30", (2026, 3, 1, 3, 0), 330),
        ("2026-03-01T08:30:00-0700", (2026, 3, 1, 15, 30), -420),
    ],
)
def test_texts_that_phones_send(text: str, instant: tuple[int, ...], offset: int | None) -> None:
    year, month, day, hour, minute, second, micros = (*instant, 0, 0)[:7]
    expected = datetime(year, month, day, hour, minute, second, micros, tzinfo=UTC)
    assert parse_rfc3339(text) == (expected, offset)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "2026-03-01",
        "2026-03-01T08:30:00",
        "2026-02-30T08:30:00Z",
        "2026-03-01T25:30:00Z",
        "1772353800",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-10:00",
        "10000-01-01T00:00:00Z",
    ],
)
def test_texts_that_are_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    ("seconds", "instant"),
    [
        (0, EPOCH),
        (1700000000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1700000000.25, datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)),
        (-1, EPOCH - timedelta(seconds=1)),
    ],
)
def test_epoch_seconds(seconds: float, instant: datetime) -> None:
    assert from_epoch(seconds) == instant


@pytest.mark.parametrize("seconds", [1e300, -1e300, 10**30, float("nan"), float("inf")])
def test_seconds_that_are_no_date(seconds: float) -> None:
    with pytest.raises(ValueError, match="is no date"):
        from_epoch(seconds)
