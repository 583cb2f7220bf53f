from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from types import MappingProxyType
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

from infra.front_door import door
from tests.emulators import free_port

BIG = bytes(range(256)) * 8192  # 2 MiB


class Function:
    """Says what it got, streams on request, remembers nothing."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.answer(Request(environ))(environ, start_response)

    def answer(self, request: Request) -> Response:
        if request.path == "/stream":
            return Response(self.slowly(), content_type="text/plain")
        if request.path == "/body":
            return Response(request.get_data(), headers={"X-Length": str(request.content_length)})
        if request.path == "/early":
            return Response("too much", status=413)
        if request.path == "/status":
            return Response(status=int(request.args["code"]), headers={"X-Kept": "1"})
        seen = [request.method, request.environ["RAW_URI"]]
        return Response("\n".join(seen + [f"{k}: {v}" for k, v in request.headers]))

    def slowly(self) -> Iterator[bytes]:
        yield b"first"
        assert self.go_on.wait(10)
        yield b" second"


@pytest.fixture(scope="module")
def function() -> Function:
    return Function()


@pytest.fixture(scope="module")
def entrance(function: Function) -> Iterator[int]:
    """The port of a front door; behind it `hello`, and `gone`, which does not run."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        behind = make_server("127.0.0.1", 0, function, threaded=True)
        server = door(listener, {"hello": behind.port, "gone": free_port()})
        with running(behind), running(server):
            yield server.port


@contextmanager
def running(server: BaseWSGIServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def asked(
    port: int,
    method: str,
    url: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    chunked = headers.get("Transfer-Encoding") == "chunked"
    connection.request(method, url, body, headers, encode_chunked=chunked)
    try:
        yield connection.getresponse()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("url", "received"),
    [
        ("/hello/pub", "/pub"),
        ("/hello/", "/"),
        ("/hello", "/"),
        ("/hello?token=t", "/?token=t"),
        ("/hello/hello/pub?a=1&a=%20+?", "/hello/pub?a=1&a=%20+?"),
        ("/hello/a%2Fb//c;d=e%C3%A9", "/a%2Fb//c;d=e%C3%A9"),
    ],
)
def test_a_function_gets_the_url_without_its_name(url: str, received: str, entrance: int) -> None:
    with asked(entrance, "GET", url) as response:
        assert response.read().decode().splitlines()[:2] == ["GET", received]


def test_headers_pass_but_for_those_of_the_connection(entrance: int) -> None:
    sent = {
        "Authorization": "Basic cGhvbmU6c2VjcmV0",
        "X-Limit-D": "phone",
        "X-Forwarded-For": "203.0.113.9",
        "Host": "yurt.example.org",
        "Keep-Alive": "timeout=5",
    }
    with asked(entrance, "GET", "/hello/", headers=sent) as response:
        lines = response.read().decode().splitlines()[2:]
    headers = dict(line.split(": ", 1) for line in lines if line)
    assert headers["Authorization"] == "Basic cGhvbmU6c2VjcmV0"
    assert headers["X-Limit-D"] == "phone"
    assert headers["X-Forwarded-For"] == "203.0.113.9, 127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["Host"] == "yurt.example.org"
    assert "Keep-Alive" not in headers


@pytest.mark.parametrize(
    ("body", "headers", "length"),
    [
        (b"", {}, "0"),
        (b'{"_type":"location"}', {}, "20"),
        (BIG, {}, str(len(BIG))),
        (b"x", {"Expect": "100-continue"}, "1"),
        ([b"first,", b"second"], {"Transfer-Encoding": "chunked"}, "None"),
        ([BIG], {"Transfer-Encoding": "chunked"}, "None"),
    ],
    ids=["empty", "small", "big", "expecting", "chunked", "big and chunked"],
)
def test_bodies_pass_both_ways(
    body: bytes | list[bytes], headers: dict[str, str], length: str, entrance: int
) -> None:
    with asked(entrance, "POST", "/hello/body", body, headers) as response:
        assert response.status == 200
        assert response.headers["X-Length"] == length
        assert response.read() == (body if isinstance(body, bytes) else b"".join(body))


def test_a_stream_passes_while_it_comes(entrance: int, function: Function) -> None:
    with asked(entrance, "GET", "/hello/stream") as response:
        assert response.read1() == b"first"
        function.go_on.set()
        assert response.read() == b" second"


@pytest.mark.parametrize("code", [204, 304, 401, 500])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_any_status_passes(method: str, code: int, entrance: int) -> None:
    with asked(entrance, method, f"/hello/status?code={code}") as response:
        assert (response.status, response.read()) == (code, b"")
        assert response.headers["X-Kept"] == "1"


def test_an_answer_without_reading_the_body_passes(entrance: int) -> None:
    with asked(entrance, "POST", "/hello/early", b"0" * 1000) as response:
        assert (response.status, response.read()) == (413, b"too much")


@pytest.mark.parametrize(
    ("url", "status", "said"),
    [
        ("/", 404, "there is: /hello/, /gone/"),
        ("/nothing/pub", 404, "there is no function of that name"),
        ("/hellooo", 404, "there is no function of that name"),
        ("/gone/pub", 503, "the function does not answer"),
    ],
)
def test_without_a_function_there_is_a_problem(
    url: str, status: int, said: str, entrance: int
) -> None:
    with asked(entrance, "GET", url) as response:
        assert response.status == status
        assert response.headers["Content-Type"] == "application/problem+json"
        assert said in response.read().decode()


def test_a_request_that_breaks_off_is_not_passed_as_whole(entrance: int) -> None:
    with socket.create_connection(("127.0.0.1", entrance), timeout=10) as client:
        client.sendall(b"POST /hello/body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        client.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == 400


def test_nothing_is_logged(entrance: int, capfd: pytest.CaptureFixture[str]) -> None:
    for url in ("/gone/pub?token=secret", "/nothing?token=secret", "/gone/\xe9secret"):
        with socket.create_connection(("127.0.0.1", entrance), timeout=10) as client:
            client.sendall(f"GET {url} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
            assert client.recv(20).startswith(b"HTTP/1.1 ")
    with socket.create_connection(("127.0.0.1", entrance), timeout=10) as client:
        client.sendall(b"GET /secret is no request HTTP/1.1\r\n\r\n")
        assert b" 400 " in client.recv(1000)
    assert capfd.readouterr() == ("", "")
