"""Sends a file to a node, of any size, over connections that break: the owner's end of `upload`.

The node is told the file's hash first, so what it knows is not sent. What has come so far is known
by the session alone, so sending may stop anywhere, and goes on when it is called again.
"""

import contextlib
import hashlib
import http.client
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from shared.blobs.protocol import PART, STEP
from shared.http.upload import Offered, UploadState
from shared.imports.inputs import shown

WITHIN = 90.0
"""Seconds without a byte after which a connection counts as broken."""
MOST_FAILURES = 8
"""Attempts in a row that brought nothing, after which we give up. Their pauses make three minutes
together."""

_LONGEST_PAUSE = 60.0
_HASHED_AT_ONCE = 1 << 20
_TAKEN = {200, 201, 308}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_GONE = {404, 410}
_UNKNOWN = {401, 403}

Told = Callable[[int], object]
"""Is told how many bytes of the file are done."""


class CannotSend(Exception):
    """The file cannot be sent; the text says why, and what to do."""


class NotReached(CannotSend):
    """The node does not answer, or does not know the token: no other file fares better."""


class Sent(NamedTuple):
    """What became of a file. sha256: what to ask after it by. job: of its import. moved: bytes that
    were sent now."""

    sha256: str
    state: UploadState
    moved: int


class _Lost(Exception):
    """The session leads nowhere any more."""


class _Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(slots=True)
class Uploader:
    """base: the URL of the node's functions. token: a credential of the owner. waits: is told why
    it waits, and how many seconds.

    A context manager; it keeps connections. Not for several threads.
    """

    base: str
    token: str
    piece: int = PART
    sleep: Callable[[float], object] = time.sleep
    waits: Callable[[str, float], object] = lambda _why, _seconds: None
    _connections: dict[tuple[str, str], http.client.HTTPConnection] = field(default_factory=dict)

    def __enter__(self) -> "Uploader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        while self._connections:
            self._connections.popitem()[1].close()

    def send(
        self,
        path: Path,
        *,
        again: bool = False,
        hashed: Told = lambda _: None,
        sent: Told = lambda _: None,
    ) -> Sent:
        """Brings a file to the node and begins its import, if that is not done or going on.

        again: import it though that was done. `CannotSend`; `OSError` when it cannot be read.
        """
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_size == 0:
                raise CannotSend(f"{path} is empty: there is nothing to import")
            sha256 = _sha256(file, hashed)
            offered = Offered(
                name=shown(path.name),
                size=status.st_size,
                sha256=sha256,
                modified=status.st_mtime_ns // 1000,
                again=again,
            )
            return self._brought(_File(path, file, status), offered, sent)

    def state(self, sha256: str) -> UploadState:
        """How far a file is that was offered."""
        return self._told("GET", f"/upload/{sha256}")

    def _brought(self, file: "_File", offered: Offered, sent: Told) -> Sent:
        moved = 0
        for _ in range(3):  # sessions may end, but not one after the other
            state = self._told("POST", "/upload", msgspec.json.encode(offered))
            if state.state != "send":
                return Sent(offered.sha256, state, moved)
            url = urljoin(f"{self.base}/upload", state.url or "")
            try:
                moved += self._poured(file, url, sent)
                state = self._told("POST", f"/upload/{offered.sha256}/sent")
                return Sent(offered.sha256, state, moved)
            except _Lost:
                offered = msgspec.structs.replace(offered, lost=state.url)
        raise CannotSend(f"{self.base} forgets what it gets of {file.path}; ask `yurt doctor`")

    # The bytes

    def _poured(self, file: "_File", url: str, sent: Told) -> int:
        """Sends what is missing; how many bytes that was."""
        begun = at = self._reached(url, file.size)
        size, failures = self.piece, 0
        sent(at)
        while at < file.size:
            file.check()
            reply = self._asked_once("PUT", url, *_piece(file, at, size))
            reached = at
            if reply is not None and reply.status in _TAKEN:
                reached = _end(reply, file.size)
            elif reply is not None and reply.status not in _PASSING:
                raise self._refused(url, reply)
            if reached > at:
                failures, size = 0, min(self.piece, size + STEP)
            else:
                failures += 1
                self._pause(failures, url, reply)
                size = max(STEP, size // (2 * STEP) * STEP)  # for a slow line, or a bad one
                reached = self._reached(url, file.size)
            at = reached
            sent(at)
        file.check()
        return at - begun

    def _reached(self, url: str, size: int) -> int:
        """How many bytes of the file the session has."""
        headers = {"Content-Range": f"bytes */{size}"}
        reply = self._asked("PUT", url, b"", headers)
        if reply.status in _TAKEN:
            return _end(reply, size)
        raise self._refused(url, reply)

    def _refused(self, url: str, reply: _Reply) -> Exception:
        if reply.status in _GONE:
            return _Lost()
        host = urlsplit(url).netloc
        return CannotSend(f"{host} refuses the file ({reply.status}): {_detail(reply)}")

    # The node

    def _told(self, method: str, path: str, body: bytes | None = None) -> UploadState:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        reply = self._asked(method, f"{self.base}{path}", body, headers)
        if reply.status == 409 and path.endswith("/sent"):
            raise _Lost
        if reply.status != 200:
            kind = NotReached if reply.status in _UNKNOWN else CannotSend
            raise kind(f"{self.base} answers {reply.status}: {_detail(reply)}")
        try:
            return msgspec.json.decode(reply.body, type=UploadState)
        except msgspec.DecodeError as error:
            raise CannotSend(
                f"what {self.base} answers is not understood ({error}); is it a node of Yurt of "
                "this version?"
            ) from error

    # HTTP

    def _asked(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> _Reply:
        """The answer, sooner or later. Only for what may be asked twice."""
        failures = 0
        while True:
            reply = self._asked_once(method, url, body, headers)
            if reply is not None and reply.status not in _PASSING:
                return reply
            failures += 1
            self._pause(failures, url, reply)

    def _asked_once(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> _Reply | None:
        """None if the connection broke."""
        parts = urlsplit(url)
        connection = self._connection(parts)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return _Reply(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self._connections.pop((parts.scheme, parts.netloc)).close()
            return None

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        origin = (parts.scheme, parts.netloc)
        if origin not in self._connections:
            secure = parts.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self._connections[origin] = kind(parts.netloc, timeout=WITHIN)
        return self._connections[origin]

    def _pause(self, failures: int, url: str, reply: _Reply | None) -> None:
        why = f"answers {reply.status}: {_detail(reply)}" if reply else "does not answer"
        why = f"{urlsplit(url).netloc} {why}"
        if failures >= MOST_FAILURES:
            raise NotReached(f"{why}; call it again later, it goes on where it was")
        pause = min(2.0 ** (failures - 1), _LONGEST_PAUSE)
        self.waits(why, pause)
        self.sleep(pause)


@dataclass(frozen=True, slots=True)
class _File:
    """What is sent. status: as it was when its hash was found."""

    path: Path
    file: BinaryIO
    status: os.stat_result

    @property
    def size(self) -> int:
        return self.status.st_size

    def check(self) -> None:
        now = os.fstat(self.file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self.size, self.status.st_mtime_ns):
            raise CannotSend(f"{self.path} was changed while it was sent; import it again")

    def read(self, start: int, size: int) -> bytes:
        found = []
        while size > 0:
            data = os.pread(self.file.fileno(), size, start)
            if not data:
                break
            found.append(data)
            start, size = start + len(data), size - len(data)
        return b"".join(found)


def _sha256(file: BinaryIO, hashed: Told) -> str:
    digest, done = hashlib.sha256(), 0
    for data in _blocks(file):
        digest.update(data)
        done += len(data)
        hashed(done)
    return digest.hexdigest()


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while data := file.read(_HASHED_AT_ONCE):
        yield data


def _piece(file: _File, at: int, size: int) -> tuple[bytes, dict[str, str]]:
    data = file.read(at, size)
    return data, {"Content-Range": f"bytes {at}-{at + len(data) - 1}/{file.size}"}


def _end(reply: _Reply, size: int) -> int:
    """From where to go on, as the answer to a piece, or to a question, says."""
    if reply.status != 308:
        return size
    found = re.fullmatch(r"bytes[= ]0-(\d+)", reply.headers.get("Range", ""))
    # A piece begins at such a multiple. What is there of the next is not worth counting on.
    return (int(found[1]) + 1) // STEP * STEP if found else 0


def _detail(reply: _Reply) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        detail = msgspec.json.decode(reply.body).get("detail")
        if detail:
            return str(detail)
    return http.client.responses.get(reply.status, "no reason given")
