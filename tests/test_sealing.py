"""The master key's file, and what is sealed with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.sealing import KEY_BYTES, BadMasterKey, CannotUnseal, MasterKey

ROOT = Path(__file__).parents[1]
SECRET = "correct horse ☃".encode()

# Makes or reads the key, not before it is told to, and seals something with it.
_SEAL = """
import sys
from pathlib import Path
from shared.sealing import MasterKey
print("ready", flush=True)
sys.stdin.readline()
print(MasterKey.from_file(Path(sys.argv[1]), create=True).seal(sys.argv[2].encode()))
"""


def sealer(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _SEAL, str(path), SECRET.decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )


def test_the_file_is_made_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "data" / "master.key"
    sealed = MasterKey.from_file(path, create=True).seal(SECRET)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["master.key"]
    assert len(bytes.fromhex(path.read_text())) == KEY_BYTES
    assert MasterKey.from_file(path, create=False).unseal(sealed) == SECRET


def test_two_processes_that_begin_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    with sealer(path) as one, sealer(path) as other:
        for process in (one, other):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in (one, other):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate()[0].strip() for process in (one, other)]
    key = MasterKey.from_file(path, create=False)
    assert [key.unseal(sealed) for sealed in said] == [SECRET, SECRET]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kept", ["", "\n", "ab" * 31, "ab" * 31 + "a", "ab" * 33, "xy" * 32, "é"])
def test_a_file_that_is_no_whole_key_is_told_and_left_alone(tmp_path: Path, kept: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(kept, "utf-8")
    with pytest.raises(BadMasterKey, match=r"master\.key is not .* backup"):
        MasterKey.from_file(path, create=True)
    assert path.read_text("utf-8") == kept


def test_a_key_that_is_missing_or_cannot_be_read_is_told_and_none_is_made(tmp_path: Path) -> None:
    path = tmp_path / "data" / "master.key"
    with pytest.raises(BadMasterKey, match=r"master\.key is missing; restore it"):
        MasterKey.from_file(path, create=False)
    assert not path.parent.exists()
    path.mkdir(parents=True)
    with pytest.raises(BadMasterKey, match=r"master\.key cannot be read: .* directory"):
        MasterKey.from_file(path, create=True)


def test_another_key_or_a_damaged_text_unseals_nothing() -> None:
    key, other = MasterKey(b"k" * KEY_BYTES), MasterKey(b"o" * KEY_BYTES)
    sealed = key.seal(SECRET)
    assert key.unseal(sealed) == SECRET
    assert sealed != key.seal(SECRET), "equal secrets could be told"
    for held, text in ((other, sealed), (key, sealed[4:]), (key, "AAAA"), (key, "é"), (key, "")):
        with pytest.raises(CannotUnseal, match="pair the device again"):
            held.unseal(text)
