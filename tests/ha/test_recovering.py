"""What would run if some collectors failed."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.ha.changes import BadChange, Failure, read_failure
from shared.ha.collectors import BadCollector, Collectors
from shared.ha.planner import plan
from shared.ha.recovering import Recovering, recoveries
from tests.ha.plans import NOW, caps, collector, config, pool

EVERY = timedelta(minutes=10)
EVENING = datetime(2026, 11, 25, 18, tzinfo=UTC)
END = datetime(2026, 11, 26, 8, tzinfo=UTC)


def found(given: Collectors, *failed: str, writes: float = 0) -> list[Recovering]:
    made = plan(given, pool(used={"firestore.writes": writes}), NOW)
    return recoveries(given, made, failed, EVENING, EVERY)


def at(hour: int, minute: int = 0) -> datetime:
    return EVENING.replace(hour=hour, minute=minute)


THREE = config(
    mail=collector("0 18 * * *", caps=caps(writes=100), priority=2),
    people=collector("0 * * * *", caps=caps(writes=100), priority=1, grace=300),
    photos=collector("30 * * * *", caps=caps(writes=100), level="best-effort"),
    notes=collector("30 * * * *", level="unprotected"),
)


def test_each_is_noticed_after_its_grace_and_a_look_and_begun_again_in_order() -> None:
    people, mail = found(THREE, "mail", "people")
    assert people == Recovering(
        collector="people",
        missed=at(18),
        noticed=at(18, 15),
        restarts=(at(18, 15), at(18, 25), at(18, 35)),
        short=None,
        lasting=None,
    )
    assert (mail.collector, mail.noticed) == ("mail", at(18, 20))


def test_best_effort_is_begun_again_only_of_what_is_left() -> None:
    (photos,) = found(THREE, "photos")
    assert (photos.missed, len(photos.restarts), photos.short) == (at(18, 30), 3, None)
    (photos,) = found(THREE, "photos", writes=16_000)
    assert (photos.restarts, photos.short, photos.lasting) == ((), "firestore.writes", END)


def test_unprotected_is_left_to_its_slots() -> None:
    (notes,) = found(THREE, "notes")
    assert (notes.restarts, notes.short) == ((), None)


def test_protected_ones_beyond_what_fits_are_begun_again_all_the_same() -> None:
    # 18,000 - 17 slots - used: one recovery of 504 fits, and not the second.
    people, mail = found(THREE, "mail", "people", writes=18_000 - 1_900 - 900)
    assert people.short is None
    assert (mail.short, mail.lasting, len(mail.restarts)) == ("firestore.writes", END, 3)


def test_who_is_not_there_cannot_fail() -> None:
    with pytest.raises(BadCollector, match="there is no collector 'post'"):
        found(THREE, "post")


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("mail fails", Failure("mail", None)),
        ("mail fails at 18:00", Failure("mail", (18, 0))),
        ("mail fails at 7:05", Failure("mail", (7, 5))),
        ("mail every 1m", None),
        ("tolerate 2", None),
    ],
)
def test_failures_are_read(text: str, failure: Failure | None) -> None:
    assert read_failure(text) == failure


@pytest.mark.parametrize("text", ["mail fails at 25:00", "mail fails at noon", "mail fails often"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadChange, match="says no time of day"):
        read_failure(text)
