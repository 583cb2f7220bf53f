"""All doors to the outside, opened together."""

import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cloud.api import Api, Send, Session, Token
from infra.cloud.gcloud import Commands, Gcloud
from infra.cloud.steps import Blocked

if TYPE_CHECKING:
    from google.auth.credentials import Credentials


@dataclass(frozen=True)
class Doors:
    """send: requests to what was deployed, without credentials of Google's. wait: sleeps so many
    seconds. credentials: for the database, of whoever is signed in."""

    api: Api
    gcloud: Gcloud
    send: Send
    wait: Callable[[float], None]
    credentials: "Callable[[], Credentials | None]"


class Stopped(Exception):
    """What was waited for does not matter any more: everything is to end."""


def doors(project: str, environ: Mapping[str, str]) -> Doors:
    """The real ones. After `gcloud.stop`, `Stopped` ends whatever waits, in any thread."""
    commands, stopping = Commands(environ), threading.Event()

    def stop() -> None:
        stopping.set()
        commands.stop()

    def wait(seconds: float) -> None:
        if stopping.wait(seconds):
            raise Stopped("it was interrupted")

    gcloud = Gcloud(commands, stop)
    token = Token(gcloud.token)
    api = Api(project, token, environ, Session(), wait)
    return Doors(api, gcloud, Session(), wait, lambda: _credentials(project, token, environ))


def signed_in(project: str, environ: Mapping[str, str]) -> "Credentials | None":
    """gcloud's credentials, for who is signed in to it alone.

    None where the libraries find some by themselves, or where there is nobody: they say so.
    """
    folder = environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud"
    if (
        "GOOGLE_APPLICATION_CREDENTIALS" in environ
        or Path(folder, "application_default_credentials.json").exists()
        or shutil.which("gcloud", path=environ.get("PATH")) is None
    ):
        return None
    try:
        return doors(project, environ).credentials()
    except Blocked:
        return None


def _credentials(project: str, token: Token, environ: Mapping[str, str]) -> "Credentials | None":
    if "FIRESTORE_EMULATOR_HOST" in environ:
        return None
    from google.oauth2.credentials import Credentials

    return Credentials(token(), quota_project_id=project)
