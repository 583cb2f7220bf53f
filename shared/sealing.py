"""Secrets that must be readable again, sealed under the node's one master key."""

import base64
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nacl.secret import SecretBox

KEY_BYTES = 32


class CannotUnseal(Exception):
    """The sealed text is damaged, or was sealed under another master key."""


class MasterKey:
    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_hex(cls, text: str) -> "MasterKey":
        """`ValueError` unless it is 64 hexadecimal digits."""
        key = bytes.fromhex(text.strip())
        if len(key) != KEY_BYTES:
            raise ValueError(f"a master key has {KEY_BYTES} bytes, not {len(key)}")
        return cls(key)

    @classmethod
    def from_file(cls, path: Path) -> "MasterKey":
        """The key in the file, which is made, readable by its owner alone, if there is none."""
        try:
            return cls.from_hex(path.read_text("ascii"))
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Linked into place whole: two processes agree on one key, and no crash leaves half of one.
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return cls.from_hex(path.read_text("ascii"))

    def seal(self, secret: bytes) -> str:
        return base64.b64encode(self._box().encrypt(secret)).decode()

    def unseal(self, sealed: str) -> bytes:
        from nacl.exceptions import CryptoError

        try:
            return bytes(self._box().decrypt(base64.b64decode(sealed)))
        except (CryptoError, ValueError) as error:
            raise CannotUnseal(
                "a stored secret cannot be read with this node's master key; restore the "
                "master.key it was sealed with, or pair the device again"
            ) from error

    def _box(self) -> "SecretBox":
        from nacl.secret import SecretBox  # loaded only by nodes whose devices encrypt

        return SecretBox(self._key)
