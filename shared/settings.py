"""The environment, read once, typed. Which adapters a node uses is decided by it alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from shared.model.address import checked_base


class BadSettings(ValueError):
    """A variable of the environment cannot be used; the text says which and what to write."""


@dataclass(frozen=True, slots=True)
class FirestoreDatabase:
    project: str
    database: str


@dataclass(frozen=True, slots=True)
class TasksQueue:
    """A queue of Cloud Tasks, and whom it calls.

    name: `projects/…/locations/…/queues/…`. target: a function's URL, with `{work}` for its name.
    account: the service account that the calls are made as. audience: what its token is for, with
    `{work}` too. endpoint: of a server that stands in for the service; it is asked without
    credentials.
    """

    name: str
    target: str
    account: str
    audience: str
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How this node is set up.

    data: folder of a home node (database, master key). firestore: where the records are if not in
    that folder. public_base: the URL at which outsiders reach the functions, without a slash at
    its end. credentials_age: how old the copy of the credentials may be that requests are checked
    against. In the cloud a revocation works within that time; at home, where processes see each
    other's changes, at once. friends_age: how old a friend's position may be in an answer; finding
    it costs reads. bucket: of Cloud Storage, where large bytes are if not in that folder. tasks:
    the queue of a cloud node; a home node's is in that folder. monitoring_endpoint: of a server
    that stands in for Cloud Monitoring; it is asked without credentials.
    """

    data: Path = Path("data")
    firestore: FirestoreDatabase | None = None
    public_base: str | None = None
    master_key: str | None = None
    credentials_age: timedelta = timedelta(seconds=60)
    friends_age: timedelta = timedelta(0)
    bucket: str | None = None
    tasks: TasksQueue | None = None
    monitoring_endpoint: str | None = None


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from `YURT_…` variables; `BadSettings` for a value that cannot be meant.

    YURT_STORE        `sqlite` (default) or `firestore`
    YURT_DATA         a home node's folder, `./data` by default
    YURT_PROJECT      the cloud project, with `firestore`
    YURT_DATABASE     the Firestore database, `(default)` by default
    YURT_BUCKET       the Cloud Storage bucket, with `firestore`; without it large bytes are in
                      YURT_DATA
    YURT_TASKS_QUEUE  the Cloud Tasks queue, `projects/P/locations/L/queues/Q`, with `firestore`;
                      without it nothing can be called later. It needs the next two as well
    YURT_TASKS_TARGET    the URL of the private functions, `{work}` in it for the function's name
    YURT_TASKS_ACCOUNT   the e-mail of the service account that they are called as
    YURT_TASKS_AUDIENCE  what the calls' tokens are for, the target by default
    YURT_TASKS_ENDPOINT  a server that stands in for the service
    YURT_MONITORING_ENDPOINT  a server that stands in for Cloud Monitoring, with `firestore`
    YURT_PUBLIC_BASE  the URL at which phones reach the node
    YURT_MASTER_KEY   key that seals readable secrets (64 hexadecimal digits); at home a file
    """
    store = environ.get("YURT_STORE") or "sqlite"
    base = _public_base(environ.get("YURT_PUBLIC_BASE") or "")
    data = Path(environ.get("YURT_DATA") or "data")
    master_key = environ.get("YURT_MASTER_KEY") or None
    if store == "sqlite":
        return Settings(data=data, public_base=base, master_key=master_key)
    if store != "firestore":
        raise BadSettings(f"YURT_STORE is {store!r}: it must be sqlite or firestore")
    project = environ.get("YURT_PROJECT") or environ.get("GOOGLE_CLOUD_PROJECT") or None
    if project is None:
        raise BadSettings("YURT_STORE is firestore: set YURT_PROJECT to the cloud project's id")
    return Settings(
        data=data,
        firestore=FirestoreDatabase(project, environ.get("YURT_DATABASE") or "(default)"),
        public_base=base,
        master_key=master_key,
        friends_age=timedelta(seconds=60),
        bucket=environ.get("YURT_BUCKET") or None,
        tasks=_tasks(environ),
        monitoring_endpoint=environ.get("YURT_MONITORING_ENDPOINT") or None,
    )


_QUEUE_NAME = re.compile(r"projects/[\w.:-]+/locations/[\w-]+/queues/[A-Za-z0-9-]{1,100}", re.ASCII)


def _tasks(environ: Mapping[str, str]) -> TasksQueue | None:
    name = environ.get("YURT_TASKS_QUEUE") or None
    if name is None:
        return None
    if not _QUEUE_NAME.fullmatch(name):
        raise BadSettings(
            f"YURT_TASKS_QUEUE is {name!r}: write the queue's whole name, "
            "projects/PROJECT/locations/LOCATION/queues/QUEUE"
        )
    account = environ.get("YURT_TASKS_ACCOUNT") or ""
    if "@" not in account:
        raise BadSettings(
            "YURT_TASKS_QUEUE is set: set YURT_TASKS_ACCOUNT to the e-mail of the service account "
            "that may call the private functions"
        )
    target = environ.get("YURT_TASKS_TARGET") or ""
    if not target.startswith(("https://", "http://")) or "{work}" not in target:
        raise BadSettings(
            "YURT_TASKS_QUEUE is set: set YURT_TASKS_TARGET to the URL of the private functions, "
            "with {work} for the function's name, such as "
            "https://us-central1-PROJECT.cloudfunctions.net/{work}"
        )
    audience = environ.get("YURT_TASKS_AUDIENCE") or target
    return TasksQueue(name, target, account, audience, environ.get("YURT_TASKS_ENDPOINT") or None)


def _public_base(text: str) -> str | None:
    if not text:
        return None
    try:
        return checked_base(text)
    except ValueError as error:
        raise BadSettings(f"YURT_PUBLIC_BASE: {error}") from None
