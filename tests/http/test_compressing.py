"""Answers that are packed, and those that are not."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.asking import AUTH, NOON, Asker, asker, fix

TRACK = f"/query/loc?from={NOON:%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asker]:
    with asker(tmp_path) as asking:
        asking.put(*(fix(second, lat=50 + second / 1000) for second in range(500)))
        yield asking


@pytest.mark.parametrize("format", ["json", "geojson", "gpx", "csv", "owntracks"])
def test_a_track_is_packed_for_who_takes_it_so(format: str, ask: Asker) -> None:
    url = f"{TRACK}&format={format}"
    plain = ask(url)
    packed = ask(url, headers={**AUTH, "Accept-Encoding": "gzip, deflate, br"})
    assert plain.headers.get("Content-Encoding") is None
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 5
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert packed.headers.get("Link") == plain.headers.get("Link")


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        (TRACK, "identity"),
        (TRACK, "gzip;q=0, deflate"),
        ("/query/loc", "gzip"),  # short
        ("/query/loc?device=nobody", "gzip"),  # an error
    ],
)
def test_everything_else_goes_as_it_is(url: str, accepted: str, ask: Asker) -> None:
    answer = ask(url, headers={**AUTH, "Accept-Encoding": accepted})
    assert "Content-Encoding" not in answer.headers
    assert answer.data[:1] in (b"[", b"{")


def test_a_photo_goes_as_it_is(ask: Asker) -> None:
    photo = b"\xff\xd8\xff" + bytes(5000)
    sha256 = ask.node.kept.put(photo)
    answer = ask(f"/query/blob/{sha256}", headers={**AUTH, "Accept-Encoding": "gzip"})
    assert (answer.data, "Content-Encoding" in answer.headers) == (photo, False)


def test_a_question_for_the_head_alone_is_answered(ask: Asker) -> None:
    headers = {**AUTH, "Accept-Encoding": "gzip"}
    answer = ask(TRACK, method="HEAD", headers=headers)
    assert (answer.status_code, answer.data) == (200, b"")
