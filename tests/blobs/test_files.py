"""Objects as files: what a kill, a full disk and a stranger leave."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from shared.blobs import disk, files
from shared.blobs.files import FileObjects
from shared.blobs.protocol import BlobsError, BlobsUnavailable


def below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    FileObjects(tmp_path / "deep" / "blobs").put("a/b", b"x")
    for path in (tmp_path / "deep").rglob("*"):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


WRITER = """
import os, sys
from pathlib import Path
from shared.blobs import disk, files

step = int(sys.argv[2])
steps = 0

def killed(call):
    def counted(*args, **options):
        global steps
        steps += 1
        if steps == step:
            os.kill(os.getpid(), 9)
        return call(*args, **options)
    return counted

objects = files.FileObjects(Path(sys.argv[1]))
for module, name in [
    (os, "open"), (os, "write"), (os, "fsync"), (os, "close"), (os, "copy_file_range"),
]:
    setattr(module, name, killed(getattr(module, name)))
Path.replace, Path.unlink = killed(Path.replace), killed(Path.unlink)
objects.put("put/object", b"new" * 1000)
objects.join("joined/object", ["part", "part"])
print(steps)
"""


def run_writer(folder: Path, step: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WRITER, str(folder), str(step)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


def test_a_kill_at_any_line_leaves_whole_objects_or_none(tmp_path: Path) -> None:
    FileObjects(tmp_path).put("part", b"12345")
    step, steps = 0, 1
    while step < steps:
        objects = FileObjects(tmp_path)
        objects.put("put/object", b"old")
        objects.delete("joined/object")
        ran = run_writer(tmp_path, step)
        if step == 0:
            steps = int(ran.stdout)
            assert steps > 20
        else:
            assert ran.returncode == -signal.SIGKILL
        step += 1
        again = FileObjects(tmp_path)
        assert again.read("put/object", 0, 9_999) in (b"old", b"new" * 1000)
        assert again.read("joined/object", 0, 99) in (None, b"1234512345")
        assert below(tmp_path / "writing") == []
        again.put("put/object", b"after")
        assert again.read("put/object", 0, 99) == b"after"


def test_what_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    path, file = objects._begun()
    FileObjects(tmp_path)
    assert path.exists()
    os.close(file)
    FileObjects(tmp_path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (errno.ENOSPC, BlobsUnavailable, "is full: make room"),
        (errno.EDQUOT, BlobsUnavailable, "is full: make room"),
        (errno.EMFILE, BlobsUnavailable, "just now"),
        (errno.EROFS, BlobsError, "belong to who runs the node"),
        (errno.EIO, BlobsError, "cannot be used"),
    ],
)
def test_what_is_wrong_with_the_disk_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: type[BlobsError],
    text: str,
) -> None:
    objects = FileObjects(tmp_path)
    objects.put("a", b"before")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", fail)
        with pytest.raises(BlobsError, match=text) as caught:
            objects.put("a", b"after")
    assert isinstance(caught.value, BlobsUnavailable) == (kind is BlobsUnavailable)
    assert objects.read("a", 0, 99) == b"before"
    assert below(tmp_path / "writing") == []


def test_a_really_full_disk_is_waited_for(tmp_path: Path) -> None:
    """The kernel's own full device, where it lets itself be written to."""
    with (
        Path("/dev/full").open("wb") as full,
        pytest.raises(BlobsUnavailable, match="is full"),
        disk.explained(tmp_path),
    ):
        disk.write_all(full.fileno(), b"x")


def test_parts_are_joined_where_the_system_does_not_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "not here")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    objects = FileObjects(tmp_path)
    objects.put("a", b"1" * 3_000_000)
    objects.join("b", ["a", "a"])
    assert objects.read("b", 0, 9_000_000) == b"1" * 6_000_000
