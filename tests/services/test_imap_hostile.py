"""IMAP servers that lie, stall, flood and break off: nothing but the errors of the contract."""

import itertools
import random
import re
import socket
import ssl
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.model.records import Message
from shared.model.steps import Step
from shared.services import imap, imap_reading
from shared.services.protocol import Asked, CannotBeAsked, NotLetIn
from tests.services.asking import request
from tests.services.pretender import GREETING, Pretender, Twist

USER, PASSWORD = "ada", 'correct "horse\\'


def mail(number: int, size: int = 10) -> bytes:
    head = f"From: g@example.org\r\nSubject: letter {number}\r\nMessage-ID: <{number}@example.org>"
    return f"{head}\r\n\r\n{'x' * size}\r\n".encode()


MAILS = {uid: mail(uid) for uid in (3, 5, 8)}


def asked(port: int, cursor: str | None = None, **more: Any) -> Asked:
    return request(port, cursor, **{"user": USER, "secret": PASSWORD, **more})


def read(server: Pretender, cursor: str | None = None, **more: Any) -> list[Step]:
    return list(imap.steps(asked(server.port, cursor, **more)))


def subjects(steps: list[Step]) -> list[str | None]:
    records = itertools.chain.from_iterable(step.records for step in steps)
    return [record.subject for record in records if isinstance(record, Message)]


ROUNDS = 100

ALL = ["letter 3", "letter 5", "letter 8"]


def at(name: str, answer: Callable[[str, bytes], Any]) -> Twist:
    """Twists the answers to one command (with its tag before), and leaves all others."""

    def twist(command: str, usual: bytes) -> Any:
        words = command.partition(" ")[2] or command
        return answer(command.split(" ", maxsplit=1)[0], usual) if words.startswith(name) else usual

    return twist


def said(answer: str) -> Callable[[str, bytes], bytes]:
    return lambda tag, _: f"{tag} {answer}\r\n".encode()


def test_the_pretender_is_read_where_it_behaves() -> None:
    with Pretender(MAILS) as server:
        found = read(server)
        assert subjects(found) == ALL
        assert read(server, found[-1].cursor) == []
        server.mails[900_000_000] = mail(9)
        assert subjects(read(server, found[-1].cursor)) == ["letter 9"]
        assert not any(name in line for line in server.asked for name in ("SELECT", "STORE"))


def test_what_is_not_new_is_known_with_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pretender({uid: mail(uid) for uid in range(1, 500)}) as server:
        cursor = read(server)[-1].cursor
        server.asked.clear()
        assert read(server, cursor) == []
        assert [line.split(" ")[0] for line in server.asked if "FETCH" in line] == ["FETCH"]
        server.mails[5_000] = mail(5_000)
        server.asked.clear()
        assert subjects(read(server, cursor)) == ["letter 5000"]
        assert len([line for line in server.asked if "FETCH" in line]) < 15


# What it sends


class Flood:
    """Without an end. sent: bytes that were taken from it, with those that are still under way."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self.sent = 0

    def __call__(self, _: str, usual: bytes) -> Iterator[bytes]:
        yield usual[:-20]
        while True:
            yield self._piece
            self.sent += len(self._piece)


FLOODS = {
    "line": b"x" * 65_536,
    "lines": b"* 1 EXISTS\r\n" * 5_000,
    "responses": b"* OK [ALERT] nothing\r\n" * 3_000,
    "continuations": b"+ go on\r\n" * 5_000,
    "brackets": b"(" * 65_536,
    "literals": b"* LIST () NIL {10}\r\n0123456789\r\n" * 2_000,
}


@pytest.mark.parametrize("piece", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize(
    "command", [GREETING, "CAPABILITY", "LOGIN", "LIST", "EXAMINE", "FETCH", "UID"]
)
def test_a_flood_is_cut_off(command: str, piece: bytes) -> None:
    flood = Flood(piece)
    with (
        Pretender(MAILS, at(command, flood)) as server,
        pytest.raises(OSError, match=r".+"),
    ):
        read(server)
    # The rest waits in sockets of this machine.
    assert flood.sent < 12_000_000


def test_a_literal_of_any_size_is_not_believed() -> None:
    def endless(tag: str, usual: bytes) -> Iterator[bytes]:
        yield b"* 1 FETCH (UID 3 BODY[]<0> {9999999999}\r\n"
        while True:
            yield b"x" * 65_536

    with (
        Pretender(MAILS, at("UID FETCH", endless)) as server,
        pytest.raises(OSError, match="sends 9999999999 bytes where none asked for so many"),
    ):
        read(server)


def test_unasked_answers_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_reading, "_PIECE", 100)
    noise = b"* FLAGS (%s)\r\n" % (b"x" * 1_000) * 300
    mails = {uid: mail(uid) for uid in range(1, 40)}
    with Pretender(mails, at("UID FETCH", lambda _, usual: noise + usual)) as server:
        reading = imap.steps(asked(server.port, most=1))
        next(reading)
        tracemalloc.start()
        try:
            assert len(list(reading)) == 38
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2_000_000


BROKEN = {
    "nothing": None,
    "the end inside a literal": b"* 1 FETCH (UID 3 BODY[]<0> {100}\r\nFrom: ",
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "no text": b"\xff\xfe\x00" * 1_000 + b"\r\n",
    "no end of line": b"* OK",
    "brackets": b"* 1 FETCH " + b"(" * 50_000 + b"\r\n",
    "a literal of nothing": b"* LIST {-1}\r\n",
    "a literal of too many digits": b"* LIST () NIL {" + b"9" * 5_000 + b"}\r\n",
    "a goodbye": b"* BYE [UNAVAILABLE] tomorrow\r\n",
    "another's tag": b"ZZZZ1 OK done\r\n",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize(
    "command", [GREETING, "CAPABILITY", "LOGIN", "LIST", "EXAMINE", "FETCH", "UID"]
)
def test_what_is_no_imap_may_pass(command: str, answer: bytes | None) -> None:
    # After it nothing comes, as where a process died.
    with (
        Pretender(MAILS, at(command, lambda *_: [answer, None])) as server,
        pytest.raises(OSError, match=r".+") as error,
    ):
        read(server)
    assert len(str(error.value)) < 400


def test_no_answer_with_bytes_anywhere_changed_is_more_than_an_error_that_may_pass() -> None:
    draw = random.Random(7)
    allowed = (OSError, NotLetIn, CannotBeAsked)
    outcomes = dict.fromkeys((*allowed, None), 0)

    def spoilt(_: str, usual: bytes) -> Iterator[bytes | None]:
        changed = bytearray(usual)
        if draw.random() < 0.4:
            for _change in range(draw.randint(1, 3)):
                place = draw.randrange(len(changed))
                changed[place : place + draw.randint(0, 4)] = draw.choice(
                    [
                        b"(",
                        b")",
                        b'"',
                        b"{",
                        b"{3}\r\n",
                        b"\r\n",
                        b"NIL",
                        b"\\",
                        b"[",
                        b"9" * 30,
                        b"\xff",
                    ]
                )
        yield bytes(changed)
        if bytes(changed) != usual:
            yield None  # else both may wait for each other

    with Pretender(MAILS, spoilt) as server:
        for _ in range(ROUNDS):
            try:
                read(server)
                outcomes[None] += 1
            except allowed as error:
                outcomes[next(kind for kind in allowed if isinstance(error, kind))] += 1
    assert outcomes[OSError] > ROUNDS / 4


# How long it takes


def test_silence_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "ANSWER_WITHIN", 0.2)
    for command in (GREETING, "LOGIN", "FETCH", "UID FETCH"):
        with (
            Pretender(MAILS, at(command, lambda *_: b"")) as server,
            pytest.raises(TimeoutError, match=r"timed out|too long"),
        ):
            read(server)


def test_a_byte_now_and_then_is_silence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "ANSWER_WITHIN", 0.3)

    def drip(*_: object) -> Iterator[bytes]:
        while True:
            time.sleep(0.02)
            yield b"x"

    with (
        Pretender(MAILS, at("FETCH", drip)) as server,
        pytest.raises(TimeoutError, match=r"timed out|too long"),
    ):
        read(server)


def test_a_step_is_given_while_a_slow_server_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever drives the run can show that it lives, and what came is not read again."""
    monkeypatch.setattr(imap, "ANSWER_WITHIN", 0.4)
    monkeypatch.setattr(imap_reading, "_PIECE", 1_000)

    def slow(_: str, usual: bytes) -> Iterator[bytes]:
        time.sleep(0.12)
        yield usual

    mails = {1: mail(1, 6_000), 2: mail(2, 6_000)}
    with Pretender(mails, at("UID FETCH", slow)) as server:
        steps = read(server)
        assert subjects(steps) == ["letter 1", "letter 2"]
        assert len(steps) > 4
        empty = next(step for step in steps if not step.records)
        assert subjects(read(server, empty.cursor)) == ["letter 1", "letter 2"]


# What it refuses


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("NO [AUTHENTICATIONFAILED] go away", NotLetIn),
        ("NO go away", NotLetIn),
        ("NO [ALERT] Application-specific password required", NotLetIn),
        ("NO [UNAVAILABLE] later", OSError),
        ("NO [LIMIT] too many connections", OSError),
        ("NO [INUSE] later", OSError),
        ("NO [SERVERBUG] oops", OSError),
        ("BAD what", OSError),
    ],
)
def test_who_is_not_let_in_now_and_who_never(answer: str, kind: type[Exception]) -> None:
    text = answer.rpartition("] ")[2].removeprefix("NO ").removeprefix("BAD ")
    with (
        Pretender(MAILS, at("LOGIN", said(answer))) as server,
        pytest.raises(kind, match=text) as error,
    ):
        read(server)
    assert isinstance(error.value, NotLetIn) == (kind is NotLetIn)


@pytest.mark.parametrize("command", ["LOGIN", "AUTHENTICATE", "LIST", "FETCH"])
@pytest.mark.parametrize("status", ["{tag} NO", "{tag} BAD", "*", "* BYE", "{tag} huh"])
def test_a_server_that_says_the_secret_is_not_quoted(command: str, status: str) -> None:
    came: list[str] = []

    def echo(line: str, usual: bytes) -> bytes:
        tag, _, rest = line.partition(" ")
        came.append(rest if tag != GREETING else "")
        plain = b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
        words = f"{PASSWORD} {plain} {' '.join(came)}"
        spoken = f"{status.format(tag=tag)} {words}\r\n".encode()
        if command == "AUTHENTICATE" == rest.split(" ")[0]:
            return b"+\r\n" + spoken
        return spoken if rest.startswith(command) else usual

    sasl = "AUTH=PLAIN" if command == "AUTHENTICATE" else ""
    told = ""
    with Pretender(MAILS, echo, capabilities=sasl) as server:
        try:
            told = str([step.bad for step in read(server)])
        except (OSError, NotLetIn) as error:
            told = str(error)
    assert told != "[]"
    for secret in ("horse", "Y29ycmVjdC", b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()[:9]):
        assert secret not in told


def test_a_password_beyond_ascii_goes_only_where_it_can() -> None:
    with (
        Pretender(MAILS) as server,
        pytest.raises(NotLetIn, match=r"a character that 127\.0\.0\.1 does not take"),
    ):
        read(server, secret="größe")
    with Pretender(MAILS) as server, pytest.raises(NotLetIn, match="no line end came with it"):
        read(server, secret="secret\r\n")
    assert not any("LOGIN" in line for line in server.asked)


def test_no_password_goes_where_none_is_taken() -> None:
    with (
        Pretender(MAILS, capabilities="LOGINDISABLED") as server,
        pytest.raises(CannotBeAsked, match="write security: tls or starttls"),
    ):
        read(server)
    assert not any("LOGIN" in line for line in server.asked)


def test_a_server_without_starttls_gets_no_password() -> None:
    with (
        Pretender(MAILS) as server,
        pytest.raises(CannotBeAsked, match="does not begin to encrypt"),
    ):
        read(server, security="starttls")
    assert server.asked == ["CAPABILITY"]


def test_a_mail_that_is_refused_is_told_and_the_others_are_read() -> None:
    def twist(command: str, usual: bytes) -> bytes:
        tag = command.split(" ", maxsplit=1)[0]
        is_asked = b"UID 5 BODY" in usual
        return f"{tag} NO it is damaged\r\n".encode() if is_asked else usual

    with Pretender(MAILS, twist) as server:
        steps = read(server)
        assert subjects(steps) == ["letter 3", "letter 8"]
        (bad,) = (bad for step in steps for bad in step.bad)
        assert (bad.where, bad.size) == ("INBOX, mail 5", len(MAILS[5]))
        assert bad.reason == "the server does not give it: fetch failed: it is damaged"
        assert read(server, steps[-1].cursor) == []


@pytest.mark.parametrize(
    "answer", ["NO wait", "NO [UNAVAILABLE] wait", "NO [LIMIT] wait", "BAD wait"]
)
def test_where_no_mail_is_given_none_is_passed_over(answer: str) -> None:
    is_refusing = True
    refuse = at("UID FETCH", said(answer))

    def twist(command: str, usual: bytes) -> Any:
        return refuse(command, usual) if is_refusing else usual

    with Pretender(MAILS, twist) as server:
        with pytest.raises(OSError, match="wait"):
            read(server)
        is_refusing = False
        assert subjects(read(server)) == ALL


FOLDERS = (b'() "/" INBOX', b'() "/" "Old"', b'() "/" "Work"')


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("NO [NONEXISTENT] gone", None),
        ("NO [NOPERM] not yours", "not yours"),
        ("NO [UNAVAILABLE] later", "later"),
    ],
)
def test_a_folder_that_is_not_opened_does_not_stop_the_others(
    answer: str, told: str | None
) -> None:
    def twist(command: str, usual: bytes) -> bytes:
        tag = command.split(" ", maxsplit=1)[0]
        return f"{tag} {answer}\r\n".encode() if 'EXAMINE "Old"' in command else usual

    steps: list[Step] = []
    with Pretender(MAILS, twist, folders=FOLDERS) as server:
        reading = imap.steps(asked(server.port))
        if "UNAVAILABLE" in answer:
            with pytest.raises(OSError, match=r"does not open Old: .*later"):
                steps.extend(reading)
        else:
            steps.extend(reading)
    assert set(subjects(steps)) == set(ALL)
    assert "Work" in steps[-1].cursor
    bad = [bad for step in steps for bad in step.bad]
    assert [one.where for one in bad] == (["Old"] if told == "not yours" else [])


# What it names


def test_names_of_folders_that_are_none() -> None:
    names = (
        b'() "/" INBOX',
        b'() "/" 2024',
        b'() "/" "&2AA-"',
        b'() "/" "&ZZZ"',
        b'() "/" "Gr\xc3\xb6\xc3\x9fe"',
        b'() "/" NIL',
        b'() "/" {9}\r\na\r\nb LIST',
        b'(\\NoSelect) "/" "Above"',
        b'(\\TRASH) "/" "Bin"',
    )
    with Pretender(MAILS, folders=names) as server:
        steps = read(server)
        assert set(subjects(steps)) == set(ALL)
        bad = {one.where: one.reason for step in steps for one in step.bad}
        examined = {line.partition(" ")[2] for line in server.asked if line.startswith("EXAMINE")}
    assert bad.keys() == {"Größe", "a\r\nb LIST"}
    assert all("its name is not one of IMAP" in reason for reason in bad.values())
    assert examined == {'"INBOX"', '"2024"', '"&2AA-"', '"&ZZZ"'}


def test_more_folders_than_a_cursor_holds() -> None:
    names = [b'() "/" "folder %d"' % number for number in range(5_000)]
    with Pretender(MAILS, folders=names) as server:
        with pytest.raises(CannotBeAsked, match="there are 5000 folders"):
            read(server)
        assert subjects(read(server, folders=["folder 7"])) == ALL


def test_on_gmail_the_folder_of_all_mails_is_read_with_its_labels() -> None:
    folders = (
        b'(\\HasNoChildren) "/" "INBOX"',
        b'(\\HasNoChildren) "/" "Work"',
        b'(\\All \\HasNoChildren) "/" "[Gmail]/Alle"',
        b'(\\Junk) "/" "[Gmail]/Spam"',
    )
    labels = rb'("\\Inbox" "\\Sent" Work "Gr&APYA3w-e" 2024)'
    with Pretender(MAILS, capabilities="X-GM-EXT-1", folders=folders, labels=labels) as server:
        steps = read(server)
        found = [one for step in steps for one in step.records if isinstance(one, Message)]
        assert [one.labels for one in found] == [("Inbox", "Sent", "Work", "Größe", "2024")] * 3
        assert [line for line in server.asked if "EXAMINE" in line] == [
            'EXAMINE "[Gmail]/Alle"'
        ] * 2
        found = [
            one
            for step in read(server, folders=["Work"])
            for one in step.records
            if isinstance(one, Message)
        ]
        assert found[0].labels[:2] == ("Work", "Inbox")
    with Pretender(MAILS, folders=folders, labels=labels) as server:
        read(server)
        assert not any("X-GM-LABELS" in line or "Alle" in line for line in server.asked)


def test_a_size_that_is_wrong_does_not_cut_a_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_reading, "_PIECE", 1_000)
    mails = {1: mail(1, 5_000), 2: mail(2, 1_000 - len(mail(2, 0))), 3: mail(3, 0)}
    for claimed in (b"1", b"900", b"0", b"1234567"):

        def twist(_: str, usual: bytes, claimed: bytes = claimed) -> bytes:
            return re.sub(rb"RFC822.SIZE \d+", b"RFC822.SIZE " + claimed, usual)

        with Pretender(mails, twist) as server:
            steps = read(server)
        kept = set().union(*(step.raws.values() for step in steps))
        assert set(mails.values()) <= kept


def test_what_was_said_before_the_encryption_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody between could have put it there, to be taken for the server's."""

    def twist(command: str, usual: bytes) -> bytes:
        return usual + b"* CAPABILITY IMAP4rev1\r\n" * 3 if "STARTTLS" in command else usual

    class Open:
        def wrap_socket(self, plain: socket.socket, **_: object) -> socket.socket:
            return socket.socket(fileno=plain.detach())

    monkeypatch.setattr(ssl, "create_default_context", Open)
    with (
        Pretender(MAILS, twist, capabilities="STARTTLS") as server,
        pytest.raises(OSError, match="before it encrypts"),
    ):
        read(server, security="starttls")
    assert not any("LOGIN" in line for line in server.asked)
