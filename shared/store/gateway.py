"""The one door to Firestore: every request passes it, bounded in time, counted, its errors ours.

A query can only be made over an entry of the table of indexes, so none is without its index.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import firestore

from shared.meter import spend
from shared.store.indexes import Index, Membership
from shared.store.protocol import WITHIN, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

T = TypeVar("T")
Reference = firestore.DocumentReference
Snapshot = firestore.DocumentSnapshot[firestore.DocumentReference]

_PASSING = (
    exceptions.Aborted,
    exceptions.Cancelled,
    exceptions.InternalServerError,
    exceptions.ServiceUnavailable,
    exceptions.DeadlineExceeded,
    exceptions.Unknown,
)
AT_MOST_VALUES = 30
"""That one query of `holding` may ask for (https://firebase.google.com/docs/firestore/query-data/queries)."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

# The library would start a broken query again without an end of its own; `_patiently` has one.
_NEVER = Retry(predicate=lambda _: False)


class Changed(Exception):
    """A commit was refused whole: a document is there already, or not as it was expected.

    doubtful: an earlier attempt got no answer, and may be what changed it.
    """

    def __init__(self, doubtful: bool) -> None:
        super().__init__("a document changed")
        self.doubtful = doubtful


class TooLarge(StoreError):
    """A commit was refused whole: a document would pass a limit of Firestore."""


class Patience:
    """The time that one call of the store may still take."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + WITHIN
        self._pause = _FIRST_PAUSE

    def left(self, error: Exception | None = None) -> float:
        """Seconds; `StoreUnavailable`, because of `error`, when there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise StoreUnavailable(f"Firestore gave no answer in time{_because(error)}") from error
        return left

    def pause(self, error: Exception | None = None) -> None:
        """Waits a little, longer each time, so that those who collided do not do so again."""
        wait = self._pause * random.uniform(0.5, 1)  # noqa: S311 - nothing secret hangs on it
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        time.sleep(min(wait, self.left(error)))
        self.left(error)


class Gateway:
    """Requests to one database. The client is made by whoever asks first; threads share it."""

    def __init__(
        self, project: str, database: str, credentials: "Credentials | None" = None
    ) -> None:
        self._project = project
        self._database = database
        self._credentials = credentials
        self._lock = threading.Lock()
        self._client: firestore.Client | None = None
        self._closed = False

    def reference(self, collection: str, id: str) -> Reference:
        return self._opened().document(collection, id)

    def batch(self) -> firestore.WriteBatch:
        return self._opened().batch()

    def over(self, update_time: Any) -> Any:
        """The precondition that a document was last written at this time."""
        return self._opened().write_option(last_update_time=update_time)

    def get(
        self, references: list[Reference], patience: Patience, *, at: Any = None
    ) -> dict[str, Snapshot]:
        """The documents that exist, by id. at: as they were at this time of a `look`."""
        found = self._looked(references, patience, at)
        return {snapshot.id: snapshot for snapshot in found if snapshot.exists}

    def look(self, reference: Reference, patience: Patience) -> Snapshot:
        """A document, which may not exist, and in its `read_time` a time.

        What is then read at that time is all of one moment: nothing is missed that is moved from
        one document to another meanwhile. Firestore knows the past of an hour.
        """
        (snapshot,) = self._looked([reference], patience, None)
        return snapshot

    def _looked(self, references: list[Reference], patience: Patience, at: Any) -> list[Snapshot]:
        client = self._opened()
        found: list[Snapshot] = self._patiently(
            patience,
            lambda timeout: list(
                client.get_all(references, retry=_NEVER, timeout=timeout, read_time=at)
            ),
        )
        spend(reads=len(references))
        return found

    def query(
        self,
        index: Index,
        equal: Mapping[str, Any],
        patience: Patience,
        *,
        start: Any = None,
        end: Any = None,
        after: Snapshot | Mapping[str, Any] | None = None,
        limit: int,
        at: Any = None,
    ) -> list[Snapshot]:
        """Documents in the order of `index` whose fields `index.equal` have the values `equal`.

        start, end: bounds of the index's first ordered field; start <= value < end. after: the
        last document of the page before this one, or the values of its ordered fields. at: as for
        `get`.
        """
        query: Any = self._opened().collection(index.collection)
        bounds = [(index.ordered[0][0], ">=", start), (index.ordered[0][0], "<", end)]
        for field, comparison, value in [
            *((field, "==", equal[field]) for field in index.equal),
            *(bound for bound in bounds if bound[2] is not None),
        ]:
            query = query.where(filter=firestore.FieldFilter(field, comparison, value))
        for field, direction in index.ordered:
            query = query.order_by(field, direction=direction)
        if after is not None:
            query = query.start_after(after)
        return self._found(query.limit(limit), patience, at)

    def holding(
        self,
        membership: Membership,
        values: Sequence[str],
        patience: Patience,
        *,
        limit: int,
        fields: Sequence[str] | None = None,
    ) -> list[Snapshot]:
        """Documents that hold any of the values, in no order. fields: all, if none are named."""
        held = firestore.FieldFilter(membership.field, "array_contains_any", values)
        query: Any = self._opened().collection(membership.collection).where(filter=held)
        if fields is not None:
            query = query.select(fields)
        return self._found(query.limit(limit), patience)

    def _found(self, query: Any, patience: Patience, at: Any = None) -> list[Snapshot]:
        found: list[Snapshot] = self._patiently(
            patience,
            lambda timeout: list(query.stream(retry=_NEVER, timeout=timeout, read_time=at)),
        )
        spend(reads=max(1, len(found)))
        return found

    def commit(
        self,
        batch: firestore.WriteBatch,
        patience: Patience,
        *,
        deletes: int = 0,
        sent: int = 0,
    ) -> Any:
        """Writes all or nothing; the time of the commit.

        deletes: how many of the writes delete a document. sent: bytes, for the meter. `Changed`
        and `TooLarge` say that nothing was written.
        """
        writes, attempts = len(batch) - deletes, 0

        def attempt(timeout: float) -> Any:
            nonlocal attempts
            attempts += 1
            try:
                return batch.commit(retry=_NEVER, timeout=timeout)
            except exceptions.InvalidArgument as error:
                raise TooLarge(f"Firestore refused a write{_because(error)}") from error
            except (exceptions.AlreadyExists, exceptions.FailedPrecondition) as error:
                raise Changed(attempts > 1) from error
            except exceptions.NotFound as error:
                if "does not exist" in error.message:  # the database; of a document it says "no …"
                    raise
                raise Changed(attempts > 1) from error

        results = self._patiently(patience, attempt)
        spend(writes=writes, deletes=deletes, sent=sent)
        return results[-1].update_time

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._client is not None:
                self._client.close()
                self._client = None

    def _opened(self) -> firestore.Client:
        client = self._client
        if client is None:
            with self._lock:
                if self._closed:
                    raise StoreUnavailable("the store is closed")
                if self._client is None:
                    self._client = self._connected()
                client = self._client
        return client

    def _connected(self) -> firestore.Client:
        try:
            return firestore.Client(
                project=self._project, credentials=self._credentials, database=self._database
            )
        except GoogleAuthError as error:
            raise StoreError(
                f"there are no credentials for Firestore: {error}; on a machine of your own run "
                "`gcloud auth application-default login`"
            ) from error

    def _patiently(self, patience: Patience, request: Callable[[float], T]) -> T:
        failure: Exception | None = None
        while True:
            timeout = patience.left(failure)
            spend(calls=1)
            try:
                return request(timeout)
            except _PASSING as error:
                failure = error
            except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
                raise self._as_ours(error) from error
            except ValueError as error:
                if not self._closed:
                    raise
                raise StoreUnavailable("the store is closed") from error
            patience.pause(failure)

    def _as_ours(self, error: Exception) -> StoreError:
        where = f"the Firestore database {self._database} of project {self._project}"
        if isinstance(error, exceptions.ResourceExhausted):
            return StoreUnavailable(
                f"a quota of {where} is used up{_because(error)}; `yurt doctor` shows which"
            )
        if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized | GoogleAuthError):
            return StoreError(
                f"{where} refuses this account{_because(error)}; give it roles/datastore.user"
            )
        if isinstance(error, exceptions.NotFound):
            return StoreError(
                f"{where} does not exist; make it with `gcloud firestore databases create "
                f"--project={self._project} --database='{self._database}'`"
            )
        if isinstance(error, exceptions.FailedPrecondition):
            return StoreError(
                f"{where} lacks an index{_because(error)}; deploy infra/firestore.indexes.json"
            )
        return StoreError(f"{where} refused a request{_because(error)}")


def _because(error: Exception | None) -> str:
    if isinstance(error, exceptions.GoogleAPICallError):
        return f" ({error.message})"
    return f" ({error})" if error is not None else ""
