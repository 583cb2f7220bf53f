"""`yurt undeploy`: takes a node in the cloud down, and keeps what it collected."""

from functools import partial
from typing import TYPE_CHECKING

import click

from infra.cli.deploy import Asked, in_plain_words, looked_up, telling_what_is_left
from infra.cli.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.cloud.api import Api
    from infra.cloud.preflight import Project
    from infra.cloud.steps import Step


@click.command(short_help="Take the node in the cloud down; what it collected stays.")
@click.argument("project")
@click.option(
    "--region",
    metavar="R",
    help="Where it was, if neither its bucket nor its functions are there any more to tell.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def undeploy(session: Session, project: str, region: str | None, yes: bool) -> None:
    """Take the node in a project of Google Cloud down.

    Its functions, their images and accounts, its scheduler jobs and its budget are deleted. What
    it collected stays: the database, the bucket and the master key, and `yurt deploy` takes them up
    again.

    Stop the apps on your phones first, or let them report elsewhere: some throw away what they
    deliver to an address where nobody is any more.

    \b
    Examples:
      yurt undeploy my-project
    """
    from infra.cli.telling import Lines
    from infra.cloud.executor import Executor

    with in_plain_words():
        doors = session.cloud(project)
        node = looked_up(doors, partial(_there, named=region is not None), Asked(region))
        steps = [step for step in node.steps() if step.is_removable]
        if not yes:
            _ask(session, project, steps)
        lines = Lines(len(steps))
        with telling_what_is_left(steps, lines, "goes on where it was"):
            Executor(doors.api, doors.gcloud, lines).remove(steps)
        click.echo(f"\nThe node in {project} is down. What stays, by your leave:\n{_kept(steps)}")


def _there(api: "Api", named: bool) -> "Project":
    """named: whether its owner said where it was, so that it is looked for there all the same."""
    from infra.cloud.preflight import looked_at
    from infra.cloud.steps import Blocked

    project = looked_at(api)
    if project.place is None and not named:
        raise Blocked(
            f"there is no node of Yurt in {api.project}: neither its bucket nor a function; if you "
            "deleted these yourself, say where it was with --region"
        )
    return project


def _ask(session: Session, project: str, steps: "Sequence[Step]") -> None:
    taken = "\n".join(f"  {step.title}" for step in reversed(steps) if step.stays is None)
    click.echo(f"Of the node in {project} this goes:\n\n{taken}\n\nThis stays:\n{_kept(steps)}\n")
    click.echo("Stop the apps on your phones first: some throw away what nobody takes.\n")
    if not session.is_asked_for():
        raise click.UsageError("nobody is here to ask: say --yes if you mean it")
    click.confirm("Take it down?", abort=True)


def _kept(steps: "Sequence[Step]") -> str:
    return "\n".join(f"\n  {step.stays}" for step in steps if step.stays is not None)
