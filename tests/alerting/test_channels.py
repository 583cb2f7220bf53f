"""Each channel against a server on this machine: what it sends, and what it says when it cannot."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.emulators import free_port
from shared.alerting import http, mail, ntfy, webhook
from shared.alerting.protocol import BadChannel, CannotTell, Channel
from shared.ha.outbox import Alert
from tests.alerting.servers import HOST, Mailbox, Web, mail_server, talking
from tests.services.dovecot import certificate

LATE = Alert(
    id="mail-late-1795609500000000",
    kind="late",
    at=datetime(2026, 11, 25, 12, 25, tzinfo=UTC),
    text="mail is late: nothing was heard of it",
    collector="mail",
)
WELL = Alert(
    id="mail-recovered-1", kind="recovered", at=LATE.at, text="mail works again", collector="mail"
)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web().running() as web:
        yield web


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


def sent_mail(port: int, secret: str | None = None, **more: Any) -> None:
    options = {"host": HOST, "port": port, "from": "yurt@example.org", "to": "ada@example.org"}
    mail.send(mail.checked(options | more, secret), secret, LATE)


def test_a_webhook_gets_a_document_that_says_all(web: Web) -> None:
    url = f"{web.url}/hooks/secret-part"
    webhook.send(webhook.checked({}, url), url, LATE)
    (request,) = web.requests
    assert (request.method, request.path) == ("POST", "/hooks/secret-part")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == LATE.id
    assert json.loads(request.body) == {
        "id": "mail-late-1795609500000000",
        "kind": "late",
        "at": "2026-11-25T12:25:00Z",
        "collector": "mail",
        "title": "Yurt: mail is late",
        "text": "mail is late: nothing was heard of it",
    }


def test_ntfy_gets_a_title_and_how_much_it_matters(web: Web) -> None:
    options = ntfy.checked({"topic": "my-topic", "server": f"{web.url}/"}, "tk_123")
    ntfy.send(options, "tk_123", LATE)
    ntfy.send(options, None, WELL)
    late, well = web.requests
    assert (late.method, late.path, late.body) == ("POST", "/my-topic", LATE.text.encode())
    assert late.headers["Title"] == "Yurt: mail is late"
    assert (late.headers["Priority"], late.headers["Tags"]) == ("4", "warning")
    assert late.headers["Authorization"] == "Bearer tk_123"
    assert (well.headers["Priority"], well.headers["Tags"]) == ("3", "white_check_mark")
    assert "Authorization" not in well.headers


def test_an_email_says_it_plainly_and_is_known_again(mailbox: Mailbox) -> None:
    port = free_port()
    with mail_server(mailbox, port):
        sent_mail(port, security="none")
        sent_mail(port, security="none")
    first, second = mailbox.mails
    assert mailbox.to == ["ada@example.org"] * 2
    assert first["Subject"] == "Yurt: mail is late"
    assert first["From"] == "yurt@example.org"
    assert first["Message-ID"] == second["Message-ID"] == f"<{LATE.id}@yurt.invalid>"
    assert first["Auto-Submitted"] == "auto-generated"
    text = first.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert text.decode().splitlines() == [LATE.text, "", "2026-11-25 12:25 UTC"]


def test_an_email_is_sent_encrypted_to_who_lets_it_in(
    mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    port = free_port()
    with mail_server(mailbox, port, cert, key):
        sent_mail(port, "correct-horse", user="ada", host="localhost")
        with pytest.raises(CannotTell, match="refuses the user or the password"):
            sent_mail(port, "wrong", user="ada", host="localhost")
    assert len(mailbox.mails) == 1


def test_an_email_is_sent_to_a_server_that_is_encrypted_at_once(
    mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    port = free_port()
    with mail_server(mailbox, port, cert, key, at_once=True):
        sent_mail(port, "correct-horse", user="ada", host="localhost", security="tls")
        with pytest.raises(CannotTell) as wrong:
            sent_mail(port, "hunter2", user="ada", host="localhost", security="tls")
    assert len(mailbox.mails) == 1
    assert "hunter2" not in str(wrong.value) + repr(wrong.value.__cause__)


def test_a_mail_that_was_taken_is_sent_however_the_server_takes_leave(mailbox: Mailbox) -> None:
    port = free_port()
    mailbox.breaks_off = True
    with mail_server(mailbox, port):
        sent_mail(port, security="none")
    assert len(mailbox.mails) == 1


def test_a_mail_server_that_nobody_vouches_for_is_told_nothing(
    mailbox: Mailbox, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path)
    port = free_port()
    with mail_server(mailbox, port, cert, key):
        with pytest.raises(CannotTell, match="the certificate of the mail server is not accepted"):
            sent_mail(port, "correct-horse", user="ada")
        with pytest.raises(CannotTell, match="no encrypted connection to the mail server"):
            sent_mail(port, "correct-horse", user="ada", security="tls")
    assert mailbox.mails == []


def test_a_mail_server_without_encryption_gets_no_mail_that_asks_for_it(mailbox: Mailbox) -> None:
    port = free_port()
    with mail_server(mailbox, port), pytest.raises(CannotTell, match="STARTTLS"):
        sent_mail(port)
    assert mailbox.mails == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [("550 no such user here", "no such user here"), ("451 come again", "come again")],
)
def test_what_a_mail_server_says_is_shown(mailbox: Mailbox, said: str, shown: str) -> None:
    port = free_port()
    mailbox.refuses = said
    with mail_server(mailbox, port), pytest.raises(CannotTell, match=shown):
        sent_mail(port, security="none")


def test_a_mail_server_that_is_away_is_said(mailbox: Mailbox) -> None:
    with pytest.raises(CannotTell, match="refused"):
        sent_mail(free_port(), security="none")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "it does not take it (status 400): see that its address and options are right"),
        (401, "it does not let us in (status 401): give it the right secret"),
        (403, "it does not let us in (status 403): give it the right secret"),
        (404, "there is nothing at its address (status 404): give it the right one"),
        (302, "it redirects elsewhere (status 302): give it the address it redirects to"),
        (429, "it cannot take it just now (status 429): if that stays, see to its server"),
        (500, "it cannot take it just now (status 500): if that stays, see to its server"),
    ],
)
def test_an_answer_that_is_none_is_said_with_what_to_do_and_without_the_address(
    web: Web, status: int, said: str
) -> None:
    web.status, web.said = status, b"no POST for /secret-part, tk_123"
    with pytest.raises(CannotTell) as error:
        webhook.send({}, f"{web.url}/secret-part tk_123", LATE)
    assert str(error.value) == said
    assert "secret-part" not in repr(error.value.__cause__)


def test_nothing_is_followed_elsewhere(web: Web) -> None:
    web.status, web.location = 302, f"{web.url}/elsewhere"
    with pytest.raises(CannotTell, match="it redirects elsewhere"):
        webhook.send({}, f"{web.url}/here", LATE)
    assert [request.path for request in web.requests] == ["/here"]


def test_a_server_that_is_away_or_silent_is_waited_for_a_moment(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CannotTell, match="it cannot be reached") as away:
        webhook.send({}, f"http://{HOST}:{free_port()}/secret-part", LATE)
    assert "secret-part" not in repr(away.value.__cause__)
    web.status = None
    monkeypatch.setattr(http, "SILENT", 0.2)
    with pytest.raises(CannotTell, match="it did not answer within"):
        webhook.send({}, f"{web.url}/x", LATE)


def trickle(first: bytes, each: bytes) -> Callable[[socket.socket], None]:
    """Never silent, and never done."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(each)
            time.sleep(0.01)

    return talk


@pytest.mark.timeout(20)
def test_a_web_server_that_is_never_done_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "WITHIN", 0.3)
    with (
        talking(trickle(b"HTTP/1.1 200 OK\r\nX: ", b"x")) as port,
        pytest.raises(CannotTell, match="it was not done within") as late,
    ):
        webhook.send({}, f"http://{HOST}:{port}/secret-part", LATE)
    assert "secret-part" not in repr(late.value.__cause__)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("first", "each"), [(b"", b"220-more\r\n"), (b"220 here\r\n", b"250-more\r\n")]
)
def test_a_mail_server_that_is_never_done_is_left(
    monkeypatch: pytest.MonkeyPatch, first: bytes, each: bytes
) -> None:
    monkeypatch.setattr(mail, "WITHIN", 0.3)
    with (
        talking(trickle(first, each)) as port,
        pytest.raises(CannotTell, match="it was not done within"),
    ):
        sent_mail(port, security="none")


def test_a_mail_server_that_is_silent_is_waited_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail, "SILENT", 0.2)

    def silent(connection: socket.socket) -> None:
        connection.recv(1)

    with talking(silent) as port, pytest.raises(CannotTell, match="did not answer within"):
        sent_mail(port, security="none")


def test_a_web_server_without_encryption_is_not_told_what_asks_for_it(web: Web) -> None:
    url = web.url.replace("http:", "https:")
    with pytest.raises(CannotTell, match="no encrypted connection"):
        webhook.send({}, f"{url}/secret-part", LATE)
    assert web.requests == []


def test_what_is_kept_for_other_programs_is_sent_to_nobody(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(f"machine {HOST} login other password program")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    webhook.send({}, f"{web.url}/here", LATE)
    webhook.send({}, f"{web.url}/here tk_123", LATE)
    plain, bearer = web.requests
    assert "Authorization" not in plain.headers
    assert bearer.headers["Authorization"] == "Bearer tk_123"


@pytest.mark.parametrize(
    ("channel", "options", "secret", "said"),
    [
        (webhook, {}, None, "must be a URL"),
        (webhook, {}, "ftp://example.org", "must be a URL"),
        (webhook, {}, "https://example.org/a b c", "bearer token of a webhook has no spaces"),
        (webhook, {}, "https://user:pw@example.org", "without a user and a password"),
        (webhook, {}, "http://hooks.example.org/x", "others could read it on the way"),
        (webhook, {}, "https://[::1", "must be a URL"),
        (webhook, {}, "https://example.org/\N{SNOWMAN}", "must be a URL"),
        (webhook, {"url": "https://example.org"}, "https://example.org", "has no option url"),
        (ntfy, {}, None, "topic"),
        (ntfy, {"topic": "a/b"}, None, "topic"),
        (ntfy, {"topic": "a", "server": "example.org"}, None, "server must be a URL"),
        (ntfy, {"topic": "a"}, "two words", "has no spaces"),
        (mail, {}, None, "host"),
        (mail, {"host": "h", "from": "a@b.c", "to": "ada"}, None, "'ada' is no mail address"),
        (mail, {"host": "h", "from": "a@b.c", "to": "a@b.c\nBcc: x@y.z"}, None, "no mail address"),
        (mail, {"host": "h", "from": "a@b.c", "to": "a@b.c", "user": "a"}, None, "go together"),
        (mail, {"host": "h", "from": "a@b.c", "to": "a@b.c"}, "pw", "go together"),
        (mail, {"host": "h", "from": "a@b.c", "to": "a@b.c", "wish": 1}, None, "wish"),
        (
            mail,
            {"host": "h", "from": "a@b.c", "to": "a@b.c", "user": "a", "security": "none"},
            "pw",
            "is not sent unencrypted",
        ),
        (mail, {"host": "h", "from": "a@b.c", "to": "a@b.c", "port": 70_000}, None, "port"),
        (mail, {"host": "h/x", "from": "a@b.c", "to": "a@b.c"}, None, "host"),
        (mail, {"host": f"{'h' * 64}.org", "from": "a@b.c", "to": "a@b.c"}, None, "label"),
        (mail, {"host": "h", "from": "a@b.c", "to": "ä@b.c"}, None, "'ä@b.c' is no mail address"),
        (mail, {"host": "h", "from": "a@b.c", "to": "a@b.c", "user": "a"}, "pä", "in ASCII"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    channel: Channel, options: dict[str, Any], secret: str | None, said: str
) -> None:
    with pytest.raises(BadChannel, match=said):
        channel.checked(options, secret)


def test_line_breaks_add_no_header(mailbox: Mailbox) -> None:
    port = free_port()
    odd = Alert(
        id="x", kind="late", at=LATE.at, text="line\r\nBcc: x@y.z", collector="mail\r\nBcc: x@y.z"
    )
    options = {"host": HOST, "port": port, "from": "a@b.c", "to": "a@b.c", "security": "none"}
    with mail_server(mailbox, port):
        mail.send(mail.checked(options, None), None, odd)
    assert mailbox.mails[0]["Bcc"] is None
    assert mailbox.mails[0]["Subject"] == "Yurt: mail Bcc: x@y.z is late"
    assert mailbox.to == ["a@b.c"]
