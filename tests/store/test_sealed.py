"""How reports are packed into slices."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.time import to_micros
from shared.store import sealed
from shared.store.protocol import StoreError
from shared.store.sealed import (
    Item,
    Slice,
    Unsealable,
    cut,
    decode_directory,
    encode_directory,
    items_in,
    place_of,
    stamped,
    united,
)
from tests.store.samples import NOON

START = to_micros(NOON)
ITEMS = st.lists(
    st.one_of(
        st.tuples(
            st.integers(-9, 40), st.sampled_from(["fixes", "statuses"]), st.binary(min_size=1)
        ),
        st.tuples(st.integers(-9, 40), st.just("erased"), st.just(b"")),
    ),
    min_size=1,
    max_size=60,
)


def noise(count: int, size: int) -> list[Item]:
    """Reports that do not compress, one a second."""
    draw = random.Random(0)
    return [(START + i * 1_000_000, "fixes", draw.randbytes(size)) for i in range(count)]


def counts(cuts: list[tuple[Slice, bytes]]) -> list[int]:
    return [one.fixes for one, _ in cuts]


@given(ITEMS)
def test_what_is_put_in_comes_out(items: list[Item]) -> None:
    kept = united(items)
    erased = {time for time, kind, _ in items if kind == "erased"}
    assert set(kept) == {i for i in items if i[1] == "erased" or i[0] not in erased}
    ((one, data),) = cut(kept, grows=False)
    assert sorted(items_in(data)) == kept
    assert (one.first, one.last) == (kept[0][0], kept[-1][0])
    assert one.fixes + one.statuses + one.erased == len(kept)
    for kind in ("fixes", "statuses"):
        found = stamped(data, kind)
        assert found == sorted(found, key=lambda stamp: stamp[0])
        assert {s for s in found if s[1]} == {(time, p) for time, k, p in kept if k == kind}
        assert {time for time, packed in found if packed is None} == erased
        newest = stamped(data, kind, newest_first=True)
        assert [time for time, _ in newest] == [time for time, _ in found][::-1]


@given(ITEMS, st.booleans())
def test_equal_items_are_equal_slices(items: list[Item], grows: bool) -> None:
    again = random.Random(0).sample(items, len(items)) + items
    assert cut(united(items), grows=grows) == cut(united(again), grows=grows)


class TestCutting:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealed, "_ROOM", 90_000)
        monkeypatch.setattr(sealed, "_OPENED", 400_000)

    def test_what_fits_is_one(self) -> None:
        ((one, data),) = cut(noise(8, 10_000), grows=False)
        assert one.fixes == 8
        assert len(data) < 90_000

    def test_what_grew_in_the_middle_is_halved(self) -> None:
        assert counts(cut(noise(10, 10_000), grows=False)) == [5, 5]

    def test_what_grows_at_its_end_is_left_full(self) -> None:
        assert counts(cut(noise(10, 10_000), grows=True)) == [8, 2]
        assert counts(cut(noise(20, 10_000), grows=True)) == [8, 8, 4]

    def test_what_would_be_large_in_memory(self) -> None:
        items: list[Item] = [(START + i, "fixes", b"x" * 100) for i in range(10_000)]
        cuts = cut(items, grows=True)
        assert len(cuts) == 3
        assert all(len(data) < 20_000 for _, data in cuts)

    def test_an_instant_is_not_torn_apart(self) -> None:
        items = [
            (START + (n > 2) + (n > 7), kind, packed)
            for n, (_, kind, packed) in enumerate(noise(10, 10_000))
        ]
        assert counts(cut(united(items), grows=False)) == [3, 7]
        assert counts(cut(united(items), grows=True)) == [8, 2]

    def test_an_instant_that_no_document_holds(self) -> None:
        items = [(START, kind, packed) for _, kind, packed in noise(10, 10_000)]
        with pytest.raises(Unsealable) as raised:
            cut([(START - 9, "fixes", b"x"), *items, (START + 9, "fixes", b"x")], grows=False)
        assert raised.value.time == START


class TestDirectory:
    SLICES = [Slice("a" * 40, 10, 19, 3, 0, 0), Slice("b" * 40, 20, 20, 0, 1, 0)]  # noqa: RUF012

    @pytest.mark.parametrize(
        ("time", "expected"), [(-5, 0), (10, 0), (19, 0), (20, 1), (10**18, 1)]
    )
    def test_each_instant_has_one_slice(self, time: int, expected: int) -> None:
        assert place_of(self.SLICES, time) == expected

    def test_the_first_is_for_all_where_there_is_none(self) -> None:
        assert place_of([], 5) == 0

    def test_it_comes_back_as_it_was(self) -> None:
        assert decode_directory(encode_directory(self.SLICES)) == self.SLICES

    def test_what_concerns_whom(self) -> None:
        fixes, statuses = self.SLICES
        assert (fixes.concerns("fixes"), fixes.concerns("statuses")) == (True, False)
        assert (statuses.concerns("fixes"), statuses.concerns("statuses")) == (False, True)
        assert fixes._replace(erased=1).concerns("statuses")


@pytest.mark.parametrize("data", [b"", b"x", cut(noise(1, 9), grows=False)[0][1][:-9]])
def test_damaged_bytes_are_told(data: bytes) -> None:
    for read in (items_in, decode_directory):
        with pytest.raises(StoreError, match="damaged"):
            read(data)
