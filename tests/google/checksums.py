"""Checksums as the services write them."""

import base64
import hashlib

import google_crc32c


def crc32c(data: bytes) -> int:
    return int(google_crc32c.value(data))


def crc32c_text(data: bytes) -> str:
    """As Cloud Storage writes it: base64 of the big-endian number."""
    return base64.b64encode(crc32c(data).to_bytes(4, "big")).decode()


def md5_text(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
