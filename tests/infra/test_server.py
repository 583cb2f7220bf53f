"""The home node's server, on a real port: answers now, answers later, and what goes wrong."""

import contextlib
import http.client
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.server import LARGE, LARGE_AT_ONCE, THREADS
from tests.emulators import Serve, Server
from tests.eventually import eventually

APP = """
import sys, threading, time
from werkzeug.wrappers import Response
from infra.server import LARGE, serve
from shared.http.errors import unavailable
from shared.http.later import Later

def later(begin):
    failed = lambda error: unavailable(f"sorry: {error}").response()
    return Later(begin, Response("stored", content_type="text/plain"), failed)

def refuse(settle):
    raise OSError("closed")

def app(request):
    if request.path == "/stream":
        return Response((b"%d\\n" % n for n in range(3)), content_type="text/plain")
    if request.path == "/fault":
        raise ValueError(request.get_data().decode())
    if request.path == "/later":
        return later(lambda settle: threading.Timer(0.05, settle, [None]).start())
    if request.path == "/failed":
        return later(lambda settle: threading.Thread(target=settle, args=[OSError("full")]).start())
    if request.path == "/refused":
        return later(refuse)
    if request.path == "/slow":
        print("begun", flush=True)
        time.sleep(1)
    return Response(request.get_data() or b"hello", content_type="text/plain")

class App:
    def takes(self, path):
        return LARGE + 1 if path in ("/large", "/away") else 4_000_001

    def turned_away(self, request):
        return Response("not you", status=403) if request.path == "/away" else None

    def at_once(self, request):
        return None if request.path in ("/slow", "/") else app(request)

    def __call__(self, request):
        return app(request)

serve(App(), "127.0.0.1", int(sys.argv[1]), lambda port: None)
"""


@pytest.fixture
def server(serve: Serve, tmp_path: Path) -> Server:
    script = tmp_path / "app.py"
    script.write_text(APP)
    root = str(Path(__file__).parents[2])
    return serve(lambda port: [sys.executable, str(script), str(port)], env={"PYTHONPATH": root})


@pytest.fixture
def client(server: Server) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/", 200, b"hello"),
        ("HEAD", "/", 200, b""),
        ("POST", "/", 200, b"sent"),
        ("GET", "/stream", 200, b"0\n1\n2\n"),
        ("POST", "/later", 200, b"stored"),
        ("HEAD", "/later", 200, b""),
    ],
)
def test_answers(
    client: http.client.HTTPConnection, method: str, path: str, status: int, body: bytes
) -> None:
    for _ in range(2):  # the connection is kept
        client.request(method, path, b"sent" if method == "POST" else None)
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (status, body)


@pytest.mark.parametrize(("path", "reason"), [("/failed", b"sorry: full"), ("/refused", b"closed")])
def test_what_could_not_be_stored_is_a_503(
    client: http.client.HTTPConnection, path: str, reason: bytes
) -> None:
    client.request("POST", path, b"{}")
    answer = client.getresponse()
    assert answer.status == 503
    assert reason in answer.read()


def test_a_fault_is_a_500_that_says_nothing_of_the_request(
    client: http.client.HTTPConnection, server: Server
) -> None:
    client.request("POST", "/fault", b"a secret")
    answer = client.getresponse()
    assert answer.status == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert b"secret" not in answer.read()
    assert "ValueError" in server.tail()
    assert "secret" not in server.tail()


def test_a_client_that_goes_away_harms_nobody_else(
    client: http.client.HTTPConnection, server: Server
) -> None:
    for request in (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
        b"POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(request)
    client.request("POST", "/later", b"{}")
    assert client.getresponse().read() == b"stored"


def test_silent_bodies_stop_nobody_else(client: http.client.HTTPConnection, server: Server) -> None:
    begun = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"
    with contextlib.ExitStack() as silent:
        for _ in range(2 * THREADS):
            phone = silent.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            phone.sendall(begun)
        client.request("POST", "/", b"sent")
        assert client.getresponse().read() == b"sent"


def test_a_client_hears_its_answer_after_sending_far_more_than_is_kept(
    client: http.client.HTTPConnection,
) -> None:
    client.request("POST", "/", bytes(7_000_000))
    answer = client.getresponse()
    assert answer.status == 200
    assert len(answer.read()) == 4_000_001


def test_a_large_body_is_given_whole_where_it_is_taken(client: http.client.HTTPConnection) -> None:
    for _ in range(2 * LARGE_AT_ONCE):
        client.request("POST", "/large", bytes(LARGE))
        assert len(client.getresponse().read()) == LARGE


def test_who_may_not_send_a_large_body_hears_so_before_it_has_come(server: Server) -> None:
    with contextlib.ExitStack() as waiting:
        for _ in range(2 * LARGE_AT_ONCE):
            phone = waiting.enter_context(
                socket.create_connection(("127.0.0.1", server.port), timeout=10)
            )
            phone.sendall(b"POST /away HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n{")
            assert b" 403 " in phone.recv(100)


def test_silent_large_bodies_stop_only_their_like(
    client: http.client.HTTPConnection, server: Server
) -> None:
    begun = b"POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n{"
    with contextlib.ExitStack() as silent:
        for _ in range(2 * LARGE_AT_ONCE):
            phone = silent.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            phone.sendall(begun)
        client.request("POST", "/", b"sent")
        assert client.getresponse().read() == b"sent"
    # They are gone, and their places free again.
    client.request("POST", "/large", b"sent")
    assert client.getresponse().read() == b"sent"


@pytest.mark.parametrize(
    "broken",
    [
        b"Transfer-Encoding: chunked\r\n\r\ng\r\n{}\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
        b"Content-Length: 100\r\n\r\n{}",
    ],
    ids=["no chunk size", "a bad second chunk", "half of it"],
)
def test_half_a_body_is_not_acknowledged(server: Server, broken: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as phone:
        phone.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + broken)
        phone.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: phone.recv(4096), b""))
    assert b" 200 " not in heard


def test_a_request_that_was_begun_is_answered_after_a_signal_to_stop(
    client: http.client.HTTPConnection, server: Server
) -> None:
    heard: list[bytes] = []

    def ask() -> None:
        client.request("GET", "/slow")
        heard.append(client.getresponse().read())

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: "begun" in server.tail())
    os.kill(server.pid, signal.SIGTERM)
    asking.join()
    server.end()
    assert heard == [b"hello"]
    assert server.status == 0
