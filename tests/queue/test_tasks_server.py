"""The server that stands in for Cloud Tasks is held to what is known of the service."""

import base64
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from tests.queue.clock import NOON, Clock
from tests.tasks_server.book import Retry
from tests.tasks_server.faults import Faults
from tests.tasks_server.listener import Listener, Received
from tests.tasks_server.server import INVOKER, QUEUE, TasksServer
from tests.tasks_server.tokens import REMOVED, signed

JSON = Any


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def function() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture
def server(clock: Clock, function: Listener) -> Iterator[TasksServer]:
    with TasksServer(routes={"work": function.url}, clock=clock, dispatching=False) as server:
        yield server


def ask(
    url: str, method: str, path: str, body: JSON = None, headers: Mapping[str, str] | None = None
) -> tuple[int, JSON]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, dict(headers or {}))
        response = connection.getresponse()
        text = response.read()
        is_json = response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(text) if is_json else text
    finally:
        connection.close()


def a_task(server: TasksServer, id: str | None = "a", **fields: JSON) -> JSON:
    request = {
        "url": server.target.replace("{work}", "work"),
        "oidcToken": {"serviceAccountEmail": INVOKER},
        **fields.pop("httpRequest", {}),
    }
    name = {} if id is None else {"name": f"{QUEUE}/tasks/{id}"}
    return {"task": {**name, "httpRequest": request, **fields}}


def create(server: TasksServer, id: str | None = "a", **fields: JSON) -> tuple[int, JSON]:
    return ask(server.endpoint, "POST", f"/v2/{QUEUE}/tasks", a_task(server, id, **fields))


def listed(server: TasksServer, query: str = "") -> JSON:
    status, page = ask(server.endpoint, "GET", f"/v2/{QUEUE}/tasks{query}")
    assert status == 200
    return page


class TestCreating:
    @pytest.mark.parametrize(
        "fields",
        [
            {"id": "a b"},
            {"id": "n" * 501},
            {"id": "ä"},
            {"name": "projects/p/locations/l/queues/other/tasks/a"},
            {"name": "a"},
            {"httpRequest": {"url": ""}},
            {"httpRequest": {"url": "example.com/work"}},
            {"httpRequest": {"url": "ftp://example.com/"}},
            {"httpRequest": {"url": "http://example.com/" + "x" * 2083}},
            {"httpRequest": {"httpMethod": "GET", "body": "YQ=="}},
            {"httpRequest": {"body": base64.b64encode(b"x" * 100_001).decode()}},
            {"httpRequest": {"headers": {"X-Large": "x" * 80_000}}},
            {"httpRequest": {"oidcToken": {"audience": "https://example.com"}}},
            {"httpRequest": {"unknown": 1}},
            {"unknown": 1},
            {"scheduleTime": "2026-01-31T12:00:01Z"},
            {"scheduleTime": "tomorrow"},
            {"dispatchDeadline": "14s"},
            {"dispatchDeadline": "1801s"},
        ],
        ids=lambda fields: str(fields)[:40],
    )
    def test_what_the_service_refuses(self, server: TasksServer, fields: JSON) -> None:
        status, error = create(server, fields.pop("id", "a"), **fields)
        assert (status, error["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert server.ids() == []

    def test_what_is_just_allowed(self, server: TasksServer) -> None:
        fields = {"scheduleTime": "2026-01-31T12:00:00Z", "dispatchDeadline": "1800s"}
        assert create(server, "n" * 500, **fields)[0] == 200

    def test_what_is_filled_in(self, server: TasksServer) -> None:
        status, task = create(server, None, httpRequest={"body": "YQ=="})
        assert status == 200
        assert task["name"].startswith(f"{QUEUE}/tasks/")
        assert task["scheduleTime"] == task["createTime"] == "2026-01-01T12:00:00Z"
        assert task["dispatchDeadline"] == "600s"
        assert task["httpRequest"]["httpMethod"] == "POST"
        assert "body" not in task["httpRequest"]

    def test_another_queue_is_not_there(self, server: TasksServer) -> None:
        other = QUEUE.replace("work", "other")
        for method, body in (("POST", a_task(server)), ("GET", None)):
            status, error = ask(server.endpoint, method, f"/v2/{other}/tasks", body)
            assert (status, error["error"]["status"]) == (404, "NOT_FOUND")
            assert "Queue does not exist" in error["error"]["message"]

    def test_who_may_not_act_as_the_account_is_refused(self, server: TasksServer) -> None:
        token = {"oidcToken": {"serviceAccountEmail": "stranger@example.com"}}
        status, error = create(server, httpRequest=token)
        assert (status, error["error"]["status"]) == (403, "PERMISSION_DENIED")

    @pytest.mark.parametrize("ends", ["waits", "is done", "is deleted"])
    def test_a_used_name_is_refused_for_a_day(
        self, server: TasksServer, clock: Clock, ends: str
    ) -> None:
        assert create(server)[0] == 200
        if ends == "is done":
            assert server.deliver() == 1
        if ends == "is deleted":
            assert ask(server.endpoint, "DELETE", f"/v2/{QUEUE}/tasks/a")[0] == 200
        clock.pass_by(hours=24, seconds=-1)
        status, error = create(server)
        assert (status, error["error"]["status"]) == (409, "ALREADY_EXISTS")
        assert ("too recently" in error["error"]["message"]) == (ends != "waits")
        clock.pass_by(seconds=1)
        assert create(server)[0] == (409 if ends == "waits" else 200)

    def test_what_is_gone_is_not_found(self, server: TasksServer) -> None:
        path = f"/v2/{QUEUE}/tasks/a"
        assert ask(server.endpoint, "GET", path)[0] == 404
        create(server)
        assert ask(server.endpoint, "GET", path)[0] == 200
        server.deliver()
        assert ask(server.endpoint, "GET", path)[0] == 404
        assert ask(server.endpoint, "DELETE", path)[0] == 404


class TestListing:
    def test_bodies_are_shown_to_who_asks_for_all(self, server: TasksServer) -> None:
        create(server, httpRequest={"body": "YQ=="})
        for query, body in (("", None), ("?responseView=BASIC", None), ("?responseView=2", "YQ==")):
            (task,) = listed(server, query)["tasks"]
            assert task["httpRequest"].get("body") == body

    def test_pages(self, server: TasksServer) -> None:
        for id in "dacb":
            create(server, id)
        page = listed(server, "?pageSize=3")
        more = listed(server, f"?pageSize=3&pageToken={page['nextPageToken']}")
        names = [task["name"][-1] for task in page["tasks"] + more["tasks"]]
        assert names == ["a", "b", "c", "d"]
        assert "nextPageToken" not in more
        assert ask(server.endpoint, "GET", f"/v2/{QUEUE}/tasks?pageSize=1001")[0] == 400

    def test_attempts_are_shown(
        self, server: TasksServer, clock: Clock, function: Listener
    ) -> None:
        create(server)
        (task,) = listed(server)["tasks"]
        assert not {"dispatchCount", "responseCount", "firstAttempt", "lastAttempt"} & task.keys()
        function.answer = lambda _: 503
        server.deliver()
        clock.pass_by(hours=1)
        server.deliver()
        (task,) = listed(server)["tasks"]
        assert (task["dispatchCount"], task["responseCount"]) == (2, 2)
        assert task["firstAttempt"] == {"dispatchTime": "2026-01-01T12:00:00Z"}
        assert task["lastAttempt"]["dispatchTime"] == "2026-01-01T13:00:00Z"
        assert task["lastAttempt"]["responseTime"] == "2026-01-01T13:00:00Z"
        assert task["lastAttempt"]["responseStatus"]["code"] == 14


class TestCalls:
    def test_headers_of_each_attempt(
        self, server: TasksServer, clock: Clock, function: Listener
    ) -> None:
        statuses = iter([503, 404, 429, 302, 200])
        function.answer = lambda _: next(statuses)
        create(server, httpRequest={"headers": {"X-Google-Y": "no", "User-Agent": "no", "X": "y"}})
        while server.ids():
            server.deliver()
            clock.pass_by(hours=1)
        seen = [
            [
                received.headers.get(f"x-cloudtasks-task{name}")
                for name in ("retrycount", "executioncount", "previousresponse", "retryreason")
            ]
            for received in function.received
        ]
        # Attempts that the function did not get to answer, 5xx, are no executions.
        assert seen == [
            ["0", "0", None, None],
            ["1", "0", "503", ""],
            ["2", "1", "404", ""],
            ["3", "2", "429", ""],
            ["4", "3", "302", ""],
        ]
        for received in function.received:
            assert received.headers["user-agent"] == "Google-Cloud-Tasks"
            assert received.headers["x"] == "y"
            assert "x-google-y" not in received.headers
            assert "content-type" not in received.headers

    def test_pauses_double_then_grow_then_stay(self, clock: Clock, function: Listener) -> None:
        second = timedelta(seconds=1)
        retry = Retry(shortest=10 * second, longest=300 * second, doublings=3)
        function.answer = lambda _: 500
        with TasksServer(
            routes={"work": function.url}, clock=clock, dispatching=False, retry=retry
        ) as server:
            create(server)
            pauses = []
            for _ in range(8):
                assert server.deliver() == 1
                assert server.deliver() == 0
                due = server.next_due()
                assert due is not None
                pauses.append((due - clock.now).total_seconds())
                clock.now = due
        assert pauses == [10, 20, 40, 80, 160, 240, 300, 300]

    @pytest.mark.parametrize(
        ("retry", "calls"),
        [
            (Retry(attempts=3), 3),
            (Retry(attempts=3, duration=timedelta(hours=5)), 6),
            (Retry(attempts=9, duration=timedelta(hours=5)), 9),
            (Retry(attempts=-1), 20),
        ],
    )
    def test_a_task_is_given_up_when_both_bounds_are_passed(
        self, clock: Clock, function: Listener, retry: Retry, calls: int
    ) -> None:
        function.answer = lambda _: 500
        with TasksServer(
            routes={"work": function.url}, clock=clock, dispatching=False, retry=retry
        ) as server:
            create(server)
            for _ in range(20):
                server.deliver()
                clock.pass_by(hours=1)
            assert len(function.received) == calls
            assert server.ids() == (["a"] if retry.attempts < 0 else [])

    def test_who_takes_too_long_is_called_again(self, function: Listener) -> None:
        release = threading.Event()
        function.answer = lambda received: 200 if calls_of(received) else release.wait(10) or 200
        with TasksServer(routes={"work": function.url}, scale=0.005) as server:
            create(server, dispatchDeadline="15s")
            server.wait_until_idle(10)
            release.set()
        assert [(made.attempt, made.status) for made in server.made] == [(1, None), (2, 200)]

    def test_who_does_not_listen_is_called_again(self, clock: Clock) -> None:
        with TasksServer(
            routes={"work": "http://127.0.0.1:1"}, clock=clock, dispatching=False
        ) as server:
            create(server)
            server.deliver()
            assert [made.status for made in server.made] == [503]
            assert server.ids() == ["a"]

    def test_a_paused_queue_takes_and_does_not_call(
        self, server: TasksServer, function: Listener
    ) -> None:
        server.pause()
        assert create(server)[0] == 200
        assert server.deliver() == 0
        assert server.next_due() is None
        server.resume()
        assert server.deliver() == 1

    def test_nothing_beyond_this_machine_is_called(self, server: TasksServer) -> None:
        create(server, httpRequest={"url": "https://example.com/"})
        with pytest.raises(AssertionError, match="not on this machine"):
            server.deliver()


def calls_of(received: Received) -> int:
    return int(received.headers["x-cloudtasks-taskretrycount"])


class TestDoor:
    def knock(self, server: TasksServer, token: str | None, path: str = "/functions/work") -> int:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return ask(server.endpoint, "POST", path, {}, headers)[0]

    def test_who_may_call_does(self, server: TasksServer, function: Listener) -> None:
        token = signed(INVOKER, f"{server.endpoint}/functions/work", NOON)
        assert self.knock(server, token, "/functions/work/sweep?x=%20") == 200
        (received,) = function.received
        assert received.path == "/sweep?x=%20"
        before, _, signature = received.headers["authorization"].rpartition(".")
        assert signature == REMOVED
        assert f"Bearer {token}".startswith(before)

    def test_others_do_not_reach_the_function(
        self, server: TasksServer, function: Listener
    ) -> None:
        ours = f"{server.endpoint}/functions/work"
        good = signed(INVOKER, ours, NOON)
        forged = signed(INVOKER, ours, NOON, key=generate_private_key(65537, 2048))
        header, payload, signature = good.split(".")
        other = signed("other@example.com", ours, NOON).split(".")[1]
        knocks = {
            "nothing": (None, 403),
            "no token": ("x", 401),
            "forged": (forged, 401),
            "altered": (f"{header}.{other}.{signature}", 401),
            "without signature": (f"{header}.{payload}.{REMOVED}", 401),
            "for another": (signed(INVOKER, "https://example.com", NOON), 401),
            "too old": (signed(INVOKER, ours, NOON - timedelta(hours=1)), 401),
            "not yet": (signed(INVOKER, ours, NOON + timedelta(hours=1)), 401),
            "of a stranger": (signed("stranger@example.com", ours, NOON), 403),
            "not verified": (signed(INVOKER, ours, NOON, email_verified=False), 403),
        }
        found = {who: self.knock(server, token) for who, (token, _) in knocks.items()}
        assert found == {who: status for who, (_, status) in knocks.items()}
        assert function.received == []
        assert self.knock(server, good) == 200

    def test_there_is_no_other_function(self, server: TasksServer) -> None:
        token = signed(INVOKER, f"{server.endpoint}/functions/other", NOON)
        assert self.knock(server, token, "/functions/other") == 404


class TestFaults:
    def history(self, faults: Faults, clock: Clock, function: Listener) -> list[tuple[str, int]]:
        """Twenty tasks, called until all are done: who was called when, and what was heard."""
        function.received.clear()
        clock.now = NOON
        with TasksServer(
            routes={"work": function.url}, clock=clock, dispatching=False, faults=faults
        ) as server:
            for number in range(20):
                assert create(server, f"task-{number:02}")[0] == 200
            while (due := server.next_due()) is not None:
                clock.now = max(clock.now, due)
                server.deliver()
            assert server.ids() == []
            return [(made.id, made.status or 0) for made in server.made]

    def test_without_any_each_is_called_once_in_turn(
        self, clock: Clock, function: Listener
    ) -> None:
        expected = [(f"task-{number:02}", 200) for number in range(20)]
        assert self.history(Faults(), clock, function) == expected

    def test_shuffled(self, clock: Clock, function: Listener) -> None:
        made = self.history(Faults(seed=1, shuffled=True), clock, function)
        assert made != sorted(made)
        assert sorted(made) == [(f"task-{number:02}", 200) for number in range(20)]

    def test_duplicated(self, clock: Clock, function: Listener) -> None:
        made = self.history(Faults(seed=1, duplicated=0.5), clock, function)
        assert 20 < len(made) < 40
        assert {status for _, status in made} == {200}
        assert len(function.received) == len(made)

    def test_unheard(self, clock: Clock, function: Listener) -> None:
        made = self.history(Faults(seed=1, unheard=0.5), clock, function)
        assert [id for id, status in sorted(made) if status] == [
            f"task-{number:02}" for number in range(20)
        ]
        assert len(function.received) == len(made) > 20

    def test_late(self, clock: Clock, function: Listener) -> None:
        made = self.history(Faults(seed=1, late=60), clock, function)
        assert made != sorted(made)
        assert timedelta(0) < clock.now - NOON <= timedelta(seconds=60)

    def test_the_same_seed_is_the_same_history(self, clock: Clock, function: Listener) -> None:
        def history(seed: int) -> list[tuple[str, int]]:
            faults = Faults(seed, duplicated=0.3, unheard=0.3, late=60, shuffled=True)
            return self.history(faults, clock, function)

        assert history(7) == history(7)
        assert history(7) != history(8)

    def test_requests_fail_by_chance(self, clock: Clock) -> None:
        faults = Faults(seed=1, refused=0.3, lost=0.3)
        with TasksServer(clock=clock, dispatching=False, faults=faults) as server:
            statuses = []
            for number in range(30):
                try:
                    statuses.append(create(server, str(number))[0])
                except http.client.RemoteDisconnected:
                    statuses.append(0)
            there = server.ids()
        assert set(statuses) == {200, 503, 0}
        assert sorted(there) == sorted(str(n) for n in range(30) if statuses[n] in (200, 0))


def test_in_real_time_calls_are_made_at_once_and_together(function: Listener) -> None:
    together = threading.Barrier(4, timeout=10)

    def answer(_: Received) -> int:
        together.wait()
        return 200

    function.answer = answer
    with TasksServer(routes={"work": function.url}) as server:
        began = time.monotonic()
        for id in "abcd":
            create(server, id)
        server.wait_until_idle(10)
        assert time.monotonic() - began < 2
    assert sorted(made.id for made in server.made) == ["a", "b", "c", "d"]


def test_waiting_for_what_does_not_end_fails(function: Listener) -> None:
    function.answer = lambda _: 500
    with TasksServer(routes={"work": function.url}, retry=Retry(attempts=-1)) as server:
        create(server, "stubborn")
        with pytest.raises(AssertionError, match="stubborn"):
            server.wait_until_idle(0.3)
