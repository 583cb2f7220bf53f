"""Who is told what: once on each channel, though others are broken and processes die."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shared.alerting.configured import ALERTING, Alerting, Told
from shared.alerting.protocol import CannotTell
from shared.alerting.telling import Telling
from shared.commands.alerts import set_ping
from shared.ha.outbox import MOST, TEXT_LIMIT, Alert, Outbox, alert_of, bounded
from shared.node import Node, open_node
from shared.settings import Settings
from shared.store.protocol import StoreUnavailable
from tests.alerting.servers import Web

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class Scripted:
    """A channel that a test breaks. told: on which channel which alert, by the option `name`;
    texts: what it said."""

    NAME = "scripted"
    ASKS = "nothing"

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.broken: set[str] = set()
        self.dies_at: str | None = None
        self.dies_before: str | None = None
        self.fault: Exception | None = None
        self.takes = 0.0
        self.seconds = 0.0

    def checked(self, options: Mapping[str, Any], secret: str | None) -> dict[str, Any]:
        return dict(options)

    def send(self, options: Mapping[str, Any], secret: str | None, alert: Alert) -> None:
        self.seconds += self.takes
        if options["name"] == self.dies_before:
            raise KeyboardInterrupt
        if options["name"] == "a" and self.fault is not None:
            raise self.fault
        if options["name"] in self.broken:
            raise CannotTell("it is broken")
        self.told.append((options["name"], alert.id))
        self.texts.append(alert.text)
        if self.dies_at == options["name"]:
            raise KeyboardInterrupt


class Post:
    """Alerts, the channels `a` and `b`, and a clock. stops: the process is to end once one was told."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.stops = False
        self.node: Node = open_node(Settings(data=folder), lambda: self.now)
        self.scripted = Scripted()
        self.configure("a", "b")
        self.outbox = Outbox(alerts=(alert("one"), alert("two")))
        self.telling = Telling(
            self.node.store,
            {"scripted": self.scripted},
            lambda: self.node.master_key,
            lambda: self.now,
            lambda: bool(self.scripted.told) and self.stops,
            lambda: self.scripted.seconds,
        )

    def tell(self, **more: float) -> Outbox:
        self.now += timedelta(**more)
        # It is killed where it is: what was given before was kept.
        for left in self.telling.tell(self.outbox):
            self.outbox = left
        return self.outbox

    def configure(self, *names: str) -> None:
        """These channels, and no others."""
        held = self.node.store.read(Alerting, ALERTING)
        told = {
            name: Told(kind="scripted", created=self.now, options={"name": name}) for name in names
        }
        over = held.version if held is not None else None
        self.node.store.write(ALERTING, Alerting(channels=told), over=over)

    def told(self, channel: str) -> list[str]:
        return [id for name, id in self.scripted.told if name == channel]


def alert(about: str) -> Alert:
    return Alert(id=about, kind="late", at=START, text=f"{about} is late", collector=about)


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    post = Post(tmp_path)
    yield post
    post.node.close()


def test_each_alert_is_told_once_on_each_channel_in_order(post: Post) -> None:
    assert post.tell() == Outbox()
    assert post.scripted.told == [("a", "one"), ("a", "two"), ("b", "one"), ("b", "two")]
    assert post.tell() == Outbox()
    assert len(post.scripted.told) == 4


def test_a_broken_channel_repeats_no_other_and_catches_up(post: Post) -> None:
    post.scripted.broken = {"b"}
    left = post.tell()
    assert [each.id for each in left.alerts] == ["one", "two"]
    assert left.failing["b"].error == "it is broken"
    post.scripted.broken = set()
    assert post.tell(minutes=1) == Outbox()
    assert sorted(post.scripted.told) == [("a", "one"), ("a", "two"), ("b", "one"), ("b", "two")]


def test_a_broken_channel_is_asked_more_and_more_seldom(post: Post) -> None:
    post.scripted.broken = {"b"}
    asked = []
    for minute in range(60 * 8):
        before = post.outbox.failing.get("b")
        post.tell(minutes=1)
        if post.outbox.failing["b"] != before:
            asked.append(minute)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]
    assert post.outbox.failing["b"].since == START + timedelta(minutes=1)


def test_killed_after_a_channel_took_it_that_one_comes_again_there_and_the_same(post: Post) -> None:
    post.scripted.dies_at = "b"
    with pytest.raises(KeyboardInterrupt):
        post.tell()
    post.scripted.dies_at = None
    assert post.tell() == Outbox()
    assert post.told("a") == ["one", "two"]
    assert post.told("b") == ["one", "one", "two"]


def test_killed_before_a_channel_took_it_it_is_not_lost(post: Post) -> None:
    post.scripted.dies_before = "b"
    with pytest.raises(KeyboardInterrupt):
        post.tell()
    post.scripted.dies_before = None
    assert post.tell() == Outbox()
    assert (post.told("a"), post.told("b")) == (["one", "two"], ["one", "two"])


def test_a_fault_of_one_channel_keeps_no_other_from_being_told(post: Post) -> None:
    post.scripted.fault = ValueError("secret-part")
    left = post.tell()
    assert post.told("b") == ["one", "two"]
    assert left.failing["a"].error.startswith("it ended with ValueError: see that")
    assert "secret-part" not in str(left)


def test_a_channel_that_is_configured_anew_is_tried_at_once(post: Post) -> None:
    post.scripted.broken = {"b"}
    for _ in range(6):
        post.tell(hours=1)
    post.now += timedelta(minutes=1)
    post.configure("a", "b")
    post.scripted.broken = set()
    assert post.tell() == Outbox()
    assert post.told("b") == ["one", "two"]


def test_a_channel_that_is_added_is_told_what_others_wait_for(post: Post) -> None:
    post.scripted.broken = {"b"}
    post.tell()
    post.configure("a", "b", "c")
    post.tell()
    assert (post.told("a"), post.told("c")) == (["one", "two"], ["one", "two"])


def test_what_takes_long_goes_on_at_the_next_look(post: Post) -> None:
    post.scripted.takes = 11.0
    left = post.tell()
    assert post.scripted.told == [("a", "one"), ("a", "two")]
    assert [each.told for each in left.alerts] == [("log", "a"), ("log", "a")]
    post.tell()
    assert post.scripted.told[2:] == [("b", "one"), ("b", "two")]


def test_a_process_that_is_to_end_leaves_the_rest_to_the_next(post: Post) -> None:
    post.stops = True
    post.tell()
    assert post.scripted.told == [("a", "one")]
    post.stops = False
    assert post.tell() == Outbox()
    assert post.scripted.told[1:] == [("a", "two"), ("b", "one"), ("b", "two")]


def test_without_a_channel_the_log_has_it_once(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    held = post.node.store.read(Alerting, ALERTING)
    assert held is not None
    post.node.store.write(ALERTING, Alerting(), over=held.version)
    assert post.tell() == Outbox()
    assert [record.getMessage() for record in caplog.records] == ["one is late", "two is late"]


def test_the_log_has_it_once_though_a_channel_is_broken(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.scripted.broken = {"a", "b"}
    for _ in range(5):
        post.tell(hours=2)
    said = [record.getMessage() for record in caplog.records]
    assert said.count("one is late") == 1


def test_a_channel_that_is_removed_keeps_no_alert(post: Post) -> None:
    post.scripted.broken = {"b"}
    post.tell()
    post.configure("a")
    assert post.tell() == Outbox()


def many(first: int, last: int) -> tuple[Alert, ...]:
    return tuple(alert_of("late", f"c{n}", START, f"c{n} is late") for n in range(first, last))


def test_of_very_many_the_number_is_told_first(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.outbox = bounded(Outbox(alerts=many(0, MOST + 50)))
    assert len(post.outbox.alerts) == MOST
    post.scripted.broken = {"b"}
    post.tell()
    told = post.told("a")
    assert len(told) == MOST + 1
    assert told[0].startswith("all-dropped-")
    assert told[1].startswith("c50-")
    assert "50 more alerts came before" in caplog.text


def test_what_does_not_fit_is_told_only_where_it_was_not_told(post: Post) -> None:
    post.scripted.broken = {"b"}
    post.outbox = Outbox()
    for first in range(0, 500, 100):
        post.outbox = bounded(
            replace(post.outbox, alerts=(*post.outbox.alerts, *many(first, first + 100)))
        )
        post.tell(hours=1)
    assert len(post.outbox.alerts) == MOST
    assert not [id for id in post.told("a") if "dropped" in id]
    assert len(post.told("a")) == 500
    post.scripted.broken = set()
    assert post.tell(hours=1) == Outbox()
    assert len(post.told("b")) == MOST + 1
    assert post.scripted.texts[-MOST - 1].startswith("300 more alerts came before")
    assert len(post.told("a")) == 500


def test_a_long_text_is_cut() -> None:
    assert len(alert_of("failed", "mail", START, "x" * 100_000).text) == TEXT_LIMIT


def test_a_secret_that_cannot_be_opened_is_said(post: Post) -> None:
    held = post.node.store.read(Alerting, ALERTING)
    assert held is not None
    sealed = Told(kind="scripted", created=START, options={"name": "a"}, sealed="nonsense")
    post.node.sealing_key()
    post.node.store.write(ALERTING, Alerting(channels={"a": sealed}), over=held.version)
    left = post.tell()
    assert left.failing["a"].error.endswith(
        "give the secret anew: yurt alerts add a scripted --secret"
    )


def test_a_kind_that_this_version_does_not_know_is_said(post: Post) -> None:
    post.telling.channels = {}
    assert post.tell().failing["a"].error == "this version of Yurt knows no channel scripted"


def test_while_who_is_told_cannot_be_read_alerts_stay_and_the_log_has_them_once(
    post: Post, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(post.node.store, "read", away)
        for _ in range(3):
            post.tell(minutes=1)
            post.telling.ping()
    assert [record.getMessage() for record in caplog.records].count("one is late") == 1
    assert post.scripted.told == []
    assert post.tell() == Outbox()
    assert (post.told("a"), post.told("b")) == (["one", "two"], ["one", "two"])


def test_the_sign_of_life_is_asked_for_at_most_once_a_minute(post: Post) -> None:
    with Web().running() as web:
        post.telling.ping()
        assert web.requests == []
        set_ping(post.node, f"{web.url}/ping/secret-part")
        for _ in range(10):
            post.now += timedelta(seconds=30)
            post.telling.ping()
        assert [(r.method, r.path) for r in web.requests] == [("GET", "/ping/secret-part")] * 5
        web.status = 500
        post.now += timedelta(minutes=1)
        post.telling.ping()  # that nobody takes it is no reason to stop
        set_ping(post.node, None)
        post.now += timedelta(minutes=1)
        post.telling.ping()
        assert len(web.requests) == 6


def test_a_secret_of_a_channel_is_not_replaced_by_a_new_key(post: Post) -> None:
    set_ping(post.node, "https://example.org/ping")
    (post.node.settings.data / "master.key").unlink()
    with pytest.raises(Exception, match=r"master\.key"):
        post.node.sealing_key()
