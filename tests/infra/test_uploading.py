"""The client of uploads, against the door itself, behind a line that breaks in every way."""

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from infra.uploading import MOST_FAILURES, CannotSend, Sent, Uploader
from shared.blobs.protocol import STEP
from shared.http.errors import Problem, unavailable
from tests.http.asking import OWNER, PHONE, asker
from tests.http.uploads import EML, Sender, sha256

BIG = EML + b"x" * (4 * STEP)


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@dataclass
class Line:
    """What is between the client and the node. faults: of the next requests that match.

    refused: 503, nothing happened. lost: it happened, and the answer was a 503. cut: it happened,
    and the connection ended. gone: 404. forbidden: 403.
    """

    sender: Sender
    faults: deque[tuple[str, str]] = field(default_factory=deque)
    asked: list[str] = field(default_factory=list)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        about = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        self.asked.append(f"{about} {environ.get('HTTP_CONTENT_RANGE', '')}".strip())
        fault = ""
        if self.faults and self.faults[0][0] in self.asked[-1]:
            fault = self.faults.popleft()[1]
        if fault == "refused":
            return unavailable("come again").response()(environ, start_response)
        if fault in ("gone", "forbidden"):
            status = 404 if fault == "gone" else 403
            return Problem(status, "go away").response()(environ, start_response)
        answer = self.sender.app(environ, lambda *_: lambda _: None) if fault else None
        if fault == "lost":
            return unavailable("come again").response()(environ, start_response)
        if fault == "cut":
            environ["werkzeug.socket"].close()
            return [b""]
        assert answer is None
        return self.sender.app(environ, start_response)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with asker(tmp_path) as asked:
        yield Line(Sender(asked.node))


@pytest.fixture
def base(line: Line) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, line, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mail.eml"
    path.write_bytes(BIG)
    return path


@dataclass
class Told:
    """What the client told of its progress, and how long it would have slept."""

    sent: list[int] = field(default_factory=list)
    hashed: list[int] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def send(self, base: str, file: Path, *, token: str = OWNER, **more: Any) -> Sent:
        with Uploader(base, token, piece=STEP, sleep=self.slept.append) as uploader:
            return uploader.send(file, sent=self.sent.append, hashed=self.hashed.append, **more)


def is_whole(line: Line) -> bool:
    return line.sender.node.objects.read(f"upload/{sha256(BIG)}", 0, 10**8) == BIG


def test_a_file_goes_in_pieces_and_its_import_begins(line: Line, base: str, file: Path) -> None:
    told = Told()
    sent = told.send(base, file)
    assert (sent.sha256, sent.moved, sent.state.state) == (sha256(BIG), len(BIG), "importing")
    assert told.sent == [0, STEP, 2 * STEP, 3 * STEP, 4 * STEP, len(BIG)]
    assert told.hashed[-1] == len(BIG)
    assert is_whole(line)
    again = told.send(base, file)
    assert (again.moved, again.state.job) == (0, sent.state.job)
    assert line.sender.work() == ["done"]
    with Uploader(base, OWNER) as uploader:
        assert uploader.send(file).state.state == "done"
        assert uploader.state(sent.sha256).state == "done"
        assert uploader.send(file, again=True).moved == len(BIG)
    assert told.slept == []


def test_it_goes_on_where_it_was_cut_off(line: Line, base: str, file: Path) -> None:
    told = Told()

    def interrupt(sent: int) -> None:
        if sent == 2 * STEP:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Uploader(base, OWNER, piece=STEP) as uploader:
        uploader.send(file, sent=interrupt)
    sent = told.send(base, file)
    assert told.sent[0] == 2 * STEP
    assert sent.moved == len(BIG) - 2 * STEP
    assert is_whole(line)


@pytest.mark.parametrize("fault", ["refused", "lost", "cut"])
@pytest.mark.parametrize(
    "where", ["POST /upload", "bytes */", f"bytes {2 * STEP}-", f"-{len(BIG) - 1}/", "/sent"]
)
def test_every_request_may_fail_once(
    line: Line, base: str, file: Path, where: str, fault: str
) -> None:
    line.faults.append((where, fault))
    told = Told()
    assert told.send(base, file).state.state == "importing"
    assert not line.faults
    assert len(told.slept) == 1
    assert is_whole(line)


def test_a_bad_line_gets_smaller_pieces(line: Line, base: str, file: Path) -> None:
    line.faults.extend([("bytes 0-", "refused")] * 2)
    with Uploader(base, OWNER, piece=4 * STEP, sleep=lambda _: None) as uploader:
        uploader.send(file)
    sizes = [asked.split()[-1] for asked in line.asked if "bytes 0-" in asked]
    assert sizes == [f"0-{n * STEP - 1}/{len(BIG)}" for n in (4, 2, 1)]
    assert is_whole(line)


def test_a_session_that_is_gone_is_replaced(line: Line, base: str, file: Path) -> None:
    line.faults.append((f"bytes {STEP}-", "gone"))
    sent = Told().send(base, file)
    assert sent.state.state == "importing"
    sessions = {asked.split()[1] for asked in line.asked if "PUT" in asked}
    assert len(sessions) == 2
    assert is_whole(line)


def test_it_gives_up_in_the_end(line: Line, base: str, file: Path) -> None:
    line.faults.extend([("bytes", "refused")] * 100)
    told = Told()
    with pytest.raises(CannotSend, match=r"answers 503: come again; .* it goes on where it was"):
        told.send(base, file)
    assert len(told.slept) == MOST_FAILURES - 1
    assert 60 < sum(told.slept) < 200


def test_without_a_node_it_says_so(file: Path, line: Line) -> None:
    with pytest.raises(CannotSend, match=r"127\.0\.0\.1:9 does not answer"):
        Told().send("http://127.0.0.1:9", file)


@pytest.mark.parametrize(
    ("token", "said"), [("wrong", "401: this credential"), (PHONE, "403: a device's credential")]
)
def test_who_may_not_send_hears_why(base: str, file: Path, token: str, said: str) -> None:
    told = Told()
    with pytest.raises(CannotSend, match=said):
        told.send(base, file, token=token)
    assert told.slept == []


def test_a_refused_piece_is_not_sent_for_ever(line: Line, base: str, file: Path) -> None:
    line.faults.append((f"bytes {STEP}-", "forbidden"))
    with pytest.raises(CannotSend, match=r"refuses the file \(403\): go away"):
        Told().send(base, file)


def test_sessions_that_always_end_are_not_replaced_for_ever(
    line: Line, base: str, file: Path
) -> None:
    line.faults.extend([("PUT", "gone")] * 100)
    with pytest.raises(CannotSend, match="forgets what it gets"):
        Told().send(base, file)
    assert len(line.asked) < 20


def test_an_empty_file_is_not_sent(base: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(CannotSend, match="empty: there is nothing to import"):
        Told().send(base, tmp_path / "empty")


@pytest.mark.parametrize("at", [STEP, len(BIG)])
def test_a_file_that_changes_meanwhile_is_said_to(
    line: Line, base: str, file: Path, at: int
) -> None:
    def change(sent: int) -> None:
        if sent == at:
            os.utime(file, (1, 1))

    uploader = Uploader(base, OWNER, piece=STEP)
    with pytest.raises(CannotSend, match="was changed while it was sent"), uploader:
        uploader.send(file, sent=change)
    assert is_whole(line) == (at == len(BIG))


def test_what_is_no_node_is_said_to_be_none(tmp_path: Path, file: Path) -> None:
    def other(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"<html>"]

    server = make_server("127.0.0.1", 0, other, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with pytest.raises(CannotSend, match="is it a node of Yurt"):
            Told().send(f"http://127.0.0.1:{server.port}", file)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
