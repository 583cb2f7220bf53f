"""Times in the words people use, in the owner's zone: `yesterday 15:00`, `last friday noon`.

The grammar here covers what must be exact: clock times, elapsed times, weekdays, dates that begin
with the year, and what daylight saving does to them. Other names of days (`1 nov`, `two weeks ago`)
go to dateparser, which is asked for the day only, and only in forms that it reads to the end: it
drops what it does not understand. Weeks begin on Monday.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shared.commands.errors import Refused
from shared.model.profile import Profile
from shared.model.time import MICROSECOND, from_epoch, parse_rfc3339

EXAMPLES = "yesterday 15:00, last friday noon, 3 hours ago, 2026-11-01 14:30"


class When(NamedTuple):
    """What words about time mean, as UTC instants.

    start: the first instant, where a range from here begins. end: where a range up to here ends
    (not part of it). asked: the moment in question; of a day its end, or now while it lasts.
    before: later than `asked` by the least, so that "time < before" takes in `asked` itself
    (for a past day: "on that day").
    """

    start: datetime
    end: datetime
    asked: datetime
    before: datetime


def parse_when(text: str, now: datetime, profile: Profile, *, future: bool = False) -> When:
    """What `text` means for the owner at `now`.

    `Refused` for words that mean nothing, for a date that can be read two ways, and for the future
    unless `future` allows it.
    """
    return _Reading(text, now, profile, future).when()


class _Unclear(Exception):
    """Words that mean no time."""


class _Reading:
    def __init__(self, text: str, now: datetime, profile: Profile, future: bool) -> None:
        self._text = text
        self._now = now
        self._profile = profile
        self._zone = profile.tzinfo()
        self._today = now.astimezone(self._zone).date()
        self._future = future

    def when(self) -> When:
        try:
            return self._bounded(self._read())
        except (_Unclear, ValueError, OverflowError):
            raise Refused(f'"{self._text}" is no time that I know; try: {EXAMPLES}') from None

    def _read(self) -> When:
        exact = _exact(self._text.strip())
        if exact is not None:
            return _moment(exact, exact)
        words = _plain(self._text)
        if words == "now":
            return _moment(self._now, self._now)
        elapsed = _elapsed(words)
        if elapsed is not None:
            return _moment(self._now - elapsed, self._now - elapsed)
        words, clock = _split_clock(words)
        if clock is not None:
            return self._at(words, clock)
        first, after = self._span(words)
        start, _ = _instants(datetime.combine(first, time.min), self._zone)
        end, _ = _instants(datetime.combine(after, time.min), self._zone)
        return When(start, end, end, end)

    def _bounded(self, when: When) -> When:
        """Held against now: nobody was anywhere after it."""
        now = self._now
        if when.start > now and not self._future:
            raise Refused(f'"{self._text}" is in the future; ask for a time that has passed')
        if when.asked <= now or when.start > now:
            return when
        # The hour that the clocks repeat: its second time is still to come. Or a day not yet over.
        asked = when.start if when.end < when.before else now
        return when._replace(asked=asked, before=asked + MICROSECOND)

    def _at(self, words: str, clock: time) -> When:
        first, after = (self._today,) * 2 if not words else self._span(words)
        if words and after - first != timedelta(days=1):
            raise _Unclear
        when = self._clocked(first, clock)
        back = 1 if not words else 7 if words in _WEEKDAYS else 0
        if when.start > self._now and first == self._today and back:
            return self._clocked(first - timedelta(days=back), clock)
        return when

    def _clocked(self, day: date, clock: time) -> When:
        return _moment(*_instants(datetime.combine(day, clock), self._zone))

    def _span(self, words: str) -> tuple[date, date]:
        """The first day meant, and the first one after."""
        longer = _relative_span(words, self._today) or _long_span(words, self._today)
        if longer is not None:
            return longer
        day = self._day(words)
        return day, day + timedelta(days=1)

    def _day(self, words: str) -> date:
        if words in _NEAR_DAYS:
            return self._today - timedelta(days=_NEAR_DAYS[words])
        last, _, name = words.rpartition(" ")
        if name in _WEEKDAYS and last in ("", "last", "this", "past"):
            back = (self._today.weekday() - _WEEKDAYS[name]) % 7
            return self._today - timedelta(days=back or (7 if last in ("last", "past") else 0))
        iso = re.fullmatch(r"(\d{4})([-/.]?)(\d{1,2})\2(\d{1,2})", words)
        if iso is not None and (iso[2] or len(words) == 8):
            return date(int(iso[1]), int(iso[3]), int(iso[4]))
        return self._other_day(words)

    def _other_day(self, words: str) -> date:
        weekday, _, rest = words.partition(" ")
        if weekday not in _WEEKDAYS:
            return self._named_day(words)
        day = self._named_day(rest)
        if day.weekday() != _WEEKDAYS[weekday]:
            raise _Unclear
        return day

    def _named_day(self, words: str) -> date:
        words = " ".join(str(_NUMBERS.get(word, word)) for word in words.split())
        if not _WHOLE_DAY.fullmatch(words):
            raise _Unclear
        import dateparser  # a tenth of a second, for those words only

        found = dateparser.parse(
            words,
            languages=["en"],
            settings={
                "RELATIVE_BASE": datetime.combine(self._today, time.min),
                "PREFER_DATES_FROM": "past",
                "DATE_ORDER": self._date_order(words),
                "REQUIRE_PARTS": ["day", "month"],
                "PARSERS": ["relative-time", "absolute-time"],
            },
        )
        # It reads some dates that do not exist as a time of day.
        if found is None or found.tzinfo is not None or found.time() != time.min:
            raise _Unclear
        return found.date()

    def _date_order(self, words: str) -> str:
        region = self._profile.home_region
        if region is None and _reads_two_ways(words):
            raise Refused(
                f'"{self._text}" can be read two ways; write the year first, as in 2026-11-01, '
                "or say where you live: yurt profile --home-region GB"
            )
        return "MDY" if region == "US" else "DMY"


def _reads_two_ways(words: str) -> bool:
    numbers = re.fullmatch(r"(\d{1,2})[-/.](\d{1,2})([-/.]\d{2,4})?", words)
    if numbers is None:
        return False
    one, other = int(numbers[1]), int(numbers[2])
    return one != other and max(one, other) <= 12


def _moment(first: datetime, second: datetime) -> When:
    return When(first, second, second, second + MICROSECOND)


def _instants(local: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The instants at which clocks of the zone showed this: two in the hour that is repeated.

    A time that clocks skipped is read with the offset before the gap (RFC 5545, section 3.3.5).
    """
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return first, max(first, second)


def _exact(text: str) -> datetime | None:
    """RFC 3339, or seconds since 1970."""
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return from_epoch(float(text))
    try:
        return parse_rfc3339(text.upper())[0]
    except ValueError:
        return None


def _plain(text: str) -> str:
    words = re.sub(r"(?<=\d)[tT](?=\d)", " ", text).lower().replace(",", " ").split()
    return " ".join(_HALVES.get(word, word) for word in words if word not in _FILLERS)


def _elapsed(words: str) -> timedelta | None:
    """`3 hours ago`, `1h 30m ago`: time that passed, whatever clocks did meanwhile."""
    words = words.replace("half an hour", "30 minutes")
    if not re.fullmatch(rf"(?:{_AMOUNT}\s*)+ago", words):
        return None
    amounts = re.finditer(_AMOUNT, words)
    seconds = sum(_number(a["number"]) * _SECONDS[a["unit"][0]] for a in amounts)
    return timedelta(seconds=seconds)


def _number(word: str) -> float:
    return float(_NUMBERS.get(word, word))


def _split_clock(words: str) -> tuple[str, time | None]:
    """The words about the day, and the time of day if there is one at either end."""
    found = re.fullmatch(rf"(?P<day>.*?)\b{_CLOCK}", words) or re.fullmatch(
        rf"{_CLOCK}\b(?P<day>.*)", words
    )
    if found is None:
        return words, None
    day, part = found["day"].strip(), found["part"]
    if part is None:
        return day, _clock(int(found["hour"]), found["minute"], found["second"], found["half"])
    if part == "tonight":
        return (day or "today"), _PARTS[part]
    if part in _LOOSE_PARTS:
        day = day.removesuffix("in").strip()
        day = {"last": "yesterday", "this": "today"}.get(day, day)
    return day, _PARTS[part]


def _clock(hour: int, minute: str | None, second: str | None, half: str | None) -> time:
    if half is not None:
        if not 1 <= hour <= 12:
            raise _Unclear
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    return time(hour, int(minute or 0), int(second or 0))


def _relative_span(words: str, today: date) -> tuple[date, date] | None:
    """`this week`, `last month` and the like: calendar weeks, months and years."""
    which, _, unit = words.partition(" ")
    back = _WHICH.get(which)
    if back is None:
        return None
    if unit == "week":
        monday = today - timedelta(days=today.weekday() + 7 * back)
        return monday, monday + timedelta(days=7)
    if unit == "month":
        month = today.year * 12 + today.month - 1 - back
        return _month(month // 12, month % 12 + 1)
    if unit == "year":
        return date(today.year - back, 1, 1), date(today.year - back + 1, 1, 1)
    return None


def _long_span(words: str, today: date) -> tuple[date, date] | None:
    """A year or a month, where the words name one and no day in it."""
    if re.fullmatch(r"(19|20)\d\d", words):
        year = int(words)
        return date(year, 1, 1), date(year + 1, 1, 1)
    numbered = re.fullmatch(r"(\d{4})-(\d{2})", words)
    if numbered:
        return _month(int(numbered[1]), int(numbered[2]))
    name, _, year_text = words.partition(" ")
    month = _MONTHS.get(name)
    if month is None or not re.fullmatch(r"(\d{4})?", year_text):
        return None
    return _month(int(year_text or today.year - (month > today.month)), month)


def _month(year: int, month: int) -> tuple[date, date]:
    return date(year, month, 1), date(year + month // 12, month % 12 + 1, 1)


def _named(names: str, start: int) -> dict[str, int]:
    """Each name and its first three letters, numbered in order."""
    numbered = list(enumerate(names.split(), start))
    return {name: n for n, name in numbered} | {name[:3]: n for n, name in numbered}


_WEEKDAYS = _named("monday tuesday wednesday thursday friday saturday sunday", 0) | {
    "tues": 1,
    "weds": 2,
    "thur": 3,
    "thurs": 3,
}
_MONTHS = _named(
    "january february march april may june july august september october november december", 1
) | {"sept": 9}
_NEAR_DAYS = {"today": 0, "yesterday": 1, "day before yesterday": 2, "tomorrow": -1}
_WHICH = {"this": 0, "last": 1}
_NUMBERS = (
    {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
    | {"eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20}
    | {"thirty": 30, "forty": 40, "fifty": 50}
)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_AMOUNT = (
    rf"(?P<number>\d+(?:\.\d+)?|\b(?:{'|'.join(_NUMBERS)})\b)\s*"
    r"(?P<unit>seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h)(?![a-z])"
)
_ANY_MONTH = rf"(?:{'|'.join(_MONTHS)})\.?"
_WHOLE_DAY = re.compile(
    r"\d+ (?:days?|weeks?|months?|years?) ago|in \d+ (?:days?|weeks?|months?|years?)"
    r"|\d{1,2}([-/.])\d{1,2}(?:\1(?:\d{4}|\d{2}))?"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?[ -](?:of )?{_ANY_MONTH}(?:[ -]\d{{4}})?"
    rf"|{_ANY_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?: \d{{4}})?",
    re.ASCII,
)
"""Names of a day that dateparser reads whole."""
_FILLERS = frozenset(("at", "on", "the", "o'clock"))
_HALVES = {"a.m.": "am", "p.m.": "pm", "a.m": "am", "p.m": "pm"}
_LOOSE_PARTS = {"morning": time(9), "afternoon": time(15), "evening": time(19), "night": time(22)}
_PARTS = _LOOSE_PARTS | {
    "noon": time(12),
    "midday": time(12),
    "midnight": time(0),
    "tonight": time(22),
}
_CLOCK = (
    r"(?:(?P<hour>\d{1,2})(?=:|\s?[ap]m)(?::(?P<minute>\d\d)(?::(?P<second>\d\d))?)?"
    rf"\s?(?P<half>[ap]m)?|(?P<part>{'|'.join(_PARTS)}))"
)
