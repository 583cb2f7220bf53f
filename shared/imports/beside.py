"""The files that lie in one folder of an export, wherever their bytes are."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from shared.imports.manifest import Entry
from shared.model.steps import Content, Folder


class Beside:
    """Finds the folder of each entry of a manifest.

    whole: whether an entry is kept whole, as photos are. Of those only the names are known here:
    nobody opens them for what they say of another, and there may be very many.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        open: Callable[[Entry], Content],
        whole: Callable[[Entry], bool],
    ) -> None:
        self._open = open
        self._folders: defaultdict[str, dict[str, Entry | None]] = defaultdict(dict)
        for entry in entries:
            folder, _, name = entry.path.rpartition("/")
            self._folders[folder][name] = None if whole(entry) else entry

    def folder_of(self, entry: Entry) -> Folder:
        return _Folder(self._folders[entry.path.rpartition("/")[0]], self._open)


class _Folder:
    def __init__(self, files: dict[str, Entry | None], open: Callable[[Entry], Content]) -> None:
        self._files = files
        self._open = open

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def open(self, name: str) -> Content | None:
        entry = self._files.get(name)
        return self._open(entry) if entry is not None else None
