"""The end of a conversation that takes too long.

The timeout of a socket is one of silence: a server that sends a byte now and then never reaches it.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR, socket
from types import TracebackType

from shared.alerting.protocol import CannotTell

_AGAIN = 0.2
"""Seconds. A connection that was being opened when the time was up is ended once it is open."""


class Deadline:
    """Within it, what `connection` gives is shut down after so many seconds; then it `is_over`, and
    what is raised of that becomes `CannotTell`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.is_over = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)
        self.connection: Callable[[], socket | None] = lambda: None

    def __enter__(self) -> "Deadline":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        if self.is_over and isinstance(error, Exception):
            raise CannotTell(
                f"it was not done within {self._seconds:.0f} seconds: see that its server is well"
            ) from ConnectionError(type(error).__name__)

    def _watch(self) -> None:
        wait = self._seconds
        while not self._done.wait(wait):
            self.is_over, wait = True, _AGAIN
            found = self.connection()
            if found is not None:
                with suppress(OSError):
                    # The socket's own: that of TLS forgets its state, under whoever reads.
                    socket.shutdown(found, SHUT_RDWR)
