"""Objects in a bucket of Google Cloud Storage: the adapter of a cloud node.

STORAGE_EMULATOR_HOST, if it is set, is where the bucket is; the library sees to it.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import google.cloud.storage as storage
import requests
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud.storage.exceptions import DataCorruption

from shared.blobs.protocol import BlobsError, BlobsUnavailable, Upload, checked
from shared.meter import spend_on_objects

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

WITHIN = 30.0
"""Seconds that one request may take with all its attempts. A part of 8 MiB takes about one."""
MOST_JOINED = 32
"""Objects that Cloud Storage composes at once."""

_JOINING = "JOINING/"
"""Where objects are that are made of some of the parts. No object's name has such letters."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_PASSING = (
    exceptions.ServerError,
    exceptions.TooManyRequests,
    exceptions.RetryError,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    TransportError,
    DataCorruption,
    ConnectionError,
    TimeoutError,
)
_TYPE = "application/octet-stream"

T = TypeVar("T")


class GcsObjects:
    """bucket: which exists. The client is made by whoever asks first; threads share it.

    within: see `WITHIN`. project, credentials: those of the environment if none are given.
    """

    def __init__(
        self,
        bucket: str,
        *,
        within: float = WITHIN,
        project: str | None = None,
        credentials: "Credentials | None" = None,
    ) -> None:
        self._name = bucket
        self._project = project
        self._credentials = credentials
        self._within = within
        self._lock = threading.Lock()
        self._client: storage.Client | None = None
        self._closed = False

    def put(self, name: str, data: bytes) -> None:
        blob = self._blob(checked(name))
        spend_on_objects(writes=1, sent=len(data))
        self._patiently(
            lambda timeout: blob.upload_from_string(
                data, content_type=_TYPE, timeout=timeout, retry=None
            )
        )

    def join(self, name: str, parts: Sequence[str]) -> None:
        checked(name)
        sources = [checked(part) for part in parts]
        if not sources:
            return self.put(name, b"")
        between: list[str] = []
        level = 0
        while len(sources) > MOST_JOINED:
            groups = [sources[at : at + MOST_JOINED] for at in range(0, len(sources), MOST_JOINED)]
            made = [f"{_JOINING}{name}/{level}-{number:06}" for number in range(len(groups))]
            between += made
            for target, group in zip(made, groups, strict=True):
                self._compose(target, group)
            sources, level = made, level + 1
        self._compose(name, sources)
        for unneeded in between:
            self._delete(unneeded)
        return None

    def size(self, name: str) -> int | None:
        blob = self._blob(checked(name))
        spend_on_objects(reads=1)
        try:
            self._patiently(lambda timeout: blob.reload(timeout=timeout, retry=None))
        except exceptions.NotFound:
            return None
        return int(blob.size or 0)

    def read(self, name: str, start: int, size: int) -> bytes | None:
        blob = self._blob(checked(name))
        if size <= 0:
            return None if self.size(name) is None else b""
        spend_on_objects(reads=1)
        try:
            data: bytes = self._patiently(
                lambda timeout: blob.download_as_bytes(
                    start=start,
                    end=start + size - 1,
                    raw_download=True,
                    timeout=timeout,
                    retry=None,
                )
            )
        except exceptions.NotFound:
            return None
        except exceptions.RequestRangeNotSatisfiable:
            return b""
        return data

    def delete(self, name: str) -> None:
        self._delete(checked(name))

    def names(self, prefix: str) -> Iterator[str]:
        token: str | None = None
        while True:
            spend_on_objects(writes=1)
            names, token = self._page(prefix, token)
            yield from names
            if token is None:
                return

    def open_upload(self, name: str, size: int, origin: str | None) -> Upload:
        """The URL is the session's own: whoever has it may send these bytes, and nothing else."""
        blob = self._blob(checked(name))
        spend_on_objects(writes=1)
        url = self._patiently(
            lambda timeout: blob.create_resumable_upload_session(
                content_type=_TYPE, size=size, origin=origin, timeout=timeout, retry=None
            )
        )
        return Upload(str(url))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._client is not None:
                self._client.close()
                self._client = None

    def _blob(self, name: str) -> storage.Blob:
        return self._opened().bucket(self._name).blob(name)

    def _compose(self, name: str, parts: Sequence[str]) -> None:
        target, sources = self._blob(name), [self._blob(part) for part in parts]
        spend_on_objects(writes=1)
        try:
            self._patiently(lambda timeout: target.compose(sources, timeout=timeout, retry=None))
        except exceptions.NotFound as error:
            raise BlobsError(f"a part of which {name} is made is missing") from error

    def _delete(self, name: str) -> None:
        blob = self._blob(name)
        with suppress(exceptions.NotFound):
            self._patiently(lambda timeout: blob.delete(timeout=timeout, retry=None))

    def _page(self, prefix: str, token: str | None) -> tuple[list[str], str | None]:
        def asked(timeout: float) -> tuple[list[str], str | None]:
            found = self._opened().list_blobs(
                self._name,
                prefix=prefix,
                page_token=token,
                fields="items(name),nextPageToken",
                timeout=timeout,
                retry=None,
            )
            names = [blob.name for blob in next(found.pages)]
            names = [name for name in names if not name.startswith(_JOINING)]
            return names, found.next_page_token

        try:
            return self._patiently(asked)
        except exceptions.NotFound as error:
            raise self._as_ours(error) from error

    def _opened(self) -> storage.Client:
        client = self._client
        if client is None:
            with self._lock:
                if self._closed:
                    raise BlobsUnavailable(f"the bucket {self._name} is closed")
                if self._client is None:
                    self._client = self._connected()
                client = self._client
        return client

    def _connected(self) -> storage.Client:
        try:
            client = storage.Client(project=self._project, credentials=self._credentials)
        except (DefaultCredentialsError, OSError) as error:
            # The library knows no project outside the cloud, and says so by an OSError.
            raise BlobsError(
                f"there are no credentials for Cloud Storage: {error}; on a machine of your own "
                "run `gcloud auth application-default login` and set GOOGLE_CLOUD_PROJECT"
            ) from error
        # Else it asks for the bucket, for the sake of tracing, in a thread of its own: the first
        # time, and again for each object that is not there, which doubles what that costs.
        client._bucket_metadata_cache = None
        return client

    def _patiently(self, request: Callable[[float], T]) -> T:
        """`NotFound` of an object, not of the bucket, and what is no error go on as they are."""
        ends, pause = time.monotonic() + self._within, _FIRST_PAUSE
        while True:
            try:
                return _once(request, max(0.1, ends - time.monotonic()))
            except _PASSING as error:
                wait = pause * random.uniform(0.5, 1)  # noqa: S311 - nothing secret hangs on it
                if time.monotonic() + wait > ends:
                    raise BlobsUnavailable(
                        f"the bucket {self._name} gave no answer in time ({error})"
                    ) from error
                pause = min(2 * pause, _LONGEST_PAUSE)
                time.sleep(wait)
            except exceptions.RequestRangeNotSatisfiable:
                raise
            except exceptions.NotFound as error:
                if "bucket does not exist" in error.message:
                    raise self._as_ours(error) from error
                raise
            except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
                raise self._as_ours(error) from error

    def _as_ours(self, error: Exception) -> BlobsError:
        where = f"the bucket {self._name}"
        if isinstance(error, exceptions.NotFound):
            return BlobsError(
                f"{where} does not exist; make it with `gcloud storage buckets create "
                f"gs://{self._name}`, or set YURT_BUCKET to another"
            )
        if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized | GoogleAuthError):
            return BlobsError(
                f"{where} refuses this account ({error}); give it roles/storage.objectUser"
            )
        return BlobsError(f"{where} refused a request ({error})")


def _once(request: Callable[[float], T], timeout: float) -> T:
    try:
        return request(timeout)
    except exceptions.GoogleAPICallError as error:
        # A download that fails would keep its connection.
        if isinstance(error.response, requests.Response):
            error.response.close()
        raise
