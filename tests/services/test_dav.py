"""CardDAV and CalDAV: against Radicale, and against a server that does what Radicale does not."""

import base64
import datetime as dt
import ssl
import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.model.records import AnyRecord, Event, Person, canonical
from shared.model.steps import STEP_RECORDS, Step
from shared.services import caldav, carddav, dav, dav_client
from shared.services.protocol import Asked, BadOptions, CannotBeAsked, NotLetIn, Service
from shared.services.registry import SERVICES
from tests.services.radicale import NOW, PASSWORD, Radicale, User, asked, card, cards, event
from tests.services.scripted import Reply, Request, Script, gone, multistatus, resource, serving


@pytest.fixture(scope="module")
def radicale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radicale]:
    with Radicale(tmp_path_factory.mktemp("radicale")) as server:
        yield server


@pytest.fixture
def ada(radicale: Radicale) -> User:
    """A user with an address book."""
    user = radicale.user("carddav")
    user.make("book", "Friends")
    return user


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a large collection that a test can fill."""
    monkeypatch.setattr(dav, "BATCH", 2)
    monkeypatch.setattr(dav, "LISTED", 5)


def said(steps: Sequence[Step]) -> list[str]:
    """What names and titles the records have."""
    return sorted(name_of(record) for step in steps for record in step.records)


def name_of(record: AnyRecord) -> str:
    if isinstance(record, Person):
        return record.names[0]
    assert isinstance(record, Event)
    return record.title or ""


def contents(steps: Sequence[Step]) -> set[bytes]:
    return {canonical(record) for step in steps for record in step.records}


def run(
    user: User, cursor: str | None = None, service: Service = carddav, **more: Any
) -> list[Step]:
    return list(service.steps(user.asked(cursor, **more)))


# What there is, against Radicale


def test_both_services_are_known() -> None:
    assert (SERVICES["carddav"], SERVICES["caldav"]) == (carddav, caldav)


def test_first_run_then_nothing_then_what_changed(ada: User) -> None:
    ada.put("book/1.vcf", card("1", "Ada", "TEL;TYPE=CELL:0171 1234567", "REV:20260102T030405Z"))
    ada.put("book/2.vcf", card("2", "Charles"))
    ada.put("book/3.vcf", card("3", "Mary"))
    (first,) = run(ada)
    assert said([first]) == ["Ada", "Charles", "Mary"]
    person = next(one for one in first.records if isinstance(one, Person) and one.names == ("Ada",))
    assert (person.id, person.source) == ("person:uid:1", "carddav")
    assert person.where == f"/{ada.name}/book/1.vcf"
    assert [key.value for key in person.keys] == ["+491711234567"]
    assert person.asof == dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert person.raw in first.raws
    assert first.done == sum(map(len, first.raws.values()))
    assert not first.bad

    assert run(ada, first.cursor) == []

    ada.put("book/2.vcf", card("2", "Charles Babbage"))
    ada.put("book/4.vcf", card("4", "Grace"))
    ada.delete("book/3.vcf")
    (second,) = run(ada, first.cursor)
    assert said([second]) == ["Charles Babbage", "Grace"]
    assert run(ada, second.cursor) == []


def test_deletions_alone_move_the_cursor(ada: User, caplog: pytest.LogCaptureFixture) -> None:
    ada.put("book/1.vcf", card("1", "Ada"))
    (first,) = run(ada)
    ada.delete("book/1.vcf")
    with caplog.at_level("INFO"):
        (second,) = run(ada, first.cursor)
    assert (second.records, second.bad) == ([], [])
    assert "1 items" in caplog.text
    assert run(ada, second.cursor) == []


def test_events_of_calendars_and_not_of_lists_of_to_dos(radicale: Radicale) -> None:
    user = radicale.user("caldav")
    user.make("work", "Work")
    user.make("todo", "To do", component="VTODO")
    user.put(
        "work/1.ics", event("1", "Stand-up", start="DTSTART;TZID=Europe/London:20261125T090000")
    )
    user.put("work/2.ics", event("2", "Holiday", start="DTSTART;VALUE=DATE:20261225"))
    (first,) = run(user, service=caldav)
    assert said([first]) == ["Holiday", "Stand-up"]
    assert {record.source for record in first.records} == {"caldav"}
    assert "todo" not in first.cursor
    assert run(user, first.cursor, caldav) == []


@pytest.mark.usefixtures("small")
def test_a_run_may_die_between_any_two_steps(ada: User) -> None:
    ada.make("other", "Others")
    for path, text in cards(range(13)):
        ada.put(f"book/{path}", text)
    for path, text in cards(range(20, 25)):
        ada.put(f"other/{path}", text)
    whole = run(ada)
    assert len(whole) == 11
    assert len(contents(whole)) == 18
    for k in range(1, len(whole) + 1):
        steps = carddav.steps(ada.asked())
        taken = [next(steps) for _ in range(k)]
        rest = run(ada, taken[-1].cursor)
        assert contents(taken) | contents(rest) == contents(whole)
        assert sorted(said(taken) + said(rest)) == said(whole)
        assert run(ada, [*taken, *rest][-1].cursor) == []


@pytest.mark.usefixtures("small")
def test_a_run_that_dies_after_each_step_comes_to_its_end(ada: User) -> None:
    for path, text in cards(range(13)):
        ada.put(f"book/{path}", text)
    cursor, taken = None, list[Step]()
    while step := next(carddav.steps(ada.asked(cursor)), None):
        cursor = step.cursor
        taken.append(step)
        assert len(taken) <= 7
    assert len(said(taken)) == 13


@pytest.mark.usefixtures("small")
def test_what_changes_between_two_steps_is_not_lost(ada: User) -> None:
    for path, text in cards(range(10, 17)):
        ada.put(f"book/{path}", text)
    steps = carddav.steps(ada.asked())
    taken = [next(steps), next(steps)]
    ada.put("book/10.vcf", card("10", "Changed behind"))
    ada.put("book/00.vcf", card("0", "New behind"))
    ada.put("book/16.vcf", card("16", "Changed ahead"))
    ada.delete("book/15.vcf")
    rest = run(ada, taken[-1].cursor)
    last = [*taken, *rest][-1].cursor
    later = run(ada, last)
    names = {*said(taken), *said(rest), *said(later)}
    assert names == {
        *(f"Person {n}" for n in (10, 11, 12, 13, 14)), "Changed behind", "New behind", "Changed ahead",
    }  # fmt: skip
    assert run(ada, later[-1].cursor) == []


def test_hundreds_of_items_come_in_batches(ada: User) -> None:
    for path, text in cards(range(350)):
        ada.put(f"book/{path}", text)
    steps = run(ada)
    assert [len(step.records) for step in steps] == [100, 100, 100, 50]
    assert max(len(step.records) for step in steps) <= STEP_RECORDS
    assert len(contents(steps)) == 350
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert max(len(step.cursor) for step in steps) < 500


@pytest.mark.parametrize("token", ["", "http://radicale.org/ns/sync/" + "0" * 64, "nonsense"])
def test_a_token_that_is_not_valid_any_more(ada: User, token: str) -> None:
    ada.put("book/1.vcf", card("1", "Ada"))
    (first,) = run(ada)
    begin, mark, end = first.cursor.partition('"s')
    cursor = f"{begin}{mark}{token}{end[end.index(chr(34)) :]}"
    again = run(ada, cursor)
    assert contents(again) == contents([first])
    assert again[-1].cursor == first.cursor


@pytest.mark.parametrize("cursor", ["", "{}", "[]", "no JSON", '{"a":{"until":1}}'])
def test_a_cursor_that_is_none_begins_anew(ada: User, cursor: str) -> None:
    ada.put("book/1.vcf", card("1", "Ada"))
    assert said(run(ada, cursor)) == ["Ada"]


def test_two_collections_and_one_that_is_chosen(ada: User) -> None:
    ada.make("work", "Colleagues")
    ada.put("book/1.vcf", card("1", "Ada"))
    ada.put("work/2.vcf", card("2", "Charles"))
    both = run(ada)
    assert said(both) == ["Ada", "Charles"]
    assert run(ada, both[-1].cursor) == []
    for wanted in ("Colleagues", "work", f"{ada.url}work/", f"/{ada.name}/work"):
        assert said(run(ada, collections=[wanted])) == ["Charles"]
    assert said(run(ada, collections=["work", "Friends"])) == ["Ada", "Charles"]
    ada.put("work/3.vcf", card("3", "Grace"))
    third = run(ada, both[-1].cursor)
    assert said(third) == ["Grace"]


@pytest.mark.parametrize("path", ["", "book/", "book"])
def test_the_url_of_a_user_or_of_a_collection_will_do(ada: User, path: str) -> None:
    ada.make("work", "Colleagues")
    ada.put("book/1.vcf", card("1", "Ada"))
    ada.put("work/2.vcf", card("2", "Charles"))
    expected = ["Ada"] if path else ["Ada", "Charles"]
    assert said(run(ada, url=ada.url + path)) == expected


def test_a_collection_that_is_not_there(ada: User) -> None:
    with pytest.raises(CannotBeAsked, match=r"no address book 'Family'.*'Friends'"):
        run(ada, collections=["Friends", "Family"])


def test_no_collection_at_all(radicale: Radicale) -> None:
    user = radicale.user("caldav")
    with pytest.raises(CannotBeAsked, match="no calendar of this user"):
        run(user, service=caldav)


def test_a_wrong_password(ada: User) -> None:
    with pytest.raises(NotLetIn) as caught:
        run(ada, secret="wr0ng-secret")
    assert "yurt collectors change mine --secret" in str(caught.value)
    assert "wr0ng-secret" not in repr(caught.value)
    with pytest.raises(NotLetIn, match="wants a password"):
        run(ada, secret=None)


def test_another_users_collections(ada: User, radicale: Radicale) -> None:
    other = radicale.user("carddav")
    with pytest.raises(CannotBeAsked, match="403"):
        run(other, url=f"{radicale.url}/{ada.name}/book/", collections=["book"])


def test_a_url_where_there_is_nothing(ada: User) -> None:
    with pytest.raises(CannotBeAsked, match="no address book"):
        run(ada, url=f"{ada.url}nothing/", collections=["nothing"])


def test_a_server_that_is_away(tmp_path: Path) -> None:
    with Radicale(tmp_path) as server:
        user = server.user("carddav")
        user.make("book", "Friends")
        user.put("book/1.vcf", card("1", "Ada"))
        (first,) = run(user)
    with pytest.raises(
        OSError, match=r"cannot be reached \(Connection refused\); see that the URL is right"
    ) as caught:
        run(user, first.cursor)
    assert PASSWORD not in str(caught.value)
    with server:
        assert run(user, first.cursor) == []


# Options


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "url"),
        ({"url": "https://dav.example.org/"}, "user"),
        ({"url": "https://dav.example.org/", "user": ""}, "user"),
        ({"url": "https://dav.example.org/", "user": "a:b"}, "colon"),
        ({"url": "https://dav.example.org/", "user": "a\n"}, "colon"),
        ({"url": "http://dav.example.org/", "user": "ada"}, "https"),
        ({"url": "http://10.0.0.1/", "user": "ada"}, "https"),
        ({"url": "ftp://dav.example.org/", "user": "ada"}, "https"),
        ({"url": "dav.example.org", "user": "ada"}, "https"),
        ({"url": "https://", "user": "ada"}, "server"),
        ({"url": "https://[::1", "user": "ada"}, "no URL"),
        ({"url": "https://a:99999/", "user": "ada"}, "no URL"),
        ({"url": "https://ada:secret@dav.example.org/", "user": "ada"}, "must not hold"),
        ({"url": "https://dav.example.org/?a=b", "user": "ada"}, "without"),
        ({"url": "https://dav.example.org/", "user": "ada", "password": "x"}, "password"),
        ({"url": "https://dav.example.org/", "user": "ada", "collections": "a"}, "collections"),
        ({"url": "https://dav.example.org/", "user": "ada", "collections": [" "]}, "collections"),
        ({"url": "https://dav.example.org/", "user": "ada", "collections": ["a"] * 201}, "at most"),
        ({"url": 1, "user": "ada"}, "url"),
    ],
    ids=range(19),
)
def test_options_that_cannot_be_used(options: dict[str, Any], told: str) -> None:
    for service in (carddav, caldav):
        with pytest.raises(BadOptions, match=told):
            service.checked(options)


@pytest.mark.parametrize(
    "url",
    ["https://dav.example.org", "http://localhost:5232/", "http://127.0.0.1/", "http://[::1]:1/a/"],
)
def test_options_that_can_be_used(url: str) -> None:
    assert carddav.checked({"url": url, "user": "ada"}) == {
        "url": url, "user": "ada", "collections": [],
    }  # fmt: skip


# What Radicale does not do


BOOK = resource(
    "/ada/book/",
    d_resourcetype="<d:collection/><x:addressbook/>",
    d_displayname="Friends",
    d_sync_token="t9",
)


class Book:
    """A server with one address book, whose listings a test gives.

    listings: by the token in the question; of PROPFIND under None.
    """

    def __init__(self, listings: dict[str | None, Reply], book: str = BOOK) -> None:
        self.listings = listings
        self.book = book

    def __call__(self, request: Request) -> Reply:
        if "multiget" in request.body:
            hrefs = [text.partition("<")[0] for text in request.body.split("<d:href>")[1:]]
            return Reply(body=multistatus(*map(self.item, hrefs)))
        if "sync-collection" in request.body:
            token = request.body.partition("<d:sync-token>")[2].partition("<")[0]
            return self.listings[token]
        if request.path == "/ada/book/" and request.headers["Depth"] == "1":
            return self.listings[None]
        return Reply(body=multistatus(self.book))

    @staticmethod
    def item(href: str) -> str:
        text = card(href, f"At {href.rpartition('/')[2]}")
        modified = "Wed, 25 Nov 2026 09:00:00 GMT"
        return resource(href, x_address_data=text, d_getlastmodified=modified)


def listing(*names: str, token: str = "", also: str = "") -> Reply:
    items = (resource(f"/ada/book/{name}", d_getetag='"1"') for name in names)
    return Reply(body=multistatus(*items, also, token=token))


TRUNCATED = gone("/ada/book/", 507)


def ask(script: Script, cursor: str | None = None, **more: Any) -> list[Step]:
    with serving(script) as server:
        return list(carddav.steps(asked_of(server.url, cursor, **more)))


def asked_of(url: str, cursor: str | None = None, **more: Any) -> Asked:
    return asked({"url": url, "user": "ada", **more}, cursor)


def names(steps: Sequence[Step]) -> list[str]:
    return [name_of(record).removeprefix("At ") for step in steps for record in step.records]


def test_what_the_server_says_of_a_change_is_what_versions_are_told_apart_by() -> None:
    (step,) = ask(Book({"": listing("a", token="t9")}))
    (person,) = step.records
    assert person.asof == NOW.replace(hour=9)


def test_a_truncated_listing_is_followed() -> None:
    script = Book(
        {
            "": listing("c", "a", token="t1", also=TRUNCATED),
            "t1": listing("b", token="t2", also=TRUNCATED),
            "t2": listing("a", "d", token="t9"),
        }
    )
    steps = ask(script)
    assert names(steps) == ["a", "c", "b", "a", "d"]
    with serving(script) as server:
        whole = list(carddav.steps(asked_of(server.url)))
        for k, step in enumerate(whole, 1):
            rest = list(carddav.steps(asked_of(server.url, step.cursor)))
            assert names(whole[:k]) + names(rest) == names(whole)


def test_a_truncated_listing_that_is_another_one_is_begun_anew(small: None) -> None:
    first = listing("a", "b", "c", token="t1", also=TRUNCATED)
    other = listing("a", "c", "d", token="t2", also=TRUNCATED)
    script = Book({"": first})
    with serving(script) as server:
        taken = next(carddav.steps(asked_of(server.url)))
        script.listings = {"": other, "t2": listing("b", token="t9")}
        rest = list(carddav.steps(asked_of(server.url, taken.cursor)))
    assert names([taken]) == ["a", "b"]
    assert names(rest) == ["a", "c", "d", "b"]


def test_a_truncated_listing_that_does_not_get_on_ends() -> None:
    again = listing("a", token="t1", also=TRUNCATED)
    with pytest.raises(OSError, match="same part"):
        ask(Book({"": again, "t1": again}))


@pytest.mark.parametrize("status", [403, 409, 507])
def test_a_stale_token_as_other_servers_say_it(status: int) -> None:
    stale = Reply(status, '<d:error xmlns:d="DAV:"><d:valid-sync-token/></d:error>')
    script = Book({"": listing("a", token="t1"), "t1": stale})
    with serving(script) as server:
        first = list(carddav.steps(asked_of(server.url)))
        script.listings[""] = listing("a", "b", token="t9")
        second = list(carddav.steps(asked_of(server.url, first[-1].cursor)))
        assert names(second) == ["a", "b"]
        assert list(carddav.steps(asked_of(server.url, second[-1].cursor))) == []


@pytest.mark.parametrize("status", [None, 403, 405, 415, 501, 507])
def test_a_server_without_tokens_is_read_when_its_ctag_changes(status: int | None) -> None:
    def book(ctag: str) -> str:
        told = {"d_sync_token": "t9"} if status else {}
        kinds = "<d:collection/><x:addressbook/>"
        return resource("/ada/book/", d_resourcetype=kinds, s_getctag=ctag, **told)

    own = resource("/ada/book/", d_resourcetype="<d:collection/>")
    script = Book({None: listing("b", "a", also=own)}, book("c1"))
    if status:
        script.listings[""] = Reply(status)
    with serving(script) as server:
        first = list(carddav.steps(asked_of(server.url)))
        assert names(first) == ["a", "b"]
        assert list(carddav.steps(asked_of(server.url, first[-1].cursor))) == []
        script.book = book("c2")
        second = list(carddav.steps(asked_of(server.url, first[-1].cursor)))
        assert names(second) == ["a", "b"]
        assert list(carddav.steps(asked_of(server.url, second[-1].cursor))) == []


def test_a_server_without_tokens_and_ctags_is_read_each_time(small: None) -> None:
    kinds = "<d:collection/><x:addressbook/>"
    items = [f"{n:02}" for n in range(12)]
    script = Book({None: listing(*items)}, resource("/ada/book/", d_resourcetype=kinds))
    with serving(script) as server:
        whole = list(carddav.steps(asked_of(server.url)))
        assert names(whole) == items
        for k, step in enumerate(whole[:-1], 1):
            rest = list(carddav.steps(asked_of(server.url, step.cursor)))
            assert names(whole[:k]) + names(rest) == items
        assert names(list(carddav.steps(asked_of(server.url, whole[-1].cursor)))) == items


def test_a_long_listing_is_worked_off_in_parts(small: None) -> None:
    items = [f"{n:02}" for n in range(23)]
    script = Book({"": listing(*reversed(items), token="t9")})
    with serving(script) as server:
        steps = list(carddav.steps(asked_of(server.url)))
        assert names(steps) == items
        assert len(server.asked_for("sync-collection")) == 5
    assert max(len(step.records) for step in steps) == 2


def test_what_is_listed_and_not_given_is_told() -> None:
    def script(request: Request) -> Reply:
        if "multiget" in request.body:
            return Reply(
                body=multistatus(
                    Book.item("/ada/book/a"),
                    gone("/ada/book/b"),
                    gone("/ada/book/c", 500),
                    resource("/ada/book/%64", x_address_data="BEGIN:NOTHING"),
                    resource("/ada/book/e"),
                )
            )
        return Book({"": listing("a", "b", "c", "d", "e", "f", "g" * 1000, token="t9")})(request)

    (step,) = ask(script)
    assert names([step]) == ["a"]
    assert [(bad.where, bad.reason) for bad in step.bad] == [
        (f"/ada/book/{'g' * 1000}"[:1000], "its name is longer than any that can be kept"),
        ("/ada/book/c", "the server answers with status 500"),
        ("/ada/book/%64", "it is no vCard: BEGIN:VCARD is missing"),
        ("/ada/book/e", "it is not given"),
        ("/ada/book/f", "it is listed, and not given"),
    ]


def test_large_items_make_small_questions_and_steps() -> None:
    picture = "A" * 1_500_000

    def script(request: Request) -> Reply:
        if "multiget" in request.body:
            hrefs = [text.partition("<")[0] for text in request.body.split("<d:href>")[1:]]
            texts = (card(href, href, f"NOTE:{picture}") for href in hrefs)
            items = (resource(h, x_address_data=t) for h, t in zip(hrefs, texts, strict=True))
            return Reply(body=multistatus(*items))
        sized = [
            resource(f"/ada/book/{n}", d_getcontentlength="1500000" if n < 5 else "10") for n in range(9)
        ]  # fmt: skip
        return Book({"": Reply(body=multistatus(*sized, token="t9"))})(request)

    with serving(script) as server:
        steps = list(carddav.steps(asked_of(server.url)))
        asked = [request.body.count("<d:href>") for request in server.asked_for("multiget")]
    assert asked == [2, 2, 5]
    # The last four are larger than they were said to be.
    assert [len(step.records) for step in steps] == [2, 2, 3, 2]
    assert steps[2].cursor == steps[1].cursor


def test_an_item_larger_than_any_is_told() -> None:
    def script(request: Request) -> Reply:
        if "multiget" in request.body:
            return Reply(body=multistatus(resource("/ada/book/a", x_address_data="A" * 13_000_000)))
        return Book({"": listing("a", token="t9")})(request)

    step, last = ask(script)
    assert [(bad.where, bad.reason) for bad in step.bad] == [("/ada/book/a", "more than 8 MiB")]
    assert len(step.bad[0].data) == 64 * 1024
    assert (last.records, last.bad) == ([], [])


def endless(_: Request) -> Reply:
    def parts() -> Iterator[bytes]:
        yield multistatus().encode().removesuffix(b"</d:multistatus>")
        while True:
            yield gone("/ada/book/x").encode() * 1000

    return Reply(body=parts())


def test_an_answer_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dav_client, "ANSWER_LIMIT", 2 * 1024 * 1024)
    script = Book({"": endless(Request("", "", "", {}))})
    with pytest.raises(CannotBeAsked, match="more than 2 MiB"):
        ask(script)


def test_an_answer_that_trickles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def trickling() -> Iterator[bytes]:
        for byte in multistatus(BOOK, token="t" * 10_000):
            yield byte.encode()
            time.sleep(0.02)

    monkeypatch.setattr(dav_client, "ANSWER_WITHIN", 0.3)
    began = time.monotonic()
    with pytest.raises(OSError, match="too slowly"):
        ask(lambda _: Reply(body=trickling()))
    assert time.monotonic() - began < 5


def test_a_server_that_is_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> Iterator[bytes]:
        time.sleep(1)
        yield b""

    monkeypatch.setattr(dav_client, "ANSWER_WITHIN", 0.2)
    with pytest.raises(OSError, match="broke off"):
        ask(lambda _: Reply(body=silent()))


def test_a_lease_is_renewed_between_steps(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dav_client, "ANSWER_WITHIN", 0.5)
    script = Book({"": listing("a", "b", "c", token="t9")})
    with serving(script) as server:
        steps = carddav.steps(asked_of(server.url))
        taken = [next(steps)]
        time.sleep(0.6)
        assert names([*taken, *steps]) == ["a", "b", "c"]


@pytest.mark.parametrize("headers", [{"Content-Length": "9999"}, {"Content-Encoding": "gzip"}])
def test_an_answer_that_is_broken_off(headers: dict[str, str]) -> None:
    with pytest.raises(OSError, match=r"broke off|broken"):
        ask(lambda _: Reply(body=multistatus(BOOK)[:300], headers=headers))


LAUGHS = """<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;">]>
<d:multistatus xmlns:d="DAV:"><d:response><d:href>&b;</d:href></d:response></d:multistatus>"""


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", OSError),
        ("garbage", OSError),
        ("<html><body>Log in</body></html>", OSError),
        (multistatus(BOOK)[:-20], OSError),
        ("<?xml version='1.0' encoding='nonsense'?><a/>", OSError),
        ("\0\ud7ff", OSError),
        (LAUGHS, CannotBeAsked),
        ('<d:multistatus xmlns:d="DAV:">' + "<a>" * 40, CannotBeAsked),
        (multistatus(resource("/a", d_prop="<d:a/>" * 6_000)), CannotBeAsked),
    ],
    ids=range(9),
)
def test_answers_that_are_none(body: str, error: type[Exception]) -> None:
    for script in (lambda _: Reply(body=body), Book({"": Reply(body=body)})):
        with pytest.raises(error):
            ask(script)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, CannotBeAsked),
        (400, CannotBeAsked),
        (403, CannotBeAsked),
        (404, CannotBeAsked),
        (405, CannotBeAsked),
        (429, OSError),
        (500, OSError),
        (502, OSError),
        (503, OSError),
    ],
)
def test_statuses(status: int, error: type[Exception]) -> None:
    def script(request: Request) -> Reply:
        if "multiget" in request.body:
            return Reply(status)
        return Book({"": listing("a", token="t9")})(request)

    for each in (script, lambda _: Reply(status)):
        with pytest.raises(error) as caught:
            ask(each)
        assert str(status) in str(caught.value)


def test_the_password_is_said_in_utf_8_and_of_properties_only_those_that_are_there() -> None:
    book = BOOK.replace("200 OK", "404 Not Found")
    with serving(lambda _: Reply(body=multistatus(book))) as server:
        with pytest.raises(CannotBeAsked, match="knows no user"):
            list(carddav.steps(asked_of(server.url)))
        said = server.requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(said) == f"ada:{PASSWORD}".encode()


def test_digest_is_not_spoken() -> None:
    with pytest.raises(CannotBeAsked, match="digest"):
        ask(lambda _: Reply(401, headers={"WWW-Authenticate": 'Digest realm="a"'}))


@pytest.mark.parametrize(
    "place",
    [
        "https://other.example/dav/",
        "//other.example/dav/",
        "http://127.0.0.1:1/dav/",
        "http://[",
        "ftp://a/",
    ],
)
def test_a_redirect_to_another_host_is_not_followed(place: str) -> None:
    with pytest.raises(CannotBeAsked, match="make it the `url`") as caught:
        ask(lambda _: Reply(301, headers={"Location": place}))
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("link", ["https://p12.example/ada/", "http://127.0.0.1:1/", "http://["])
def test_a_link_to_another_host_is_not_followed(link: str) -> None:
    for name in ("x_addressbook_home_set", "d_current_user_principal"):
        linked = resource("/", **{name: f"<d:href>{link}</d:href>"})
        with pytest.raises(CannotBeAsked, match="make it the `url`"):
            ask(lambda _, linked=linked: Reply(body=multistatus(linked)))  # type: ignore[misc]


def test_the_body_of_a_redirect_is_not_read() -> None:
    def script(_: Request) -> Reply:
        return Reply(302, endless(_).body, {"Location": "/again"})

    with pytest.raises(CannotBeAsked, match="again and again"):
        ask(script)


def test_redirects_without_end() -> None:
    with pytest.raises(CannotBeAsked, match="again and again"):
        ask(lambda _: Reply(302, headers={"Location": "/again"}))


@pytest.mark.parametrize("known", [Reply(308, headers={"Location": "/dav/"}), Reply(403)])
def test_the_well_known_place_or_the_url_leads_to_the_user(known: Reply) -> None:
    def script(request: Request) -> Reply:
        if request.path == "/.well-known/carddav":
            return known
        if request.path in ("/", "/dav/"):
            user = "<d:href>/dav/users/ada/</d:href>"
            return Reply(body=multistatus(resource("/dav/", d_current_user_principal=user)))
        if request.path == "/dav/users/ada/":
            homes = "<d:href>/ada/</d:href>"
            return Reply(body=multistatus(resource(request.path, x_addressbook_home_set=homes)))
        return Book({"": listing("a", token="t9")})(request)

    with serving(script) as server:
        assert names(list(carddav.steps(asked_of(server.url)))) == ["a"]
        assert all("Basic " in request.headers["Authorization"] for request in server.requests)


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
        .not_valid_after(dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    with serving(Book({}), tls) as server:
        with pytest.raises(CannotBeAsked, match="certificate"):
            list(carddav.steps(asked_of(server.url)))
        assert server.requests == []
