"""What one mail says: each as a file of its own, in and out."""

from datetime import UTC, datetime

import pytest

from shared.model.identity import IdentityKey
from shared.model.ids import content_id, named_id
from shared.model.records import Message, Person, canonical, winner
from shared.model.steps import Step
from shared.sources import eml
from shared.sources.mail import parse_date
from shared.sources.mailboxes import mailboxes
from shared.sources.markup import readable
from shared.sources.mime import header_text
from shared.store.protocol import RECORD_LIMIT
from tests.reading import bad_in, file_of

EXPORTED = datetime(2026, 5, 1, tzinfo=UTC)


def steps(mail: bytes, modified: datetime | None = None) -> list[Step]:
    return list(eml.read(file_of(mail, "a.eml", modified=modified), None))


def message(mail: bytes | str, modified: datetime | None = None) -> Message:
    data = mail.encode() if isinstance(mail, str) else mail
    (step,) = steps(data, modified)
    assert not step.bad
    assert isinstance(step.records[0], Message)
    return step.records[0]


def people(mail: bytes) -> list[Person]:
    return [record for step in steps(mail) for record in step.records if isinstance(record, Person)]


def email(*addresses: str) -> tuple[IdentityKey, ...]:
    return tuple(IdentityKey("email", address) for address in addresses)


PLAIN = b"""\
Message-ID: <one@example.org>
Date: Tue, 4 Mar 2014 10:05:06 +0100
From: Ada Example <Ada@Example.org>
To: bob@example.net, "Carol, the Third" <carol@example.net>
Cc: bob@example.net
In-Reply-To: <zero@example.org>
References: <first@example.org> <zero@example.org>
Subject: Minutes
X-Gmail-Labels: Inbox
X-GM-THRID: 1461600000000000000

See you
there.
"""


def test_a_plain_mail() -> None:
    (step,) = steps(PLAIN, EXPORTED)
    raw = content_id(PLAIN)
    assert step.records[0] == Message(
        id=named_id("message", "one@example.org"),
        source="eml",
        source_version=1,
        raw=raw,
        asof=EXPORTED,
        type="mail",
        time=datetime(2014, 3, 4, 9, 5, 6, tzinfo=UTC),
        offset=60,
        sender=email("ada@example.org")[0],
        recipients=email("bob@example.net", "carol@example.net"),
        thread=named_id("message", "first@example.org"),
        reply_to=named_id("message", "zero@example.org"),
        subject="Minutes",
        text="See you\nthere.",
        labels=("Inbox",),
        extra={
            "message_id": "one@example.org",
            "gmail_thread": "1461600000000000000",
            "names": {"ada@example.org": "Ada Example", "carol@example.net": "Carol, the Third"},
        },
    )
    assert [(p.names, p.keys) for p in people(PLAIN)] == [
        (("Ada Example",), email("ada@example.org")),
        (("Carol, the Third",), email("carol@example.net")),
    ]
    assert step.raws == {raw: PLAIN}
    assert (step.done, step.bad) == (len(PLAIN), ())


def test_line_ends_do_not_change_what_it_says() -> None:
    assert message(PLAIN.replace(b"\n", b"\r\n")).text == message(PLAIN).text


# Ids and threads


def without(name: bytes, mail: bytes = PLAIN) -> bytes:
    return b"".join(line for line in mail.splitlines(True) if not line.startswith(name))


@pytest.mark.parametrize(
    ("line", "id"),
    [
        (b"Message-ID: <one@example.org>", "one@example.org"),
        (b"message-id:<one@example.org>", "one@example.org"),
        (b"Message-Id:\n <one@example.org> (added by hand)", "one@example.org"),
        (b"Message-ID: one@example.org", "one@example.org"),
        (b"Message-ID: <one\n @example.org>", "one@example.org"),
        (b"Message-ID: <Nummer eins@Haus>", "Nummereins@Haus"),
    ],
)
def test_message_ids_as_they_are_written(line: bytes, id: str) -> None:
    mail = line + b"\n" + without(b"Message-ID")
    assert message(mail).id == named_id("message", id)


def test_without_a_message_id_the_content_is_the_id() -> None:
    mail = without(b"Message-ID")
    variants = [
        mail.replace(b"\n", b"\r\n"),
        without(b"X-G", mail),
        mail + b"\n",
        mail.replace(b"X-GM-THRID: 14616", b"Status: RO\nX-Mozilla-Status: 0001\nX-GM-THRID: 2"),
        b"Message-ID: <>\n" + PLAIN.partition(b"\n")[2],
    ]
    ids = [message(variant).id for variant in (mail, *variants[:-1])]
    assert set(ids) == {message(mail).id}
    assert message(mail.replace(b"See you", b"See me")).id != message(mail).id
    assert "message_id" not in message(variants[-1]).extra


@pytest.mark.parametrize(
    ("references", "in_reply_to", "thread", "reply_to"),
    [
        ("<a@x> <b@x>", "<b@x>", "a@x", "b@x"),
        ("<a@x>\n\t<b@x>", "", "a@x", "b@x"),
        ("", "<b@x>", "b@x", "b@x"),
        ("", "Your mail of Monday <b@x>", "b@x", "b@x"),
        ("", "Your mail of Monday", "one@example.org", None),
        ("", "b@x", "b@x", "b@x"),
        ("", "", "one@example.org", None),
    ],
)
def test_threads(references: str, in_reply_to: str, thread: str, reply_to: str | None) -> None:
    found = message(
        f"Message-ID: <one@example.org>\nReferences: {references}\nIn-Reply-To: {in_reply_to}\n\n"
    )
    assert found.thread == named_id("message", thread)
    assert found.reply_to == (named_id("message", reply_to) if reply_to else None)


def test_a_thread_is_the_same_with_and_without_what_gmail_adds() -> None:
    assert message(PLAIN).thread == message(without(b"X-GM", PLAIN)).thread


# Which copy stands


def test_labels_are_not_lost_to_a_copy_without() -> None:
    labelled, bare = message(PLAIN), message(without(b"X-G", PLAIN), EXPORTED)
    assert bare.id == labelled.id
    assert winner(labelled, bare) == winner(bare, labelled) == labelled


def test_labels_of_the_later_export_stand() -> None:
    old = message(PLAIN, EXPORTED)
    new = message(PLAIN.replace(b"Inbox", b"Archived"), datetime(2026, 6, 1, tzinfo=UTC))
    assert winner(old, new) == winner(new, old) == new


# Times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tue, 4 Mar 2014 10:05:06 +0100", ("2014-03-04T09:05:06Z", 60)),
        ("4 Mar 2014 10:05 +0100 (CET)", ("2014-03-04T09:05:00Z", 60)),
        ("Tue, 4 Mar 2014 10:05:06 -0330", ("2014-03-04T13:35:06Z", -210)),
        ("Tue, 4 Mar 2014 10:05:06 -0000", ("2014-03-04T10:05:06Z", None)),
        ("Tue, 4 Mar 2014 10:05:06 GMT", ("2014-03-04T10:05:06Z", None)),
        ("Tue, 4 Mar 2014 10:05:06 +0000", ("2014-03-04T10:05:06Z", 0)),
        ("Tue, 4 Mar 2014 10:05:06 EST", ("2014-03-04T15:05:06Z", -300)),
        ("Tue, 4 Mar 14 10:05:06 +0100", ("2014-03-04T09:05:06Z", 60)),
        ("Tue, 4 Mar 2014 10:05:06", ("2014-03-04T10:05:06Z", None)),
        ("Tue Mar  4 10:05:06 2014", ("2014-03-04T10:05:06Z", None)),
        ("Tue, 4 Mar 2014 10:05:60 +0100", ("2014-03-04T09:05:59Z", 60)),
        ("Tue, 4 March 2014 10:05:06 +01:00", ("2014-03-04T09:05:06Z", 60)),
        ("Tue, 31 Feb 2014 10:05:06 +0100", None),
        ("Tue, 4 Mar 2014 10:05:06 +9959", None),
        ("yesterday", None),
        ("1 1 1 1", None),
        ("", None),
    ],
)
def test_dates(text: str, expected: tuple[str, int | None] | None) -> None:
    found = parse_date(text)
    assert (found and (f"{found[0]:%Y-%m-%dT%H:%M:%SZ}", found[1])) == expected


RECEIVED = b"Received: from a by b; Tue, 4 Mar 2014 10:05:07 +0100\n"


@pytest.mark.parametrize(
    ("date", "received", "time", "said"),
    [
        (b"Date: broken\n", RECEIVED, datetime(2014, 3, 4, 9, 5, 7, tzinfo=UTC), "received"),
        (b"", RECEIVED, datetime(2014, 3, 4, 9, 5, 7, tzinfo=UTC), "received"),
        (b"Date: 1 Jan 1970 00:00:00 GMT\n", b"", EXPORTED, "file"),
        (b"Date: 1 Jan 2080 00:00:00 GMT\n", b"", EXPORTED, "file"),
        (b"", b"", EXPORTED, "file"),
    ],
)
def test_a_time_from_elsewhere(date: bytes, received: bytes, time: datetime, said: str) -> None:
    found = message(date + received + b"From: ada@example.org\n\n", EXPORTED)
    assert (found.time, found.extra["time_from"]) == (time, said)
    assert ("date" in found.extra) == bool(date)


def test_no_time_at_all() -> None:
    assert message("From: ada@example.org\n\nhi").time is None


# Addresses


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ada@example.org", [("", "ada@example.org")]),
        ("Ada <ada@example.org>", [("Ada", "ada@example.org")]),
        ('"Lovelace, Ada" <ada@x.org>, b@x.org', [("Lovelace, Ada", "ada@x.org"), ("", "b@x.org")]),
        ('"Ada \\"Countess\\" L" <ada@x.org>', [('Ada "Countess" L', "ada@x.org")]),
        ("ada@x.org (Ada (the first))", [("Ada the first", "ada@x.org")]),
        ("friends: a@x.org, Bob <b@x.org>;, c@x.org", [("", "a@x.org"), ("Bob", "b@x.org"), ("", "c@x.org")]),
        ("undisclosed-recipients:;", []),
        ("=?utf-8?q?Doe=2C_Jane?= <j@x.org>", [("Doe, Jane", "j@x.org")]),
        ("=?utf-8?B?SsO8cmdlbg==?=\n =?utf-8?B?IEc=?= <j@x.org>", [("Jürgen G", "j@x.org")]),
        ('"=?utf-8?q?J=C3=BCrgen?=" <j@x.org>', [("Jürgen", "j@x.org")]),
        ("=?utf-8?q?ada=40x=2Eorg?=", [("", "ada@x.org")]),
        ("a@x.org; b@x.org", [("", "a@x.org"), ("", "b@x.org")]),
        ("ada @ x.org", [("", "ada@x.org")]),
        ('"unclosed <a@x.org>, b@x.org', [("", "a@x.org"), ("", "b@x.org")]),
        ("Ada <ada@x.org", [("Ada", "ada@x.org")]),
        ("'Ada' <ada@x.org>", [("Ada", "ada@x.org")]),
        ("Ada", [("", "Ada")]),
        ("<>", []),
        ("", []),
    ],
)  # fmt: skip
def test_mailboxes(value: str, expected: list[tuple[str, str]]) -> None:
    assert list(mailboxes(value.replace("\n", ""))) == expected


def test_an_address_that_is_none_costs_nothing_else() -> None:
    found = message("From: Ada\nTo: MAILER-DAEMON, bob@example.net, " + "x" * 400 + "@y\n\nhi")
    assert found.sender is None
    assert found.recipients == email("bob@example.net")
    assert found.extra["addresses"][:2] == ["Ada", "MAILER-DAEMON"]


def test_domains_beyond_ascii() -> None:
    found = message("From: Jörg <j@Müller.example>\n\n")
    assert found.sender == email("j@xn--mller-kva.example")[0]


def test_the_same_person_is_the_same_record() -> None:
    other = PLAIN.replace(b"one@", b"two@").replace(b"Minutes", b"More")
    assert people(PLAIN) == people(other)


# Headers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"plain", "plain"),
        (b"=?ISO-8859-1?Q?Gr=FC=DFe?=", "Grüße"),
        (b"Re: =?utf-8?b?w4Q=?= =?utf-8?b?w5Y=?= und", "Re: ÄÖ und"),
        (b"=?utf-8?b?w4?=\n =?utf-8?b?hA==?=", "Ä"),
        (b"=?utf-8?q?a_b?= c =?utf-8?q?d?=", "a b c d"),
        (b"=?utf-8*en?q?a?=", "a"),
        (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?gb2312?B?xOO6ww==?=", "你好"),
        (b"=?no-such?q?=E4?=", "ä"),
        (b"=?utf-8?q?=E4?=", "ä"),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("Grüße".encode(), "Grüße"),
        ("Grüße".encode("latin-1"), "Grüße"),
        (b"a\0b\r\n\tc", "ab\tc"),
    ],
)
def test_header_text(value: bytes, expected: str) -> None:
    assert header_text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Inbox,Important", ("Inbox", "Important")),
        (b'"Travel, booked",Archived', ("Travel, booked", "Archived")),
        (
            b"=?UTF-8?Q?Bo=C3=AEte_de_r=C3=A9ception,Messages_envoy=C3=A9?=\r\n =?UTF-8?Q?s,Non_lus?=",
            ("Boîte de réception", "Messages envoyés", "Non lus"),
        ),
        (b"=?UTF-8?Q?=22Reisen,_gebucht=22,Ge=C3=B6ffnet?=", ("Reisen, gebucht", "Geöffnet")),
        (b"", ()),
    ],
)
def test_labels(value: bytes, expected: tuple[str, ...]) -> None:
    found = message(b"X-Gmail-Labels: " + value + b"\r\n" + PLAIN.replace(b"X-Gmail", b"X-Other"))
    assert found.labels == expected


# Text and attachments


def mixed(*parts: str, kind: str = "mixed") -> str:
    lines = "".join(f"--cut\n{part}\n" for part in parts)
    return f"From: a@example.org\nContent-Type: multipart/{kind}; boundary=cut\n\nfor old programs\n{lines}--cut--\nend\n"


PAGE = "Content-Type: text/html; charset=utf-8\n\n<p>Rich</p>"
NOTE = "Content-Type: text/plain\n\nplain"
BLANK = "Content-Type: text/plain\n\n \n"
FOOTER = "Content-Type: text/plain\n\n-- \nto leave the list"
PDF = (
    "Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment\n"
    "Content-Transfer-Encoding: base64\n\nJVBERg=="
)
PICTURE = "Content-Type: image/png\nContent-ID: <p>\nContent-Transfer-Encoding: base64\n\nUE5H"
INNER = "Content-Type: message/rfc822\n\nFrom: b@example.org\nSubject: inside\n\nhidden"


def inner(*parts: str, kind: str) -> str:
    lines = "".join(f"--in\n{part}\n" for part in parts)
    return f"Content-Type: multipart/{kind}; boundary=in\n\n{lines}--in--\n"


@pytest.mark.parametrize(
    ("mail", "text", "attachments"),
    [
        (mixed(NOTE, PAGE, kind="alternative"), "plain", []),
        (mixed(PAGE, NOTE, kind="alternative"), "plain", []),
        (mixed(BLANK, PAGE, kind="alternative"), "Rich", []),
        (mixed(PAGE, FOOTER), "Rich\n\n-- \nto leave the list", []),
        (mixed(inner(NOTE, PAGE, kind="alternative"), PDF), "plain", [("application/pdf", "a.pdf", b"%PDF")]),
        (mixed(BLANK, inner(PAGE, PICTURE, kind="related"), kind="alternative"), "Rich", [("image/png", None, b"PNG")]),
        (mixed(NOTE, INNER), "plain", [("message/rfc822", None, b"From: b@example.org\nSubject: inside\n\nhidden")]),
        (mixed("", PDF), None, [("application/pdf", "a.pdf", b"%PDF")]),
        (mixed("\njust text"), "just text", []),
        (mixed(NOTE + "\nContent-Disposition: attachment"), "plain\nContent-Disposition: attachment", []),
        (mixed("Content-Disposition: attachment; filename=n.txt\n\nnote"), None, [("text/plain", "n.txt", b"note")]),
        (mixed("Content-Disposition: inline; filename=n.txt\n\nnote"), "note", [("text/plain", "n.txt", b"note")]),
        (mixed("Content-Type: text/plain\n\n--cut2\n--\n"), "--cut2\n--", []),
        (mixed(NOTE, PDF).partition("--cut--")[0], "plain", [("application/pdf", "a.pdf", b"%PDF")]),
        ("From: a@example.org\nContent-Type: multipart/mixed\n\nno boundary", "no boundary", []),
        ("From: a@example.org\nContent-Type: multipart/mixed; boundary=x\n\nnever", "never", []),
        ("From: a@example.org\nContent-Type: nonsense\n\nstill text", "still text", []),
        ("From: a@example.org", None, []),
    ],
)  # fmt: skip
def test_parts(
    mail: str, text: str | None, attachments: list[tuple[str, str | None, bytes]]
) -> None:
    for data in (mail.encode(), mail.replace("\n", "\r\n").encode()):
        (step,) = steps(data)
        found = step.records[0]
        assert isinstance(found, Message)
        assert found.text == text
        read = [(a.media_type, a.name, step.raws[a.id]) for a in found.attachments]
        assert [(k, n, d.replace(b"\r\n", b"\n")) for k, n, d in read] == attachments
        assert [a.size for a in found.attachments] == [len(data) for *_, data in read]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=a.pdf", "a.pdf"),
        ('attachment; filename="a; b.pdf"', "a; b.pdf"),
        ("attachment; filename*=utf-8'de'Gr%C3%BC%C3%9Fe.pdf", "Grüße.pdf"),
        ("attachment; filename*0=a; filename*1=b.pdf", "ab.pdf"),
        (
            "attachment;\n filename*0*=iso-8859-1''%E4;\n filename*1*=b;\n filename*2=c.pdf",
            "äbc.pdf",
        ),
        ("attachment; filename*1=b; filename*0*=a", "ab"),
        ('attachment; filename="=?utf-8?q?=C3=A4=2Epdf?="', "ä.pdf"),
        ('attachment; filename="ä.pdf"', "ä.pdf"),
        ('attachment; filename="unclosed', "unclosed"),
        ("attachment; filename=", None),
        ("attachment", None),
    ],
)
def test_names_of_attachments(header: str, name: str | None) -> None:
    mail = f"From: a@example.org\nContent-Type: image/png\nContent-Disposition: {header}\n\nx"
    (attachment,) = message(mail).attachments
    assert attachment.name == name


@pytest.mark.parametrize(
    ("head", "body", "text"),
    [
        ("Content-Type: text/plain; charset=utf-8", "Grüße".encode(), "Grüße"),
        ("Content-Type: text/plain; charset=ISO-8859-1", "Grüße €".encode("cp1252"), "Grüße €"),
        ("Content-Type: text/plain; charset=us-ascii", "Grüße".encode(), "Grüße"),
        ("Content-Type: text/plain; charset=us-ascii", "Grüße".encode("latin-1"), "Grüße"),
        ("Content-Type: text/plain; charset=utf-8", "Grüße".encode("latin-1"), "Grüße"),
        ("Content-Type: text/plain; charset=no-such", "Grüße".encode(), "Grüße"),
        ('Content-Type: text/plain; charset="KOI8-R"', "мир".encode("koi8-r"), "мир"),
        ("Content-Type: text/plain; charset=iso-2022-jp", "日本".encode("iso-2022-jp"), "日本"),
        ("Content-Type: text/plain; charset=utf-7", b"+2AA-ok", "ok"),
        ("Content-Type: text/plain; charset=punycode", b"a-b", "a-b"),
        ("Content-Type: text/plain", b"a\0b\x1b[1mc\x07", "ab[1mc"),
        ("Content-Type: text/plain", b"one\rtwo\r\nthree", "one\ntwo\nthree"),
        ("Content-Transfer-Encoding: base64", b"R3LDvMOf\nZQ", "Grüße"),
        ("Content-Transfer-Encoding: base64", b"R3LD!vMOf ZQ=", "Grüße"),
        ("Content-Transfer-Encoding: quoted-printable", b"Gr=C3=BC=C3=9F=\ne =ZZ", "Grüße =ZZ"),
        ("Content-Transfer-Encoding: x-unheard-of", b"as it is", "as it is"),
    ],
)
def test_encodings(head: str, body: bytes, text: str) -> None:
    assert message(f"From: a@example.org\n{head}\n\n".encode() + body).text == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one<br>two</p>\n<p>three &amp; four</p>", "one\ntwo\nthree & four"),
        ("<style>p{}</style><script>x<y</script>a<!-- b -->c", "a c"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3"),
        ("in<b>vis</b>ible&nbsp;&#x1F600;&#xD800;&#1;", "invisible 😀�"),
        ("a < b and c > d", "a < b and c > d"),
        ("<title>t</title><body>left <open", "left <open"),
        ("x<!-- never closed", "x"),
    ],
)
def test_markup(markup: str, text: str) -> None:
    assert readable(markup) == text


# What cannot be read, what is too much


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "there is nothing in it"),
        (b"\r\n\r\n", "there is nothing in it"),
        (b"just words\n", "it has no header of a mail"),
        (bytes(range(256)) * 40, "it has no header of a mail"),
        (b"Content-Type: text/plain\n\nhi", "it has no header of a mail"),
    ],
)
def test_what_is_no_mail(data: bytes, reason: str) -> None:
    (bad,) = bad_in(steps(data))
    assert bad == ("a.eml", reason, data, len(data))


def test_the_fullest_mail_fits_the_store() -> None:
    to, cc, bcc = (
        ", ".join(f"{n}{'ä' * 60}@{'b' * 60}.example" for n in range(first, first + 300))
        for first in (1000, 2000, 3000)
    )
    part = (
        "Content-Type: application/x\nContent-Disposition: attachment; filename="
        '"' + '\\"' * 300 + '"\n\n.'
    )
    labels = ",".join(f"{n}{'&' * 300}" for n in range(200))
    mail = (
        f"From: a@example.org\nMessage-ID: <{'x' * 2000}>\nTo: {to}\nCc: {cc}\nBcc: {bcc}\nSubject: {'😀' * 2000}\n"
        f"X-Gmail-Labels: {labels}\nContent-Type: multipart/mixed; boundary=cut\n\n--cut\n\n"
        + '"' * 400_000
        + "\n--cut\n"
        + "\n--cut\n".join(f"{part}{n}" for n in range(1100))
    )
    found = message(mail)
    assert len(canonical(found)) < RECORD_LIMIT
    assert {
        "text_cut",
        "recipients_cut",
        "attachments_cut",
        "labels_cut",
        "parts_cut",
    } < found.extra.keys()
    assert len(found.attachments) == 200


def test_a_text_is_cut_between_characters() -> None:
    for shift in ("", "a", "ab", "abc"):
        mail = f"From: a@example.org\nContent-Type: text/plain; charset=utf-8\n\n{shift}{'😀' * 100_000}"
        text = message(mail).text
        assert text is not None
        assert len(text.encode()) > 262_000
        assert set(text.removeprefix(shift)) == {"😀"}
