"""Ids come from what a record is, and fit as a document's name."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.ids import content_id, named_id, short_hash

AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
PARTS = st.lists(st.text(st.characters(), max_size=200), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("parts", "id"),
    [
        (("phone1",), "visit:phone1"),
        (("phone1", AT), "visit:phone1:1700000000000000"),
        (("phone-1", "place-2"), "visit:phone-1:place-2"),
    ],
)
def test_plain_parts_stay_readable(parts: tuple[str | datetime, ...], id: str) -> None:
    assert named_id("visit", *parts) == id


@pytest.mark.parametrize(
    "part",
    ["", "-", "a/b", "a:b", "a b", "../x", "ä", "\0", "\ud800", "x" * 200, "٣", "__x__", "."],
    ids=repr,
)
def test_other_parts_are_hashed(part: str) -> None:
    kind, _, digest = named_id("visit", part).partition(":")
    assert kind == "visit"
    assert len(digest) == 32
    assert int(digest, 16)


@given(PARTS, PARTS)
def test_other_parts_have_another_id(one: list[str], other: list[str]) -> None:
    assert (named_id("visit", *one) == named_id("visit", *other)) == (one == other)


@given(PARTS)
def test_an_id_fits_as_the_name_of_a_document(parts: list[str]) -> None:
    id = named_id("visit", *parts)
    assert len(id.encode()) <= 160
    assert id.isascii()
    assert "/" not in id


def test_hashes_tell_contents_apart() -> None:
    assert content_id(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert len(short_hash(b"a")) == 8
    assert short_hash(b"a") != short_hash(b"b")
