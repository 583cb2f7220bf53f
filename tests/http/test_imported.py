"""What was imported, asked for over `query`: the jobs, the records, the words."""

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from shared.imports.beginning import begin_path
from shared.model.identity import IdentityKey
from shared.model.profile import Profile
from shared.model.records import (
    Event,
    Media,
    Message,
    NamedRecord,
    Note,
    Person,
    Place,
    Visit,
)
from shared.node import Node
from shared.workshop import engine_of
from tests import takeout
from tests.http.asking import MADE, NOON, Asker, asker
from tests.inline_queue import InlineQueue

RECORDS: tuple[NamedRecord, ...] = (
    Message(
        id="m1",
        time=NOON,
        subject="Walk",
        text="See you on the bridge.",
        sender=IdentityKey("email", "ada@example.org"),
        **MADE,
    ),
    Media(id="a" * 64, time=NOON, media_type="image/jpeg", size=1, caption="The bridge", **MADE),
    Note(id="n1", time=NOON, about="IMG_1.jpg", **MADE),
    Visit(id="v1", time=NOON, device="p1", lat=51.5, lon=0.0, **MADE),
    Event(id="e1", time=NOON, type="trip", title="Over the bridge", **MADE),
    Person(id="p1", time=NOON, names=("Ada",), **MADE),
    Place(id="l1", time=NOON, name="Bridge Street", **MADE),
)


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asker]:
    with asker(tmp_path) as asked:
        yield asked


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_kind_that_is_imported_can_be_asked_for(ask: Asker, record: NamedRecord) -> None:
    kind = type(record).__name__.lower()
    ask.put(*RECORDS)
    (found,) = ask(f"/record?kind={kind}").get_json()["records"]
    assert (found["kind"], found["id"]) == (kind, record.id)
    described = ask("/openapi.json").get_json()
    (parameter,) = (
        p for p in described["paths"]["/query/record"]["get"]["parameters"] if p["name"] == "kind"
    )
    assert kind in parameter["schema"]["enum"]
    assert kind in parameter["description"]


def imported(node: Node, path: Path) -> str:
    engine = engine_of(node, InlineQueue())
    begun = begin_path(engine, path, node.clock(), Profile())
    worker = threading.Thread(target=engine.run, args=(begun.id, 1))
    worker.start()
    worker.join()
    return begun.id


def test_jobs_and_one_job(ask: Asker, tmp_path: Path) -> None:
    assert ask("/job").get_json() == []
    path = tmp_path / "mail"
    path.write_text("".join(map(takeout.mail, range(3))), newline="")
    id = imported(ask.node, path)
    (listed,) = ask("/job").get_json()
    assert listed == ask(f"/job/{id}").get_json()
    assert (listed["job"], listed["title"], listed["state"]) == (id, "mail", "done")
    assert (listed["new"]["message"], listed["done"]) == (3, path.stat().st_size)
    missing = ask("/job/import-0")
    assert (missing.status_code, "/job lists" in missing.get_json()["detail"]) == (404, True)


def test_words_are_found_newest_first_over_pages(ask: Asker) -> None:
    ask.put(*RECORDS)
    pages = [page.get_json()["records"] for page in ask.pages("/search?words=bridge&limit=1")]
    assert sorted(record["id"] for page in pages for record in page) == sorted(
        ["m1", "a" * 64, "e1", "l1"]
    )
    assert all(len(page) <= 1 for page in pages)
    found = ask(f"/search?words={quote('from:ada bridge')}").get_json()["records"]
    assert [record["id"] for record in found] == ["m1"]
    assert ask("/search?words=nowhere").get_json() == {"records": [], "next": None}
    assert ask("/search").status_code == 400
    assert ask("/search?words=bridge&cursor=x").status_code == 400


def test_a_page_of_long_letters_ends_in_time(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.http.pages.PAGE_BYTES", 10_000)
    text = "bridge " * 300
    ask.put(*(Message(id=f"m{n}", time=NOON, text=text, **MADE) for n in range(35)))
    pages = [page.get_json()["records"] for page in ask.pages("/search?words=bridge")]
    assert [len(page) for page in pages] == [10, 10, 10, 5]
    assert len({record["id"] for page in pages for record in page}) == 35


def test_a_node_that_cannot_search_says_who_can(ask: Asker) -> None:
    ask.node.__dict__["search"] = None
    answer = ask("/search?words=bridge")
    assert (answer.status_code, "home node" in answer.get_json()["detail"]) == (501, True)
