"""`yurt export`: fixes as a file, of any length."""

import errno
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from infra.cli.session import Session, data_option, pass_session
from infra.cli.words import in_shell

if TYPE_CHECKING:
    from datetime import datetime

    from shared.model.access import Device
    from shared.model.profile import Profile
    from shared.model.records import Fix
    from shared.node import Node


@click.command(short_help="Write what was recorded to a file.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["geojson", "gpx", "csv", "json", "owntracks"]),
    default="geojson",
    show_default=True,
)
@click.option("--from", "start", metavar="WHEN", help="The beginning (default: the first).")
@click.option("--to", "end", metavar="WHEN", help="The end (default: the last).")
@click.option("--device", "names", multiple=True, metavar="NAME", help="May be repeated.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Write there, once all is read; - is the terminal or pipe, as without it.",
)
@data_option
@pass_session
def export(
    session: Session,
    form: str,
    start: str | None,
    end: str | None,
    names: tuple[str, ...],
    output: Path | None,
) -> None:
    """Write the recorded positions in a format that other programs read.

    All devices, one after the other and each oldest first, unless --device names some. WHEN is as
    in `yurt where`; a day in --from means its beginning and in --to its end. A time in --to is
    itself not included, so that one export can begin where another ended.

    \b
    Examples:
      yurt export --format gpx --from 2026-11-01 --to 2026-11-07 -o week.gpx
      yurt export --format csv --from "last monday" --device phone
      yurt export --format geojson --from 2025 --to 2025 > 2025.geojson
    """
    from shared.formats.table import FORMATS

    with session.node() as node:
        first, after = _range(start, end, session, session.profile(node))
        devices = _devices(node, names)
        fixes = _Counted(_fixes(node, devices, first, after))
        with _written_to(output) as file:
            for chunk in FORMATS[form].write(fixes, {d.id: d.name for d in devices}):
                file.write(chunk)
    if output not in (None, _STDOUT):
        click.echo(f"Wrote {fixes.count:,} positions to {in_shell(str(output))}", err=True)


class _Counted:
    """The fixes as they pass, and how many there were."""

    def __init__(self, fixes: "Iterable[Fix]") -> None:
        self._fixes = fixes
        self.count = 0

    def __iter__(self) -> "Iterator[Fix]":
        for fix in self._fixes:
            self.count += 1
            yield fix


def _range(
    start: str | None, end: str | None, session: Session, profile: "Profile"
) -> "tuple[datetime, datetime]":
    from datetime import UTC, datetime

    from shared.commands.errors import Refused
    from shared.commands.when import parse_when
    from shared.model.time import EPOCH

    now = session.clock()
    first = parse_when(start, now, profile, future=True).start if start is not None else EPOCH
    after = (
        parse_when(end, now, profile, future=True).end
        if end is not None
        else datetime.max.replace(tzinfo=UTC)
    )
    if after < first:
        if start is None:
            raise Refused(f'--to "{end}" is before 1970, where all records begin; say a later time')
        raise Refused(f'--from "{start}" is later than --to "{end}"; exchange them')
    return first, after


def _devices(node: "Node", names: Iterable[str]) -> "list[Device]":
    from shared.commands.access import access_of, device_named

    access = access_of(node)
    chosen = [device_named(access, name) for name in names] or list(access.devices.values())
    return sorted({device.id: device for device in chosen}.values(), key=lambda d: (d.name, d.id))


def _fixes(
    node: "Node", devices: "Iterable[Device]", first: "datetime", after: "datetime"
) -> "Iterator[Fix]":
    for device in devices:
        yield from node.store.track(device.id, first, after)


@contextmanager
def _written_to(output: Path | None) -> Iterator[BinaryIO]:
    """The file, which is there only when all of it is; or what takes bytes as they come."""
    from shared.commands.errors import Failed

    if output is None or output == _STDOUT:
        if sys.stdout is None:  # closed by whoever called us
            raise Failed("there is no output to write to; name a file: -o FILE")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        # A device or pipe is no file to be replaced; a link says where its file is to stay.
        if output.is_symlink() or (output.exists() and not output.is_file()):
            with output.open("wb") as file:
                yield file
        else:
            with _drafted(output.resolve()) as file:
                yield file
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise Failed(f"{in_shell(str(output))} cannot be written: {error.strerror}") from error


@contextmanager
def _drafted(path: Path) -> Iterator[BinaryIO]:
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


_STDOUT = Path("-")
