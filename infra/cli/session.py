"""What each command gets: which data to act on, the open node, the time, how to print."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from infra.cloud.doors import Doors
    from shared.model.profile import Profile
    from shared.node import Node
    from shared.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _program() -> str:
    """This program as its user calls it: in a fresh clone it is not on PATH."""
    called = Path(sys.argv[0])
    if called.name != "yurt":  # a test, or another program that has us as a library
        return "yurt"
    found = shutil.which("yurt")
    same = found is not None and called.exists() and called.samefile(found)
    return "yurt" if same else shlex.quote(str(called))


@dataclass
class Session:
    """data: the folder given with --data, which goes before YURT_DATA and ./data.

    program: what is typed in a shell to call `yurt`. open_doors: to a project in the cloud, with
    this environment; the real ones if none are given.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Callable[[], datetime] = _utc_now
    data: Path | None = None
    program: str = field(default_factory=_program)
    open_doors: "Callable[[str, Mapping[str, str]], Doors] | None" = None

    def cloud(self, project: str) -> "Doors":
        """The doors to a cloud project, as whoever is signed in."""
        from infra.cloud.doors import doors

        return (self.open_doors or doors)(project, self.environ)

    def is_looked_at(self) -> bool:
        """Whether what is printed goes to a terminal, not to a file or log."""
        return sys.stdout.isatty()

    def is_asked_for(self) -> bool:
        """Whether somebody is there who can answer a question."""
        return sys.stdin.isatty()

    def settings(self) -> "Settings":
        from shared.settings import read_settings

        environ = dict(self.environ)
        if self.data is not None:
            environ["YURT_DATA"] = str(self.data)
        return read_settings(environ)

    @contextmanager
    def node(self, *, create: bool = False) -> "Iterator[Node]":
        """The node whose data is acted on.

        `Failed` when a home node has no data yet, unless `create` makes it: reading commands must
        not leave an empty node behind in whatever folder they are called.
        """
        from shared.commands.errors import Failed
        from shared.node import open_node

        settings = self.settings()
        if settings.firestore is None and not (settings.data / "yurt.db").exists():
            folder = settings.data.resolve()
            if not create:
                raise Failed(
                    f"there is no data in {folder} yet; start a node there with `yurt up`, or name "
                    "the right folder with --data"
                )
            click.echo(f"There is no data in {folder} yet: it is begun now.", err=True)
        node = open_node(settings, self.clock, self.credentials(settings))
        try:
            yield node
        finally:
            node.close()

    def credentials(self, settings: "Settings") -> "Credentials | None":
        """Whoever deployed with gcloud is not asked to sign in a second time, for the libraries."""
        if settings.firestore is None:
            return None
        from infra.cloud.doors import signed_in

        return signed_in(settings.firestore.project, self.environ)

    def profile(self, node: "Node") -> "Profile":
        """The owner's, or one with this machine's zone while none is saved."""
        from shared.commands.profile import owner_profile

        return owner_profile(node, self.machine_zone())

    def machine_zone(self) -> str:
        """The IANA zone this machine is set to; UTC where it does not say."""
        asked = self.environ.get("TZ", "").removeprefix(":")
        link = str(Path("/etc/localtime").resolve())
        for name in (asked, link.rpartition("/zoneinfo/")[2], _first_line(Path("/etc/timezone"))):
            if _is_zone(name):
                return name.removeprefix("Etc/") if name == "Etc/UTC" else name
        return "UTC"


pass_session = click.make_pass_decorator(Session, ensure=True)


def data_option(command: F) -> F:
    """`--data DIR`, before or after the command's name."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, readable=False, path_type=Path),
        metavar="DIR",
        expose_value=False,
        callback=_take_data,
        help="The folder with the node's data (default: $YURT_DATA, else ./data).",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")


STOPPED = 130
"""The exit status of a program that was stopped with Ctrl-C."""


def limit_option(most: int) -> Callable[[F], F]:
    """`--limit N`, up to so many."""
    return click.option(
        "--limit",
        type=click.IntRange(1, most),
        default=20,
        show_default=True,
        metavar="N",
        help="How many to list at most.",
    )


def print_json(value: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _take_data(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).data = value


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        return bool(name) and ZoneInfo(name) is not None
    except (ValueError, OSError, KeyError):
        return False


def _first_line(path: Path) -> str:
    try:
        return path.read_text("utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError):
        return ""
