"""Which report stands for an instant, read from the packed variants that were kept."""

from collections.abc import Sequence

from shared.model import packing
from shared.model.records import Fix, Status
from shared.model.time import from_micros
from shared.store.protocol import NewerData, StoreError


def fix_of(device: str, time: int, variants: Sequence[bytes]) -> Fix:
    """`NewerData` where a newer version of Yurt packed one of them."""
    try:
        return packing.unpack_fix(device, from_micros(time), _best(variants))
    except packing.UnreadablePacking as error:
        raise _as_store_error(error) from error


def status_of(device: str, time: int, variants: Sequence[bytes]) -> Status:
    """`NewerData` where a newer version of Yurt packed one of them."""
    try:
        return packing.unpack_status(device, from_micros(time), _best(variants))
    except packing.UnreadablePacking as error:
        raise _as_store_error(error) from error


def _best(variants: Sequence[bytes]) -> bytes:
    return variants[0] if len(variants) == 1 else packing.best(variants)


def _as_store_error(error: packing.UnreadablePacking) -> StoreError:
    kind = NewerData if isinstance(error, packing.NewerPacking) else StoreError
    return kind(str(error))
