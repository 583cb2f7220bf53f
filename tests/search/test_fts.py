"""The index of a home node, on a connection of its own."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.model.identity import email_key
from shared.model.records import (
    Attachment,
    Event,
    Media,
    Message,
    NamedRecord,
    Person,
    Place,
    Reject,
    Visit,
)
from shared.search import fts
from shared.search.fts import find, index
from shared.search.words import words_of

WHEN = datetime(2014, 3, 4, 9, 5, 6, tzinfo=UTC)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in fts.MIGRATION.split(";"):
            connection.execute(statement)
        yield connection


def message(id: str, text: str = "", *, days: int = 0, sender: str = "ada@example.org") -> Message:
    return Message(
        id=id,
        source="mbox",
        source_version=1,
        time=WHEN + timedelta(days=days),
        sender=email_key(sender),
        recipients=(email_key("bob@example.net"),),
        subject="Minutes of the meeting",
        text=text,
        attachments=(Attachment(id="0", media_type="image/jpeg", size=1, name="IMG_77.jpg"),),
        extra={"names": {"ada@example.org": "Ada Lovelace", "bob@example.net": "Bob Bauer"}},
    )


def put(connection: sqlite3.Connection, *records: NamedRecord) -> None:
    index(connection, [(record, None) for record in records])


def ids(connection: sqlite3.Connection, words: str) -> list[str]:
    return [found.id for found in find(connection, words).found]


FOUND = [
    *("final notice", '"final notice"', "notice final", "FINAL", "fin*", "resume", "Résumé"),
    *("missing OR notice", "notice -missing", "from:ada", "from:lovelace", "from:ada@example.org"),
    *("with:bob", "with:bauer", "to:bob@example.net", "subject:minutes", "minutes notice"),
    *("img_77.jpg", "77", 'from:"ada lovelace"', "-from:bob notice", "final missing OR notice"),
]  # fmt: skip
NOT_FOUND = [
    *('"notice final"', "missing", "notice missing", "notice -final", "from:bob", "subject:final"),
    *("fi", "-notice", "", "*", '"meeting final"', "notice -from:ada"),
]


@pytest.mark.parametrize(
    ("words", "expected"), [*((w, True) for w in FOUND), *((w, False) for w in NOT_FOUND)]
)
def test_finding(connection: sqlite3.Connection, words: str, expected: bool) -> None:
    put(connection, message("one", "The final notice of your résumé"))
    assert bool(ids(connection, words)) == expected


COMMON: dict[str, Any] = {"id": "x", "source": "test", "source_version": 1}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (message("x"), "minutes"),
        (Media(**COMMON, media_type="image/jpeg", size=1, caption="At the lake"), "lake"),
        (Media(**COMMON, media_type="image/jpeg", size=1, name="IMG_1.jpg"), "IMG_1.jpg"),
        (Media(**COMMON, media_type="image/jpeg", size=1, people=("Ada", "Bob B")), "with:bob"),
        (Event(**COMMON, type="calendar", time=WHEN, title="Dentist"), "dentist"),
        (Place(**COMMON, name="Zur Linde", lat=1.0, lon=1.0), "linde"),
        (Person(**COMMON, names=("Ada L",), keys=(email_key("ada@x.org"),)), "ada@x.org"),
    ],
)
def test_kinds(connection: sqlite3.Connection, record: NamedRecord, words: str) -> None:
    put(connection, record)
    assert find(connection, words).found == [(record.__struct_config__.tag, "x")]


@pytest.mark.parametrize(
    "record",
    [
        Visit(**COMMON, device="phone", time=WHEN, lat=1.0, lon=1.0),
        Reject(**COMMON, reason="not JSON", time=WHEN),
        Message(**COMMON),
        Message(**COMMON, extra={"names": "odd", "text": 1}),
    ],
)
def test_what_says_nothing_is_not_indexed(
    connection: sqlite3.Connection, record: NamedRecord
) -> None:
    assert words_of(record) is None
    put(connection, record)
    assert connection.execute("SELECT count(*) FROM found_by").fetchone() == (0,)


def test_newest_first_in_pages(connection: sqlite3.Connection) -> None:
    order = [7, 3, 9, 1, 5, 5, 5, 0, 2, 8]
    put(connection, *(message(f"{n}:{day}", "rent", days=day) for n, day in enumerate(order)))
    put(connection, *(Person(**{**COMMON, "id": f"p{n}"}, names=("Rent",)) for n in range(3)))
    put(connection, message("early", "rent", days=-40_000))
    seen: list[str] = []
    cursor = None
    while True:
        page = find(connection, "rent", limit=3, cursor=cursor)
        seen += [found.id for found in page.found]
        cursor = page.cursor
        if cursor is None:
            break
    days = [int(id.partition(":")[2]) for id in seen[:10]]
    assert days == sorted(order, reverse=True)
    assert seen[10] == "early"
    assert sorted(seen[11:]) == ["p0", "p1", "p2"]


@pytest.mark.parametrize("cursor", ["", "x", "1.5", str(2**63), "-" + "9" * 30])
def test_a_cursor_that_is_none(connection: sqlite3.Connection, cursor: str) -> None:
    with pytest.raises(ValueError, match="is not a cursor"):
        find(connection, "rent", cursor=cursor)


def test_the_same_again_changes_nothing(connection: sqlite3.Connection) -> None:
    record = message("one", "rent")
    put(connection, record)
    changes = connection.total_changes
    put(connection, record, replace(record, labels=("Work",)), Person(**COMMON))
    assert connection.total_changes == changes


@pytest.mark.parametrize("knows_before", [True, False])
def test_what_is_replaced_is_found_by_what_it_says_now(
    connection: sqlite3.Connection, knows_before: bool
) -> None:
    before, after = message("one", "rent"), message("one", "lease", days=3)
    put(connection, before, message("two", "rent", days=1))
    index(connection, [(after, before if knows_before else None)])
    assert (ids(connection, "rent"), ids(connection, "lease")) == (["two"], ["one"])
    assert ids(connection, "minutes") == ["one", "two"]
    assert intact(connection)
    left = connection.execute("SELECT count(*) FROM words WHERE words MATCH 'rent'").fetchone()
    assert left == (1 if knows_before else 2,)
    index(connection, [(Message(id="one", source="mbox", source_version=1), after)])
    assert ids(connection, "minutes") == ["two"]


def test_a_version_that_was_never_indexed_does_no_harm(connection: sqlite3.Connection) -> None:
    put(connection, message("one", "rent"))
    index(connection, [(message("one", "lease"), message("one", "something else"))])
    assert (ids(connection, "rent"), ids(connection, "lease")) == ([], ["one"])
    assert intact(connection)


def intact(connection: sqlite3.Connection) -> bool:
    connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    return True


def test_many_of_one_time(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fts, "_ROWS_A_MILLISECOND", 4)
    put(connection, *(message(str(n), "rent") for n in range(9)))
    assert sorted(ids(connection, "rent")) == [str(n) for n in range(9)]


@pytest.mark.parametrize("year", [1, 800, 1969, 2014, 9999])
def test_any_year(connection: sqlite3.Connection, year: int) -> None:
    put(connection, replace(message("one"), time=datetime(year, 6, 1, tzinfo=UTC)))
    assert ids(connection, "minutes") == ["one"]


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text(st.sampled_from('ab*"-:() ^+NEARORT{}\\\'\0,ü\ud800'), max_size=30)
    | st.text(max_size=30)
    | st.lists(
        st.sampled_from(
            ["a", '"', "OR", "AND", "NOT", "NEAR(", ")", "-", "*", "from:", "title:", "a*", "̈", "\U00010d40"]
        ),
        max_size=12,
    ).map(" ".join)
)  # fmt: skip
def test_any_text_is_a_query(connection: sqlite3.Connection, text: str) -> None:
    find(connection, text)


def test_the_order_is_that_of_the_index(connection: sqlite3.Connection) -> None:
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT kind, id, row FROM words CROSS JOIN found_by "
        "ON row = words.rowid WHERE words MATCH 'a' AND words.rowid < 5 "
        "ORDER BY words.rowid DESC LIMIT 3"
    ).fetchall()
    assert not any("TEMP B-TREE" in step[3] for step in plan)
