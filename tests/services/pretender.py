"""A small IMAP server that a test can make do what no good one would."""

import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

HOST = "127.0.0.1"

Twist = Callable[[str, bytes], "bytes | Iterable[bytes | None]"]
"""From a command with its tag and what is usual, to what is sent instead: one or many pieces; None
ends the connection."""

_SET = re.compile(r"(\d+)(?::(\d+))?")
_PARTIAL = re.compile(r"BODY\.PEEK\[\](?:<(\d+)\.(\d+)>)?")
GREETING = "greeting"


def usual(_: str, answer: bytes) -> bytes:
    return answer


class Pretender:
    """One folder, of mails by their UIDs. capabilities: besides IMAP4rev1. asked: all commands that
    came, without their tags."""

    def __init__(
        self,
        mails: dict[int, bytes] | None = None,
        twist: Twist = usual,
        *,
        capabilities: str = "",
        folders: Sequence[bytes] = (b'(\\HasNoChildren) "/" INBOX',),
        labels: bytes = b"()",
    ) -> None:
        self.mails = dict(mails or {})
        self.asked: list[str] = []
        self._twist = twist
        self._capabilities = f"IMAP4rev1 {capabilities}".strip().encode()
        self._folders = folders
        self._labels = labels
        self._socket = socket.create_server((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        self._is_open = True
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        # Wakes it where it waits for a connection.
        socket.create_connection((HOST, self.port)).close()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if not self._is_open:
                    return
                try:
                    self._talk(connection)
                except OSError:  # the other side had enough
                    continue

    def _talk(self, connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        with lines:
            if not self._send(connection, GREETING, b"* OK ready\r\n"):
                return
            for line in lines:
                command = line.decode().strip()
                tag, _, rest = command.partition(" ")
                self.asked.append(rest)
                done = f"{tag} OK done\r\n".encode()
                if not self._send(connection, command, b"".join(self._answer(rest)) + done):
                    return

    def _send(self, connection: socket.socket, command: str, answer: bytes) -> bool:
        given = self._twist(command, answer)
        for piece in [given] if isinstance(given, bytes) else given:
            if piece is None:
                return False
            connection.sendall(piece)
        return True

    def _answer(self, command: str) -> Iterator[bytes]:
        name, _, rest = command.partition(" ")
        if name == "CAPABILITY":
            yield b"* CAPABILITY %s\r\n" % self._capabilities
        elif name == "LIST":
            yield from (b"* LIST %s\r\n" % folder for folder in self._folders)
        elif name == "EXAMINE":
            yield b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] yes\r\n" % len(self.mails)
        elif name == "FETCH":
            yield from self._listing(_numbers(rest))
        elif command.startswith("UID FETCH "):
            wanted = _numbers(rest.partition(" ")[2])
            for place, uid in enumerate(sorted(self.mails), 1):
                if uid in wanted:
                    yield self._body(place, uid, command)

    def _listing(self, places: frozenset[int]) -> Iterator[bytes]:
        for place, uid in enumerate(sorted(self.mails), 1):
            if place in places:
                yield (
                    b'* %d FETCH (UID %d RFC822.SIZE %d FLAGS () INTERNALDATE "24-Nov-2026 10:00:00'
                    b' +0100" X-GM-LABELS %s)\r\n'
                    % (place, uid, len(self.mails[uid]), self._labels)
                )

    def _body(self, place: int, uid: int, command: str) -> bytes:
        found = _PARTIAL.search(command)
        start, length = (int(found[1]), int(found[2])) if found and found[1] else (0, 2**31)
        data = self.mails[uid][start : start + length]
        head = b"* %d FETCH (UID %d BODY[]<%d> {%d}\r\n" % (place, uid, start, len(data))
        return head + data + b")\r\n"


def _numbers(text: str) -> frozenset[int]:
    numbers: set[int] = set()
    for first, last in _SET.findall(text.split(" ", maxsplit=1)[0]):
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)
