"""Parts of one export go by one id, whatever their names were turned into on the way."""

import pytest

from shared.archives.names import export_of

TAKEOUT = "takeout-20260101t000000z"


@pytest.mark.parametrize(
    ("name", "export"),
    [
        ("takeout-20260101T000000Z-001.zip", TAKEOUT),
        ("takeout-20260101T000000Z-002.zip", TAKEOUT),
        ("takeout-20260101T000000Z-1-001.zip", TAKEOUT),
        ("takeout-20260101T000000Z-3-002.tgz", TAKEOUT),
        ("takeout-20260101T000000Z-12-1002.tgz", TAKEOUT),
        ("takeout-20260101T000000Z-001.tar.gz", TAKEOUT),
        ("takeout-20260101T000000Z.zip", TAKEOUT),
        ("TAKEOUT-20260101T000000Z-001.ZIP", TAKEOUT),
        ("takeout-20260101T000000Z-001 (1).zip", TAKEOUT),
        ("takeout-20260101T000000Z-001(2).zip", TAKEOUT),
        ("takeout-20260101T000000Z-001 - Copy.zip", TAKEOUT),
        ("takeout-20260101T000001Z-001.zip", "takeout-20260101t000001z"),
        ("drive-download-20260101T000000Z-001.zip", "drive-download-20260101t000000z"),
        ("Photos-001.zip", "photos-001"),
        ("All mail.mbox", "all mail.mbox"),
        ("photos.zip", "photos"),
        ("photos (1).zip", "photos"),
        ("", ""),
    ],
)
def test_the_export_that_a_name_tells(name: str, export: str) -> None:
    assert export_of(name) == export
