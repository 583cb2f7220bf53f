"""Small upright JPEGs of pictures, made in bounded memory and time."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import NamedTuple

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import Resampling, Transpose
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif.as_plugin import HeifImageFile

from shared.sources.pictures import Picture

SIDE = 320
"""Pixels of the longer side. A JPEG of 2,560 pixels or more, as every phone makes them, is then
decoded at an eighth of its size, which takes a tenth of the time; a page of hits needs no more."""
_QUALITY = 78
_PROFILE_LIMIT = 4096
MOST_PIXELS = 100_000_000
"""Of a JPEG that is decoded line by line: half a second, and little memory."""
MOST_MEMORY = 128_000_000
"""Bytes that a decoder may hold: a chunk of an import runs in 256 MiB, with the file itself."""
_MOST_SCANS = 100
"""Of a progressive JPEG: each passes over the whole picture. Programs write ten or so."""

_BYTES_A_PIXEL = {"heif": 8, "avif": 10, "png": 5, "webp": 16, "gif": 5}
"""What decoding was measured to hold at its peak."""

_OPEN: Mapping[str, Callable[[BytesIO], ImageFile]] = {
    "jpeg": JpegImageFile,
    "heif": HeifImageFile,
    "avif": AvifImageFile,
    "png": PngImageFile,
    "webp": WebPImageFile,
    "gif": GifImageFile,
}

_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


class Thumbnail(NamedTuple):
    """Either the JPEG, or why there is none."""

    jpeg: bytes | None
    reason: str | None


def make(form: str, data: bytes, picture: Picture, orientation: int | None) -> Thumbnail:
    """Of a whole file. form: a key of `_OPEN`. orientation: as in EXIF; None where decoding turns
    the picture."""
    pixels = (picture.width or 0) * (picture.height or 0)
    if not 0 < pixels <= MOST_PIXELS:
        return Thumbnail(None, f"{pixels:,} pixels: thumbnails are made of 1 to {MOST_PIXELS:,}")
    reason = _too_costly(form, data, picture, pixels)
    if reason and form != "heif":
        return Thumbnail(None, reason)
    try:
        with _OPEN[form](BytesIO(data)) as image:
            if image.width * image.height > pixels:
                return Thumbnail(None, "it says two sizes, and is larger than the first")
            if not _reduced(image) and reason:
                return Thumbnail(None, reason)
            return Thumbnail(_made(image, orientation), None)
    except Exception as error:  # noqa: BLE001 - decoders raise what they like, and no record is lost
        return Thumbnail(None, f"it cannot be decoded: {str(error) or type(error).__name__}"[:200])


def _reduced(image: ImageFile) -> bool:
    """Asks the decoder for less than the whole, and says whether it has a small picture inside.

    Phones put one into HEIC; half of `SIDE` is better than none, where the whole is too costly.
    """
    scale = max(image.size) / SIDE
    if scale <= 1:
        return False
    sizes = [tuple(max(1, int(side / scale / part)) for side in image.size) for part in (1, 2)]
    found = [image.draft(None, (width, height)) for width, height in sizes]
    return isinstance(image, HeifImageFile) and any(found)


def _too_costly(form: str, data: bytes, picture: Picture, pixels: int) -> str | None:
    if form == "jpeg" and picture.coefficients:
        held = picture.coefficients
        scans = data.count(b"\xff\xda", picture.pixels)
        if scans > _MOST_SCANS:
            return f"it comes in {scans} scans: thumbnails are made of up to {_MOST_SCANS}"
    else:
        held = pixels * _BYTES_A_PIXEL.get(form, 0)
    if held <= MOST_MEMORY:
        return None
    return f"decoding its {pixels:,} pixels takes {held:,} bytes: the limit is {MOST_MEMORY:,}"


def _made(image: ImageFile, orientation: int | None) -> bytes:
    if orientation is None and isinstance(image, AvifImageFile):
        orientation = image.getexif().get(0x0112)
    profile = image.info.get("icc_profile") or b""
    small = _plain(image)
    small.thumbnail((SIDE, SIDE), Resampling.LANCZOS, reducing_gap=2.0)
    if orientation in _UPRIGHT:
        small = small.transpose(_UPRIGHT[orientation])
    out = BytesIO()
    # Without its profile the colours of a wide gamut look pale.
    kept = profile if len(profile) <= _PROFILE_LIMIT and small.mode == image.mode else None
    _on_white(small).save(out, "JPEG", quality=_QUALITY, icc_profile=kept)
    return out.getvalue()


def _plain(image: Image.Image) -> Image.Image:
    """In a mode that can be resized well: palettes and 16 bits cannot."""
    if image.mode.startswith("I"):
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("P", "1", "PA"):
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "La", "RGBa"):
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(white, over).convert("RGB")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")
