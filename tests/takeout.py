"""A small export in the shape of Google Takeout, in three zip parts.

A photo lies in another part than its sidecar, and the same mail is in two parts.
"""

import io
import json
import zipfile
from functools import cache

from PIL import Image

RECORDS = {
    "locations": [
        {
            "latitudeE7": 515000000 + 1000 * number,
            "longitudeE7": -1250000 - 1000 * number,
            "accuracy": 12,
            "deviceTag": 1234567890,
            "source": "WIFI",
            "timestamp": f"2019-07-04T{10 + number // 60:02}:{number % 60:02}:00.000Z",
        }
        for number in range(300)
    ]
}


def mail(number: int, *, text: str = "See you on the bridge.") -> str:
    return (
        f"From {number}@xxx Thu Jul 04 10:00:00 +0000 2019\r\n"
        f"X-GM-THRID: {1600000000000000000 + number}\r\n"
        "X-Gmail-Labels: Inbox,Important\r\n"
        "MIME-Version: 1.0\r\n"
        f"Date: Thu, 4 Jul 2019 10:{number % 60:02}:00 +0100\r\n"
        f"Message-ID: <m{number}@mail.example.org>\r\n"
        f"Subject: Walk number {number}\r\n"
        "From: Ada <ada@example.org>\r\n"
        "To: Grace <grace@example.com>\r\n"
        "Content-Type: text/plain; charset=UTF-8\r\n"
        "\r\n"
        f"{text}\r\n"
        "\r\n"
    )


def photo(colour: tuple[int, int, int], taken: str | None) -> bytes:
    """A JPEG of its own. taken: local time as EXIF writes it, if it has one."""
    image, exif, data = Image.new("RGB", (640, 480), colour), Image.Exif(), io.BytesIO()
    exif[0x010F], exif[0x0110] = "Example", "Camera 1"
    if taken is not None:
        exif.get_ifd(0x8769)[0x9003] = taken
    image.save(data, "JPEG", exif=exif)
    return data.getvalue()


def sidecar(title: str, taken: int, *, lat: float = 0.0, lon: float = 0.0, who: str = "") -> bytes:
    found: dict[str, object] = {
        "title": title,
        "description": "",
        "photoTakenTime": {"timestamp": str(taken), "formatted": "whenever"},
        "geoData": {"latitude": lat, "longitude": lon, "altitude": 0.0},
        "url": "https://photos.example/1",
    }
    if who:
        found["people"] = [{"name": who}]
    return json.dumps(found, indent=2).encode()


@cache
def files() -> list[dict[str, bytes]]:
    """What is in each part, by path."""
    mails = [mail(number) for number in range(40)]
    photos = "Takeout/Google Photos/Photos from 2019"
    return [
        {
            "Takeout/Location History (Timeline)/Records.json": json.dumps(
                RECORDS, indent=2
            ).encode(),
            f"{photos}/IMG_1.jpg": photo((200, 30, 30), "2019:07:04 12:00:00"),
            f"{photos}/IMG_1.jpg.supplemental-metadata.json": sidecar(
                "IMG_1.jpg", 1562238000, lat=51.5, lon=-0.125, who="Ada"
            ),
            f"{photos}/IMG_2.jpg": photo((30, 200, 30), None),
            "Takeout/archive_browser.html": b"<!DOCTYPE html><html></html>",
        },
        {
            "Takeout/Mail/All mail Including Spam and Trash.mbox": "".join(mails).encode(),
            f"{photos}/IMG_2.jpg.supplemental-metadata.json": sidecar(
                "IMG_2.jpg", 1562241600, lat=48.8, lon=2.3, who="Grace"
            ),
            f"{photos}/IMG_3.jpg.supplemental-metadata.json": sidecar("IMG_3.jpg", 1562245200),
        },
        {
            f"{photos}/IMG_3.jpg": photo((30, 30, 200), None),
            "Takeout/Mail/Archived.mbox": "".join([*mails[30:], mail(99)]).encode(),
        },
    ]


@cache
def parts() -> dict[str, bytes]:
    """The zip files by name."""
    return {
        f"takeout-20260101T000000Z-{number:03}.zip": _zipped(found)
        for number, found in enumerate(files(), start=1)
    }


def _zipped(found: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in found.items():
            info = zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return data.getvalue()
