"""Mail fetched from a real Dovecot, and from servers that do what it never would."""

import itertools
import socket
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.emulators import free_port
from shared.model.profile import Profile
from shared.model.records import Message
from shared.model.steps import STEP_BYTES, Step
from shared.services import imap, imap_reading
from shared.services.protocol import Asked, BadOptions, CannotBeAsked, NotLetIn
from shared.sources import mail as mails
from tests.services.dovecot import PASSWORD, USER, Dovecot, running

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def mail(number: int, body: str = "Hello.") -> bytes:
    return (
        f"From: Grace <grace@example.org>\r\nTo: ada@example.org\r\nSubject: letter {number}\r\n"
        f"Date: Tue, 24 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{number}@example.org>\r\n\r\n{body}\r\n"
    ).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> None:
    if "server" not in request.fixturenames:
        return
    with request.getfixturevalue("server").client() as client:
        for flags, _, name in client.list_folders():
            if name not in ("INBOX", "Trash"):
                if b"\\Noselect" not in flags:
                    client.delete_folder(name)
                continue
            client.select_folder(name)
            client.delete_messages(client.search())
            client.expunge()


def request(cursor: str | None = None, **more: Any) -> Asked:
    options = {"host": "127.0.0.1", "user": USER, "security": "none", **more}
    most, secret = options.pop("most", 1_000), options.pop("secret", PASSWORD)
    return Asked(
        collector="mail",
        options=imap.checked(options),
        secret=secret,
        cursor=cursor,
        now=NOW,
        profile=Profile(),
        most=most,
    )


def asked(server: Dovecot, cursor: str | None = None, **more: Any) -> Asked:
    return request(cursor, **{"port": server.port, **more})


def steps(server: Dovecot, cursor: str | None = None, **more: Any) -> list[Step]:
    return list(imap.steps(asked(server, cursor, **more)))


def messages(found: Iterable[Step]) -> dict[str, Message]:
    """By subject."""
    records = itertools.chain.from_iterable(step.records for step in found)
    return {str(record.subject): record for record in records if isinstance(record, Message)}


def last(found: list[Step]) -> str:
    return found[-1].cursor


def test_all_folders_are_read_once_and_then_what_is_new(server: Dovecot) -> None:
    with server.client() as client:
        client.append("INBOX", mail(1), [b"\\Flagged"])
        client.create_folder("Größe/Früher")
        client.append("Größe/Früher", mail(2))
        client.append("Trash", mail(3))
    first = steps(server)
    found = messages(first)
    assert found.keys() == {"letter 1", "letter 2"}
    assert found["letter 1"].labels == ("INBOX", "Flagged")
    assert found["letter 2"].labels == ("Größe/Früher",)
    assert found["letter 1"].source == "imap"
    assert any(found["letter 1"].raw in step.raws for step in first)
    assert steps(server, last(first)) == []

    with server.client() as client:
        client.append("INBOX", mail(4))
    assert messages(steps(server, last(first))).keys() == {"letter 4"}
    # Nobody was told that a mail was read.
    with server.client() as client:
        client.select_folder("INBOX", readonly=True)
        assert client.search("UNSEEN") == client.search()


def test_killed_between_any_two_steps_it_goes_on_to_the_same(server: Dovecot) -> None:
    with server.client() as client:
        client.create_folder("Later")
        for number in range(7):
            client.append("INBOX" if number < 4 else "Later", mail(number))
    whole = steps(server, most=2)
    assert len(whole) > 6
    for number in range(len(whole)):
        before = list(itertools.islice(imap.steps(asked(server, most=2)), number))
        after = steps(server, last(before) if before else None, most=2)
        assert messages([*before, *after]) == messages(whole)
        assert not messages(before).keys() & messages(after).keys()


def test_a_folder_that_was_made_anew_is_read_anew(server: Dovecot) -> None:
    with server.client() as client:
        client.create_folder("Post")
        client.append("Post", mail(1))
        client.append("Post", mail(2))
    cursor = last(steps(server))
    with server.client() as client:
        client.delete_folder("Post")
        client.create_folder("Post")
        client.append("Post", mail(9))
    assert messages(steps(server, cursor)).keys() == {"letter 9"}


def test_what_was_taken_away_there_is_no_trouble(server: Dovecot) -> None:
    with server.client() as client:
        for number in range(3):
            client.append("INBOX", mail(number))
        client.create_folder("Zone")
        client.append("Zone", mail(8))
    reading = imap.steps(asked(server, most=1))
    first = next(reading)
    with server.client() as client:
        client.delete_folder("Zone")
        client.select_folder("INBOX")
        client.delete_messages([1, 2, 3])
        client.expunge()
    rest = list(reading)
    cursor = last([first, *rest])
    assert "Zone" not in cursor
    assert steps(server, cursor) == []


def test_a_mail_that_is_none_or_too_large_is_told_and_stops_nothing(
    server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_reading, "MAIL_LIMIT", 100_000)
    monkeypatch.setattr(mails, "MAIL_LIMIT", 100_000)
    with server.client() as client:
        client.create_folder("Odd")
        client.append("Odd", b"\r\n\r\n")
        client.append("Odd", mail(1, "x" * 150_000))
        client.append("Odd", b"\xff\x00 nonsense \r\n" * 50)
        client.append("Odd", mail(2))
    found = steps(server)
    assert messages(found).keys() == {"letter 2"}
    bad = {one.where: one for step in found for one in step.bad}
    assert bad.keys() == {"Odd, mail 1", "Odd, mail 2", "Odd, mail 3"}
    large = bad["Odd, mail 2"]
    assert large.size > 150_000
    assert len(large.data) == mails.SHOWN


def test_a_backlog_comes_in_steps_of_a_bounded_size(
    server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_reading, "STEP_BYTES", 50_000)
    monkeypatch.setattr(imap_reading, "_LISTED", 30)
    with server.client() as client:
        for number in range(100):
            client.append("INBOX", mail(number, "x" * 4_000))
    found = steps(server)
    assert len(messages(found)) == 100
    assert max(sum(map(len, step.raws.values())) for step in found) < 60_000 < STEP_BYTES
    assert [step.done for step in found] == sorted(step.done for step in found)
    few = steps(server, most=10)
    assert max(len(step.records) for step in few) <= 12


def test_only_the_folders_and_days_that_are_asked_for(server: Dovecot) -> None:
    with server.client() as client:
        client.create_folder("Work")
        client.append("Work", mail(1), msg_time=datetime(2020, 1, 1, tzinfo=UTC))
        client.append("Work", mail(2), msg_time=datetime(2026, 1, 1, tzinfo=UTC))
        client.append("INBOX", mail(3))
    assert messages(steps(server, folders=["Work"])).keys() == {"letter 1", "letter 2"}
    found = steps(server, folders=["Work"], since="2025-06-01")
    assert messages(found).keys() == {"letter 2"}
    assert steps(server, last(found), folders=["Work"], since="2025-06-01") == []
    with pytest.raises(
        CannotBeAsked, match="there is no folder 'Play'; there is INBOX, Trash, Work"
    ):
        steps(server, folders=["Play"])


# Who is not let in


def test_a_wrong_password_is_told_without_saying_it(server: Dovecot) -> None:
    with pytest.raises(NotLetIn) as refused:
        steps(server, secret="wrong battery")
    assert "refuses the password of ada@example.org" in str(refused.value)
    assert "battery" not in str(refused.value)
    with pytest.raises(NotLetIn, match=r"there is no password for ada@example\.org"):
        steps(server, secret=None)


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe: dict[str, Any] = {"host": "localhost", "port": server.tls_port, "security": "tls"}
    with pytest.raises(CannotBeAsked, match="certificate of localhost is not to be trusted"):
        steps(server, **safe)
    start: dict[str, Any] = {"host": "localhost", "security": "starttls"}
    with pytest.raises(CannotBeAsked, match="certificate of localhost is not to be trusted"):
        steps(server, **start)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    with server.client() as client:
        client.append("INBOX", mail(1))
    assert messages(steps(server, **safe)).keys() == {"letter 1"}
    assert messages(steps(server, **start)).keys() == {"letter 1"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "imap needs host and user"),
        ({"host": "", "user": "a"}, "Expected `str` of length >= 1 - at `$.host`"),
        ({"host": "h", "user": "a", "port": 0}, "`$.port`"),
        ({"host": "h", "user": "a", "security": "maybe"}, "Invalid enum value 'maybe'"),
        ({"host": "h", "user": "a", "password": "x"}, "unknown field `password`"),
        ({"host": "h", "user": "a", "since": "soon"}, "`$.since`"),
        ({"host": "h.example.org", "user": "a", "security": "none"}, "only this machine is asked"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadOptions) as refused:
        imap.checked(options)
    assert said in str(refused.value)


# Servers that Dovecot is not


class Liar:
    """Answers each line that comes with what is next in its script; None ends the connection."""

    def __init__(self, *script: bytes | None) -> None:
        self._script = script
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection, connection.makefile("rb") as lines:
            for answer in self._script:
                if answer is None:
                    return
                try:
                    connection.sendall(answer)
                    line = lines.readline()
                except OSError:
                    return
                if not line:
                    return
            lines.read()

    def close(self) -> None:
        self._socket.close()
        self._thread.join()


def lie(*script: bytes | None) -> list[Step]:
    liar = Liar(*script)
    try:
        return list(imap.steps(request(port=liar.port)))
    finally:
        liar.close()


HELLO = b"* OK [CAPABILITY IMAP4rev1] hello\r\n"


@pytest.mark.parametrize(
    "script",
    [
        (None,),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
        (HELLO, None),
        (HELLO, b"\xff\xfe\x00" * 1000, None),
        (HELLO, b"* " + b"x" * 2_000_000, None),
        (HELLO, b"* LIST {99999999999}\r\n", None),
        (HELLO, b"* NO (((((\r\n", None),
    ],
)
def test_nonsense_is_an_error_that_may_pass(
    script: tuple[bytes | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "ANSWER_WITHIN", 0.5)
    with pytest.raises(OSError, match=r".+"):
        lie(*script)


def test_silence_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "ANSWER_WITHIN", 0.2)
    with pytest.raises(OSError, match="timed out"):
        lie(b"* OK")


def test_a_server_that_is_away_may_come_back() -> None:
    with pytest.raises(OSError, match="refused"):
        list(imap.steps(request(port=free_port())))
