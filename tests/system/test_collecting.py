"""Mail fetched by a home node that runs, dies and is started again; from a real Dovecot."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.collecting.slots import FAMILY
from shared.ha.collectors import COLLECTORS, Caps, Collector, Collectors
from shared.model.records import Message
from shared.node import Node, open_node
from shared.settings import Settings
from shared.work.jobs import LEASE, Job
from tests.emulators import Server
from tests.eventually import eventually
from tests.services.dovecot import PASSWORD, USER, Dovecot, running

YURT = str(Path(sys.executable).with_name("yurt"))
MAILS = 300


def mail(number: int) -> bytes:
    return (
        f"From: grace@example.org\r\nTo: ada@example.org\r\nSubject: letter {number}\r\n"
        f"Date: Tue, 24 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{number}@example.org>\r\n\r\nHello.\r\n"
    ).encode()


@pytest.fixture(scope="module")
def post() -> Iterator[Dovecot]:
    with running() as server:
        with server.client() as client:
            for number in range(MAILS):
                client.append("INBOX", mail(number))
        yield server


@pytest.fixture
def node(post: Dovecot, tmp_path: Path) -> Iterator[Node]:
    """With a collector whose slot was due a moment ago."""
    node = open_node(Settings(data=tmp_path / "data"))
    collector = Collector(
        service="imap",
        schedule="* * * * *",
        created=datetime.now(UTC) - timedelta(hours=1),
        level="unprotected",
        caps=Caps(writes=10_000),
        options={
            "host": "127.0.0.1",
            "port": post.port,
            "user": USER,
            "security": "none",
        },
        sealed=node.sealing_key().seal(PASSWORD.encode()),
    )
    node.store.write(COLLECTORS, Collectors(collectors={"mail": collector}), over=None)
    yield node
    node.close()


def subjects(node: Node) -> list[str]:
    page = node.store.page(Message, limit=1_000)
    return sorted(str(record.subject) for record in page.records)


def server(node: Node, folder: Path) -> Server:
    command = [YURT, "up", "--data", str(node.settings.data), "--port"]
    return Server(lambda port: [*command, str(port)], log=folder / "node.log")


def state(node: Node) -> str:
    held = node.store.control(Job, FAMILY, "mail")
    return held.document.state if held is not None else "not begun"


def test_killed_while_it_fetches_the_next_start_goes_on_at_once(node: Node, tmp_path: Path) -> None:
    running = server(node, tmp_path)
    try:
        running.start()
        eventually(lambda: state(node) in ("running", "done"), within=60)
        running.kill()
        began = datetime.now(UTC)
        running.start()
        eventually(lambda: len(subjects(node)) == MAILS, within=60)
        # Long before the lease of the one that was killed ended.
        assert datetime.now(UTC) - began < LEASE
    finally:
        running.end()
    assert subjects(node) == sorted(f"letter {number}" for number in range(MAILS))
    assert "Traceback" not in running.log.read_text()
    assert PASSWORD not in running.log.read_text()
