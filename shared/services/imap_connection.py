"""A connection to an IMAP server that takes no more than was asked for and waits no longer.

`imaplib` reads whatever a server announces, for as long as it sends. Here each request has bytes
and seconds of its own. Loaded only where a connection is opened.
"""

import re
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from imaplib import IMAP4
from socket import socket
from typing import Any, Literal, TypeVar

from imapclient import IMAPClient
from imapclient.exceptions import ProtocolError

from shared.services.protocol import CannotBeAsked, NotLetIn

Security = Literal["tls", "starttls", "none"]

ANSWER_BYTES = 1_000_000
"""Of the answer to a request that asks for no mail. What is made of it needs about twenty times as
much."""

_PIECE = 65_536
_TOLD = 200  # characters of what a server says that are passed on
_ATOM = re.compile(r"[!#$&+\-./0-9:;<=>?@A-Z^_`a-z|~]+")
_CODE = re.compile(r"\[([A-Z][A-Z0-9-]*)[ \]]")
_LATER = frozenset(("UNAVAILABLE", "LIMIT", "INUSE", "THROTTLED", "OVERQUOTA"))
_LATER_IN = _LATER | {"SERVERBUG"}

_NONSENSE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What the libraries raise of answers that are not IMAP."""

_T = TypeVar("_T")


class Refused(Exception):
    """The server understands, and says no. code: of RFC 5530, or empty."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = _CODE.search(text)
        self.code = found[1] if found else ""

    @property
    def may_pass(self) -> bool:
        return self.code in _LATER


class Connection:
    """Opened, and let in. host, port, security, user, secret: of the account. within: seconds that
    opening may take, and each request."""

    def __init__(
        self, host: str, port: int, security: Security, user: str, secret: str, within: float
    ) -> None:
        self.account = f"{user} at {host.lower()}"
        self._host = host
        self._user = user
        self._secret = secret
        self.within = within
        context = ssl.create_default_context()
        self.rest(2 * within)
        try:
            self._client = self._opened(port, context if security == "tls" else None)
            try:
                if security == "starttls":
                    self._start_tls(context)
                self._sign_in()
                self.is_gmail = self.demand(lambda client: client.has_capability("X-GM-EXT-1"))
            except BaseException:
                self.close()
                raise
        except ssl.SSLCertVerificationError as error:
            raise CannotBeAsked(
                f"the certificate of {host} is not to be trusted ({error.verify_message}); see "
                "that the host is written as in its certificate"
            ) from error
        except OSError as error:
            if error.errno is None:
                raise  # it says what it is
            why = error.strerror or type(error).__name__
            raise ConnectionError(
                f"{host} cannot be reached on port {port} ({why}); see that host and port are "
                "right, and that the server runs"
            ) from error

    def rest(self, within: float) -> None:
        """All that is asked from now on has to be answered within so many seconds."""
        self._until = time.monotonic() + within

    def ask(self, request: Callable[[IMAPClient], _T], most: int = ANSWER_BYTES) -> _T:
        """What the server answers in at most `most` bytes. `Refused`; `OSError` where it does not
        answer, or not in IMAP."""
        self._wire.begin(most, min(time.monotonic() + self.within, self._until))
        return self._told(lambda: request(self._client))

    def demand(self, request: Callable[[IMAPClient], _T]) -> _T:
        """`ask` for what no server may refuse: `OSError` if it does."""
        try:
            return self.ask(request)
        except Refused as error:
            raise ConnectionError(f"{self._host} refuses to answer: {error}") from None

    def close(self) -> None:
        try:
            self._wire.shutdown()
        except OSError:
            return

    @property
    def _wire(self) -> "_Wire":
        wire: _Wire = self._client._imap
        return wire

    def _opened(self, port: int, context: ssl.SSLContext | None) -> "_Client":
        try:
            return self._told(lambda: _Client(self._host, port, context, self.within))
        except Refused as error:
            raise ConnectionError(f"{self._host} takes no connection: {error}") from None

    def _start_tls(self, context: ssl.SSLContext) -> None:
        try:
            self.ask(lambda client: client.starttls(context))
        except Refused as error:
            raise CannotBeAsked(
                f"{self._host} does not begin to encrypt on this port ({error}); security: tls "
                "with its port, mostly 993, may be what it wants"
            ) from None

    def _sign_in(self) -> None:
        capabilities = self._wire.capabilities
        try:
            if "AUTH=PLAIN" in capabilities:
                self._check("\0" not in self._user + self._secret)
                self.ask(lambda client: client.plain_login(self._user, self._secret))
            elif "LOGINDISABLED" in capabilities:
                raise CannotBeAsked(
                    f"{self._host} takes no password here; write security: tls or starttls"
                )
            else:
                self._check(f"{self._user}{self._secret}".isascii() and self._secret.isprintable())
                user = self._user if _ATOM.fullmatch(self._user) else self._wire._quote(self._user)
                self.ask(lambda _: self._wire.login(user, self._secret))
        except Refused as error:
            if error.code in _LATER_IN:
                raise ConnectionError(f"{self._host} lets nobody in now: {error}") from None
            raise NotLetIn(
                f"{self._host} refuses the password of {self._user} ({error}); see that it is "
                "right; many providers want one made for a program (an app password)"
            ) from None

    def _check(self, can_be_sent: bool) -> None:
        if not can_be_sent:
            raise NotLetIn(
                f"the user or the password has a character that {self._host} does not take; "
                "see that no line end came with it, or choose another password"
            )

    def _told(self, request: Callable[[], _T]) -> _T:
        """No exception that comes from here has the secret in it, or is long."""
        try:
            return request()
        except (IMAP4.abort, ProtocolError) as error:
            text = self._words(error)
            raise ConnectionError(f"the connection to {self._host} was lost: {text}") from None
        except IMAP4.error as error:
            text = self._words(error)
            if " error: BAD " in text:  # it did not understand: that says nothing of what was asked
                raise ConnectionError(f"{self._host} does not understand: {text}") from None
            raise Refused(text) from None
        except OSError:
            raise  # also where it is a ValueError, as of a certificate
        except _NONSENSE:
            raise ConnectionError(f"{self._host} does not answer as IMAP wants it") from None

    def _words(self, error: Exception) -> str:
        said = error.args[0] if error.args else ""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        for secret in self._forms():
            text = text.replace(secret, "(the password)")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_TOLD]

    def _forms(self) -> list[str]:
        """In which a server may give the secret back, longest first."""
        plain = b64encode(f"\0{self._user}\0{self._secret}".encode()).decode()
        quoted = self._secret.replace("\\", "\\\\").replace('"', '\\"')
        forms = {self._secret, plain, quoted}
        forms |= {repr(form.encode())[2:-1] for form in forms}
        return sorted(filter(None, forms), key=len, reverse=True)


class _Client(IMAPClient):  # type: ignore[misc]
    """The library's client on a connection of ours."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, within: float) -> None:
        super().__init__(host, port, ssl=context is not None, ssl_context=context, timeout=within)
        self._imap.debug = 0  # else each answer is written out for a log that nobody keeps
        self.normalise_times = False
        self.folder_encode = False

    def _create_IMAP4(self) -> IMAP4:  # noqa: N802 - the library's name
        return _Wire(self.host, self.port, self.ssl_context, self._timeout.connect)


class _Wire(IMAP4):
    """Reads within the bounds of `begin`. context: of TLS from the first byte, if there is."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, within: float) -> None:
        self._context = context
        self._ahead = bytearray()
        self._from: socket | None = None
        self._bound(ANSWER_BYTES, time.monotonic() + within)
        super().__init__(host, port, timeout=within)

    def begin(self, most: int, until: float) -> None:
        """A request, whose answer is of so many bytes at most. What came unasked is forgotten."""
        self._bound(most, until)
        self.untagged_responses.clear()

    def _bound(self, most: int, until: float) -> None:
        self._most = most
        self._until = until

    def _create_socket(self, timeout: float | None) -> socket:
        plain: socket = super()._create_socket(timeout)  # type: ignore[misc]
        if self._context is None:
            return plain
        return self._context.wrap_socket(plain, server_hostname=self.host)

    def send(self, data: Any) -> None:
        self.sock.settimeout(self._left())
        super().send(data)

    def read(self, size: int) -> bytes:
        if size > self._most + len(self._ahead):
            raise IMAP4.abort(f"it sends {size} bytes where none asked for so many")
        while len(self._ahead) < size:
            self._receive()
        return self._taken(size)

    def readline(self) -> bytes:
        searched = 0
        while (end := self._ahead.find(b"\n", searched)) < 0:
            searched = len(self._ahead)
            self._receive()
        return self._taken(end + 1)

    def _taken(self, size: int) -> bytes:
        if self._from is not self.sock:
            # It came before the encryption began, so it can be anybody's.
            raise IMAP4.abort("it says more than was asked before it encrypts")
        taken = bytes(self._ahead[:size])
        del self._ahead[:size]
        return taken

    def _receive(self) -> None:
        if not self._ahead:
            self._from = self.sock
        self.sock.settimeout(self._left())
        data = self.sock.recv(_PIECE)
        if not data:
            raise IMAP4.abort("it ended the connection")
        self._most -= len(data)
        if self._most < 0:
            raise IMAP4.abort("it sends more than was asked for")
        self._ahead += data

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the server takes too long to answer")
        return left
