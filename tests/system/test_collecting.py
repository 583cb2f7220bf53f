"""Mail fetched by a home node that runs, dies and is started again; from a real Dovecot."""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.collecting.slots import FAMILY
from shared.ha.collectors import COLLECTORS, Caps, Collector, Collectors
from shared.ha.watching import WATCHED, Watched
from shared.model.records import Message
from shared.node import Node, open_node
from shared.settings import Settings
from shared.work.jobs import LEASE, Job
from tests.emulators import Server
from tests.eventually import eventually
from tests.services.dovecot import PASSWORD, USER, Dovecot
from tests.services.dovecot import running as dovecot
from tests.system.brisk import EACH

YURT = str(Path(sys.executable).with_name("yurt"))
MAILS = 300
MINUTE, GRACE = 60, 20
"""Seconds."""
SLACK = 10
"""Seconds that a crowded machine may need besides."""


def mail(number: int) -> bytes:
    return (
        f"From: grace@example.org\r\nTo: ada@example.org\r\nSubject: letter {number}\r\n"
        f"Date: Tue, 24 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{number}@example.org>\r\n\r\nHello.\r\n"
    ).encode()


@pytest.fixture(scope="module")
def post() -> Iterator[Dovecot]:
    with dovecot() as server:
        put(server, range(MAILS))
        yield server


def fetching(post: Dovecot, folder: Path, **more: Any) -> Node:
    """A node with a collector whose slot was due a moment ago."""
    node = open_node(Settings(data=folder / "data"))
    collector = Collector(
        service="imap",
        schedule="* * * * *",
        created=datetime.now(UTC) - timedelta(hours=1),
        caps=Caps(writes=10_000),
        options={
            "host": "127.0.0.1",
            "port": post.port,
            "user": USER,
            "security": "none",
        },
        sealed=node.sealing_key().seal(PASSWORD.encode()),
        **more,
    )
    node.store.write(COLLECTORS, Collectors(collectors={"mail": collector}), over=None)
    return node


@pytest.fixture
def node(post: Dovecot, tmp_path: Path) -> Iterator[Node]:
    with closing(fetching(post, tmp_path, level="unprotected")) as node:
        yield node


def subjects(node: Node) -> list[str]:
    page = node.store.page(Message, limit=1_000)
    return sorted(str(record.subject) for record in page.records)


def server(node: Node, folder: Path, *program: str) -> Server:
    """program: that is `yurt` to all but its pace."""
    command = [*(program or (YURT,)), "up", "--data", str(node.settings.data), "--port"]
    return Server(lambda port: [*command, str(port)], log=folder / "node.log")


def alerts(node: Server) -> list[str]:
    """What the owner was told of the collector, in order."""
    told = re.compile(r".*?\b(mail (?:failed|is late|works again|was begun again).*)")
    lines = node.log.read_text().splitlines()
    return [found[1] for found in map(told.fullmatch, lines) if found]


def swept(node: Node) -> datetime:
    """When the node looked after its collectors last."""
    held = node.store.read(Watched, WATCHED)
    assert held is not None
    assert held.document.swept is not None
    return held.document.swept


def put(post: Dovecot, numbers: Iterable[int]) -> None:
    with post.client() as client:
        for number in numbers:
            client.append("INBOX", mail(number))


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


@pytest.mark.timeout(300)  # two slots have to come, a minute apart
def test_a_server_that_stops_is_told_of_once_and_so_is_that_it_is_back(tmp_path: Path) -> None:
    with (
        dovecot() as post,
        closing(fetching(post, tmp_path, grace=GRACE)) as node,
    ):
        running = server(node, tmp_path, sys.executable, "-m", "tests.system.brisk")
        try:
            put(post, range(3))
            running.start()
            eventually(lambda: len(subjects(node)) == 3, within=30)
            eventually(lambda: state(node) == "done")
            post.end()
            eventually(lambda: alerts(running) != [], within=MINUTE + GRACE + EACH + SLACK)
            (told,) = alerts(running)
            assert told.startswith("mail failed: ")

            post.start()
            put(post, range(3, MAILS))
            eventually(lambda: state(node) == "running", within=MINUTE + SLACK)
            running.kill()
            assert len(subjects(node)) < MAILS
            running.start()
            eventually(lambda: len(subjects(node)) == MAILS, within=60)
            eventually(lambda: len(alerts(running)) > 1)
            heard = swept(node)
            eventually(lambda: swept(node) > heard + timedelta(seconds=5 * EACH))
            assert subjects(node) == sorted(f"letter {number}" for number in range(MAILS))
        finally:
            running.end()
        assert alerts(running) == [told, "mail works again"]
        assert "Traceback" not in running.log.read_text()
