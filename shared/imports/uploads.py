"""Uploads: who sends what, and the import that begins once all of it is there.

What is known of an upload is one control document, under the SHA-256 that its sender claims. The
size is checked, the hash is not: nobody reads the bytes before the import does, and then not in
order. Who claims a wrong one is told that a file was imported which never was, but changes nothing
that is kept, because that goes by hashes of our own.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace

from shared.blobs.protocol import Objects
from shared.blobs.sessions import Progress
from shared.imports.beginning import UPLOADS, Begun, begin_upload, upload_job
from shared.model.profile import PROFILE, Profile
from shared.model.time import Instant
from shared.store.changing import current
from shared.store.protocol import Conflict, Control, Found, Store, Versioned
from shared.work.engine import Engine
from shared.work.jobs import FAMILY as JOBS
from shared.work.jobs import Job

FAMILY = "upload"

SESSION_LIVES = timedelta(days=6)
"""How long a session is handed out: Cloud Storage ends one after a week."""
LOOKED_FOR_EACH = timedelta(hours=6)
"""How long after a session was opened the sweep looks whether everything came, and nobody said."""

_log = logging.getLogger(__name__)


@runtime_checkable
class Receives(Protocol):
    """What objects offer besides where the node itself gets what is sent: see `blobs.sessions`."""

    def upload_progress(self, id: str) -> Progress | None: ...

    def append_upload(
        self, id: str, first: int, size: int, pieces: Iterable[bytes]
    ) -> Progress | None: ...

    def sweep_uploads(self, before: datetime) -> int: ...


class Upload(Control, frozen=True, kw_only=True, omit_defaults=True):
    """name, size, modified: of the file where it comes from, as `beginning.begin_upload` has them.

    url: of the session that is open (None: none is). origin: of the browser it was opened for.
    opened: when. over: the `begun` of the job that was done, where it shall be done again.
    """

    SHAPE: ClassVar[int] = 1

    name: str
    size: int
    modified: int | None = None
    url: str | None = None
    origin: str | None = None
    opened: Instant | None = None
    over: int | None = None


class Offer(Struct, frozen=True, kw_only=True):
    """What somebody would send. again: though it was imported. lost: a session that is no more."""

    name: str
    size: int
    modified: int | None = None
    again: bool = False
    lost: str | None = None
    origin: str | None = None


State = Literal["send", "importing", "stopped", "done"]


class Known(NamedTuple):
    """How far an upload is. send: to `url`, from where it says it is. stopped: the job is paused,
    cancelled or given up."""

    state: State
    id: str | None = None
    job: Job | None = None
    url: str | None = None


class NotThere(LookupError):
    """Nothing whole of that hash is here."""


class OtherSize(ValueError):
    """What is here of that hash has another size."""

    def __init__(self, there: int, announced: int) -> None:
        super().__init__(f"of this hash {there} bytes are here, but {announced} were announced")


@dataclass(frozen=True, slots=True)
class Uploads:
    """Of one node. All of it may be called again, and from anywhere at the same time."""

    store: Store
    objects: Objects
    engine: Engine

    def offered(self, sha256: str, offer: Offer) -> Known:
        """What is to be done about a file: nothing, if it was imported; nothing more, if it is
        here; otherwise to send it."""
        job = self._job(sha256)
        there = self.objects.size(UPLOADS + sha256)
        if there is not None:
            if there != offer.size:
                raise OtherSize(there, offer.size)
            return _known(self._begun(sha256, offer, again=offer.again))
        if job is not None and self._is_done(job) and not offer.again:
            return Known("done", upload_job(sha256), job)
        over = job.begun if job is not None and job.state == "done" else None
        return Known("send", url=self._session(sha256, offer, over if offer.again else None))

    def sent(self, sha256: str) -> Known:
        """Begins the import of what is here, or finds the one that was begun meanwhile.

        `NotThere` as long as not all of it is.
        """
        held = self.store.control(Upload, FAMILY, sha256)
        job = self._job(sha256)
        there = self.objects.size(UPLOADS + sha256)
        if there is None:
            if job is None or held is None or held.document.url is not None:
                raise NotThere(sha256)
            return _known(Begun(upload_job(sha256), job))
        upload = held.document if held is not None else Upload(name=sha256, size=there)
        if there != upload.size:
            raise OtherSize(there, upload.size)
        # An incarnation of the job is done over once, however often this is called.
        again = job is not None and job.state == "done" and job.begun == upload.over
        begun = self._begun(sha256, upload, again=again)
        if held is not None:
            self._close(sha256, held)
        return _known(begun)

    def known(self, sha256: str) -> Known | None:
        """How far it is; None if nobody ever offered it."""
        held = self.store.control(Upload, FAMILY, sha256)
        url = held.document.url if held is not None else None
        if url is not None:
            return Known("send", url=url)
        job = self._job(sha256)
        return _known(Begun(upload_job(sha256), job)) if job is not None else None

    def sweep(self, now: datetime) -> list[str]:
        """Begins imports of what came without a word, and gives up what was left; the jobs' ids."""
        if isinstance(self.objects, Receives):
            self.objects.sweep_uploads(now - SESSION_LIVES)
        found = self.store.due(Upload, FAMILY, now)
        return [id for each in found if (id := self._looked_after(each, now)) is not None]

    def _looked_after(self, found: Found[Upload], now: datetime) -> str | None:
        try:
            return self.sent(found.id).id
        except NotThere:
            opened = found.document.opened
            if opened is None or now - opened >= SESSION_LIVES:
                self._close(found.id, Versioned(found.document, found.version))
            else:
                self._write(found.id, found.version, replace(found.document, due=_due(now)))
        except OtherSize as error:
            _log.warning("an upload is given up: %s", error)
            self.objects.delete(UPLOADS + found.id)
            self._close(found.id, Versioned(found.document, found.version))
        return None

    def _job(self, sha256: str) -> Job | None:
        held = self.store.control(Job, JOBS, upload_job(sha256))
        return held.document if held is not None else None

    def _is_done(self, job: Job) -> bool:
        return job.state == "done" and job.versions == self.engine.works["import"].versions()

    def _begun(self, sha256: str, upload: Offer | Upload, *, again: bool) -> Begun:
        begun = begin_upload(
            self.engine,
            sha256,
            upload.name,
            upload.size,
            self.engine.clock(),
            current(self.store, PROFILE, Profile()),
            modified=upload.modified,
            again=again,
        )
        if begun.job.state == "done" and begun.job.due is None:
            # It came once more after its import had been cleared up.
            self.objects.delete(UPLOADS + sha256)
        return begun

    def _session(self, sha256: str, offer: Offer, over: int | None) -> str:
        while True:
            held = self.store.control(Upload, FAMILY, sha256)
            upload = self._reopened(sha256, held.document if held is not None else None, offer)
            if over is not None:
                upload = replace(upload, over=over)
            if upload.url is not None and held is not None and upload == held.document:
                return upload.url
            if self._write(sha256, held.version if held is not None else None, upload):
                return upload.url or ""

    def _reopened(self, sha256: str, held: Upload | None, offer: Offer) -> Upload:
        now = self.engine.clock()
        if held is not None and _serves(held, offer, now):
            return replace(held, name=offer.name, modified=offer.modified)
        session = self.objects.open_upload(UPLOADS + sha256, offer.size, offer.origin)
        return Upload(
            name=offer.name,
            size=offer.size,
            modified=offer.modified,
            url=session.url,
            origin=offer.origin,
            opened=now,
            over=held.over if held is not None else None,
            due=_due(now),
        )

    def _close(self, sha256: str, held: Versioned[Upload]) -> None:
        closed = replace(held.document, url=None, origin=None, opened=None, over=None, due=None)
        if closed != held.document:
            self._write(sha256, held.version, closed)

    def _write(self, sha256: str, over: str | None, upload: Upload) -> bool:
        """False if somebody else was faster."""
        try:
            self.store.commit(FAMILY, sha256, over, lambda _: upload)
        except Conflict:
            return False
        return True


def _serves(held: Upload, offer: Offer, now: datetime) -> bool:
    """Whether the session that is open can be handed out once more."""
    return (
        held.url is not None
        and held.opened is not None
        and now - held.opened < SESSION_LIVES
        and held.size == offer.size
        and held.url != offer.lost
        # One that was opened for a browser answers to that alone.
        and offer.origin in (None, held.origin)
    )


def _due(now: datetime) -> datetime:
    return now + LOOKED_FOR_EACH


_STATES: dict[str, State] = {
    "ready": "importing",
    "running": "importing",
    "paused": "stopped",
    "cancelled": "stopped",
    "failed": "stopped",
    "done": "done",
}


def _known(begun: Begun) -> Known:
    return Known(_STATES[begun.job.state], begun.id, begun.job)
