"""Upload sessions of a home node keep to the protocol of Google's, whatever dies meanwhile."""

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.blobs.files import FileObjects
from shared.blobs.sessions import BadPiece, Progress

STEP = 256 * 1024
DATA = bytes(range(256)) * (4 * 1024) + b"the end"
SIZE = len(DATA)


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path, "https://yurt.example/upload/session/")


def opened(objects: FileObjects, size: int = SIZE) -> str:
    url = objects.open_upload("up/load", size, None).url
    assert url.startswith("https://yurt.example/upload/session/")
    return url.rpartition("/")[2]


def have(progress: Progress | None) -> int:
    assert progress is not None
    return progress.have


def test_pieces_make_the_object(objects: FileObjects) -> None:
    id = opened(objects)
    assert have(objects.upload_progress(id)) == 0
    for start in range(0, SIZE, STEP):
        progress = objects.append_upload(id, start, SIZE, [DATA[start : start + STEP]])
        assert have(progress) == min(SIZE, start + STEP)
    progress = objects.upload_progress(id)
    assert progress == Progress(SIZE, SIZE, "up/load")
    assert progress.complete
    assert objects.read("up/load", 0, SIZE + 1) == DATA


def test_what_was_done_can_be_said_again(objects: FileObjects) -> None:
    id = opened(objects)
    for _ in range(2):
        assert have(objects.append_upload(id, 0, SIZE, [DATA[:STEP]])) == STEP
    assert have(objects.append_upload(id, 0, SIZE, [DATA[: 2 * STEP]])) == 2 * STEP
    for _ in range(2):
        assert have(objects.append_upload(id, STEP, SIZE, [DATA[STEP:]])) == SIZE
        assert have(objects.upload_progress(id)) == SIZE
    assert objects.read("up/load", 0, SIZE + 1) == DATA


def test_a_gap_is_not_jumped(objects: FileObjects) -> None:
    id = opened(objects)
    assert have(objects.append_upload(id, STEP, SIZE, [DATA[STEP:]])) == 0
    assert have(objects.append_upload(id, 0, SIZE, [DATA[:STEP]])) == STEP
    assert have(objects.append_upload(id, 3 * STEP, SIZE, [DATA[3 * STEP :]])) == STEP
    assert objects.size("up/load") is None


def test_a_piece_counts_in_whole_steps(objects: FileObjects) -> None:
    id = opened(objects)
    assert have(objects.append_upload(id, 0, SIZE, [DATA[: STEP + 5]])) == STEP
    assert have(objects.append_upload(id, STEP, SIZE, [DATA[STEP : STEP + 5]])) == STEP
    assert have(objects.append_upload(id, STEP, SIZE, [DATA[STEP:]])) == SIZE
    assert objects.read("up/load", 0, SIZE + 1) == DATA


def test_what_came_before_the_line_broke_counts(objects: FileObjects) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA[: STEP + 100]
        yield DATA[STEP + 100 : 2 * STEP + 100]
        raise ConnectionResetError

    id = opened(objects)
    assert have(objects.append_upload(id, 0, SIZE, broken())) == 2 * STEP
    assert have(objects.upload_progress(id)) == 2 * STEP


def test_what_came_before_any_other_error_counts_too(objects: FileObjects) -> None:
    def refused() -> Iterator[bytes]:
        yield DATA[:STEP]
        raise LookupError

    id = opened(objects)
    with pytest.raises(LookupError):
        objects.append_upload(id, 0, SIZE, refused())
    assert have(objects.upload_progress(id)) == STEP


@pytest.mark.parametrize(
    ("size", "data", "reason"),
    [(SIZE + 1, DATA[:STEP], "is for"), (SIZE, DATA + b"more", "beyond")],
)
def test_what_does_not_fit_is_refused(
    objects: FileObjects, size: int, data: bytes, reason: str
) -> None:
    id = opened(objects)
    with pytest.raises(BadPiece, match=reason):
        objects.append_upload(id, 0, size, [data])
    assert objects.size("up/load") is None


@pytest.mark.parametrize("id", ["", "0" * 32, "../../etc/passwd", "x" * 32])
def test_a_session_that_is_not_there(objects: FileObjects, id: str) -> None:
    assert objects.upload_progress(id) is None
    assert objects.append_upload(id, 0, SIZE, [DATA]) is None


def test_nothing_is_complete_at_once(objects: FileObjects) -> None:
    progress = objects.upload_progress(opened(objects, 0))
    assert progress is not None
    assert progress.complete
    assert objects.read("up/load", 0, 1) == b""


def test_it_goes_on_after_a_crash_at_any_effect(
    objects: FileObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call that changes something on the disk fails once, and a new process goes on."""

    class Crash(BaseException):
        pass

    effects: dict[str, Callable[..., Any]] = {
        "fsync": os.fsync,
        "pwrite": os.pwrite,
        "open": os.open,
    }
    replace = Path.replace
    for crash in range(1, 60):
        left = crash

        def counted(effect: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Crash
                return effect(*args, **options)

            return call

        id = opened(objects)
        objects.delete("up/load")
        with monkeypatch.context() as patch:
            for name, effect in effects.items():
                patch.setattr(os, name, counted(effect))
            patch.setattr(Path, "replace", counted(replace))
            acknowledged = 0
            try:
                for start in range(0, SIZE, 2 * STEP):
                    progress = objects.append_upload(id, start, SIZE, [DATA[start:][: 2 * STEP]])
                    acknowledged = have(progress)
            except Crash:
                pass
        objects = FileObjects(tmp_path, "https://yurt.example/upload/session/")
        known = have(objects.upload_progress(id))
        assert known >= acknowledged
        assert have(objects.append_upload(id, known, SIZE, [DATA[known:]])) == SIZE
        assert objects.read("up/load", 0, SIZE + 1) == DATA
        if left > 0:
            return
    pytest.fail("it never ran through without a crash")


def test_two_that_send_at_once(objects: FileObjects) -> None:
    id = opened(objects)

    def send() -> None:
        start = 0
        while start < SIZE:
            pieces = (DATA[at : at + 10_000] for at in range(start, SIZE, 10_000))
            start = have(objects.append_upload(id, start, SIZE, pieces))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert objects.read("up/load", 0, SIZE + 1) == DATA


def test_one_that_lags_behind_cannot_change_the_object(objects: FileObjects) -> None:
    id = opened(objects)

    def slow() -> Iterator[bytes]:
        yield DATA[:STEP]
        assert have(objects.append_upload(id, 0, SIZE, [DATA])) == SIZE
        yield b"x" * STEP

    assert have(objects.append_upload(id, 0, SIZE, slow())) == SIZE
    assert objects.read("up/load", 0, SIZE + 1) == DATA


def test_sessions_that_were_left_are_swept(objects: FileObjects, tmp_path: Path) -> None:
    left, used = opened(objects), opened(objects)
    now = datetime.now(UTC)
    for path in (tmp_path / "uploads").glob(f"{left}.*"):
        os.utime(path, (now.timestamp() - 8 * 86_400,) * 2)
    assert objects.sweep_uploads(now - timedelta(days=7)) == 1
    assert objects.upload_progress(left) is None
    assert have(objects.upload_progress(used)) == 0
    assert objects.sweep_uploads(now + timedelta(days=1)) == 1
    assert list((tmp_path / "uploads").iterdir()) == []


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)), max_size=8))
def test_any_pieces_in_any_order_only_add_up(
    objects: FileObjects, pieces: list[tuple[int, int]]
) -> None:
    id, known = opened(objects), 0
    for start, size in pieces:
        progress = objects.append_upload(id, start, SIZE, [DATA[start : start + size]])
        assert have(progress) >= known
        known = have(progress)
    assert have(objects.append_upload(id, known, SIZE, [DATA[known:]])) == SIZE
    assert objects.read("up/load", 0, SIZE + 1) == DATA
