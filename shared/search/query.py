"""The language of queries, as people know it from mail and the web.

`rent flat` both words; `"final notice"` one after the other; `insur*` words that begin so; `rent OR
lease` either; `-spam` not that; `from:ada`, `subject:minutes`, `with:bob` (recipients, people in a
photo, names of files). Letters with and without accents, large and small, are the same.
"""

import re
from typing import NamedTuple

LONGEST = 1_000
MOST_TERMS = 50

_TERM = re.compile(
    r'(?P<sign>-?)(?:(?P<field>[A-Za-z]+):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))'
)
_FIELDS = {"from": "sender", "subject": "title", "with": "others", "to": "others"}


class Term(NamedTuple):
    """Words in sequence, the last of them only a beginning if `prefix`, in one column if named."""

    words: str
    prefix: bool = False
    column: str | None = None


class Query(NamedTuple):
    """Of each of `all` one of its alternatives has to be there, and nothing of `none`."""

    all: list[list[Term]]
    none: list[Term]


def parse(text: str) -> Query:
    """Never fails; a query that asks for nothing has an empty `all`."""
    query = Query([], [])
    either = False
    for found in list(_TERM.finditer(_printable(text[:LONGEST])))[:MOST_TERMS]:
        if found[0] in ("OR", "|"):
            either = bool(query.all)
            continue
        term = _term(found)
        if term is None:
            continue
        if found["sign"]:
            query.none.append(term)
        elif either:
            query.all[-1].append(term)
        else:
            query.all.append([term])
        either = False
    return query


def _term(found: re.Match[str]) -> Term | None:
    field, words = found["field"], found["phrase"] if found["word"] is None else found["word"]
    column = _FIELDS.get(field.lower()) if field else None
    if field and column is None:
        words = f"{field} {words}"  # a colon between words, as in http://
    if not any(letter.isalnum() for letter in words):
        return None
    return Term(words, prefix=words.endswith("*") and found["word"] is not None, column=column)


def _printable(text: str) -> str:
    # A lone half of a character has no place in UTF-8, and SQLite ends a text at a zero.
    return text.encode("utf-8", "ignore").decode("utf-8").replace("\0", " ")
