"""Mail that nobody sends in good faith, and the same mail read by the standard library."""

import dataclasses
import email
import email.utils
import time
from email.header import decode_header, make_header
from email.message import Message as Parsed

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.model.ids import content_id
from shared.model.records import Message, canonical
from shared.sources import eml, mbox
from shared.store.protocol import RECORD_LIMIT
from tests.bench.mail_corpus import mails
from tests.reading import bad_in, file_of, records_in, step_by_step

HEAD = b"From: ada@example.org\r\nMessage-ID: <x@y>\r\n"


@pytest.mark.parametrize("seed", range(6))
def test_usual_mails_read_as_the_standard_library_reads_them(seed: int) -> None:
    for _, data in mails(40, seed=seed):
        (step,) = eml.read(file_of(data, "a.eml"), None)
        found = step.records[0]
        parsed = email.message_from_bytes(data)
        assert isinstance(found, Message)
        assert found.subject == str(make_header(decode_header(parsed["Subject"])))
        assert found.time == email.utils.parsedate_to_datetime(parsed["Date"])
        everybody = email.utils.getaddresses([str(parsed["To"])])
        assert [key.value for key in found.recipients] == list(
            dict.fromkeys(a for _, a in everybody)
        )
        assert found.extra["message_id"] == parsed["Message-ID"].strip("<>")
        leaves = [part for part in parsed.walk() if not part.is_multipart()]
        attached = [part for part in leaves if part.get_content_disposition() == "attachment"]
        assert [(a.name, a.media_type, a.id) for a in found.attachments] == [
            (part.get_filename(), part.get_content_type(), content_id(decoded(part)))
            for part in attached
        ]
        plain = [part for part in leaves if part.get_content_type() == "text/plain"]
        if plain:
            text = decoded(plain[0]).decode().replace("\r\n", "\n")
            assert found.text == text.strip()


def decoded(part: Parsed) -> bytes:
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data


def nested(kind: str, levels: int) -> bytes:
    return b"".join(
        b"Content-Type: %s; boundary=b%d.\r\n\r\n--b%d.\r\n" % (kind.encode(), n, n)
        for n in range(levels)
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a hundred thousand headers", HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(100_000))),
        ("one header of many", HEAD + b"X: a\r\n" * 300_000),
        ("encoded words", HEAD + b"Subject: " + b"=?utf-8?q?x?= " * 100_000),
        ("encoded words of many charsets", HEAD + b"Subject: " + b"=?a?q?x?= =?b?q?x?= " * 50_000),
        ("ten thousand parts", HEAD + nested("multipart/mixed", 1) + b"\r\nx\r\n--b0.\r\n" * 10_000),
        ("lines like boundaries", HEAD + nested("multipart/mixed", 1) + b"\r\n--b0.0" * 500_000),
        ("parts in parts", HEAD + nested("multipart/mixed", 10_000) + b"\r\n" + b"x" * 1_000_000),
        ("mails in mails", HEAD + nested("message/rfc822", 10_000) + b"\r\n" + b"x" * 1_000_000),
        ("a long line", HEAD + b"Subject: " + b"x" * 5_000_000),
        ("folds", HEAD + b"Subject: " + b"\r\n x" * 1_000_000),
        ("parameters", HEAD + b"Content-Type: text/plain" + b"; a=b" * 1_000_000),
        ("sections", HEAD + b"Content-Type: x/y" + b"; name*0*=a; name*1=b; name*=%" * 100_000),
        ("quotes in parameters", HEAD + b"Content-Type: x/y; a=" + b'"\\' * 1_000_000),
        ("comments", HEAD + b"To: " + b"(" * 1_000_000),
        ("no address", HEAD + b"To: " + b"\\" * 1_000_000),
        ("half an encoded word", HEAD + b"To: " + b"=?" * 500_000),
        ("quotes", HEAD + b"To: " + b'"\\' * 500_000),
        ("angles", HEAD + b"To: " + b"<" * 1_000_000),
        ("groups", HEAD + b"To: " + b"a:" * 500_000),
        ("addresses of nothing else", HEAD + b"To: " + b"a@" * 500_000),
        ("labels", HEAD + b"X-Gmail-Labels: " + b'"a' * 500_000),
        ("dates", HEAD + b"Date: " + b"1 " * 500_000),
        ("ids", HEAD + b"References: " + b"<" * 500_000),
        ("no id", b"From: a\r\n" + b"X-GM-" * 500_000 + b"\r\nX-GM-A:" + b"\r\n " * 500_000),
        ("tags", HEAD + b"Content-Type: text/html\r\n\r\n" + b"<a " * 1_000_000),
        ("comments in markup", HEAD + b"Content-Type: text/html\r\n\r\n" + b"<!--" * 1_000_000),
        ("scripts", HEAD + b"Content-Type: text/html\r\n\r\n" + b"<script></script" * 200_000),
        ("entities", HEAD + b"Content-Type: text/html\r\n\r\n" + b"&#1" * 1_000_000),
        ("zeros", HEAD + b"\r\n" + b"\0" * 5_000_000),
        ("quotation marks", HEAD + b"\r\n" + b'"' * 2_000_000),
        ("equals", HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=" * 5_000_000),
        ("broken base64", HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"A" * 4_000_001),
    ],
)  # fmt: skip
def test_hostile_mails_cost_little(name: str, data: bytes) -> None:
    begun = time.process_time()
    (step,) = eml.read(file_of(data, "a.eml"), None)
    assert time.process_time() - begun < 3  # they take 0.2 s; what grows as the square takes hours
    assert isinstance(step.records[0], Message)
    assert len(canonical(step.records[0])) < RECORD_LIMIT


def test_lines_that_might_begin_a_mail() -> None:
    data = b"From a\n" + HEAD + b"\n" + b"\n\nFrom a" * 100_000
    begun = time.process_time()
    assert len(records_in(mbox.read(file_of(data), None))) == 1
    assert time.process_time() - begun < 3


@pytest.mark.parametrize("announced", [1_000, 10_000_000, 100_000_000_000])
def test_a_file_that_became_shorter_while_it_was_read(announced: int) -> None:
    file = file_of(b"From a@b Sat Mar  3 12:00:00 2012\n" + HEAD + b"\nhello\n")
    shorter = Shorter(file.content.read(0, file.content.size), announced)
    steps = list(mbox.read(dataclasses.replace(file, content=shorter), None))
    assert steps[-1].done == announced
    assert "became shorter" in bad_in(steps)[-1].reason


class Shorter:
    def __init__(self, data: bytes, size: int) -> None:
        self.size = size
        self._data = data

    def read(self, start: int, size: int) -> bytes:
        return self._data[start : start + size]


# Garbage

_FRAGMENTS = [
    *(b"From: ", b"To: ", b"Cc: ", b"Subject: ", b"Date: ", b"Message-ID: ", b"References: "),
    *(b"X-Gmail-Labels: ", b"X-GM-THRID: ", b"Received: ", b"Content-Type: ", b"In-Reply-To: "),
    *(b"multipart/mixed; boundary=b", b"multipart/alternative; boundary=b", b"text/html; "),
    *(b"charset=utf-7", b"charset=utf-16", b"charset=", b"; name*0*=", b"; filename*=", b"''"),
    *(b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable"),
    *(b"Content-Disposition: attachment", b"\n--b\n", b"\n--b--\n", b"--b", b"message/rfc822"),
    *(b"=?utf-8?q?", b"=?utf-16?b?", b"?=", b"<", b">", b'"', b"(", b")", b",", b";", b":", b"@"),
    *(b"ada@example.org", b"4 Mar 2014 10:05:06 +0100", b"4 Mar 0000 99:99 +9999", b"\\", b"%FF"),
    *(b"<p>", b"<!--", b"<script", b"&#xD800;", b"=E4", b"=", b"\xff", b"\0", b"\xed\xa0\x80"),
    *(b"\nFrom a@b Sat Mar  3 12:00:00 2012\n", b"\nFrom 12345678901@xxx Sat Mar 03 12:00:00 2012\n"),
    *(b"\n", b"\r\n", b"\r", b" ", b"\t", b"\n\n", b"\r\n\r\n", b">From ", b"\n>>From "),
]  # fmt: skip
GARBAGE = st.lists(st.sampled_from(_FRAGMENTS) | st.binary(max_size=8), max_size=60).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(GARBAGE)
def test_garbage_never_raises(data: bytes) -> None:
    for begin in (b"", b"From: a@example.org\n", b"From a@b Sat Mar  3 12:00:00 2012\n"):
        file = file_of(begin + data, "a")
        for source in (eml, mbox):
            steps = list(source.read(file, None))
            assert list(step_by_step(source, file)) == steps
            assert all(len(canonical(record)) < RECORD_LIMIT for record in records_in(steps))
            for bad in bad_in(steps):
                assert bad.size >= len(bad.data)


((_, USUAL),) = mails(1, seed=7)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_one_byte_changed(at: int, value: int) -> None:
    data = bytearray(USUAL)
    data[at % len(data)] = value
    for step in eml.read(file_of(bytes(data), "a.eml"), None):
        assert len(step.records) + len(step.bad) >= 1
