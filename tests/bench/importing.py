"""An import in a process of its own, through the node that the environment names.

    python -m tests.bench.importing [--parts N] [--whole] [--find WORD] PATH

Prints what it added, what each chunk took, and what it spent, as JSON. PATH: of a file or folder,
or `upload/` and the hash of what was uploaded.
"""

import argparse
import dataclasses
import gc
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from infra.crew import COLLECT_EACH
from shared.imports.beginning import UPLOADS, Begun, begin_path, begin_upload
from shared.meter import metered
from shared.model.profile import Profile
from shared.node import Node, open_node
from shared.settings import read_settings
from shared.work.engine import Engine
from shared.work.runs import Budget
from shared.workshop import engine_of
from tests.bench.spending import Spent, spent
from tests.inline_queue import InlineQueue


class Told(Struct):
    """new: records by kind. chunks: CPU seconds of each. parts: of the work, together. writes to
    object_reads: as `Meter` has them. found: records in which the word is."""

    new: dict[str, int]
    chunks: list[float]
    parts: int
    writes: int
    reads: int
    object_writes: int
    object_reads: int
    found: int = 0


class Imported(Struct):
    spent: Spent
    told: Told


def imported(
    path: Path | str,
    env: Mapping[str, str],
    *,
    parts: int | None = None,
    whole: bool = False,
    find: str | None = None,
) -> Imported:
    """env: the settings of the node. parts: in a chunk. whole: in one chunk.
    find: a word that is looked for at the end."""
    options = ["--whole"] if whole else []
    options += [f"--parts={parts}"] if parts is not None else []
    options += [f"--find={find}"] if find is not None else []
    ran = spent([sys.executable, "-m", __name__, *options, str(path)], env)
    return Imported(ran, msgspec.json.decode(ran.out, type=Told))


def into(data: Path) -> Mapping[str, str]:
    """The settings of a home node."""
    return {"YURT_STORE": "sqlite", "YURT_DATA": str(data)}


def main() -> None:
    asked = _arguments()
    gc.set_threshold(COLLECT_EACH)  # as the node and the command do
    node = open_node(read_settings(os.environ))
    try:
        told = _told(node, asked)
    finally:
        node.close()
    sys.stdout.buffer.write(msgspec.json.encode(told))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", type=int)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--find")
    parser.add_argument("path")
    return parser.parse_args()


def _told(node: Node, asked: argparse.Namespace) -> Told:
    if asked.parts is not None and asked.parts < 2:
        raise SystemExit("a chunk of one part may be one that finds, and never get on")
    queue, counting = InlineQueue(), _Counting(asked.parts)
    engine = engine_of(node, queue, counting.is_over)
    if asked.whole or asked.parts is not None:
        unbounded = Budget(seconds=math.inf, memory=2**62, reads=2**62, writes=2**62)
        engine = dataclasses.replace(engine, budget=unbounded)
    chunks = []
    with metered() as meter:
        begun = _begun(node, engine, asked.path)
        while (task := queue.take()) is not None:
            before = time.process_time()
            engine.run(str(task.body["job"]), int(task.body["token"]))
            chunks.append(time.process_time() - before)
    job = engine.job(begun.id)
    if job.state != "done":
        raise SystemExit(f"the import is {job.state}: {job.last_error}")
    found = _found(node, asked.find) if asked.find is not None else 0
    return Told(
        new=job.progress.new,
        chunks=chunks,
        parts=counting.parts,
        writes=meter.writes,
        reads=meter.reads,
        object_writes=meter.object_writes,
        object_reads=meter.object_reads,
        found=found,
    )


class _Counting:
    """Ends a chunk after so many parts (None: never), as the end of the process would: by time it
    would be at another place in each run."""

    def __init__(self, each: int | None) -> None:
        self.parts = 0
        self._each = each

    def is_over(self) -> bool:
        self.parts += 1
        return self._each is not None and self.parts % self._each == 0


def _begun(node: Node, engine: Engine, path: str) -> Begun:
    if not path.startswith(UPLOADS):
        return begin_path(engine, Path(path), node.clock(), Profile(zone="Europe/London"))
    sha256 = path.removeprefix(UPLOADS)
    name, _, sha256 = sha256.rpartition(":")
    size = node.objects.size(UPLOADS + sha256)
    if size is None:
        raise SystemExit(f"{sha256} was not uploaded")
    return begin_upload(engine, sha256, name, size, node.clock(), Profile(zone="Europe/London"))


def _found(node: Node, word: str) -> int:
    if node.search is None:
        return 0
    found, cursor = 0, None
    while True:
        page = node.search.find(word, limit=1000, cursor=cursor)
        found += len(page.found)
        cursor = page.cursor
        if cursor is None:
            return found


if __name__ == "__main__":
    main()
