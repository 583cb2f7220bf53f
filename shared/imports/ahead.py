"""Reading ahead: small files that are read one by one, such as photos, on every core."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from shared.imports.manifest import Entry
from shared.model.steps import Step

SMALL = 32 * 1024 * 1024
"""Bytes of a file that is read ahead: some of them are in memory at once."""


class Ahead:
    """Threads that read files before their turn has come. With one thread nothing is ahead."""

    def __init__(self, threads: int) -> None:
        self._depth = 2 * threads if threads > 1 else 0
        self._pool = ThreadPoolExecutor(threads, "reading") if self._depth else None
        self._begun: dict[str, Future[Sequence[Step]]] = {}

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, entries: Iterable[Entry], read: Callable[[Entry], Iterator[Step]]) -> None:
        """entries: those that come next, which are quick to read as a whole."""
        if self._pool is None:
            return
        for entry, _ in zip(entries, range(self._depth), strict=False):
            if entry.path not in self._begun and entry.size <= SMALL:
                self._begun[entry.path] = self._pool.submit(_all_of, read, entry)

    def taken(self, entry: Entry) -> Sequence[Step] | None:
        """What reading it gave, if that was begun; raises what it raised."""
        begun = self._begun.pop(entry.path, None)
        return begun.result() if begun is not None else None


def _all_of(read: Callable[[Entry], Iterator[Step]], entry: Entry) -> Sequence[Step]:
    return list(read(entry))
