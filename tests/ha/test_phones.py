"""Phones that went quiet, by how they usually report."""

from datetime import UTC, datetime, timedelta

from shared.ha.phones import Phone, Report, look, usual

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Days:
    """Looks each half hour at a phone that reports as a test says."""

    def __init__(self) -> None:
        self.now = START
        self.last = START
        self.phones: dict[str, Phone] = {}

    def hours(self, number: float, *, each: float | None) -> "Days":
        """each: hours between two reports; None for none."""
        end = self.now + number * HOUR
        while self.now < end:
            self.now += HOUR / 2
            if each is not None and self.now - self.last >= each * HOUR:
                self.last = self.now
            self.phones = look(self.phones, {"p": Report(self.last, 0.2, "phone")}, self.now)
        return self

    @property
    def phone(self) -> Phone:
        return self.phones["p"]


def test_one_that_reports_each_hour_is_quiet_after_two() -> None:
    days = Days().hours(72, each=1)
    assert usual(days.phone) == 2 * HOUR
    days.hours(2, each=None)
    assert days.phone.quiet == days.last + 2 * HOUR
    assert days.hours(1, each=1).phone.quiet is None


def test_one_that_sleeps_at_night_is_not_missed_each_night() -> None:
    days = Days()
    for _ in range(10):
        days.hours(16, each=0.5).hours(8, each=None)
        assert days.phone.quiet is None
    assert usual(days.phone) == 8.5 * 1.5 * HOUR


def test_one_that_never_usually_reported_is_not_missed() -> None:
    assert Days().hours(40, each=1).hours(100, each=None).phone.quiet is None


def test_one_long_absence_does_not_make_absences_usual() -> None:
    days = Days().hours(96, each=1).hours(40, each=None)
    assert days.phone.quiet is not None
    days.hours(24, each=1)
    assert usual(days.phone) == 3 * HOUR
    assert days.hours(3, each=None).phone.quiet == days.last + 3 * HOUR


def test_it_is_missed_after_two_days_at_the_latest() -> None:
    days = Days()
    for _ in range(4):
        days.hours(40, each=None).hours(1, each=0.5)
    assert usual(days.phone) == timedelta(days=2)


def test_what_was_usual_long_ago_is_forgotten() -> None:
    days = Days().hours(72, each=10).hours(24 * 9, each=1)
    assert usual(days.phone) == 2 * HOUR


def test_a_clock_that_was_set_back_accuses_nobody() -> None:
    days = Days().hours(72, each=1)
    seen = look(days.phones, {"p": Report(days.last, None, "phone")}, days.now - 5 * HOUR)
    assert seen["p"].quiet is None
