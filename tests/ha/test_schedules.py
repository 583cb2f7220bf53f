"""When slots are."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ha.collectors import offset_of
from shared.ha.schedules import BadSchedule, Schedule, schedule

NONE = timedelta(0)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("every 15 minutes", timedelta(minutes=15)),
        ("Every 15m", timedelta(minutes=15)),
        ("every minute", timedelta(minutes=1)),
        ("every 6h", timedelta(hours=6)),
        ("every 2 days", timedelta(days=2)),
        ("every week", timedelta(weeks=1)),
    ],
)
def test_each_so_often(text: str, every: timedelta) -> None:
    assert schedule(text) == Schedule(every=every)


@pytest.mark.parametrize(
    ("text", "zone", "said"),
    [
        ("now and then", "UTC", "is no schedule: write `every 15 minutes`"),
        ("every", "UTC", "after `every` comes a number"),
        ("every 0m", "UTC", "cannot be met: from a minute to 31 days"),
        ("every 30 seconds", "UTC", "after `every` comes a number"),
        ("every 99999999999999999999 weeks", "UTC", "cannot be met"),
        ("every 32 days", "UTC", "cannot be met"),
        ("61 * * * *", "UTC", "is no schedule that comes: Bad minute"),
        ("0 0 31 2 *", "UTC", "is no schedule that comes"),
        ("0 0 * * *", "Mars/Olympus", "there is no time zone 'Mars/Olympus'"),
        ("0 0 * * *", "../../etc/passwd", "there is no time zone"),
        ("0 0 * * *", "", "there is no time zone ''"),
    ],
)
def test_what_is_no_schedule(text: str, zone: str, said: str) -> None:
    with pytest.raises(BadSchedule, match=said.replace("*", r"\*").replace(".", r"\.")):
        schedule(text, zone)


def test_by_the_clock_of_a_zone_also_when_it_changes() -> None:
    daily = schedule("30 2 * * *", "Europe/Berlin")
    slots = daily.slots(at("2026-03-27T12:00Z"), at("2026-03-30T12:00Z"), NONE)
    # On the day that has no half past two, at three, which it is then.
    assert list(slots) == [
        at("2026-03-28T01:30Z"),
        at("2026-03-29T01:00Z"),
        at("2026-03-30T00:30Z"),
    ]
    autumn = daily.slots(at("2026-10-24T12:00Z"), at("2026-10-26T12:00Z"), NONE)
    assert list(autumn) == [
        at("2026-10-25T00:30Z"),
        at("2026-10-26T01:30Z"),
    ]  # once on the long day


times = st.integers(0, 10 * 365 * 1440).map(
    lambda m: at("2020-01-01T00:00Z") + timedelta(minutes=m)
)
schedules = st.one_of(
    st.integers(1, 44_000).map(lambda n: Schedule(every=timedelta(minutes=n))),
    st.sampled_from(["0 7 * * *", "*/20 * * * 1", "30 2 1 * *"]).map(
        lambda cron: Schedule(cron=cron, zone="America/New_York")
    ),
)


@given(schedules, times, st.text())
def test_its_ways_to_ask_agree(asked: Schedule, now: datetime, id: str) -> None:
    offset = offset_of(id, asked)
    end = now + timedelta(days=40)
    slots = list(asked.slots(now, end, offset))
    assert slots == sorted(set(slots))
    assert all(now < slot <= end for slot in slots)
    assert asked.count(now, end, offset) == sum(
        now <= slot < end for slot in [asked.last(now, offset), *slots]
    )
    first = asked.next(now, offset)
    assert first > now
    assert slots[:1] == ([first] if first <= end else [])
    assert asked.last(first, offset) == first
    assert asked.last(first - timedelta(seconds=1), offset) <= now


@given(st.integers(1, 44_000).map(lambda n: Schedule(every=timedelta(minutes=n))), st.text())
def test_collectors_do_not_all_begin_at_once(every: Schedule, id: str) -> None:
    assert every.every is not None
    assert NONE <= offset_of(id, every) < every.every
