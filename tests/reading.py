"""Files for tests of sources: bytes in memory, read from the beginning or on from any step."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from shared.model.profile import Profile
from shared.model.records import AnyRecord
from shared.model.steps import Bad, Content, File, Source, Step

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Bytes:
    """Content in memory. reads: what was asked for, as (start, size)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.reads: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        return len(self._data)

    def read(self, start: int, size: int) -> bytes:
        self.reads.append((start, size))
        return self._data[start : start + size]


class Beside:
    """A folder of files in memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def open(self, name: str) -> Content | None:
        return Bytes(self._files[name]) if name in self._files else None


def file_of(
    data: bytes,
    path: str = "Takeout/file",
    *,
    export: str = "export",
    profile: Profile = Profile(zone="Europe/London", home_region="GB"),  # noqa: B008 - immutable
    beside: Mapping[str, bytes] | None = None,
    sha256: str | None = None,
    modified: datetime | None = None,
) -> File:
    return File(
        path=path,
        content=Bytes(data),
        export=export,
        now=NOW,
        profile=profile,
        folder=Beside(beside or {}),
        sha256=sha256,
        modified=modified,
    )


def records_in(steps: Iterable[Step]) -> list[AnyRecord]:
    return [record for step in steps for record in step.records]


def bad_in(steps: Iterable[Step]) -> list[Bad]:
    return [bad for step in steps for bad in step.bad]


def step_by_step(source: Source, file: File) -> Iterator[Step]:
    """Reads as if the process ended after each step: a new reader goes on from its cursor."""
    cursor: str | None = None
    while True:
        step = next(iter(source.read(file, cursor)), None)
        if step is None:
            return
        yield step
        cursor = step.cursor
