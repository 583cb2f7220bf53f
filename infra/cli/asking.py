"""What commands ask for besides their arguments: secrets, and options of services and channels."""

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.cli.session import Session


def asked_for(session: "Session", what: str, by: str = "--secret") -> str:
    """A secret: never an argument, which other users of the machine may see. by: what asks."""
    if session.is_asked_for():
        return str(click.prompt(what[:1].upper() + what[1:], hide_input=True))
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise click.UsageError(f"{by} reads a line from the pipe, and there is none")
    return given


def pairs(texts: "Sequence[str]") -> dict[str, Any]:
    """`port=993` is a number; `folders=["INBOX"]` what JSON says; all else text."""
    import msgspec

    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.UsageError(f"{text!r} is no option: write NAME=VALUE")
        try:
            pairs[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            pairs[name] = value
    return pairs
