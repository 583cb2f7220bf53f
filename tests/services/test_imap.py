"""Mail fetched from a real Dovecot."""

import itertools
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.model.records import AnyRecord, Message
from shared.model.steps import STEP_BYTES, Bad, Step
from shared.services import imap, imap_reading
from shared.services.imap_reading import Reading
from shared.services.protocol import Asked, BadOptions, CannotBeAsked, NotLetIn
from shared.sources import mail as mails
from tests.services.asking import NOW, request
from tests.services.dovecot import PASSWORD, USER, Dovecot, certificate


def mail(number: int, body: str = "Hello.") -> bytes:
    return (
        f"From: Grace <grace@example.org>\r\nTo: ada@example.org\r\nSubject: letter {number}\r\n"
        f"Date: Tue, 24 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{number}@example.org>\r\n\r\n{body}\r\n"
    ).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    # Sockets have short names only, shorter than the folders of tests.
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    server = Dovecot(folder, *certificate(folder))
    try:
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)


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


def asked(server: Dovecot, cursor: str | None = None, **more: Any) -> Asked:
    return request(cursor=cursor, **{"port": server.port, "user": USER, "secret": PASSWORD, **more})


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


def everything(found: Iterable[Step]) -> tuple[dict[str, AnyRecord], dict[str, bytes], set[Bad]]:
    given = list(found)
    raws: dict[str, bytes] = {}
    for step in given:
        raws |= step.raws
    records = {record.id: record for step in given for record in step.records}
    return records, raws, {bad for step in given for bad in step.bad}


def test_killed_between_any_two_steps_it_goes_on_to_the_same(
    server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_reading, "_LISTED", 3)
    with server.client() as client:
        client.create_folder("Later")
        for number in range(14):
            client.append("INBOX" if number < 8 else "Later", mail(number))
        client.append("INBOX", b"\r\n\r\n")
        client.select_folder("INBOX")
        uids = client.search()
        client.delete_messages([uids[1], uids[2], uids[6]])
        client.expunge()
    whole = steps(server, most=1)
    assert len(whole) == 12
    assert len(messages(whole)) == 11
    for number in range(len(whole)):
        before = list(itertools.islice(imap.steps(asked(server, most=1)), number))
        after = steps(server, last(before) if before else None, most=1)
        assert everything([*before, *after]) == everything(whole)
        assert not messages(before).keys() & messages(after).keys()
        # Steps of another size give the same, too.
        assert everything(
            [*before, *steps(server, last(before) if before else None)]
        ) == everything(whole)


def test_what_moves_while_it_is_read_is_not_missed(
    server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mail that is deleted moves the places of all after it."""
    monkeypatch.setattr(imap_reading, "_LISTED", 4)
    with server.client() as client:
        client.create_folder("Moving")
        for number in range(1, 31):
            client.append("Moving", mail(number))
        client.select_folder("Moving")
        found, gone = [], set[int]()
        for step in imap.steps(asked(server, most=1)):
            found.append(step)
            number = len(found)
            # One that was read, and now and then also one that is to come.
            for uid in {number - 1, 30 - number} if number % 4 == 0 else {number - 1}:
                if uid > 0 and uid not in gone:
                    client.delete_messages([uid])
                    client.expunge()
                    gone.add(uid)
            if number == 10:
                client.append("Moving", mail(99))
    read = messages(found)
    assert {
        f"letter {number}" for number in [*range(1, 31), 99] if number not in gone
    } <= read.keys()
    assert len(read) == sum(len(messages([step])) for step in found)
    assert messages(steps(server, last(found))).keys() <= {"letter 99"}


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


def test_another_account_is_read_anew_though_its_numbers_may_be_the_same(server: Dovecot) -> None:
    with server.client() as client:
        client.append("INBOX", mail(1))
    cursor = last(steps(server, host="localhost"))
    assert steps(server, cursor, host="localhost") == []
    # The same server by another name is another one, for all that anybody can know.
    assert messages(steps(server, cursor, host="127.0.0.1")).keys() == {"letter 1"}


def test_a_folder_of_another_numbering_is_forgotten_though_it_is_empty(server: Dovecot) -> None:
    with server.client() as client:
        client.create_folder("Post")
        client.append("Post", mail(1))
        cursor = last(steps(server))
        client.delete_folder("Post")
        client.create_folder("Post")
        (told,) = steps(server, cursor)
        assert told.records == []
        assert "Post" not in told.cursor
        client.append("Post", mail(1))
    assert messages(steps(server, told.cursor)).keys() == {"letter 1"}


def test_a_folder_of_another_name_is_read_again_and_makes_the_same_record(server: Dovecot) -> None:
    with server.client() as client:
        client.create_folder("Before")
        client.append("Before", mail(1))
        first = steps(server)
        client.rename_folder("Before", "After")
    again = steps(server, last(first))
    assert "Before" not in last(again)
    one, other = messages(first)["letter 1"], messages(again)["letter 1"]
    assert (one.id, one.labels, other.labels) == (other.id, ("Before",), ("After",))
    assert steps(server, last(again)) == []


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
        client.delete_messages(client.search())
        client.expunge()
    rest = list(reading)
    # Of a few that were listed, those that went meanwhile are not there to be fetched.
    assert messages(rest).keys() <= {"letter 1", "letter 2"}
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


def test_a_day_that_is_earlier_now_brings_what_was_left_out(server: Dovecot) -> None:
    with server.client() as client:
        client.append("INBOX", mail(1), msg_time=datetime(2020, 1, 1, tzinfo=UTC))
        client.append("INBOX", mail(2), msg_time=datetime(2026, 1, 1, tzinfo=UTC))
    found = steps(server, since="2025-06-01")
    assert messages(found).keys() == {"letter 2"}
    assert not messages(steps(server, last(found), since="2025-07-01"))
    assert "letter 1" in messages(steps(server, last(found), since="2019-06-01"))
    assert "letter 1" in messages(steps(server, last(found)))


def test_names_of_folders_of_any_letters(server: Dovecot) -> None:
    names = {"Größe & mehr", "日本語", "🦊", 'a "b" \\ c', "2024", "inbox too", "NIL", "a  b"}
    with server.client() as client:
        for number, name in enumerate(sorted(names)):
            client.create_folder(name)
            client.append(name, mail(number))
    found = steps(server)
    assert {one.labels[0] for one in messages(found).values()} == names
    assert steps(server, last(found)) == []
    assert messages(steps(server, folders=["🦊", "inbox"])).keys() == {
        f"letter {sorted(names).index('🦊')}"
    }


def test_a_mail_is_the_same_record_as_from_a_file(server: Dovecot) -> None:
    delivered = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    undated = mail(2).replace(b"Date:", b"X-Date:")
    with server.client() as client:
        client.append("INBOX", mail(1), [b"\\Flagged", b"\\Answered"], delivered)
        client.append("INBOX", undated, msg_time=delivered)
    found = messages(steps(server))
    keeping = mails.Keeping(source="eml", where="1.eml", now=NOW)
    alone = mails.read_mail(mail(1), keeping)
    assert isinstance(alone, mails.Mail)
    one, other = found["letter 1"], alone.records[0]
    assert (one.id, one.source_version, one.raw) == (other.id, other.source_version, other.raw)
    assert one.labels == ("INBOX", "Flagged", "Replied")
    assert one.asof == NOW
    assert found["letter 2"].time == delivered
    assert found["letter 2"].extra["time_from"] == "delivery"


def test_a_mail_in_many_pieces_is_whole(server: Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_reading, "_PIECE", 1_000)
    # Its last piece is full, one byte short of that, and one byte long.
    letters = [
        mail(number, "x" * (3_000 + more - len(mail(number, ""))))
        for number, more in enumerate((0, -1, 1))
    ]
    assert [len(letter) for letter in letters] == [3_000, 2_999, 3_001]
    with server.client() as client:
        for letter in letters:
            client.append("INBOX", letter)
    _, raws, _ = everything(steps(server))
    assert set(letters) <= set(raws.values())


def test_a_mail_that_goes_while_its_pieces_come_is_left_out(
    server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_reading, "_PIECE", 100)
    pieces = Reading._pieces

    def gone_after_the_first(self: Reading, group: Any, start: int) -> dict[int, bytes]:
        found = pieces(self, group, start)
        return {} if start else found

    monkeypatch.setattr(Reading, "_pieces", gone_after_the_first)
    with server.client() as client:
        client.append("INBOX", mail(1, "x" * 1_000))
    (told,) = steps(server)
    assert not told.records
    assert not told.bad
    assert steps(server, told.cursor) == []


def test_two_thousand_mails(server: Dovecot) -> None:
    letters = [mail(number, "x" * 9_000) for number in range(2_000)]
    with server.client() as client:
        client.multiappend("INBOX", letters)
    found = steps(server)
    assert len(messages(found)) == 2_000
    sizes = [sum(map(len, step.raws.values())) for step in found]
    assert max(sizes) <= STEP_BYTES
    assert sum(sizes) == sum(map(len, letters)) == found[-1].done
    assert len(found) == 5
    assert steps(server, last(found)) == []


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
        ({"host": "https://h/", "user": "a"}, "'https://h/' is not the name of a host"),
        ({"host": "a..b", "user": "a"}, "'a..b' is not the name of a host"),
        ({"host": "h", "user": "a\nb"}, "has a character that is in no name"),
        ({"host": "h", "user": "a", "folders": []}, "length >= 1 - at `$.folders`"),
        ({"host": "h", "user": "a", "folders": "INBOX"}, "`$.folders`"),
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


def test_what_is_filled_in_stays_when_it_is_checked_again() -> None:
    for given, port in (
        ({}, 993),
        ({"security": "starttls"}, 143),
        ({"security": "none", "host": "127.0.0.9"}, 143),
        ({"port": 1993, "folders": ["INBOX"], "since": "2026-01-01"}, 1993),
    ):
        once = imap.checked({"host": "imap.example.org", "user": "ada", **given})
        assert once["port"] == port
        assert imap.checked(once) == once


# Servers that are away


def test_a_server_that_stops_may_come_back(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    server = Dovecot(folder, *certificate(folder))
    try:
        server.start()
        with server.client() as client:
            for number in range(5):
                client.append("INBOX", mail(number))
        reading = imap.steps(asked(server, most=1))
        first = next(reading)
        server.end()
        with pytest.raises(OSError, match="lost"):
            list(reading)
        with pytest.raises(OSError, match=r"cannot be reached on port .*refused.*; see that"):
            steps(server, first.cursor)
        server.start()
        assert len(messages(steps(server, first.cursor))) == 4
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_host_that_nobody_knows(server: Dovecot) -> None:
    with pytest.raises(OSError, match=r".+"):
        steps(server, host="imap.invalid", security="tls")
