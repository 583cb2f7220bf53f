"""What is kept, asked for over `query`: whole, in parts, and harmless whatever it is."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.blobs.protocol import PART
from shared.http.blobs import SHOWN
from shared.model.records import Attachment, Media, Message
from tests.http.asking import MADE, NOON, Asker, asker

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(200))


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asker]:
    with asker(tmp_path) as asked:
        yield asked


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def media(data: bytes, media_type: str, name: str | None = None) -> Media:
    return Media(
        id=sha256(data), media_type=media_type, size=len(data), time=NOON, name=name, **MADE
    )


def kept(ask: Asker, data: bytes, *, small: bool) -> str:
    """Where a small thing is, or a large one."""
    if small:
        ask.put(raws={sha256(data): data})
    else:
        ask.node.kept.put(data)
    return f"/blob/{sha256(data)}"


@pytest.mark.parametrize("small", [True, False])
def test_all_of_it_or_a_part(ask: Asker, small: bool) -> None:
    url = kept(ask, JPEG, small=small)
    whole = ask(url)
    assert (whole.status_code, whole.data, whole.content_length) == (200, JPEG, len(JPEG))
    assert (whole.headers["Accept-Ranges"], whole.content_type) == ("bytes", "image/jpeg")
    head = ask(url, method="HEAD")
    assert (head.status_code, head.data, head.content_length) == (200, b"", len(JPEG))


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize(
    ("range", "part", "said"),
    [
        ("bytes=0-0", JPEG[:1], "bytes 0-0/204"),
        ("bytes=4-9", JPEG[4:10], "bytes 4-9/204"),
        ("bytes=200-", JPEG[200:], "bytes 200-203/204"),
        ("bytes=200-999", JPEG[200:], "bytes 200-203/204"),
        ("bytes=-4", JPEG[200:], "bytes 200-203/204"),
    ],
)
def test_a_range(ask: Asker, small: bool, range: str, part: bytes, said: str) -> None:
    answer = ask(kept(ask, JPEG, small=small), headers=_with(Range=range))
    assert (answer.status_code, answer.data) == (206, part)
    assert (answer.headers["Content-Range"], answer.content_length) == (said, len(part))


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1,5-6"},
        {"Range": "lines=0-1"},
        {"Range": "bytes=x"},
        {"Range": "bytes=0-1", "If-Range": '"another"'},
        {"Range": "bytes=0-1", "If-Range": "Wed, 21 Oct 2026 07:28:00 GMT"},
    ],
)
def test_a_range_that_is_not_obeyed_gives_all(ask: Asker, headers: dict[str, str]) -> None:
    answer = ask(kept(ask, JPEG, small=True), headers=_with(**headers))
    assert (answer.status_code, answer.data) == (200, JPEG)


def test_a_range_of_what_the_client_has_some_of(ask: Asker) -> None:
    url = kept(ask, JPEG, small=True)
    tag = ask(url).headers["ETag"]
    assert ask(url, headers=_with(Range="bytes=0-1", **{"If-Range": tag})).status_code == 206


def test_a_range_beyond_the_end(ask: Asker) -> None:
    answer = ask(kept(ask, JPEG, small=True), headers=_with(Range="bytes=204-"))
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */204")


def test_a_part_is_no_larger_than_every_node_can_send(ask: Asker) -> None:
    data = b"\xff\xd8\xff" + bytes(PART + 100)
    url = kept(ask, data, small=False)
    part = ask(url, headers=_with(Range="bytes=0-"))
    assert part.headers["Content-Range"] == f"bytes 0-{PART - 1}/{PART + 103}"
    assert part.data == data[:PART]
    assert ask(url).data == data


@pytest.mark.parametrize(
    ("media_type", "content_type", "how"),
    [
        ("image/png", "image/png", "inline"),
        ("IMAGE/JPEG; x=1", "image/jpeg", "inline"),
        ("video/mp4", "video/mp4", "inline"),
        ("text/html", "application/octet-stream", "attachment"),
        ("image/svg+xml", "application/octet-stream", "attachment"),
        ("application/xhtml+xml", "application/octet-stream", "attachment"),
        ("text/xml", "application/octet-stream", "attachment"),
        ("application/pdf", "application/octet-stream", "attachment"),
        ("image/png\r\nX: y", "application/octet-stream", "attachment"),
        ("", "application/octet-stream", "attachment"),
    ],
)
def test_only_what_cannot_run_is_shown(
    ask: Asker, media_type: str, content_type: str, how: str
) -> None:
    page = b"<script>fetch('/query/loc')</script>"
    attached = Attachment(id=sha256(page), media_type=media_type, size=len(page), name="a.html")
    ask.put(media(page, media_type), Message(id="m1", time=NOON, attachments=(attached,), **MADE))
    url = kept(ask, page, small=True)
    for answer in (ask(url), ask(f"{url}?message=m1")):
        assert answer.content_type == content_type
        assert answer.headers["Content-Disposition"].startswith(f"{how};")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"


def test_no_type_that_is_shown_can_run() -> None:
    assert {kind.partition("/")[0] for kind in SHOWN} == {"image", "video", "audio"}
    assert not any("xml" in kind for kind in SHOWN)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (JPEG, "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"<html><script>", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_what_no_record_names_is_known_by_its_bytes(
    ask: Asker, content: bytes, content_type: str
) -> None:
    assert ask(kept(ask, content, small=True)).content_type == content_type


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("IMG_1.jpg", "filename=IMG_1.jpg"),
        ("../../etc/passwd", "filename=passwd"),
        ("a\\b.jpg", "filename=b.jpg"),
        ('a"; x=y\r\nSet-Cookie: z', 'filename="a\\"; x=ySet-Cookie: z"'),
        ("Größe.jpg", "filename*=UTF-8''Gr%C3%B6%C3%9Fe.jpg"),
        ("橋.jpg", "filename=jpg; filename*=UTF-8''%E6%A9%8B.jpg"),
        ("...", f"filename={sha256(JPEG)}"),
        (None, f"filename={sha256(JPEG)}"),
    ],
)
def test_it_goes_by_its_name(ask: Asker, name: str | None, shown: str) -> None:
    ask.put(media(JPEG, "image/jpeg", name))
    answer = ask(kept(ask, JPEG, small=True))
    assert shown in answer.headers["Content-Disposition"]
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (f"/blob/{'0' * 64}", 404),
        (f"/blob/{'A' * 64}", 400),
        ("/blob/..%2f..%2fmaster.key", 404),
        ("/blob/x", 400),
        (f"/blob/{sha256(JPEG)}?message=none", 404),
    ],
)
def test_what_is_not_there(ask: Asker, url: str, status: int) -> None:
    kept(ask, JPEG, small=True)
    assert ask(url).status_code == status


def test_without_a_credential_nothing_is_said(ask: Asker) -> None:
    assert ask(kept(ask, JPEG, small=True), headers={}).status_code == 401


def _with(**headers: str) -> dict[str, Any]:
    from tests.http.asking import AUTH

    return {**AUTH, **headers}
