"""The environment, read once, typed. Which adapters a node uses is decided by it alone."""

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
class Settings:
    """How this node is set up.

    data: folder of a home node (database, master key). firestore: where the records are if not in
    that folder. public_base: the URL at which outsiders reach the functions, without a slash at
    its end. credentials_age: how old the copy of the credentials may be that requests are checked
    against. In the cloud a revocation works within that time; at home, where processes see each
    other's changes, at once. friends_age: how old a friend's position may be in an answer; finding
    it costs reads.
    """

    data: Path = Path("data")
    firestore: FirestoreDatabase | None = None
    public_base: str | None = None
    master_key: str | None = None
    credentials_age: timedelta = timedelta(seconds=60)
    friends_age: timedelta = timedelta(0)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from `YURT_…` variables; `BadSettings` for a value that cannot be meant.

    YURT_STORE        `sqlite` (default) or `firestore`
    YURT_DATA         a home node's folder, `./data` by default
    YURT_PROJECT      the cloud project, with `firestore`
    YURT_DATABASE     the Firestore database, `(default)` by default
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
    )


def _public_base(text: str) -> str | None:
    if not text:
        return None
    try:
        return checked_base(text)
    except ValueError as error:
        raise BadSettings(f"YURT_PUBLIC_BASE: {error}") from None
