"""`yurt deploy`: a node in a cloud project, with one command."""

import contextlib
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from infra.cli.session import STOPPED, Session, json_option, pass_session, print_json

if TYPE_CHECKING:
    from infra.cli.telling import Lines
    from infra.cloud.api import Api
    from infra.cloud.bridge import Home
    from infra.cloud.deployment import Deployment
    from infra.cloud.doors import Doors
    from infra.cloud.freetier import Line
    from infra.cloud.place import Place
    from infra.cloud.plan import CloudNode
    from infra.cloud.preflight import Project
    from infra.cloud.steps import Step
    from shared.node import Node
    from shared.settings import Settings

_REGION = "us-central1"
_PHONE = "phone"


@click.command(short_help="Put the node on a cloud project of yours.")
@click.argument("project")
@click.option(
    "--region",
    metavar="R",
    help=f"Where to; one of the free ones. Default: where it is already, else {_REGION}.",
)
@click.option(
    "--bucket",
    metavar="B",
    help="The bucket's name, if PROJECT-yurt is taken by somebody else.",
)
@click.option(
    "--bridge",
    type=click.Choice(["vm", "here", "none"]),
    help="Where the XMPP bridge runs: on a small machine in the cloud, on this one as a service, "
    "or nowhere. Default: as it is; at first none.",
)
@click.option("--dry-run", is_flag=True, help="Only show the plan; asks nothing of the cloud.")
@click.option("--cost", is_flag=True, help="Only show what was used of each free allowance.")
@json_option
@pass_session
def deploy(
    session: Session,
    project: str,
    region: str | None,
    bucket: str | None,
    bridge: "Home | None",
    dry_run: bool,
    cost: bool,
    as_json: bool,
) -> None:
    """Put the node on a project of Google Cloud, inside its free tier, or bring it up to date.

    Shows what will be there, then makes what is missing, changes what differs, and leaves alone
    what is right; a function is built only if something in it changed. Stopped at any moment, the
    same command goes on where it was. At the end a report goes in and out as from a phone, and the
    first time a code to pair one is shown.

    The project needs a billing account, though what a household does costs nothing: Google runs no
    functions without one. Sign in first: gcloud auth login.

    \b
    Examples:
      yurt deploy my-project --dry-run
      yurt deploy my-project
      yurt deploy my-project --cost
    """
    if as_json and not cost:
        raise click.UsageError("--json goes with --cost")
    with in_plain_words():
        if cost:
            _show_cost(session, project, region, as_json)
            return
        asked = Asked(region, bucket, bridge)
        new = _staged(project, asked)
        if dry_run:
            click.echo(plan_text(new, "a new node will be made of"))
        _check_bridge(bridge)
        if not dry_run:
            _deploy(session, project, asked)


class Asked(NamedTuple):
    """What was asked for; None where it shall be as it is."""

    region: str | None = None
    bucket: str | None = None
    bridge: "Home | None" = None


_AS_IT_IS = Asked()


def _staged(project: str, asked: Asked) -> "CloudNode":
    """What would be deployed, known without asking the cloud."""
    from infra.cloud.deployment import deployment
    from infra.cloud.plan import cloud_node

    place = deployment(project, asked.region or _REGION, asked.bucket)
    return cloud_node(place, home=asked.bridge or "none")


def _check_bridge(bridge: "Home | None") -> None:
    from infra.cli.commands import COMMANDS
    from infra.cloud.bridge import bridge_problem
    from shared.commands.errors import Refused

    problem = bridge_problem(bridge or "none", COMMANDS)
    if problem is not None:
        raise Refused(problem)


def _deploy(session: Session, project: str, asked: Asked) -> None:
    from infra.cli.telling import Lines
    from infra.cloud.executor import Executor
    from infra.cloud.preflight import preflight

    doors = session.cloud(project)
    node = looked_up(doors, preflight, asked)
    click.echo(plan_text(node))
    steps = node.steps()
    lines = Lines(len(steps))
    with telling_what_is_left(steps, lines, "goes on where it was"):
        Executor(doors.api, doors.gcloud, lines).deploy(steps)
        _try_out(session, doors, node)
        if asked.bridge == "here":
            _run_bridge_here(session, node.deployment)


def _run_bridge_here(session: Session, place: "Deployment") -> None:
    from infra.cloud.unit import UNIT, CannotInstall, install, run_command, unit_text
    from infra.staging import ROOT
    from shared.commands.errors import Failed

    variables = {"YURT_PUBLIC_BASE": place.origin, "YURT_PROJECT": place.project}
    command = [str(Path(sys.executable).with_name("yurt")), "bridge"]
    text = unit_text(command, str(ROOT), variables)
    try:
        changed = install(text, session.environ, run_command)
    except CannotInstall as error:
        raise Failed(str(error)) from error
    click.echo(f"\nThe XMPP bridge runs here as {UNIT}{'' if changed else ', as before'}.")
    click.echo("So that it runs while you are not signed in: loginctl enable-linger")


def looked_up(
    doors: "Doors", look: "Callable[[Api], Project]", asked: Asked = _AS_IT_IS
) -> "CloudNode":
    """The same, of a project that was looked at: where its node is decides where it goes on."""
    from infra.cloud.bridge import has_machine
    from infra.cloud.plan import cloud_node

    doors.gcloud.check()
    project = look(doors.api)
    named = _placed(doors.api.project, project.place, asked)
    home = asked.bridge or ("vm" if has_machine(doors.api, named) else "none")
    return cloud_node(named, project, home=home)


def _placed(project: str, there: "Place | None", asked: Asked) -> "Deployment":
    """Where its node is, or is to be. `Blocked` if that is not where it was asked to be."""
    from infra.cloud.deployment import deployment
    from infra.cloud.steps import Blocked

    if there is None:
        return deployment(project, asked.region or _REGION, asked.bucket)
    if asked.region not in (None, there.region):
        raise Blocked(
            f"the node of {project} is in {there.region} and cannot be moved, since its database "
            "and its bucket stay where they are; leave --region out, or deploy to another project"
        )
    if asked.bucket not in (None, there.bucket):
        raise Blocked(
            f"the node of {project} has the bucket {there.bucket}, where its photos and "
            "attachments are; leave --bucket out"
        )
    return deployment(project, there.region, there.bucket)


def _try_out(session: Session, doors: "Doors", cloud: "CloudNode") -> None:
    from infra.cloud.functions import public_base
    from infra.cloud.smoke import smoke_test
    from shared.node import open_node

    place = cloud.deployment
    base = public_base(doors.api, place)
    private = [name for name, d in cloud.declared.items() if d.exposure == "private"]
    node = open_node(_settings(place), session.clock, doors.credentials())
    with contextlib.closing(node):
        click.echo(f"\nTrying it out at {base} ...")
        smoke_test(node, base, private, doors.send, doors.wait)
        click.echo("A report went in and came out; nobody gets into the private functions.")
        _remember_zone(session, node)
        click.echo(f"\nYurt runs in {place.project}, at {base}\n")
        _pair(session, node)
    click.echo(_next(session, place))


def _settings(place: "Deployment") -> "Settings":
    from infra.cloud.deployment import DATABASE
    from shared.settings import FirestoreDatabase, Settings

    return Settings(firestore=FirestoreDatabase(place.project, DATABASE), public_base=place.origin)


def _remember_zone(session: Session, node: "Node") -> None:
    """Cloud Shell and build machines are set to UTC, which says nothing of their owner."""
    from shared.commands.profile import set_profile, show_profile

    zone = session.machine_zone()
    if zone != "UTC" and not show_profile(node, zone).saved:
        set_profile(node, zone)
        click.echo(f"Your time zone is {zone}, as on this machine.")


def _pair(session: Session, node: "Node") -> None:
    """The first time a person looks: a log of a build is no place for a credential."""
    from infra.cli.pair import show
    from shared.commands.devices import device_states
    from shared.commands.pairing import Base, pair

    paired = [state.name for state in device_states(node) if state.paired]
    if paired:
        click.echo(f"Paired: {', '.join(paired)}.")
    elif not session.is_looked_at():
        click.echo("No phone is paired yet; `yurt pair phone` (below) does it.")
    else:
        show(pair(node, _PHONE, None, Base(str(node.settings.public_base))))


def _next(session: Session, place: "Deployment") -> str:
    from infra.cloud.deployment import MASTER_KEY_SECRET

    yurt = session.program
    return f"""
To ask it, or to pair more phones, from this machine:

  export YURT_STORE=firestore YURT_PROJECT={place.project} YURT_BUCKET={place.bucket}
  export YURT_PUBLIC_BASE={place.origin}
  {yurt} where
  {yurt} pair tablet

What is kept sealed (`pair --encrypt`, `--secret`, `alerts`) needs the master key as well:

  export YURT_MASTER_KEY=$(gcloud secrets versions access latest --secret={MASTER_KEY_SECRET} \\
    --project={place.project})

What was used of the free tier:   {yurt} deploy {place.project} --cost
What was changed by hand:         {yurt} doctor --project {place.project}"""


def _show_cost(session: Session, project: str, region: str | None, as_json: bool) -> None:
    from infra.cloud.deployment import deployment
    from infra.cloud.place import place_of_node
    from infra.cloud.usage import usage, usage_text

    doors = session.cloud(deployment(project, region or _REGION).project)
    doors.gcloud.check()
    placed = _placed(project, place_of_node(doors.api), Asked(region))
    found = usage(doors.api, placed.region, session.clock())
    if as_json:
        print_json(found)
    else:
        click.echo(usage_text(found))


def plan_text(node: "CloudNode", begins: str = "there will be") -> str:
    """What will be there, and whether that is free. `Blocked` if it is not."""
    from infra.cloud.allowances import allowances
    from infra.cloud.freetier import taken

    place = node.deployment
    lines = [f"In the project {place.project}, region {place.region}, {begins}:", ""]
    lines += [_wrapped(f"{step.title}: {step.wanted}") for step in node.steps()]
    lines += ["", "Of the free tier this takes, before any data comes:", ""]
    for line in taken(node.declared, allowances()):
        lines.append(_wrapped(_taken(line)))
    lines.append(_wrapped(_AT_REST))
    return "\n".join(lines) + "\n"


def _taken(line: "Line") -> str:
    """`1 of 3 jobs of Cloud Scheduler (...)`"""
    allowance = line.allowance
    words = allowance.title
    if allowance.unit not in words:
        words = f"{allowance.unit} of {words}"
    note = f" ({line.note})" if line.note else ""
    return f"{line.used:g} of {allowance.amount:,g} {words}{note}"


_AT_REST = (
    "nothing else: instances begin with a request and end with none, and the region, the one "
    "database and the bucket are free ones. What data takes: --cost"
)


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text, 88, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
    )


@contextlib.contextmanager
def telling_what_is_left(steps: "Sequence[Step]", lines: "Lines", goes_on: str) -> Iterator[None]:
    """Whatever ends it before its end, its owner learns how far it came."""
    from infra.cli.telling import left_over
    from infra.cloud.executor import StepFailed
    from infra.cloud.remedies import explained
    from infra.cloud.smoke import SmokeTestFailed
    from shared.commands.errors import Failed
    from shared.store.protocol import StoreError

    try:
        yield
    except (SmokeTestFailed, StoreError) as error:
        raise Failed(
            f"all steps are done, but the node could not be tried out: {error}. The same command "
            f"{goes_on}"
        ) from error
    except StepFailed as error:
        raise Failed(
            f"{error.step.title}: {explained(error.cause)}.\n"
            f"{left_over(steps, lines.ended)}. The same command {goes_on}."
        ) from error
    except KeyboardInterrupt:
        click.echo(
            f"\nStopped: {left_over(steps, lines.ended) or 'all steps are done'}. A function that "
            f"was being built may still become built. The same command {goes_on}.",
            err=True,
        )
        sys.exit(STOPPED)


@contextlib.contextmanager
def in_plain_words() -> Iterator[None]:
    """Errors that are expected, as `Failed`."""
    from infra.cloud.api import ApiError, Unreachable
    from infra.cloud.remedies import explained
    from infra.cloud.steps import Blocked
    from infra.declarations import BadDeclaration
    from infra.staging import CannotStage
    from shared.commands.errors import Failed

    try:
        yield
    except (Blocked, BadDeclaration, CannotStage) as error:
        raise Failed(str(error)) from error
    except (ApiError, Unreachable) as error:
        raise Failed(f"{explained(error)}; then run the same command again") from error
