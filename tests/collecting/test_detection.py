"""That outages are found in time and nothing is told without one, on weeks of thirty collectors; and
the rules of others that this is measured beside."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.ha.collectors import Collector
from tests.bench.detection import (
    SIGN_GRACE,
    Outage,
    Truth,
    false_alarms,
    found,
    outages,
    watched,
)
from tests.bench.fleet import CLOUD, HOME, Fleet, Pace, Sign, Signal
from tests.bench.rules import Down, healthchecks, sign_of_life, uptime_kuma
from tests.bench.timeline import PLACES, Rates, Timeline, timeline

MARCH = datetime(2027, 3, 10, tzinfo=UTC)
"""In the weeks after it clocks change in America and in Europe."""
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MANY = Rates(services=400, hangs=200, lost=200, pauses=60, store=30, queue=30, ticks=0, node=30)


@pytest.fixture(scope="module")
def line() -> Timeline:
    return timeline(3, 25, MANY, MARCH)


@pytest.fixture(scope="module")
def truth(line: Timeline) -> list[Outage]:
    return outages(line, Fleet(line, CLOUD, watched=False).run())


@pytest.mark.parametrize("pace", [pytest.param(HOME, id="home"), pytest.param(CLOUD, id="cloud")])
def test_each_outage_is_found_after_its_grace_and_a_sweep_and_nothing_else_is_told(
    line: Timeline, truth: list[Outage], pace: Pace
) -> None:
    verdict = watched(line, pace)
    assert false_alarms(Truth(line, truth), verdict) == []
    single = [each for each in truth if each.cause not in PLACES and not each.crowded]
    lasting = [each for each in single if each.end > each.late + pace.sweep]
    seen = found(lasting, verdict)
    assert [each for each in seen if each.beyond is None or each.beyond > pace.sweep] == []
    # Of a task that is lost nothing is known before.
    lost = [each.beyond for each in seen if each.outage.cause == "lost"]
    assert [beyond for beyond in lost if beyond is not None and beyond < timedelta(0)] == []
    causes = [each.cause for each in lasting]
    assert min(map(causes.count, ("service", "hangs", "lost"))) >= 3
    # What no sweep can tell, since there is none, is told outside.
    without, within = line.spans("node", "store"), SIGN_GRACE + pace.sweep
    queue = line.spans("queue")  # it may keep sweeps from being made, but need not
    missed = [
        (start, end)
        for start, end in zip(without.starts, without.ends, strict=True)
        if end > start + within + pace.sweep and not queue.meets(start - pace.sweep, start)
    ]
    assert len(missed) >= 3
    told = [any(start < at <= start + within for at in verdict.outside) for start, _ in missed]
    assert all(told)


def test_sweeps_that_are_left_out_would_have_changed_nothing() -> None:
    line = timeline(5, 8, MANY, MARCH)
    assert watched(line, HOME) == watched(line, HOME, leaps=False)


HOURLY = Collector(service="imap", schedule="every 1h", created=NOON, grace=600)
END = NOON + 75 * MINUTE


def signals(*given: tuple[float, Sign]) -> list[Signal]:
    """By minutes after noon."""
    return [Signal(NOON + minutes * MINUTE, sign) for minutes, sign in given]


def down(minutes: float, until: float | None = None) -> Down:
    return Down("mail", NOON + minutes * MINUTE, None if until is None else NOON + until * MINUTE)


@pytest.mark.parametrize(
    ("given", "downs"),
    [
        pytest.param([(0, "start"), (1, "success"), (71, "success")], [], id="in time"),
        pytest.param([(1, "success"), (72, "success")], [down(71, 72)], id="after its grace"),
        pytest.param([(1, "success")], [down(71)], id="never again"),
        pytest.param([(1, "success"), (5, "start"), (15, "success")], [], id="a slow run"),
        pytest.param([(5, "start"), (16, "success")], [down(15, 16)], id="too slow a run"),
        pytest.param([(1, "success"), (5, "start")], [down(15)], id="a run that hangs"),
        pytest.param(
            [(5, "start"), (14, "start"), (20, "success")], [], id="a start hides one before it"
        ),
        pytest.param([(1, "success"), (3, "fail"), (9, "success")], [down(3, 9)], id="a failure"),
        pytest.param([(1, "success"), (3, "fail"), (9, "fail")], [down(3)], id="failures"),
        pytest.param([(1, "success"), (9, "pause")], [], id="paused"),
        pytest.param([(1, "success"), (73, "pause")], [down(71)], id="paused while down"),
        pytest.param([(9, "pause"), (70, "resume")], [], id="new after a pause"),
    ],
)
def test_what_healthchecks_would_tell(given: list[tuple[float, Sign]], downs: list[Down]) -> None:
    assert healthchecks("mail", HOURLY, signals(*given), END) == downs


def test_healthchecks_waits_for_a_slot_of_cron() -> None:
    nightly = Collector(
        service="imap", schedule="30 2 * * *", zone="Europe/Berlin", created=NOON, grace=600
    )
    night = datetime(2027, 3, 27, 1, 31, tzinfo=UTC)
    end = night + timedelta(days=2)
    # Half past two does not come on the day after it; what was to be then is at three.
    (told,) = healthchecks("mail", nightly, [Signal(night, "success")], end)
    assert told.at == datetime(2027, 3, 28, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "downs"),
    [
        pytest.param([(1, "success"), (61, "success")], [], id="in time"),
        pytest.param([(1, "success"), (62, "success")], [down(61 + 1 / 60, 62)], id="late"),
        pytest.param([(1, "success"), (5, "start"), (6, "fail")], [down(61 + 1 / 60)], id="never"),
        pytest.param([(1, "success"), (9, "pause")], [], id="paused"),
        pytest.param([(1, "pause"), (9, "resume")], [down(69 + 1 / 60)], id="none after a pause"),
    ],
)
def test_what_uptime_kuma_would_tell(given: list[tuple[float, Sign]], downs: list[Down]) -> None:
    assert uptime_kuma("mail", 60 * MINUTE, signals(*given), END) == downs


@pytest.mark.parametrize(
    ("missed", "told"),
    [
        pytest.param([], [], id="none"),
        pytest.param([10, 20], [], id="as many as its grace"),
        pytest.param([10, 20, 30], [35], id="more"),
        pytest.param([10, 20, 30, 50, 60, 70, 80], [35, 75], id="twice"),
    ],
)
def test_what_is_told_of_a_sign_of_life(missed: list[int], told: list[int]) -> None:
    at = [NOON + minutes * MINUTE for minutes in missed]
    found = sign_of_life(at, 10 * MINUTE, 25 * MINUTE)
    assert found == [NOON + minutes * MINUTE for minutes in told]
