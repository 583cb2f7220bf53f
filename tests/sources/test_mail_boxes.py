"""Where mails are kept: mboxes of every kind, Maildirs, single files."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.model.ids import named_id
from shared.model.records import Message, Person
from shared.model.steps import STEP_BYTES, STEP_RECORDS, Source, Step
from shared.sources import eml, mail, maildir, mbox
from tests.reading import Bytes, bad_in, file_of, records_in, step_by_step

EXPORTED = datetime(2026, 5, 1, tzinfo=UTC)


def read(data: bytes) -> list[Step]:
    return list(mbox.read(file_of(data, "All mail.mbox", modified=EXPORTED), None))


def messages(steps: list[Step]) -> list[Message]:
    return [record for record in records_in(steps) if isinstance(record, Message)]


def texts(data: bytes) -> list[str | None]:
    return [message.text for message in messages(read(data))]


TAKEOUT = b"""\
From 1461600000000000001@xxx Tue Mar 04 09:05:07 +0000 2014\r
X-GM-THRID: 1461600000000000000\r
X-Gmail-Labels: =?UTF-8?Q?Bo=C3=AEte_de_r=C3=A9ception?=,Important\r
Message-ID: <one@example.org>\r
Date: Tue, 4 Mar 2014 10:05:06 +0100\r
From: Ada <ada@example.org>\r
To: bob@example.net\r
Subject: First\r
\r
one\r
>From here on quoted\r
>>From twice\r
\r
From the text, not a boundary\r
\r
From 1461600000000000002@xxx Wed Mar 05 10:00:00 +0000 2014\r
X-GM-THRID: 1461600000000000000\r
X-Gmail-Labels: Sent\r
Message-ID: <two@example.org>\r
Date: Wed, 5 Mar 2014 11:00:00 +0100\r
From: bob@example.net\r
To: Ada <ada@example.org>\r
References: <one@example.org>\r
Subject: Re: First\r
\r
two\r
From 1529555944956622147@xxx Wed Mar 23 01:57:00 +0000 2016\r
X-GM-THRID: 1529553825574740118\r
X-Gmail-Labels: Chat\r
From: Ada <ada@example.org>\r
MIME-Version: 1.0\r
Content-Type: text/plain\r
\r
ok\r
\r
From 1529555944956622148@xxx Wed Mar 23 01:58:00 +0000 2016\r
X-GM-THRID: 1529553825574740118\r
X-Gmail-Labels: Bate-papo\r
From: Ada <ada@example.org>\r
MIME-Version: 1.0\r
Content-Type: text/plain\r
\r
ok\r
\r
"""


def test_takeout() -> None:
    one, two, three, four = messages(read(TAKEOUT))
    assert one.text == "one\nFrom here on quoted\n>From twice\n\nFrom the text, not a boundary"
    assert one.labels == ("Boîte de réception", "Important")
    assert one.asof == EXPORTED
    assert (
        one.thread == two.thread == two.reply_to == one.id == named_id("message", "one@example.org")
    )
    assert two.text == "two"  # the next line of Google's needs no blank one before it
    assert {one.type, two.type} == {"mail"}
    assert {three.type, four.type} == {"chat"}
    # The same word twice is said twice, in one conversation, at the time that only Google's lines say.
    assert three.id != four.id
    assert three.thread == four.thread == named_id("thread", "gmail", "1529553825574740118")
    assert three.time == datetime(2016, 3, 23, 1, 57, tzinfo=UTC)
    assert (three.text, three.extra["time_from"]) == ("ok", "delivery")


def test_a_mail_that_comes_twice_keeps_its_labels() -> None:
    labelled = b"X-Gmail-Labels: Work\n" + MAIL % (0, b"hi")
    bare = MAIL % (0, b"hi")
    for data in (LINE + labelled + b"\n" + LINE + bare, LINE + bare + b"\n" + LINE + labelled):
        (message,) = messages(read(data))
        assert message.labels == ("Work",)


def test_a_step_has_each_person_once() -> None:
    (step,) = read(TAKEOUT)
    assert [r.names for r in step.records if isinstance(r, Person)] == [("Ada",)]


def test_raws_are_the_mails_as_they_were() -> None:
    (step,) = read(TAKEOUT)
    raw = step.raws[messages([step])[0].raw or ""]
    assert raw.startswith(b"X-GM-THRID: 1461600000000000000\r\n")
    assert raw.endswith(
        b"one\r\nFrom here on quoted\r\n>From twice\r\n\r\nFrom the text, not a boundary\r\n"
    )


LINE = b"From ada@example.org Sat Mar  3 12:00:00 2012\n"
MAIL = b"From: ada@example.org\nMessage-ID: <%d@example.org>\n\n%s\n"


def mails(*bodies: bytes, line: bytes = LINE) -> bytes:
    return b"".join(line + MAIL % (n, body) + b"\n" for n, body in enumerate(bodies))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (mails(b"one", b"two"), ["one", "two"]),
        (mails(b"one", b"two", line=b"From - Sat Mar 03 12:00:00 2012\n"), ["one", "two"]),
        (mails(b"one", b"two", line=b"From MAILER-DAEMON Sat Mar  3 12:00:00 MET 2012\n"), ["one", "two"]),
        (mails(b"one", b"two", line=b"From ada\n"), ["one", "two"]),
        (mails(b"one", b"two", line=LINE + b">From ada@example.org Sat Mar  3 12:00:00 2012\n"), ["one", "two"]),
        (b"\xef\xbb\xbf\n\n" + mails(b"one"), ["one"]),
        (mails(b"a\n\nFrom here\nand on"), ["a\n\nFrom here\nand on"]),
        (mails(b"a\n\n>From here\n>>From there"), ["a\n\nFrom here\n>From there"]),
        (mails(b"a\nFrom: not a boundary\nFrom x\nTo: y"), ["a\nFrom: not a boundary\nFrom x\nTo: y"]),
        (mails(b"one")[:-1], ["one"]),
        (mails(b"one")[:-2], ["one"]),
        (mails(b"one\n\n\n"), ["one"]),
        (b"", []),
    ],
)  # fmt: skip
def test_kinds_of_mbox(data: bytes, expected: list[str]) -> None:
    assert texts(data) == expected
    assert texts(data.replace(b"\n", b"\r\n")) == expected
    assert not bad_in(read(data))


def test_who_sent_it_by_the_envelope() -> None:
    (message,) = messages(read(LINE + b"Subject: x\n\nhi\n"))
    assert message.sender is not None
    assert message.sender.value == "ada@example.org"
    assert message.time == datetime(2012, 3, 3, 12, tzinfo=UTC)


def test_what_is_no_mail_costs_no_other() -> None:
    three = LINE + MAIL % (3, b"three")
    steps = read(mails(b"one") + LINE + b"\nnothing\n\n" + LINE + b"\n" + three)
    assert [message.text for message in messages(steps)] == ["one", "three"]
    first = len(mails(b"one"))
    assert [(bad.where, bad.reason) for bad in bad_in(steps)] == [
        (f"byte {first}", "it has no header of a mail"),
        (f"byte {first + len(LINE) + 10}", "there is nothing in it"),
    ]


# Steps


def test_steps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    many = mails(*[b"%d" % n for n in range(2_500)])
    large = mails(*[b"x" * 900_000] * 9)
    for data in (many, large):
        steps = read(data)
        assert len(steps) >= 3
        for step in steps:
            assert len(step.records) <= STEP_RECORDS
            assert sum(map(len, step.raws.values())) <= STEP_BYTES
    assert len(messages(read(many))) == 2_500


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows, steps and limits small enough that a few mails meet them."""
    monkeypatch.setattr(mbox, "_WINDOW", 3_000)
    monkeypatch.setattr(mbox, "_PASSED", 5_000)
    monkeypatch.setattr(mbox, "STEP_BYTES", 6_000)
    monkeypatch.setattr(mbox, "MAIL_LIMIT", 20_000)


VARIED = (
    TAKEOUT
    + mails(b"short", b"m" * 2_900, b"l" * 9_000 + b"\n\nFrom nobody\n", b"one", b"h" * 50_000, b"two")
    + TAKEOUT
)  # fmt: skip


@pytest.mark.usefixtures("small")
def test_reading_on_from_any_step_gives_the_same() -> None:
    file = file_of(VARIED, modified=EXPORTED)
    at_once = read(VARIED)
    assert list(step_by_step(mbox, file)) == at_once
    assert len(at_once) > 10
    assert [step.done for step in at_once] == sorted(step.done for step in at_once)
    assert at_once[-1].done == len(VARIED)


@pytest.mark.usefixtures("small")
def test_a_mail_that_is_too_large_is_told_and_the_rest_read() -> None:
    steps = read(VARIED)
    (bad,) = bad_in(steps)
    assert bad.size == len(LINE + MAIL % (4, b"")) + 50_001
    assert f"a mail of {bad.size} bytes" in bad.reason
    assert bad.data.startswith(LINE)
    assert [m.text for m in messages(steps) if m.text in ("short", "one", "two")].count("two") == 3


@pytest.mark.usefixtures("small")
def test_windows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [(m.id, m.raw) for m in messages(read(VARIED))]
    for window in range(2_900, 3_140, 5):
        monkeypatch.setattr(mbox, "_WINDOW", window)
        assert [(m.id, m.raw) for m in messages(read(VARIED))] == expected


def test_going_on_costs_the_same_anywhere() -> None:
    data = mails(*[b"x" * 20_000] * 1_000)
    steps = read(data)
    costs = []
    for step in (steps[0], steps[-2]):
        content = Bytes(data)
        file = file_of(data)
        object.__setattr__(file, "content", content)
        next(iter(mbox.read(file, step.cursor)))
        costs.append((len(content.reads), max(size for _, size in content.reads)))
        assert min(start for start, _ in content.reads) >= step.done
    assert costs[0] == costs[1]


@pytest.mark.usefixtures("small")
@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, len(VARIED)))
def test_cut_off_anywhere(cut: int) -> None:
    steps = read(VARIED[:cut])
    assert list(step_by_step(mbox, file_of(VARIED[:cut], modified=EXPORTED))) == steps
    whole = [(m.id, m.raw) for m in messages(read(VARIED))]
    assert [(m.id, m.raw) for m in messages(steps)][:-1] == whole[
        : max(0, len(messages(steps)) - 1)
    ]


# Maildir and single files


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("Maildir/cur/1330776000.M1P2.host:2,S", ("INBOX", "Seen")),
        ("Maildir/new/1330776000.M1P2.host", ("INBOX",)),
        ("Maildir/cur/1330776000.1.host;2,FRS", ("INBOX", "Flagged", "Replied", "Seen")),
        ("Maildir/cur/1330776000.1.host!2,DPTa", ("INBOX", "Draft", "Passed", "Trashed")),
        ("Maildir/.Work.Project/cur/1330776000.1.host:2,", ("Work/Project",)),
        ("Maildir/.Entw&APw-rfe/cur/1330776000.1.host:2,", ("Entwürfe",)),
        ("Maildir/.R&-D/cur/1330776000.1.host:2,", ("R&D",)),
        ("Maildir/.bad&AP-/cur/1330776000.1.host:2,", ("bad&AP-",)),
        ("Mail/Archive/cur/1330776000.1.host:2,", ("Archive",)),
        ("cur/1330776000.1.host:2,", ()),
    ],
)
def test_maildir(path: str, labels: tuple[str, ...]) -> None:
    data = b"From: ada@example.org\nTo: bob@example.net\n\nhi\n"
    assert maildir.recognise(path, data)
    assert not eml.recognise(path, data)
    (step,) = maildir.read(file_of(data, path, modified=EXPORTED), None)
    (message,) = messages([step])
    assert message.labels == labels
    assert message.time == datetime(2012, 3, 3, 12, tzinfo=UTC)
    assert message.asof == (EXPORTED if labels else None)


def test_the_same_mail_from_everywhere_is_one() -> None:
    inside = MAIL % (0, b"hi")
    bare = inside.replace(
        b"Message-ID: <0@example.org>\n", b"Date: Tue, 4 Mar 2014 10:05:06 +0100\n"
    )
    for data in (inside, bare):
        ids = {
            *(m.id for m in messages(read(LINE + data + b"\n"))),
            *(m.id for m in messages(read(TAKEOUT.partition(b"X-GM")[0] + b"X-GM-THRID: 1\r\n" + data.replace(b"\n", b"\r\n")))),
            *(m.id for m in messages(list(eml.read(file_of(data, "a.eml"), None)))),
            *(m.id for m in messages(list(maildir.read(file_of(data, "cur/1"), None)))),
        }  # fmt: skip
        assert len(ids) == 1


@pytest.mark.parametrize("source", [eml, maildir])
def test_a_single_file_is_one_step(source: Source) -> None:
    file = file_of(MAIL % (1, b"hi"), "cur/1")
    steps = list(source.read(file, None))
    assert list(step_by_step(source, file)) == steps
    assert [step.done for step in steps] == [file.content.size]


def test_a_single_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "MAIL_LIMIT", 100)
    (step,) = eml.read(file_of(MAIL % (1, b"x" * 100), "a.eml"), None)
    assert not step.records
    assert step.bad[0].data == MAIL % (1, b"x" * 100)


# Recognising

HEADERS = b"Received: from a by b;\n x\nMessage-ID: <a@b>\nFrom: ada@example.org\n\nhi\n"


@pytest.mark.parametrize(
    ("head", "source"),
    [
        (TAKEOUT, mbox),
        (mails(b"one"), mbox),
        (b"\r\n" + mails(b"one"), mbox),
        (b"From ada\n" + HEADERS, mbox),
        (TAKEOUT.partition(b"From 1529")[2].join([b"From 1529", b""]), mbox),
        (HEADERS, eml),
        (HEADERS.replace(b"\n", b"\r\n"), eml),
        (HEADERS.partition(b"\n\n")[0], eml),
        (b"From: Ada <ada@example.org>\nSubject: x\nDate: never\n\n", eml),
        (b"Return-Path: <>\nTo: bob\n\n", eml),
        (b"X-Long: " + b"x" * 500 + b"\n" + HEADERS, eml),
        (b"", None),
        (b"From", None),
        (b"From the beginning\nnote: this is prose\n", None),
        (b"From ada@example.org Sat Mar  3 12:00:00 2012\nno header\n", None),
        (b"Dear Ada,\nFrom: ada@example.org\nTo: bob@example.net\n", None),
        (b'{"from": "ada@example.org", "to": "bob@example.net"}', None),
        (b"<html><head><title>From: a@b</title></head></html>", None),
        (b"from email import message\nto = '<a@b>'\n", None),
        (b"From: python:3.11\nTo: somewhere\n", None),
        (b"HTTP/1.1 200 OK\nDate: x\nFrom: a@b\n\n", None),
        (b"BEGIN:VCARD\nVERSION:3.0\nN:Ada\nEMAIL:a@b\nEND:VCARD\n", None),
        (b"---\nfrom: a@b\nto: c@d\n---\n", None),
        (b"Date: x\nSubject: y\nTo: z\n\n", None),
        (bytes(range(256)) * 256, None),
        (b"\xff\xd8\xff\xe1", None),
    ],
)
def test_recognising(head: bytes, source: Source | None) -> None:
    for path in ("x.mbox", "x.eml", "x", ""):
        assert [one for one in (mbox, eml, maildir) if one.recognise(path, head)] == (
            [source] if source else []
        )
    assert maildir.recognise("cur/x", head) == (source is eml)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text("From: @x\n<>,;ada\r", max_size=200).map(str.encode))
def test_recognising_never_raises(head: bytes) -> None:
    for source in (mbox, eml, maildir):
        source.recognise("cur/x", head)
