"""Counters on Cloud Monitoring: what is asked of it, what its answers come to, what is unknown."""

import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.oauth2.credentials import Credentials

from shared.collecting.pool import free_tier
from shared.counters import cloudmonitoring
from shared.counters.cloudmonitoring import CloudMonitoring
from shared.counters.protocol import Reading, Unknown
from shared.ha.allowances import Allowance
from shared.node import open_node
from shared.settings import Settings, read_settings
from tests.google.fake import FakeGoogle
from tests.google.listener import HOST, Listener

NOW = datetime(2026, 11, 22, 16, 30, 42, tzinfo=UTC)

READS = "firestore.googleapis.com/document/read_ops_count"
WRITES = "firestore.googleapis.com/document/write_ops_count"
STORED = "firestore.googleapis.com/storage/data_and_index_storage_bytes"
ATTEMPTS = "cloudtasks.googleapis.com/queue/task_attempt_count"
OBJECTS = "storage.googleapis.com/api/request_count"

SPENT_BY_COLLECTORS = {
    name: allowance
    for name, allowance in free_tier().items()
    if name not in ("compute.hours", "pubsub.volume")
}


@pytest.fixture
def google() -> FakeGoogle:
    fake = FakeGoogle(clock=lambda: NOW)
    fake.enable("monitoring.googleapis.com")
    return fake


@pytest.fixture
def counters(google: FakeGoogle) -> Iterator[CloudMonitoring]:
    with Listener(google) as listener:
        yield opened(f"{listener.address}/monitoring")


def opened(endpoint: str) -> CloudMonitoring:
    return CloudMonitoring("p-yurt", endpoint, Credentials("a-token"))


def allowances(*names: str) -> Mapping[str, Allowance]:
    return {name: free_tier()[name] for name in names}


def read(counters: CloudMonitoring, *names: str, now: datetime = NOW) -> Mapping[str, Reading]:
    return counters.read(allowances(*names), now)


# What it comes to


@pytest.mark.parametrize(
    ("name", "series", "used"),
    [
        ("firestore.reads", {READS: [1_200, 34]}, 1_234),
        ("firestore.writes", {}, 0),
        # Of a stock the newest value counts, in the unit of the allowance.
        ("firestore.stored", {STORED: [2**29, 2**28]}, 0.25),
        (
            "tasks.operations",
            {"cloudtasks.googleapis.com/api/request_count": 300, ATTEMPTS: 144},
            444,
        ),
        ("run.vcpu_seconds", {"run.googleapis.com/container/cpu/allocation_time": 8_930.5}, 8930.5),
        ("storage.class_a", {OBJECTS: {"WriteObject": 7, "ReadObject": 50, "DeleteObject": 9}}, 7),
        ("storage.class_b", {OBJECTS: {"WriteObject": 7, "ReadObject": 50, "DeleteObject": 9}}, 50),
        ("compute.hours", {"compute.googleapis.com/instance/uptime": 7_200.0}, 2),
    ],
)
def test_what_was_used(
    name: str, series: Mapping[str, int], used: float, google: FakeGoogle, counters: CloudMonitoring
) -> None:
    google.monitoring.series = series
    assert read(counters, name) == {name: pytest.approx(used)}


# What is asked


def asked(google: FakeGoogle) -> list[Mapping[str, str]]:
    return [{name: value for name, (value,) in seen.query.items()} for seen in google.requests]


def test_one_point_of_one_series_is_asked_for(
    google: FakeGoogle, counters: CloudMonitoring
) -> None:
    read(counters, "firestore.reads")
    assert asked(google) == [
        {
            "filter": f'metric.type="{READS}" AND '
            'resource.type="firestore.googleapis.com/Database"',
            "interval.startTime": "2026-11-22T08:00:00Z",
            "interval.endTime": "2026-11-22T16:30:00Z",
            "aggregation.alignmentPeriod": "30600s",
            "aggregation.perSeriesAligner": "ALIGN_SUM",
            "aggregation.crossSeriesReducer": "REDUCE_SUM",
        }
    ]


def test_operations_on_objects_are_asked_for_once_by_method(
    google: FakeGoogle, counters: CloudMonitoring
) -> None:
    read(counters, "storage.class_a", "storage.class_b")
    (only,) = asked(google)
    assert only["aggregation.groupByFields"] == "metric.labels.method"
    assert only["interval.startTime"] == "2026-11-01T07:00:00Z"


@pytest.mark.parametrize(
    ("now", "start", "period"),
    [
        # Days of 23 and of 25 hours, each in its last minute, and the first minute of a day.
        ("2026-03-09T06:59:30Z", "2026-03-08T08:00:00Z", 22 * 3_600 + 59 * 60),
        ("2026-11-02T07:59:30Z", "2026-11-01T07:00:00Z", 24 * 3_600 + 59 * 60),
        ("2026-11-22T08:00:30Z", "2026-11-22T08:00:00Z", 60),
    ],
)
def test_days_when_clocks_change(
    now: str, start: str, period: int, google: FakeGoogle, counters: CloudMonitoring
) -> None:
    google.monitoring.series = {WRITES: 5}
    found = read(counters, "firestore.writes", now=datetime.fromisoformat(now))
    assert found == {"firestore.writes": 5}
    (only,) = asked(google)
    assert only["interval.startTime"] == start
    assert only["aggregation.alignmentPeriod"] == f"{period}s"


def test_each_metric_is_one_request(google: FakeGoogle, counters: CloudMonitoring) -> None:
    counters.read(SPENT_BY_COLLECTORS, NOW)
    assert len(google.requests) == 15
    counters.read(free_tier(), NOW)
    assert len(google.requests) == 15 + 18


def test_nothing_is_asked_of_what_nobody_counts(
    google: FakeGoogle, counters: CloudMonitoring
) -> None:
    assert read(counters, "scheduler.jobs") == {}
    assert google.requests == []


# What is unknown


def test_a_metric_that_is_unknown_spoils_no_other(
    google: FakeGoogle, counters: CloudMonitoring
) -> None:
    google.monitoring.series = {READS: 7}
    google.monitoring.unknown = {ATTEMPTS}
    found = counters.read(free_tier(), NOW)
    untold = {
        "firestore.egress",
        "secrets.versions",
        "artifacts.stored",
        "build.minutes",
        "scheduler.jobs",
        "compute.disk",
    }
    assert found.keys() == free_tier().keys() - untold
    unknown = {name: each.why for name, each in found.items() if isinstance(each, Unknown)}
    assert unknown.keys() == {"tasks.operations"}
    assert unknown["tasks.operations"].startswith(
        "monitoring.googleapis.com answers 404 NOT_FOUND: Cannot find metric(s) that match type"
    )
    assert found["firestore.reads"] == 7


def test_an_account_that_may_not_look(google: FakeGoogle, counters: CloudMonitoring) -> None:
    google.denied.add("monitoring.timeSeries.list")
    (found,) = read(counters, "firestore.reads").values()
    assert isinstance(found, Unknown)
    assert found.why.startswith("monitoring.googleapis.com answers 403 PERMISSION_DENIED: ")


def test_a_service_that_is_off(google: FakeGoogle, counters: CloudMonitoring) -> None:
    google.project.enabled.clear()
    assert read(counters, "firestore.reads") == {
        "firestore.reads": Unknown("monitoring.googleapis.com is not enabled in the project")
    }


def test_a_connection_that_breaks_spoils_one_reading(
    google: FakeGoogle, counters: CloudMonitoring
) -> None:
    google.faults.after(1, "lost before")
    found = read(counters, "firestore.reads", "firestore.writes", "firestore.deletes")
    assert sorted(type(each).__name__ for each in found.values()) == ["Unknown", "float", "float"]
    (unknown,) = (each for each in found.values() if isinstance(each, Unknown))
    assert unknown.why == "monitoring.googleapis.com cannot be reached (ConnectionError)"


def test_a_service_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloudmonitoring, "WITHIN", 0.2)
    with socket.create_server((HOST, 0)) as silent:  # connections are taken, nobody reads
        counters = opened(f"http://{HOST}:{silent.getsockname()[1]}")
        found = read(counters, "firestore.reads", "firestore.stored")
    why = "monitoring.googleapis.com gave no answer within 0.2 seconds"
    assert found == {"firestore.reads": Unknown(why), "firestore.stored": Unknown(why)}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"<html>", "monitoring.googleapis.com gave an answer that cannot be read"),
        (b"[]", "monitoring.googleapis.com gave an answer that cannot be read"),
        (
            b'{"timeSeries": [{"points": [{"value": {"int64Value": "many"}}]}]}',
            f"what was answered of {READS} cannot be read",
        ),
        (b'{"timeSeries": [7]}', f"what was answered of {READS} cannot be read"),
        (
            b'{"timeSeries": [], "nextPageToken": "more"}',
            "monitoring.googleapis.com has more than 10 pages of it",
        ),
    ],
)
def test_an_answer_that_cannot_be_meant(
    answer: bytes, why: str, google: FakeGoogle, counters: CloudMonitoring
) -> None:
    google.monitoring.answer = answer
    assert read(counters, "firestore.reads") == {"firestore.reads": Unknown(why)}


def test_an_account_without_a_token() -> None:
    counters = CloudMonitoring("p-yurt", credentials=Credentials(None))
    why = "the function's account gets no token (RefreshError)"
    assert read(counters, "firestore.reads") == {"firestore.reads": Unknown(why)}


# Who has them


def test_a_home_node_counts_nothing(tmp_path: Path) -> None:
    node = open_node(Settings(data=tmp_path))
    assert node.counters is None
    node.close()


def test_a_cloud_node_asks_where_its_settings_say(
    google: FakeGoogle, firestore_emulator: object
) -> None:
    with Listener(google) as listener:
        variables = {
            "YURT_STORE": "firestore",
            "YURT_PROJECT": "p-yurt",
            "YURT_MONITORING_ENDPOINT": f"{listener.address}/monitoring",
        }
        node = open_node(read_settings(variables))
        assert node.counters is not None
        (found,) = node.counters.read(allowances("firestore.reads"), NOW).values()
        node.close()
    # A server that stands in for the service gets no token.
    assert isinstance(found, Unknown)
    assert "answers 401 UNAUTHENTICATED" in found.why
    (seen,) = google.requests
    assert seen.path == "v3/projects/p-yurt/timeSeries"
