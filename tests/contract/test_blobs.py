"""What the objects port promises (`shared.blobs.protocol`), held against both adapters."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.blobs.protocol import PART, BlobsError, BlobsUnavailable, Objects
from shared.meter import metered

ODD_NAMES = ["a", "a/b", "a-b", "a.b", "a0", "a/b/c", "..a", "x" * 200, "a_b/-", "a/b.tmp"]
NO_NAMES = [
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    ".",
    "a/../b",
    "A",
    "ä",
    "a b",
    "a\0",
    "x" * 201,
    "a\\b",
    "a+",
]


@dataclass
class Opener:
    """Opens objects in one place, as many processes would."""

    make: Callable[[], Objects]
    opened: list[Objects] = field(default_factory=list)

    def __call__(self) -> Objects:
        self.opened.append(self.make())
        return self.opened[-1]


@pytest.fixture(params=["files", "gcs"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    def make() -> Objects:
        if request.param == "files":
            from shared.blobs.files import FileObjects

            return FileObjects(tmp_path / "blobs")
        from shared.blobs.gcs import GcsObjects

        return GcsObjects(bucket)

    bucket = request.getfixturevalue("storage_bucket") if request.param == "gcs" else ""
    opener = Opener(make)
    yield opener
    for objects in opener.opened:
        objects.close()


@pytest.fixture
def objects(opener: Opener) -> Objects:
    return opener()


def whole(objects: Objects, name: str) -> bytes | None:
    return objects.read(name, 0, 10 * PART)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_what_was_put_is_there_for_everybody(opener: Opener, name: str) -> None:
    opener().put(name, b"bytes")
    other = opener()
    assert whole(other, name) == b"bytes"
    assert other.size(name) == 5
    assert list(other.names("")) == [name]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_is_refused_before_anything_is_done(objects: Objects, name: str) -> None:
    for call in (
        lambda: objects.put(name, b""),
        lambda: objects.read(name, 0, 1),
        lambda: objects.size(name),
        lambda: objects.delete(name),
        lambda: objects.join(name, []),
        lambda: objects.open_upload(name, 1, None),
    ):
        with pytest.raises(ValueError, match="is not a name"):
            call()


def test_a_name_that_leads_nowhere_is_none(objects: Objects) -> None:
    objects.put("a/b", b"x")
    for name in ("a", "b", "a/c", "a/b/c"):
        assert objects.size(name) is None
        assert objects.read(name, 0, 1) is None
        assert objects.read(name, 0, 0) is None
        objects.delete(name)
    assert whole(objects, "a/b") == b"x"


@pytest.mark.parametrize(
    ("start", "size", "expected"),
    [
        (0, 10, b"0123456789"),
        (0, 3, b"012"),
        (7, 3, b"789"),
        (7, 30, b"789"),
        (10, 1, b""),
        (99, 1, b""),
        (3, 0, b""),
    ],
)
def test_a_range_is_read(objects: Objects, start: int, size: int, expected: bytes) -> None:
    objects.put("ten", b"0123456789")
    assert objects.read("ten", start, size) == expected


def test_the_empty_object_is_an_object(objects: Objects) -> None:
    objects.put("empty", b"")
    assert objects.size("empty") == 0
    assert objects.read("empty", 0, 5) == b""


def test_putting_again_writes_over(objects: Objects) -> None:
    objects.put("name", b"a long first version")
    objects.put("name", b"second")
    assert whole(objects, "name") == b"second"
    assert list(objects.names("name")) == ["name"]


def test_a_whole_part_goes_through(objects: Objects) -> None:
    data = os.urandom(PART)
    objects.put("part", data)
    assert objects.read("part", PART - 10, 20) == data[-10:]
    assert whole(objects, "part") == data


def test_names_come_in_order_below_a_prefix(objects: Objects) -> None:
    names = ["a", "a-b", "a.b", "a/b", "a/b/c", "a/b-c", "a0", "b/a/z", "b/a0"]
    for name in reversed(names):
        objects.put(name, b"")
    assert list(objects.names("")) == sorted(names)
    assert list(objects.names("a/")) == ["a/b", "a/b-c", "a/b/c"]
    assert list(objects.names("a/b")) == ["a/b", "a/b-c", "a/b/c"]
    assert list(objects.names("b/a")) == ["b/a/z", "b/a0"]
    assert list(objects.names("nowhere/at/all")) == []


def test_what_was_deleted_is_gone_and_can_come_again(objects: Objects) -> None:
    objects.put("a/b/c", b"x")
    objects.put("a/b/d", b"y")
    objects.delete("a/b/c")
    objects.delete("a/b/c")
    assert whole(objects, "a/b/c") is None
    assert list(objects.names("")) == ["a/b/d"]
    objects.delete("a/b/d")
    objects.put("a/b/c", b"z")
    assert whole(objects, "a/b/c") == b"z"


@pytest.mark.parametrize("count", [0, 1, 2, 32, 33, 70])
def test_parts_are_joined_in_order_and_stay(objects: Objects, count: int) -> None:
    parts = [f"part/{number:03}" for number in range(count)]
    for number, part in enumerate(parts):
        objects.put(part, b"%d," % number)
    objects.join("whole", parts)
    assert whole(objects, "whole") == b"".join(b"%d," % number for number in range(count))
    assert list(objects.names("")) == [*parts, "whole"]


def test_a_part_may_come_twice_and_joined_ones_be_joined(objects: Objects) -> None:
    objects.put("a", b"1")
    objects.join("b", ["a", "a"])
    objects.join("b", ["b", "a", "b"])
    assert whole(objects, "b") == b"11111"


@pytest.mark.parametrize("others", [1, 40])
def test_nothing_is_joined_where_a_part_is_missing(objects: Objects, others: int) -> None:
    objects.put("a", b"1")
    objects.put("whole", b"before")
    with pytest.raises(BlobsError, match="missing") as caught:
        objects.join("whole", ["a"] * others + ["b"])
    assert not isinstance(caught.value, BlobsUnavailable)
    assert whole(objects, "whole") == b"before"


def test_writers_of_one_name_leave_one_of_them(opener: Opener) -> None:
    def write(data: bytes) -> None:
        for _ in range(10):
            opener_objects.put("a/b", data)
            opener_objects.delete("a/b")
            opener_objects.put("a/b", data)

    opener_objects = opener()
    values = [bytes([65 + number]) * 10_000 for number in range(4)]
    threads = [threading.Thread(target=write, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert whole(opener_objects, "a/b") in values


def test_what_is_spent_is_counted(objects: Objects) -> None:
    with metered() as meter:
        objects.put("a", b"123")
    assert (meter.object_writes, meter.object_reads, meter.object_sent) == (1, 0, 3)
    with metered() as meter:
        objects.read("a", 0, 1)
        objects.size("a")
    assert (meter.object_writes, meter.object_reads, meter.object_sent) == (0, 2, 0)
    with metered() as meter:
        objects.join("b", ["a"])
        list(objects.names(""))
    assert (meter.object_writes, meter.object_reads) == (2, 0)


def test_what_is_closed_is_unavailable(objects: Objects) -> None:
    objects.put("a", b"")
    objects.close()
    with pytest.raises(BlobsUnavailable, match="closed"):
        objects.put("a", b"")
    with pytest.raises(BlobsUnavailable, match="closed"):
        objects.size("a")


def test_an_upload_is_an_object_once_it_is_complete(objects: Objects) -> None:
    """By the pieces that both take; each adapter's own tests go further."""
    upload = objects.open_upload("up/load", 600_000, "https://yurt.example")
    data = os.urandom(600_000)
    assert objects.size("up/load") is None
    assert send(objects, upload.url, data, 0, 262_144) == 308
    assert objects.size("up/load") is None
    assert send(objects, upload.url, data, 262_144, 600_000) in (200, 201)
    assert whole(objects, "up/load") == data


def send(objects: Objects, url: str, data: bytes, start: int, end: int) -> int:
    """The status with which a piece is answered; of files, what their handler says."""
    from shared.blobs.files import FileObjects

    if isinstance(objects, FileObjects):
        progress = objects.append_upload(url, start, len(data), [data[start:end]])
        assert progress is not None
        return 200 if progress.complete else 308
    head = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
    return requests.put(url, data[start:end], headers=head, timeout=10).status_code


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=20) | st.none()), max_size=12))
def test_the_last_of_each_name_stands(
    objects: Objects, calls: list[tuple[str, bytes | None]]
) -> None:
    for name in "abc":
        objects.delete(f"n/{name}")
    expected: dict[str, bytes] = {}
    for name, data in calls:
        if data is None:
            objects.delete(f"n/{name}")
            expected.pop(f"n/{name}", None)
        else:
            objects.put(f"n/{name}", data)
            expected[f"n/{name}"] = data
    assert {name: whole(objects, name) for name in objects.names("n/")} == expected
