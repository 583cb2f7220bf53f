"""A DAV server that says what a test says, for what Radicale does not do."""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Request(NamedTuple):
    method: str
    path: str
    body: str
    headers: Mapping[str, str]


class Reply(NamedTuple):
    status: int = 207
    body: str | Iterable[bytes] = ""
    headers: Mapping[str, str] = {}


Script = Callable[[Request], Reply]

RESOURCE = (
    "<d:response><d:href>{href}</d:href><d:propstat><d:prop>{properties}</d:prop>"
    "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
)
GONE = "<d:response><d:href>{href}</d:href><d:status>HTTP/1.1 {status} No</d:status></d:response>"


def multistatus(*responses: str, token: str = "") -> str:
    tail = f"<d:sync-token>{token}</d:sync-token>" if token else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?><d:multistatus xmlns:d="DAV:" '
        'xmlns:x="urn:ietf:params:xml:ns:carddav" xmlns:s="http://calendarserver.org/ns/">'
        f"{''.join(responses)}{tail}</d:multistatus>"
    )


def resource(href: str, **properties: str) -> str:
    """A property's name may have a prefix: `x_address_data` is `x:address-data`."""
    texts = []
    for name, value in properties.items():
        prefix, _, rest = name.partition("_")
        tag = f"{prefix}:{rest.replace('_', '-')}"
        texts.append(f"<{tag}>{value}</{tag}>")
    return RESOURCE.format(href=href, properties="".join(texts))


def gone(href: str, status: int = 404) -> str:
    return GONE.format(href=href, status=status)


class Scripted:
    """url: of the server. requests: what it was asked, in order."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.url = ""

    def asked_for(self, text: str) -> list[Request]:
        return [request for request in self.requests if text in request.body]


@contextmanager
def serving(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    scripted = Scripted(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """It says nothing."""

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            request = Request(self.command, self.path, body, dict(self.headers))
            scripted.requests.append(request)
            reply = scripted.script(request)
            whole = [reply.body.encode()] if isinstance(reply.body, str) else reply.body
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            with suppress(OSError):
                for part in whole:
                    self.wfile.write(part)

        do_PROPFIND = do_REPORT = _answer  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    scripted.url = f"{scheme}://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
