"""Mailboxes for benchmarks: as many mails as wanted, of the sizes and kinds that people keep.

About one in five has an attachment, about half have a twin in HTML, some are only HTML, some are
quoted-printable or base64. Threads end: a mail answers one of the last few hundred or begins a
thread, and none grows beyond a few dozen. The same seed gives the same bytes.
"""

import base64
import quopri
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import BinaryIO

MAILS = 20_000

_START = datetime(2012, 3, 1, 8, tzinfo=UTC)
_LONGEST_THREAD = 40
_OPEN_THREADS = 300
_SYLLABLES = tuple(
    f"{first}{last}" for first in "bcdfglmnprstvwz" for last in ("a", "e", "il", "ost")
)
_KINDS = (("application/pdf", "pdf"), ("image/jpeg", "jpg"), ("application/zip", "zip"))
_LABELS = ("Inbox", "Sent", "Important,Inbox", '"Travel, booked",Archived', "Opened,Inbox")


def write_mbox(path: Path, count: int = MAILS, *, seed: int = 1) -> int:
    """Writes `count` mails as Takeout does; gives the size in bytes."""
    with path.open("wb") as file:
        for number, (sent, mail) in enumerate(mails(count, seed=seed)):
            _append(file, number, sent, mail)
        return file.tell()


def write_maildir(folder: Path, count: int = MAILS, *, seed: int = 1) -> None:
    """Writes the same mails as a Maildir, which notmuch and mu index."""
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    for number, (sent, mail) in enumerate(mails(count, seed=seed)):
        name = f"{int(sent.timestamp())}.{number}.bench:2,S"
        (folder / "cur" / name).write_bytes(mail.replace(b"\r\n", b"\n"))


def mails(count: int, *, seed: int = 1) -> Iterator[tuple[datetime, bytes]]:
    """When each was sent, and its bytes with lines ended by CRLF."""
    chance = random.Random(seed)
    words = _vocabulary(chance)
    people = [_person(chance) for _ in range(400)]
    threads: list[list[str]] = []
    sent = _START
    for number in range(count):
        sent += timedelta(seconds=chance.expovariate(1 / 9_000))
        thread = _thread(chance, threads)
        yield sent, _mail(chance, words, people, thread, number, sent)


def _thread(chance: random.Random, threads: list[list[str]]) -> list[str]:
    if threads and chance.random() < 0.6:
        thread = chance.choice(threads)
        if len(thread) < _LONGEST_THREAD:
            return thread
    threads.append([])
    if len(threads) > _OPEN_THREADS:
        threads.pop(0)
    return threads[-1]


def _mail(
    chance: random.Random,
    words: list[str],
    people: list[str],
    thread: list[str],
    number: int,
    sent: datetime,
) -> bytes:
    id = f"<{number}.{chance.getrandbits(64):x}@mail.example.org>"
    subject = " ".join(chance.choices(words, k=5))
    lines = [
        f"X-GM-THRID: {1_500_000_000_000_000_000 + number}",
        f"X-Gmail-Labels: {chance.choice(_LABELS)}",
        *_received(chance, sent),
        f"From: {chance.choice(people)}",
        "To: " + ",\r\n ".join(chance.choices(people, k=chance.choice((1, 1, 1, 2, 5)))),
        f"Date: {format_datetime(sent)}",
        f"Subject: {subject if subject.isascii() else _encoded(subject)}",
        f"Message-ID: {id}",
        "MIME-Version: 1.0",
    ]
    if thread:
        lines += [f"In-Reply-To: {thread[-1]}", "References: " + "\r\n ".join(thread[-12:])]
    thread.append(id)
    head, body = _content(chance, words)
    return "\r\n".join([*lines, *head, "", ""]).encode() + body


def _received(chance: random.Random, sent: datetime) -> Iterator[str]:
    for hop in range(chance.randint(2, 5)):
        at = format_datetime(sent + timedelta(seconds=hop))
        yield (
            f"Received: from hop{hop}.example.net (hop{hop}.example.net [192.0.2.{hop}])\r\n"
            f"        by mx.example.org with ESMTPS id {chance.getrandbits(64):x}\r\n        for "
            f"<ada@example.org>;\r\n        {at}"
        )
    signature = base64.b64encode(chance.randbytes(256)).decode()
    yield "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=key;\r\n        b=" + signature


def _content(chance: random.Random, words: list[str]) -> tuple[list[str], bytes]:
    text = _text(chance, words)
    head, body = _readable(chance, text)
    if chance.random() < 0.2:
        return _joined("mixed", [(head, body), _attachment(chance)])
    return head, body


def _readable(chance: random.Random, text: str) -> tuple[list[str], bytes]:
    plain = _encoded_text("plain", text, chance.choice(("7bit", "quoted-printable", "base64")))
    markup = "".join(f"<p style='margin:0'>{line}</p>\r\n" for line in text.split("\r\n"))
    page = f"<html><head><style>p {{color:#222}}</style></head><body>{markup}</body></html>"
    html = _encoded_text("html", page, "quoted-printable")
    kind = chance.random()
    if kind < 0.5:
        return _joined("alternative", [plain, html])
    return plain if kind < 0.9 else html


def _encoded_text(subtype: str, text: str, encoding: str) -> tuple[list[str], bytes]:
    data = text.encode()
    if encoding == "base64":
        data = base64.encodebytes(data).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        data = quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    else:
        encoding = "8bit"
    head = [
        f"Content-Type: text/{subtype}; charset=utf-8",
        f"Content-Transfer-Encoding: {encoding}",
    ]
    return head, data


def _attachment(chance: random.Random) -> tuple[list[str], bytes]:
    media_type, ending = chance.choice(_KINDS)
    size = min(int(chance.lognormvariate(11.0, 0.9)), 2_000_000)
    head = [
        f'Content-Type: {media_type}; name="file{chance.randrange(1000)}.{ending}"',
        f'Content-Disposition: attachment; filename="file{chance.randrange(1000)}.{ending}"',
        "Content-Transfer-Encoding: base64",
    ]
    return head, base64.encodebytes(chance.randbytes(size)).replace(b"\n", b"\r\n")


def _joined(subtype: str, parts: list[tuple[list[str], bytes]]) -> tuple[list[str], bytes]:
    boundary = f"=_{subtype}_{len(parts[0][1])}_{len(parts[1][1])}"
    pieces = []
    for head, body in parts:
        pieces += [
            f"--{boundary}\r\n".encode(),
            "\r\n".join([*head, "", ""]).encode(),
            body,
            b"\r\n",
        ]
    pieces.append(f"--{boundary}--\r\n".encode())
    return [f'Content-Type: multipart/{subtype}; boundary="{boundary}"'], b"".join(pieces)


def _text(chance: random.Random, words: list[str]) -> str:
    count = min(int(chance.lognormvariate(5.3, 1.1)) + 10, 8_000)
    drawn = chance.choices(words, k=count)
    return "\r\n".join(" ".join(drawn[at : at + 11]) for at in range(0, count, 11))


def _vocabulary(chance: random.Random) -> list[str]:
    # Drawn words, the early ones far more often, about as people repeat theirs.
    known = ["".join(chance.choices(_SYLLABLES, k=chance.randint(1, 4))) for _ in range(20_000)]
    known[7::50] = [f"{word}ü" for word in known[7::50]]
    return [known[min(int(chance.paretovariate(0.6)), 20_000) - 1] for _ in range(60_000)]


def _person(chance: random.Random) -> str:
    name = " ".join(
        "".join(chance.choices(_SYLLABLES, k=2)).capitalize() for _ in range(chance.choice((1, 2)))
    )
    address = f"{name.lower().replace(' ', '.')}@example.{chance.choice(('org', 'net', 'com'))}"
    shown = name if chance.random() < 0.8 else _encoded(f"{name}ö")
    return f"{shown} <{address}>" if chance.random() < 0.9 else address


def _encoded(text: str) -> str:
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def _append(file: BinaryIO, number: int, sent: datetime, mail: bytes) -> None:
    file.write(f"From {1_500_000_000_000_000_000 + number}@xxx ".encode())
    file.write(f"{sent:%a %b %d %H:%M:%S +0000 %Y}\r\n".encode())
    file.write(mail.replace(b"\nFrom ", b"\n>From "))
    file.write(b"" if mail.endswith(b"\r\n") else b"\r\n")
    file.write(b"\r\n")
