"""Raws in Firestore: those of one call packed together, so that a thousand mails are a few writes.

A pack is a document that lists what it holds (`holds` for the query, `index` for the places) beside
the bytes. Where the node has an object store and the raws of one call come to `WORTH_AN_OBJECT`,
the bytes go there as one object, and the document points to it. Free of charge are 20,000 documents
written a day but 1 GiB of them, and 5 GB of objects but 5,000 written a month: at that size those
5,000 carry more than Firestore keeps altogether, and smaller packs, the trickle of each day, take
years to fill it. Without an object store, what fits in no document is kept in parts.

Raws are named by their content, so a pack that is written again is the same one. Calls whose raws
come to that size first look whether the store has them, which costs a read: an archive that is
imported again, cut in other pieces, shall not be kept again. The object is written before its
document: a call that fails leaves at most an object to which nothing points.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from google.cloud import firestore

from shared.blobs.protocol import BlobsError, BlobsUnavailable, Objects
from shared.store.batches import Write
from shared.store.documents import document_id
from shared.store.gateway import AT_MOST_VALUES, Gateway, Patience, Reference, Snapshot
from shared.store.indexes import RAWS_HELD
from shared.store.protocol import StoreError, StoreUnavailable
from shared.store.shapes import refuse_newer

SHAPE = 1
WORTH_AN_OBJECT = 256_000
"""Bytes, packed."""

_ROOM = 900_000
_MOST = 1_000  # raws in a pack: each costs an index entry, and 100 bytes of the document
_HELD = 32  # characters: too many to find two contents that share them
_WORTH_PACKING = 100


class _Place(NamedTuple):
    """Where in the bytes of its pack a raw is, and whether it is compressed."""

    start: int
    size: int
    packed: bool


@dataclass(slots=True)
class _PackWrite:
    name: str
    places: Mapping[str, _Place]
    stored: Mapping[str, Any]
    size: int
    deletes: int = 0

    def add_to(self, batch: firestore.WriteBatch, gateway: Gateway) -> None:
        data = {
            "shape": SHAPE,
            "holds": [_held(sha256) for sha256 in self.places],
            "index": msgspec.msgpack.encode(self.places),
            **self.stored,
        }
        batch.set(gateway.reference("raw", self.name), data)


@dataclass(slots=True)
class _PartWrite:
    sha256: str
    number: int
    parts: int
    part: bytes
    deletes: int = 0

    @property
    def size(self) -> int:
        return len(self.part) + 300

    def add_to(self, batch: firestore.WriteBatch, gateway: Gateway) -> None:
        data = {"parts": self.parts, "part": self.part}
        batch.set(_part(gateway, self.sha256, self.number), data)


class Raws:
    """The raws of one database, and of the objects beside it, if there are any."""

    def __init__(self, gateway: Gateway, objects: Callable[[], Objects] | None) -> None:
        self._gateway = gateway
        self._objects = objects

    def writes(self, raws: Mapping[str, bytes], patience: Patience) -> list[Write]:
        """What to write so that they are kept. Objects are written already."""
        packed = {sha256: _packed(raw) for sha256, raw in raws.items()}
        if sum(len(data) for data, _ in packed.values()) < WORTH_AN_OBJECT:
            return [_in_document(pack) for pack in _packs(packed, _ROOM)]
        known = self._known(list(packed), patience)
        new = {sha256: data for sha256, data in packed.items() if sha256 not in known}
        if sum(len(data) for data, _ in new.values()) >= WORTH_AN_OBJECT and self._objects:
            return [self._in_object(self._objects(), pack) for pack in _packs(new, None)]
        small = {sha256: data for sha256, data in new.items() if len(data[0]) <= _ROOM}
        writes: list[Write] = [_in_document(pack) for pack in _packs(small, _ROOM)]
        for sha256 in new.keys() - small.keys():
            writes += _in_parts(sha256, raws[sha256])
        return writes

    def read(self, sha256: str) -> bytes | None:
        patience = Patience()
        for pack in self._gateway.holding(RAWS_HELD, [_held(sha256)], patience, limit=1):
            place = _places(pack).get(sha256)
            data = self._bytes_at(pack, place) if place is not None else None
            if place is None or data is None:
                return None
            return zlib.decompress(data) if place.packed else data
        return self._joined(sha256, patience)

    def _known(self, names: list[str], patience: Patience) -> set[str]:
        """Some of those that the store has: what lies in the packs that hold any of a few."""
        sample = names[:: -(-len(names) // AT_MOST_VALUES)]
        found = self._gateway.holding(
            RAWS_HELD,
            [_held(sha256) for sha256 in sample],
            patience,
            limit=AT_MOST_VALUES,
            fields=["shape", "index"],
        )
        return {sha256 for pack in found for sha256 in _places(pack)}

    def _in_object(self, objects: Objects, pack: "_Pack") -> Write:
        name = f"raw/{pack.name}"
        with _as_store_errors():
            objects.put(name, pack.data)
        return _PackWrite(pack.name, pack.places, {"object": name}, 150 * len(pack.places) + 400)

    def _bytes_at(self, pack: Snapshot, place: _Place) -> bytes | None:
        stored = pack.to_dict() or {}
        if "data" in stored:
            data: bytes = stored["data"]
            return data[place.start : place.start + place.size]
        name = stored["object"]
        if self._objects is None:
            raise StoreError(f"a raw is in the object {name}; tell this node where its objects are")
        with _as_store_errors():
            return self._objects().read(name, place.start, place.size)

    def _joined(self, sha256: str, patience: Patience) -> bytes | None:
        first = self._parts(sha256, [0], patience)
        if not first:
            return None
        count = first[0].get("parts")
        rest = self._parts(sha256, range(1, count), patience) if count > 1 else []
        if len(rest) < count - 1:  # it was never acknowledged: half of it was written
            return None
        return b"".join(snapshot.get("part") for snapshot in [*first, *rest])

    def _parts(self, sha256: str, numbers: Iterable[int], patience: Patience) -> list[Snapshot]:
        references = [_part(self._gateway, sha256, number) for number in numbers]
        found = self._gateway.get(references, patience)
        return [found[reference.id] for reference in references if reference.id in found]


class _Pack(NamedTuple):
    places: Mapping[str, _Place]
    data: bytes

    @property
    def name(self) -> str:
        index = msgspec.msgpack.encode(self.places)
        return hashlib.sha256(index + self.data).hexdigest()[:40]


def _packs(raws: Mapping[str, tuple[bytes, bool]], room: int | None) -> Iterator[_Pack]:
    """room: bytes in a pack; None: any number."""
    places: dict[str, _Place] = {}
    parts: list[bytes] = []
    size = 0
    for sha256, (data, packed) in raws.items():
        if len(places) == _MOST or (room is not None and places and size + len(data) > room):
            yield _Pack(places, b"".join(parts))
            places, parts, size = {}, [], 0
        places[sha256] = _Place(size, len(data), packed)
        parts.append(data)
        size += len(data)
    if places:
        yield _Pack(places, b"".join(parts))


def _packed(raw: bytes) -> tuple[bytes, bool]:
    """Each by itself, so that one can be read out of the middle of an object."""
    if len(raw) >= _WORTH_PACKING:
        packed = zlib.compress(raw, 6)
        if len(packed) < len(raw) * 0.9:
            return packed, True
    return raw, False


def _in_document(pack: _Pack) -> Write:
    size = len(pack.data) + 150 * len(pack.places) + 400
    return _PackWrite(pack.name, pack.places, {"data": pack.data}, size)


def _in_parts(sha256: str, raw: bytes) -> list[Write]:
    parts = [raw[at : at + _ROOM] for at in range(0, len(raw), _ROOM)]
    return [_PartWrite(sha256, number, len(parts), part) for number, part in enumerate(parts)]


def _part(gateway: Gateway, sha256: str, number: int) -> Reference:
    return gateway.reference("raw", f"{document_id(sha256)}.{number}")


def _held(sha256: str) -> str:
    return sha256[:_HELD]


def _places(pack: Snapshot) -> dict[str, _Place]:
    refuse_newer("pack of raws", pack.get("shape"), SHAPE)
    return msgspec.msgpack.decode(pack.get("index"), type=dict[str, _Place])


@contextmanager
def _as_store_errors() -> Iterator[None]:
    try:
        yield
    except BlobsUnavailable as error:
        raise StoreUnavailable(f"the objects cannot be used just now: {error}") from error
    except BlobsError as error:
        raise StoreError(f"the objects cannot be used: {error}") from error
