"""Bytes that are kept: photos and movies, their thumbnails, attachments, what was read: `/blob`.

They come from anybody who ever wrote a mail, and are looked at in the owner's browser, where a page
that runs could ask for everything. So only what is a picture, a movie or a sound is shown there;
all else is handed over to be saved, whatever it claims to be.
"""

from typing import Annotated, NamedTuple
from urllib.parse import quote

from msgspec import UNSET, Meta, Struct, UnsetType
from werkzeug.wrappers import Request, Response

from shared.blobs.protocol import PART
from shared.http.errors import Problem
from shared.model.records import Media, Message
from shared.node import Node

SHOWN = {
    *(f"image/{kind}" for kind in ("avif", "bmp", "gif", "heic", "heif", "jpeg", "png", "webp")),
    *(f"video/{kind}" for kind in ("3gpp", "mp4", "mpeg", "quicktime", "webm", "x-matroska")),
    *(f"audio/{kind}" for kind in ("aac", "flac", "mp4", "mpeg", "ogg", "wav", "webm")),
}
"""Types that a browser shows and that cannot run anything. SVG can, and so can HTML and PDF."""

OCTETS = "application/octet-stream"

_SIGNS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"GIF8": "image/gif"}
_HARMLESS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class BlobParameters(Struct, frozen=True, kw_only=True):
    sha256: Annotated[
        str,
        Meta(
            pattern=r"^[0-9a-f]{64}\Z",
            description="the SHA-256 of the bytes, as 64 hexadecimal digits in lower case",
        ),
    ]
    message: (
        Annotated[
            str,
            Meta(description="the id of a message that has it attached, for its name and type"),
        ]
        | UnsetType
    ) = UNSET


class _Said(NamedTuple):
    """What a record says of the bytes."""

    media_type: str | None = None
    name: str | None = None


def blob(node: Node, request: Request, asked: BlobParameters) -> Response:
    """The bytes, or a part of them where a `Range` asks for it: of at most `PART` bytes then."""
    raw = node.store.raw(asked.sha256)
    size = len(raw) if raw is not None else node.kept.size(asked.sha256)
    if size is None:
        raise Problem(404, f"nothing is kept under {asked.sha256}")
    said = _said(node, asked)
    wanted = _range(request, asked.sha256, size)
    if wanted is not None:
        start, end = wanted
        part = raw[start:end] if raw is not None else _kept(node, asked.sha256, start, end)
        response = Response(part, status=206)
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    else:
        response = Response(raw if raw is not None else node.kept.stream(asked.sha256))
        response.headers["Content-Length"] = str(size)
    head = raw[:16] if raw is not None else _kept(node, asked.sha256, 0, min(16, size))
    media_type = _media_type(said, head)
    response.headers["Content-Type"] = media_type
    how = "inline" if media_type in SHOWN else "attachment"
    response.headers.set("Content-Disposition", how, **_file_name(said, asked.sha256))
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = _etag(asked.sha256)
    response.headers.update(_HARMLESS)
    return response


def _said(node: Node, asked: BlobParameters) -> _Said:
    if asked.message is not UNSET:
        message = node.store.get(Message, asked.message)
        for attachment in message.attachments if message is not None else ():
            if attachment.id == asked.sha256:
                return _Said(attachment.media_type, attachment.name)
        raise Problem(404, f"the message {asked.message!r} has nothing of that hash attached")
    media = node.store.get(Media, asked.sha256)
    return _Said(media.media_type, media.name) if media is not None else _Said()


def _media_type(said: _Said, head: bytes) -> str:
    if said.media_type is not None:
        plain = said.media_type.partition(";")[0].strip().lower()
        return plain if plain in SHOWN else OCTETS
    # A thumbnail or a face has no record of its own.
    return next((kind for sign, kind in _SIGNS.items() if head.startswith(sign)), OCTETS)


def _file_name(said: _Said, sha256: str) -> dict[str, str]:
    """As parameters of a header (RFC 6266): in full where it is more than ASCII."""
    name = (said.name or "").replace("\\", "/").rpartition("/")[2]
    name = "".join(letter for letter in name if letter.isprintable())
    name = name.strip(" .")[:200] or sha256
    if name.isascii():
        return {"filename": name}
    plain = name.encode("ascii", "ignore").decode().strip(" .") or sha256
    return {"filename": plain, "filename*": f"UTF-8''{quote(name, safe='')}"}


def _range(request: Request, sha256: str, size: int) -> tuple[int, int] | None:
    """What is asked for, from a byte to before another; None for all of it."""
    asked = request.range
    condition = request.headers.get("If-Range")
    if asked is None or asked.units != "bytes" or request.method != "GET":
        return None
    if len(asked.ranges) != 1 or condition not in (None, _etag(sha256)):
        return None
    wanted = asked.range_for_length(size)
    if wanted is None:
        there = {"Content-Range": f"bytes */{size}"}
        raise Problem(416, f"there are only {size} bytes; ask for some of them", headers=there)
    start, end = wanted
    return start, min(end, start + PART)


def _kept(node: Node, sha256: str, start: int, end: int) -> bytes:
    data = node.kept.read(sha256, start, end - start)
    if data is None or len(data) < end - start:
        raise Problem(404, f"nothing is kept under {sha256} any more")
    return data


def _etag(sha256: str) -> str:
    return f'"{sha256}"'
