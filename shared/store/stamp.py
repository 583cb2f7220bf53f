"""A few bytes that processes on one machine share, to notice at no cost that something changed."""

import mmap
import os
from pathlib import Path

_BYTES = 8


class Stamp:
    """Random bytes in a mapped file: reading them is a memory access, without a system call."""

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size < _BYTES:
                # Written, not only made long: a full disk must be told here and not by a signal.
                os.pwrite(handle, bytes(_BYTES), 0)
            self._map = mmap.mmap(handle, _BYTES)
        finally:
            os.close(handle)

    def read(self) -> bytes:
        return self._map[:_BYTES]

    def renew(self) -> None:
        # Random, not counted: two processes that count at once could agree on one number.
        self._map[:_BYTES] = os.urandom(_BYTES)

    def close(self) -> None:
        self._map.close()
