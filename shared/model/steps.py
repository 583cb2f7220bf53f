"""Reading in steps: how something of any size becomes records without being held at once.

A reader gives its work out as steps. Each carries the cursor from which reading can go on after it,
in another process if need be, so whoever drives it may stop after any step.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, Protocol

from shared.model.profile import Profile
from shared.model.records import AnyRecord

HEAD = 65_536
"""Bytes from the beginning of a file by which sources recognise it."""
STEP_BYTES = 4_000_000
"""About how much a step may hold. Only a single thing that is larger makes it more."""
STEP_RECORDS = 1_000

_NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Content(Protocol):
    """Bytes that can be read anywhere: a file, an object in the cloud, a piece of either."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start`; fewer only at the end. `OSError` when they cannot be had."""
        ...


class Folder(Protocol):
    """What lies beside a file in its export."""

    def __contains__(self, name: str) -> bool: ...

    def open(self, name: str) -> Content | None:
        """The file of that name in the same folder, if there is one."""
        ...


class Bad(NamedTuple):
    """Something that cannot be read: a value, since archives are expected to hold such things.

    where: its place in the file, as the person who looks for it would name it. data: its bytes, or
    the beginning of them. size: all its bytes.
    """

    where: str
    reason: str
    data: bytes
    size: int


class Step(NamedTuple):
    """Some records, and where to go on.

    cursor: opaque to all but the reader that gave it. done: how far it is, in bytes of the content
    (it never falls). raws: bytes to keep, by their SHA-256 (hex): what records were made from,
    attachments, thumbnails.
    """

    cursor: str
    done: int
    records: Sequence[AnyRecord] = ()
    raws: Mapping[str, bytes] = _NOTHING
    bad: Sequence[Bad] = ()


class NoFolder:
    """For a file that came alone."""

    def __contains__(self, name: str) -> bool:
        return False

    def open(self, name: str) -> Content | None:  # noqa: ARG002 - there is none of any name
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as a source gets it.

    path: with `/`, inside its export (`Takeout/Mail/All mail.mbox`), or the bare name. export: an
    id that is the same for all files of one export, also in its later parts. sha256: of the
    content, where it is kept whole. now: what counts as the future. profile: for local times and
    numbers.
    """

    path: str
    content: Content
    export: str
    now: datetime
    profile: Profile
    sha256: str | None = None
    modified: datetime | None = None
    folder: Folder = field(default_factory=NoFolder)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Source(Protocol):
    """A module that reads one format. Pure: the content is the only thing it reads.

    NAME: what its records say as their `source`. VERSION: grows when it would now read the same
    bytes differently. KEEPS: whether the file itself is kept as a blob (a photo), or only what
    `raws` holds (of an archive).
    """

    @property
    def NAME(self) -> str: ...  # noqa: N802 - constants of a module

    @property
    def VERSION(self) -> int: ...  # noqa: N802

    @property
    def KEEPS(self) -> bool: ...  # noqa: N802

    def recognise(self, path: str, head: bytes) -> bool:
        """Whether this is the source's format, by its first `HEAD` bytes; the path only helps.

        An extension alone never decides: files are renamed. Must not raise, whatever the bytes.
        """
        ...

    def read(self, file: File, cursor: str | None) -> Iterator[Step]:
        """Steps from the beginning (None) or after an earlier step, each within `STEP_RECORDS`
        and about `STEP_BYTES`.

        Reading on from any step's cursor gives the same records as reading on without stopping,
        and costs no more for being far from the beginning. What cannot be read is a `Bad` in its
        step. Raises nothing but the content's `OSError`, whatever the bytes; memory does not
        grow with the file.
        """
        ...
