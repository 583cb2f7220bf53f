"""What is kept as JSON, the version of its shape beside it: both adapters write and read it so."""

import msgspec

from shared.store.protocol import D, Damaged, NewerData


def kind_of(type: type[msgspec.Struct]) -> str:
    """The name that records of a type are kept under."""
    return str(type.__struct_config__.tag)


def shape_of(type: type[msgspec.Struct]) -> int:
    return getattr(type, "SHAPE", 1)


def decoded(type: type[D], shape: int, data: bytes | str, version: str | None = None) -> D:
    """`NewerData` where a newer version of Yurt wrote it, `Damaged` where it is that, with what its
    type says in `MENDED`."""
    refuse_newer(type.__name__, shape, shape_of(type))
    try:
        return msgspec.json.decode(data, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        how: str | None = getattr(type, "MENDED", None)
        text = f"a stored {type.__name__} is damaged: {error}"
        damaged = Damaged(text if how is None else f"{text}; {how}")
        damaged.version = version
        raise damaged from error


def refuse_newer(what: str, shape: int, known: int) -> None:
    if shape > known:
        raise NewerData(
            f"a stored {what} has shape {shape}, this version of Yurt knows shape {known}; "
            "update Yurt"
        )
