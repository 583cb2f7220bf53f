"""Page cursors: a place in the order (time, id), as text that fits in a URL."""

import base64
import binascii

from shared.model.time import from_micros


def encode(time: int, id: str) -> str:
    return base64.urlsafe_b64encode(f"{time}\n{id}".encode()).decode().rstrip("=")


def decode(cursor: str) -> tuple[int, str]:
    """Microseconds and id; `ValueError` for a text that `encode` did not make."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        time, newline, id = text.partition("\n")
        if not newline:
            raise ValueError
        from_micros(int(time))  # a store may have to make an instant of it again
        return int(time), id
    except (binascii.Error, OverflowError, UnicodeError, ValueError) as error:
        raise ValueError(f"{cursor!r} is not a cursor that this node gave") from error
