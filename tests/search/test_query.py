"""What people type, and what the index is asked."""

import pytest

from shared.search.fts import expression
from shared.search.query import Query, Term, parse


@pytest.mark.parametrize(
    ("text", "all", "none"),
    [
        ("rent flat", [[Term("rent")], [Term("flat")]], []),
        ('"final notice" rent', [[Term("final notice")], [Term("rent")]], []),
        ("insur*", [[Term("insur*", prefix=True)]], []),
        ("rent OR lease flat", [[Term("rent"), Term("lease")], [Term("flat")]], []),
        ("a OR b OR c", [[Term("a"), Term("b"), Term("c")]], []),
        ("rent -spam", [[Term("rent")]], [Term("spam")]),
        ('rent -"no reply"', [[Term("rent")]], [Term("no reply")]),
        ("from:ada@example.org", [[Term("ada@example.org", column="sender")]], []),
        ('From:"Ada L"', [[Term("Ada L", column="sender")]], []),
        ("subject:min*", [[Term("min*", prefix=True, column="title")]], []),
        ("with:bob", [[Term("bob", column="others")]], []),
        ("-from:bob rent", [[Term("rent")]], [Term("bob", column="sender")]),
        ("http://example.org", [[Term("http //example.org")]], []),
        ("OR rent OR", [[Term("rent")]], []),
        ("rent or lease", [[Term("rent")], [Term("or")], [Term("lease")]], []),
        ("well-known", [[Term("well-known")]], []),
        ('"unclosed phrase', [[Term("unclosed phrase")]], []),
        ("-spam", [], [Term("spam")]),
        ("from:", [[Term("from:")]], []),
        ('* - "" ( ) :: -- "!"', [], []),
        ("", [], []),
        ("a\0b\ud800", [[Term("a")], [Term("b")]], []),
    ],
)
def test_queries(text: str, all: list[list[Term]], none: list[Term]) -> None:
    assert parse(text) == (all, none)


def test_a_query_is_bounded() -> None:
    assert len(parse("a " * 10_000).all) == 50


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('say "a b" c* OR d -e', '(("say") AND ("a b") AND ("c*" * OR "d")) NOT ("e")'),
        ("from:a -subject:b*", '((sender : "a")) NOT (title : "b*" *)'),
        ('NEAR(a b) title:x a"b', '("NEAR(a") AND ("b)") AND ("title x") AND ("a") AND ("b")'),
        ("-a", None),
    ],
)
def test_expressions(text: str, expected: str | None) -> None:
    assert expression(parse(text)) == expected


def test_quotes_in_words_are_no_syntax() -> None:
    assert expression(Query([[Term('a" OR "b')]], [])) == '("a"" OR ""b")'
