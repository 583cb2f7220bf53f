"""The search port. A record can be found as soon as, and only if, its write is durable: what it is
found by is kept in the same commit.

The language is in `query`. Any text is a query: what has no meaning there is a word or nothing.
"""

from typing import NamedTuple, Protocol, runtime_checkable


class Found(NamedTuple):
    """A record that says the words; `kind` as in the record's tag, e.g. `message`."""

    kind: str
    id: str


class FoundPage(NamedTuple):
    """Some of what was found, newest first (what has no time comes last), and the cursor of the
    next page (None: there is none)."""

    found: list[Found]
    cursor: str | None


@runtime_checkable
class Search(Protocol):
    def find(self, words: str, *, limit: int = 50, cursor: str | None = None) -> FoundPage:
        """At most `limit` records. `ValueError` for a cursor that `find` did not give."""
        ...
