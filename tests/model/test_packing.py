"""Reports as bytes: nothing is lost, equal reports are equal bytes, and one of several stands."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model import packing
from shared.model.records import Fix, Status
from tests.model.strategies import FIXES, STATUSES

AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def fix(**fields: Any) -> Fix:
    given: dict[str, Any] = {"source": "owntracks", "source_version": 1, "device": "phone1"}
    return Fix(**{**given, "time": AT, "lat": 51.5034123, "lon": -0.1276543, **fields})


@given(FIXES)
def test_a_fix_reads_back_equal(report: Fix) -> None:
    packed = packing.pack(report)
    back = packing.unpack_fix(report.device, report.time, packed)
    assert back == report
    assert types(back) == types(report)
    assert packing.pack(back) == packed


@given(STATUSES)
def test_a_status_reads_back_equal(report: Status) -> None:
    packed = packing.pack(report)
    back = packing.unpack_status(report.device, report.time, packed)
    assert back == report
    assert types(back) == types(report)
    assert packing.pack(back) == packed


def types(report: Fix | Status) -> dict[str, type]:
    return {name: type(value) for name, value in msgspec.structs.asdict(report).items()}


@pytest.mark.parametrize(
    "extra",
    [
        {"a": 1.0, "b": 1, "c": True},
        {"a": None, "b": [], "c": {}, "": ""},
        {"n": 2**64 - 1, "m": -(2**63)},
        {"nested": {"list": [1, [2.5, {"x": None}]]}},
        {"text": "ä€😀\0"},
    ],
    ids=str,
)
def test_extra_keeps_its_types(extra: dict[str, Any]) -> None:
    back = packing.unpack_fix("phone1", AT, packing.pack(fix(extra=extra)))
    assert repr(back.extra) == repr(dict(sorted(extra.items())))


def test_the_order_of_members_does_not_matter() -> None:
    one, other = (
        fix(extra={"a": 1, "b": {"c": 2, "d": 3}}),
        fix(extra={"b": {"d": 3, "c": 2}, "a": 1}),
    )
    assert packing.pack(one) == packing.pack(other)


def test_device_and_time_are_not_in_the_bytes() -> None:
    assert packing.pack(fix()) == packing.pack(fix(device="tablet1", time=AT.replace(year=2025)))


def test_a_plain_fix_is_small() -> None:
    said = {"tid": "me", "m": 1}
    report = fix(accuracy=8, altitude=35, speed=1.3889, course=270, battery=0.53, extra=said)
    assert len(packing.pack(report)) < 80


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (b"", "damaged"),
        (b"\xc1", "damaged"),
        (b"\x90", "damaged"),
        (b"\x91\x63", "update Yurt"),
        (packing.pack(fix())[:-1], "damaged"),
    ],
)
def test_bytes_of_another_layout_are_refused(damaged: bytes, reason: str) -> None:
    with pytest.raises(packing.UnreadablePacking, match=reason):
        packing.unpack_fix("phone1", AT, damaged)


def test_the_most_accurate_fix_stands() -> None:
    exact, rough, unsaid = (packing.pack(fix(accuracy=a)) for a in (5, 50, None))
    assert packing.best([rough, exact, unsaid]) == exact
    assert packing.best([unsaid, rough]) == rough


def test_of_equally_accurate_fixes_the_one_that_says_more_stands() -> None:
    short, long = (packing.pack(fix(accuracy=5, extra=e)) for e in ({}, {"tid": "me"}))
    assert packing.best([long, short]) == packing.best([short, long]) == long


@given(st.lists(FIXES.map(packing.pack), min_size=1, max_size=3), st.randoms())
def test_which_stands_does_not_depend_on_the_order(variants: list[bytes], random: Any) -> None:
    shuffled = random.sample(variants, len(variants))
    stands = packing.best(variants)
    assert packing.best(shuffled) == stands
    # Nor on what was already decided between some of them.
    assert packing.best([packing.best(variants[:2]), *variants[2:]]) == stands
