"""Secrets that must be readable again, sealed under the node's one master key."""

import base64
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nacl.secret import SecretBox

KEY_BYTES = 32


class BadMasterKey(ValueError):
    """There is no master key that can be used; the text says why and what to do."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem


class CannotUnseal(Exception):
    """The sealed text is damaged, or was sealed under another master key."""


class MasterKey:
    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_hex(cls, text: str, where: str = "the master key") -> "MasterKey":
        """`BadMasterKey`, which names `where` it was, unless it is 64 hexadecimal digits."""
        try:
            key = bytes.fromhex(text.strip())
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise BadMasterKey(f"{where} is not {2 * KEY_BYTES} hexadecimal digits", _RESTORE)
        return cls(key)

    @classmethod
    def from_file(cls, path: Path, *, create: bool) -> "MasterKey":
        """The key in the file, which `create` makes, for its owner alone, if there is none.

        `BadMasterKey` when there is none or something else. `OSError` when it cannot be made.
        """
        if create and not path.exists():
            _make(path)
        try:
            return cls.from_hex(path.read_text("ascii"), str(path))
        except FileNotFoundError:
            raise BadMasterKey(
                f"{path} is missing", f"restore it from a backup, or {_ANEW}"
            ) from None
        except UnicodeDecodeError:
            raise BadMasterKey(f"{path} is not text", _RESTORE) from None
        except OSError as error:
            raise BadMasterKey(f"{path} cannot be read: {error.strerror}", _RESTORE) from error

    def seal(self, secret: bytes) -> str:
        return base64.b64encode(self._box().encrypt(secret)).decode()

    def unseal(self, sealed: str) -> bytes:
        from nacl.exceptions import CryptoError

        try:
            return bytes(self._box().decrypt(base64.b64decode(sealed)))
        except (CryptoError, ValueError) as error:
            raise CannotUnseal(
                "a stored secret cannot be read with this node's master key; restore the "
                "master key it was sealed with, or pair the device again with --encrypt"
            ) from error

    def _box(self) -> "SecretBox":
        from nacl.secret import SecretBox  # loaded only by nodes whose devices encrypt

        return SecretBox(self._key)


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Linked into place whole: two processes agree on one key, and no crash leaves half of one.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


_ANEW = "unpair the devices that encrypt and pair them again with --encrypt"
_RESTORE = f"restore it from a backup, or remove it, {_ANEW}"
