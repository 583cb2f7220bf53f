"""All doors to the outside, opened together."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.cloud.api import Api, Send, Session, Token
from infra.cloud.gcloud import Gcloud, runs

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


def doors(project: str, environ: Mapping[str, str]) -> Doors:
    gcloud = Gcloud(runs(environ))
    token = Token(gcloud.token)
    api = Api(project, token, environ, Session())
    return Doors(api, gcloud, Session(), time.sleep, lambda: _credentials(token, environ))


def _credentials(token: Token, environ: Mapping[str, str]) -> "Credentials | None":
    if "FIRESTORE_EMULATOR_HOST" in environ:
        return None
    from google.oauth2.credentials import Credentials

    return Credentials(token())
