"""A mail server and a web server on this machine, which take what they are sent or refuse it."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

HOST = "127.0.0.1"


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Web:
    """Answers as a test says: a status, or None for no answer at all."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.status: int | None = 200
        self.said = b""
        self.location: str | None = None
        self.released = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                web.requests.append(Request(self.command, self.path, dict(self.headers), body))
                if web.status is None:
                    web.released.wait(30)
                    return
                self.send_response(web.status)
                if web.location is not None:
                    self.send_header("Location", web.location)
                self.send_header("Content-Length", str(len(web.said)))
                self.end_headers()
                self.wfile.write(web.said)

            do_GET = do_POST = _answer  # noqa: N815 - names of http.server

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator["Web"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class Mailbox:
    """What a mail server took, and whom it lets in. refuses: what it says instead of taking one.
    breaks_off: it does not answer whoever takes leave."""

    USER, PASSWORD = "ada", "correct-horse"

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.to: list[str] = []
        self.refuses: str | None = None
        self.breaks_off = False

    async def handle_QUIT(  # noqa: N802 - the name that aiosmtpd calls
        self, server: Any, _session: Session, _envelope: Envelope
    ) -> str:
        if self.breaks_off:
            server.transport.abort()
        return "221 Bye"

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: Any, _session: Session, envelope: Envelope
    ) -> str:
        if self.refuses is not None:
            return self.refuses
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content))
        self.to += envelope.rcpt_tos
        return "250 OK"

    def authenticated(self, *arguments: Any) -> AuthResult:
        login = arguments[-1]
        good = isinstance(login, LoginPassword) and (login.login, login.password) == (
            self.USER.encode(),
            self.PASSWORD.encode(),
        )
        return AuthResult(success=good, handled=False)


@contextlib.contextmanager
def mail_server(
    mailbox: Mailbox,
    port: int,
    certificate: Path | None = None,
    key: Path | None = None,
    *,
    at_once: bool = False,
) -> Iterator[None]:
    """certificate, key: with them STARTTLS is offered and asked for, and a user and password.
    at_once: it is encrypted from the first byte."""
    more: dict[str, Any] = {}
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        more = {"authenticator": mailbox.authenticated}
        if at_once:
            more |= {"ssl_context": context, "auth_require_tls": False}
        else:
            more |= {"tls_context": context, "require_starttls": True, "auth_required": True}
    controller = Controller(mailbox, hostname=HOST, port=port, **more)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


@contextlib.contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does with its first connection what a test says; gives its port."""
    with socket.create_server((HOST, 0)) as server:
        held: list[socket.socket] = [server]

        def serve() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                held.append(connection)
                talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            for each in held:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            thread.join()
