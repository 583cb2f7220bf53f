"""Ids of records, made from what they are."""

import hashlib
from datetime import datetime

from shared.model.time import to_micros


def content_id(data: bytes) -> str:
    """SHA-256 in hex: the name of raw bytes and of media."""
    return hashlib.sha256(data).hexdigest()


def short_hash(data: bytes) -> bytes:
    """Eight bytes that tell two contents of one device and instant apart."""
    return hashlib.blake2b(data, digest_size=8).digest()


def named_id(kind: str, *parts: str | datetime) -> str:
    """The id of a record that its parts identify, e.g. a visit by device and arrival.

    Long or unprintable parts are hashed, so an id always fits as a document's name
    (Firestore: 1,500 bytes, no `/`).
    """
    texts = [str(to_micros(p)) if isinstance(p, datetime) else p for p in parts]
    plain = ":".join([kind, *texts])
    if len(plain) <= 120 and all(t and t.replace("-", "").isalnum() and t.isascii() for t in texts):
        return plain
    exact = "\0".join([kind, *texts]).encode("utf-8", "surrogatepass")
    return f"{kind}:{hashlib.sha256(exact).hexdigest()[:32]}"
