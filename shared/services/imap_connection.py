"""A connection to an IMAP server that takes no more than was asked for.

Loaded only where one is opened.
"""

import ssl
from imaplib import IMAP4

from imapclient import IMAPClient
from imapclient.imap4 import IMAP4WithTimeout
from imapclient.tls import IMAP4_TLS

LONGEST_LITERAL = 50 * 1024 * 1024
"""Bytes. What a server announces to send is read into memory at once, however much it is."""


class Connection(IMAPClient):  # type: ignore[misc]
    """The library's client. `IMAP4.abort` for a literal that is too long."""

    def _create_IMAP4(self) -> IMAP4:  # noqa: N802 - the library's name
        within = self._timeout.connect
        if self.ssl:
            return _Encrypted(self.host, self.port, self.ssl_context, within)
        return _Plain(self.host, self.port, within)


def connection(
    host: str, port: int | None, context: ssl.SSLContext | None, within: float
) -> Connection:
    """context: of TLS from the first byte; None for a connection that begins without. within:
    seconds that the server may be silent."""
    return Connection(host, port=port, ssl=context is not None, ssl_context=context, timeout=within)


class _Plain(IMAP4WithTimeout):  # type: ignore[misc]
    def read(self, size: int) -> bytes:
        _check(size)
        data: bytes = super().read(size)
        return data


class _Encrypted(IMAP4_TLS):  # type: ignore[misc]
    def read(self, size: int) -> bytes:
        _check(size)
        data: bytes = super().read(size)
        return data


def _check(size: int) -> None:
    if size > LONGEST_LITERAL:
        raise IMAP4.abort(f"the server sends {size} bytes where none asked for so many")
