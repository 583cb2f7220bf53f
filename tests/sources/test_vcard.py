"""vCards: literal cards in, persons out, and nothing that raises."""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.model.identity import IdentityKey
from shared.model.ids import content_id
from shared.model.profile import Profile
from shared.model.records import Person, canonical
from shared.sources import vcard
from shared.sources.resources import LINES_LIMIT, OBJECT_LIMIT, Keeping, Read
from shared.store.limits import packed_record

KEEPING = Keeping(source="carddav", where="/a.vcf", profile=Profile(home_region="DE"))
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF"

APPLE = """BEGIN:VCARD
VERSION:3.0
PRODID:-//Apple Inc.//iOS 18.1//EN
N:Lovelace;Ada;King;Countess;
FN:Ada Lovelace
NICKNAME:Addie
ORG:Analytical Engines\\; Ltd.;Research
EMAIL;type=INTERNET;type=HOME;type=pref:Ada@Example.ORG
item1.EMAIL;type=INTERNET:ada@engines.example
item1.X-ABLabel:_$!<Other>!$_
TEL;type=CELL;type=VOICE;type=pref:(0171) 123 45 67
TEL:ask Charles
item2.ADR;type=HOME;type=pref:;;12 St. James's\\nSquare;London;;SW1Y;England
item2.X-ABADR:gb
item3.URL:http\\://ada.example/
item3.X-ABLabel:Notes
IMPP;X-SERVICE-TYPE=Jabber;type=HOME:xmpp:ada@jabber.example
IMPP;X-SERVICE-TYPE=Skype:x-apple:ada.l
X-AIM:ada1815
X-SOCIALPROFILE;type=twitter;x-user=ada:https://twitter.com/ada
BDAY:1815-12-10
NOTE:one\\, two\\nthree \\; four
 \\\\ five
PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AA
 QSkZJRg==
UID:4FBE8971-0BC3-424C
REV:2026-01-02T03:04:05Z
END:VCARD
""".replace("\n", "\r\n")


def read(card: str | bytes, keeping: Keeping = KEEPING) -> Read:
    return vcard.read(card.encode() if isinstance(card, str) else card, keeping)


def the_person(card: str | bytes, keeping: Keeping = KEEPING) -> Person:
    found = read(card, keeping)
    assert not found.bad
    (person,) = found.records
    assert isinstance(person, Person)
    return person


def of(*lines: str, version: str = "3.0") -> Person:
    return the_person("\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD"]))


def test_a_card_as_iphones_write_it() -> None:
    found = read(APPLE)
    assert found.records == [
        Person(
            id="person:uid:4FBE8971-0BC3-424C",
            source="carddav",
            source_version=1,
            raw=content_id(APPLE.encode()),
            where="/a.vcf",
            asof=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            names=("Ada Lovelace", "Addie", "Ada King Lovelace"),
            keys=(
                IdentityKey("email", "ada@example.org"),
                IdentityKey("email", "ada@engines.example"),
                IdentityKey("phone", "+491711234567"),
                IdentityKey("im", "xmpp:ada@jabber.example"),
                IdentityKey("im", "skype:ada.l"),
                IdentityKey("im", "aim:ada1815"),
                IdentityKey("handle", "twitter:ada"),
            ),
            face=content_id(JPEG),
            extra={
                "prodid": ["-//Apple Inc.//iOS 18.1//EN"],
                "n": [["Lovelace", "Ada", "King", "Countess", ""]],
                "org": [["Analytical Engines; Ltd.", "Research"]],
                "email": [
                    {"value": "Ada@Example.ORG", "type": ["INTERNET", "HOME", "pref"]},
                    {"value": "ada@engines.example", "type": ["INTERNET"], "label": "Other"},
                ],
                "tel": [
                    {"value": "(0171) 123 45 67", "type": ["CELL", "VOICE", "pref"]},
                    "ask Charles",
                ],
                "adr": [
                    {
                        "value": [
                            "",
                            "",
                            "12 St. James's\nSquare",
                            "London",
                            "",
                            "SW1Y",
                            "England",
                        ],
                        "type": ["HOME", "pref"],
                    }
                ],
                "x-abadr": ["gb"],
                "url": [{"value": "http://ada.example/", "label": "Notes"}],
                "impp": [
                    {
                        "value": "xmpp:ada@jabber.example",
                        "x-service-type": "Jabber",
                        "type": ["HOME"],
                    },
                    {"value": "x-apple:ada.l", "x-service-type": "Skype"},
                ],
                "x-socialprofile": [
                    {"value": "https://twitter.com/ada", "type": ["twitter"], "x-user": "ada"}
                ],
                "bday": ["1815-12-10"],
                "note": ["one, two\nthree ; four\\ five"],
                "rev": ["2026-01-02T03:04:05Z"],
            },
        )
    ]
    assert found.raws == {content_id(APPLE.encode()): APPLE.encode(), content_id(JPEG): JPEG}


def test_version_2_1_with_charsets_soft_breaks_and_bare_parameters() -> None:
    card = (
        b"BEGIN:VCARD\r\nVERSION:2.1\r\n"
        b"N;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;J=F6rg\r\n"
        b"FN;CHARSET=UTF-8;QUOTED-PRINTABLE:J=C3=B6rg M=\r\n=C3=BCller\r\n"
        b"TEL;HOME;VOICE:030 901820\r\n"
        b"NOTE;ENCODING=QUOTED-PRINTABLE:one=0D=0Atwo =\r\nthree=3D\r\n"
        b"TITLE;CHARSET=windows-1252:\x84Chef\x93\r\n"
        b"PHOTO;JPEG;BASE64:\r\n /9j/4AAQSkZJ\r\n Rg==\r\n\r\nEND:VCARD\r\n"
    )
    person = the_person(card)
    assert person.names == ("Jörg Müller",)
    assert person.keys == (IdentityKey("phone", "+4930901820"),)
    assert person.face == content_id(JPEG)
    assert person.extra == {
        "n": [["Müller", "Jörg"]],
        "tel": [{"value": "030 901820", "type": ["HOME", "VOICE"]}],
        "note": ["one\ntwo three="],
        "title": ["„Chef“"],
    }


def test_version_4_0_says_uris() -> None:
    picture = base64.b64encode(JPEG).decode()
    person = of(
        "FN:Ada",
        "UID:urn:uuid:4fbe8971-0bc3",
        'TEL;VALUE=uri;PREF=1;TYPE="voice,home":tel:+1-212-555-0100;ext=5',
        f"PHOTO:data:image/jpeg;base64,{picture}",
        "IMPP:xmpp:ada@jabber.example?message",
        "SOCIALPROFILE;SERVICE-TYPE=Mastodon:https://social.example/@ada",
        "GENDER:F;grrrl",
        "EMAIL:mailto:ada@example.org",
        version="4.0",
    )
    assert person.id == "person:uid:4fbe8971-0bc3"
    assert person.face == content_id(JPEG)
    assert person.keys == (
        IdentityKey("phone", "+12125550100"),
        IdentityKey("im", "xmpp:ada@jabber.example"),
        IdentityKey("handle", "mastodon:ada"),
        IdentityKey("email", "ada@example.org"),
    )
    assert person.extra["gender"] == [["F", "grrrl"]]
    assert person.extra["tel"] == [
        {"value": "tel:+1-212-555-0100;ext=5", "pref": "1", "type": ["voice,home"]}
    ]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("EMAIL:ada@Example.org", IdentityKey("email", "ada@example.org")),
        ("EMAIL:ada", None),
        ("EMAIL:", None),
        ("TEL:+44 20 7946 0000", IdentityKey("phone", "+442079460000")),
        ("TEL:1", None),
        ("TEL:" + "9" * 5000, None),
        ("X-JABBER:ada@jabber.example", IdentityKey("im", "xmpp:ada@jabber.example")),
        ("X-GOOGLE-TALK:ada@gmail.com", IdentityKey("im", "xmpp:ada@gmail.com")),
        ("X-SKYPE-USERNAME:ada", IdentityKey("im", "skype:ada")),
        ("X-TWITTER:@Ada", IdentityKey("handle", "twitter:ada")),
        ("X-MS-IMADDRESS:ada@corp.example", None),
        ("IMPP;X-SERVICE-TYPE=Facebook:xmpp:ada.lovelace", IdentityKey("im", "facebook:ada.lovelace")),
        ("IMPP:ada", None),
        ("IMPP:icq:", None),
        ("X-SOCIALPROFILE;type=github:https://github.com/ada/", IdentityKey("handle", "github:ada")),
        ("X-SOCIALPROFILE:https://www.flickr.com/photos/ada", IdentityKey("handle", "flickr:ada")),
        ("X-SOCIALPROFILE:http://[", None),
        ("EMAIL:" + "a" * 300 + "@example.org", None),
    ],
)  # fmt: skip
def test_what_is_a_key_and_what_is_kept_as_it_is(line: str, key: IdentityKey | None) -> None:
    person = of("FN:Ada", line)
    assert person.keys == ((key,) if key else ())
    name, _, value = line.partition(":")
    if key is None and value:
        assert name.partition(";")[0].lower() in person.extra


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["FN:Ada Lovelace", "N:Lovelace;Ada;;;"], ("Ada Lovelace",)),
        (["N:Lovelace;Ada;;;"], ("Ada Lovelace",)),
        (["FN:", "N:;;;;", "ORG:Engines"], ("Engines",)),
        (["FN:Ada", "ORG:Engines", "NICKNAME:A,Addie\\, the first"], ("Ada", "A", "Addie, the first")),
        (["item1.FN:Ada\\nLovelace"], ("Ada Lovelace",)),
        (["fn : Ada", "TEL:x"], ("Ada",)),
        (["N:Madonna"], ("Madonna",)),
        ([], ()),
    ],
)  # fmt: skip
def test_names(lines: list[str], names: tuple[str, ...]) -> None:
    assert of(*lines).names == names


def test_a_phone_number_is_read_as_at_home() -> None:
    card = "BEGIN:VCARD\nTEL:020 7946 0000\nEND:VCARD"
    british = Keeping(source="carddav", where="", profile=Profile(home_region="GB"))
    nowhere = Keeping(source="carddav", where="", profile=Profile())
    assert the_person(card, british).keys == (IdentityKey("phone", "+442079460000"),)
    assert the_person(card, nowhere).keys == ()


def test_the_id_is_the_uid_whoever_keeps_the_card() -> None:
    card = "BEGIN:VCARD\nUID:{uid}\nFN:{name}\nEND:VCARD"
    elsewhere = Keeping(source="vcf", where="/b", profile=Profile(), place="other:/b")
    one = the_person(card.format(uid="a b", name="Ada"))
    assert one.id == the_person(card.format(uid="a b", name="Ada L."), elsewhere).id
    assert one.id != the_person(card.format(uid="ab", name="Ada")).id


def test_without_uid_the_id_is_the_place_or_the_content() -> None:
    one, other = "BEGIN:VCARD\nFN:Ada\nEND:VCARD", "BEGIN:VCARD\nFN:Ada L.\nEND:VCARD"
    placed = Keeping(source="carddav", where="", profile=Profile(), place="mine:/ada.vcf")
    assert the_person(one, placed).id == the_person(other, placed).id
    assert the_person(one).id == the_person(one).id != the_person(other).id


def test_which_version_stands() -> None:
    changed, seen = datetime(2026, 5, 5, tzinfo=UTC), datetime(2026, 6, 6, tzinfo=UTC)
    told: dict[str, Any] = {"source": "carddav", "where": "", "profile": Profile()}
    both = Keeping(**told, changed=changed, seen=seen)
    silent = Keeping(**told, seen=seen)
    revised = "BEGIN:VCARD\nREV:20260102T030405Z\nEND:VCARD"
    assert the_person(revised, both).asof == changed
    assert the_person(revised, silent).asof == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert the_person("BEGIN:VCARD\nREV:yesterday\nEND:VCARD", silent).asof == seen


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "BEGIN:VCARD is missing"),
        (b"\xff\xfe\0", "BEGIN:VCARD is missing"),
        (b"BEGIN:VCALENDAR\nEND:VCALENDAR", "BEGIN:VCARD is missing"),
        (b"BEGIN:VCARD\nKIND:Group\nFN:Friends\nEND:VCARD", "a group of people"),
        (b"BEGIN:VCARD\nX-ADDRESSBOOKSERVER-KIND:group\nEND:VCARD", "a group of people"),
        (b"BEGIN:VCARD\n" + b" " * OBJECT_LIMIT, "larger than any"),
        (b"BEGIN:VCARD\n" + b"\n" * 2 * LINES_LIMIT, "larger than any"),
    ],
)
def test_what_is_no_person_is_told(data: bytes, reason: str) -> None:
    found = read(data)
    assert not found.records
    assert [(bad.where, bad.size) for bad in found.bad] == [("/a.vcf", len(data))]
    assert reason in found.bad[0].reason


def test_a_picture_is_kept_if_it_is_one_and_not_too_large() -> None:
    large = base64.b64encode(JPEG + bytes(vcard.FACE_LIMIT)).decode()
    text = base64.b64encode(b"<script>").decode()
    person = of(
        f"PHOTO;ENCODING=b:{large}", f"PHOTO;ENCODING=b:{text}", "PHOTO:http://ada.example/1.jpg"
    )
    assert person.face is None
    assert person.extra == {
        "photo": [
            {"bytes": len(JPEG) + vcard.FACE_LIMIT},
            {"bytes": 8},
            "http://ada.example/1.jpg",
        ]
    }


def test_a_card_in_a_card_is_not_mixed_with_it() -> None:
    person = of("FN:Ada", "AGENT:", "BEGIN:VCARD", "FN:Charles", "END:VCARD", "NOTE:x")
    assert person.names == ("Ada",)
    assert person.extra == {"note": ["x"]}


def test_a_card_that_is_cut_off_says_what_it_says() -> None:
    assert the_person("BEGIN:VCARD\nFN:Ada\nNOTE;ENCODING=QUOTED-PRINTABLE:a=\n").names == ("Ada",)


LARGE = {
    "a line": "FN:" + "a" * 5_000_000,
    "lines": "NOTE:a\\n\n" * 400_000,
    "depth": "BEGIN:VCARD\n" * 400_000,
    "parameters": "A;" * 2_000_000 + ":b",
    "quotes": 'X;A="' * 1_000_000,
    "nothing": "\n" * 400_000,
    "folds": "NOTE:" + "\n " * 400_000,
    "soft breaks": "NOTE;ENCODING=QUOTED-PRINTABLE:=\n" * 150_000,
    "fields": "N:" + ";" * 4_000_000,
    "items": "NICKNAME:" + "\\," * 2_000_000,
    "keys": "EMAIL:a@b.c\\\\\n" * 400_000,
    "escapes": "CUT:x\nEXTRA_CUT:x\n" + "NOTE:" + "\\\"'" * 60_000 + "\nNOTE:" + "\u00e9" * 99_000,
    "numbers": "TEL:" + "0" * 4_000 + "\nTEL;X=1:0171 1\n" * 15_000,
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.timeout(20)
def test_large_cards_give_records_that_can_be_kept(name: str) -> None:
    packed_record(the_person("BEGIN:VCARD\n" + LARGE[name] + "\nEND:VCARD"))


_LINES = st.sampled_from(APPLE.split("\r\n"))
_PIECES = st.one_of(_LINES, st.text(max_size=40), st.binary(max_size=40))


@settings(deadline=None)
@given(st.lists(_PIECES, max_size=12), st.booleans())
@example(["TEL;", "item1.:", ";:", ":", "N", "PHOTO:data:,"], True)
@example(["UID:\ud800".encode("utf-8", "surrogatepass"), "REV:0001-01-01T00:00:00+14:00"], True)
@example(["UID:\0", "IMPP:a:b", "X-AIM:\0", "ORG:"], True)
def test_nothing_raises_and_ids_are_stable(pieces: list[str | bytes], framed: bool) -> None:
    lines = [one.encode("utf-8", "replace") if isinstance(one, str) else one for one in pieces]
    data = b"\r\n".join([b"BEGIN:VCARD", *lines, b"END:VCARD"] if framed else lines)
    found, again = read(data), read(data)
    assert found == again
    for record in found.records:
        assert msgspec.json.decode(canonical(record), type=Person) == record
        packed_record(record)
    assert all(content_id(raw) == sha256 for sha256, raw in found.raws.items())
