"""What was used of the free tier: literal answers of Google's APIs in, rows and a text out."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from infra.cloud.allowances import allowances
from infra.cloud.api import Api, Response, Token
from infra.cloud.usage import Row, Usage, usage, usage_of, usage_text
from shared.counters.protocol import Unknown

NOW = datetime(2026, 11, 22, 16, 30, 42, 5, tzinfo=UTC)
MONITORING = "https://monitoring.googleapis.com/v3/projects/my-yurt/timeSeries"

Asked = Mapping[str, str]
Answer = Callable[[Asked], Any]


class Google:
    """`Send`. Of metrics, by type, and of other addresses: what is answered; `{}` to the rest.

    asked: each query, by metric or address. An answer may be a status with a body.
    """

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.asked: dict[str, list[Asked]] = {}

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        assert (method, body) == ("GET", b"")
        assert headers["Authorization"] == "Bearer a-token"
        address, query = url.partition("?")[0], parse_qs(urlsplit(url).query)
        asked = {name: value for name, (value,) in query.items()}
        what = asked["filter"].split('"')[1] if address == MONITORING else address
        self.asked.setdefault(what, []).append(asked)
        answer = self.answers.get(what, {})
        if callable(answer):
            answer = answer(asked)
        if isinstance(answer, Exception):
            raise answer
        status, said = answer if isinstance(answer, tuple) else (200, answer)
        return Response(status, json.dumps(said).encode())


def read(answers: Mapping[str, Any] | Google, now: datetime = NOW) -> Usage:
    send = answers if isinstance(answers, Google) else Google(answers)
    api = Api("my-yurt", Token(lambda: "a-token"), {}, send, lambda _: None)
    return usage(api, "us-central1", now)


def row(found: Usage, name: str) -> Row:
    (row,) = (row for row in found.rows if row.name == name)
    return row


def used(answers: Mapping[str, Any], name: str) -> float | None:
    return row(read(answers), name).used


# Answers as the API gives them

READS = json.loads(
    """{
  "timeSeries": [
    {
      "metric": {
        "labels": {"type": "QUERY", "module": "__unknown__", "version": "__unknown__"},
        "type": "firestore.googleapis.com/document/read_ops_count"
      },
      "resource": {
        "type": "firestore.googleapis.com/Database",
        "labels": {
          "resource_container": "my-yurt", "location": "us-central1", "database_id": "(default)"
        }
      },
      "metricKind": "DELTA",
      "valueType": "INT64",
      "points": [
        {
          "interval": {
            "startTime": "2026-11-22T12:00:00Z", "endTime": "2026-11-22T16:30:00Z"
          },
          "value": {"int64Value": "1200"}
        },
        {
          "interval": {
            "startTime": "2026-11-22T08:00:00Z", "endTime": "2026-11-22T12:00:00Z"
          },
          "value": {"int64Value": "34"}
        }
      ]
    },
    {
      "metric": {
        "labels": {"type": "LOOKUP", "module": "__unknown__", "version": "__unknown__"},
        "type": "firestore.googleapis.com/document/read_ops_count"
      },
      "resource": {
        "type": "firestore.googleapis.com/Database",
        "labels": {
          "resource_container": "my-yurt", "location": "us-central1", "database_id": "(default)"
        }
      },
      "metricKind": "DELTA",
      "valueType": "INT64",
      "points": [
        {
          "interval": {
            "startTime": "2026-11-22T08:00:00Z", "endTime": "2026-11-22T16:30:00Z"
          },
          "value": {"int64Value": "11266"}
        }
      ]
    }
  ],
  "unit": "1"
}"""
)


def series(*values: float | str, **labels: str) -> dict[str, Any]:
    """Of one set of labels, newest first. A text is a 64-bit integer."""
    kinds = {str: "int64Value", float: "doubleValue"}
    points = [{"interval": {}, "value": {kinds[type(value)]: value}} for value in values]
    return {"metric": {"labels": labels}, "points": points}


def times(*found: Mapping[str, Any]) -> dict[str, Any]:
    return {"timeSeries": list(found)}


def test_reads_of_today() -> None:
    found = row(
        read({"firestore.googleapis.com/document/read_ops_count": READS}), "firestore.reads"
    )
    assert found == Row(
        name="firestore.reads",
        title="documents read",
        used=12_500,
        amount=50_000,
        unit="documents",
        share=0.25,
        window="day",
        scope="project",
        resets=datetime(2026, 11, 23, 8, tzinfo=UTC),
        beyond="billed at $0.03 per 100,000 documents",
    )


@pytest.mark.parametrize(
    ("name", "answers", "amount"),
    [
        (
            "firestore.writes",
            {
                "firestore.googleapis.com/document/write_ops_count": times(
                    series("700", op="CREATE"), series("40", op="UPDATE")
                )
            },
            740,
        ),
        (
            "firestore.deletes",
            {"firestore.googleapis.com/document/delete_ops_count": times(series("3"))},
            3,
        ),
        # Of a stock the newest point of each database counts, not their sum.
        (
            "firestore.stored",
            {
                "firestore.googleapis.com/storage/data_and_index_storage_bytes": times(
                    series(str(2**29), str(2**28), database_id="(default)"),
                    series(str(2**27), database_id="other"),
                )
            },
            0.625,
        ),
        (
            "run.requests",
            {
                "run.googleapis.com/request_count": times(
                    series("44640", response_code_class="2xx"),
                    series("12", response_code_class="4xx"),
                )
            },
            44_652,
        ),
        (
            "run.vcpu_seconds",
            {
                "run.googleapis.com/container/cpu/allocation_time": times(
                    series(8_928.5), series(1.5)
                )
            },
            8_930,
        ),
        (
            "run.gib_seconds",
            {"run.googleapis.com/container/memory/allocation_time": times(series(4_464.25))},
            4_464.25,
        ),
        (
            "run.egress",
            {
                "run.googleapis.com/container/network/sent_bytes_count": times(
                    series(str(2**28), kind="internet")
                )
            },
            0.25,
        ),
        (
            "tasks.operations",
            {
                "cloudtasks.googleapis.com/api/request_count": times(
                    series("100", api_method="CreateTask"), series("4464", api_method="ListTasks")
                ),
                "cloudtasks.googleapis.com/queue/task_attempt_count": times(
                    series("101", response_code="ok")
                ),
            },
            4_665,
        ),
        (
            "storage.stored",
            {
                "storage.googleapis.com/storage/v2/total_bytes": times(
                    series(2e9, 1e9, type="live-object"), series(5e8, type="soft-deleted-object")
                )
            },
            2.5,
        ),
        (
            "storage.egress",
            {"storage.googleapis.com/network/sent_bytes_count": times(series("3000000000"))},
            3,
        ),
        (
            "secrets.accesses",
            {"serviceruntime.googleapis.com/api/request_count": times(series("744"))},
            744,
        ),
        (
            "pubsub.volume",
            {
                "pubsub.googleapis.com/topic/byte_cost": times(series("4000000")),
                "pubsub.googleapis.com/subscription/byte_cost": times(series("6000000")),
            },
            0.01,
        ),
        (
            "logging.volume",
            {"logging.googleapis.com/billing/bytes_ingested": times(series(str(2**30)))},
            1,
        ),
        ("compute.hours", {"compute.googleapis.com/instance/uptime": times(series(7_200.0))}, 2),
    ],
)
def test_each_metric(name: str, answers: Mapping[str, Any], amount: float) -> None:
    assert used(answers, name) == pytest.approx(amount)


def test_operations_on_objects_by_class() -> None:
    counts = {
        "WriteObject": "7",
        "ComposeObject": "2",
        "ListObjects": "1",
        "SomethingNew": "1",  # of which it is not known, it is the dearer
        "ReadObject": "50",
        "GetObjectMetadata": "9",
        "DeleteObject": "400",
    }
    found = times(*(series(count, method=method) for method, count in counts.items()))
    answers = {"storage.googleapis.com/api/request_count": found}
    assert used(answers, "storage.class_a") == 11
    assert used(answers, "storage.class_b") == 59


def test_several_pages_are_one_answer() -> None:
    def page(asked: Asked) -> Any:
        if "pageToken" not in asked:
            return {**times(series("1")), "nextPageToken": "there-is-more"}
        return times(series("2"))

    assert (
        used({"firestore.googleapis.com/document/write_ops_count": page}, "firestore.writes") == 3
    )


LISTED = {
    "https://secretmanager.googleapis.com/v1/projects/my-yurt/secrets": {
        "secrets": [{"name": "projects/1/secrets/a"}, {"name": "projects/1/secrets/b"}]
    },
    "https://secretmanager.googleapis.com/v1/projects/1/secrets/a/versions": {
        "versions": [{"state": "ENABLED"}, {"state": "DISABLED"}, {"state": "DESTROYED"}]
    },
    "https://secretmanager.googleapis.com/v1/projects/1/secrets/b/versions": {
        "versions": [{"state": "ENABLED"}]
    },
    "https://artifactregistry.googleapis.com/v1/projects/my-yurt/locations/us-central1/repositories": {
        "repositories": [
            {"name": "yurt", "sizeBytes": "260000000"},
            {"name": "gcf-artifacts", "sizeBytes": "40000000"},
            {"name": "empty"},
        ]
    },
    "https://cloudbuild.googleapis.com/v1/projects/my-yurt/locations/us-central1/builds": {
        "builds": [
            {
                "status": "SUCCESS",
                "createTime": "2026-11-20T10:00:00.123456Z",
                "startTime": "2026-11-20T10:00:10.123456789Z",
                "finishTime": "2026-11-20T10:02:40.123456789Z",
            },
            {"status": "QUEUED", "createTime": "2026-11-22T16:30:00Z"},
            {"status": "WORKING", "startTime": "2026-11-22T16:30:12.000005Z"},
        ]
    },
    "https://cloudbuild.googleapis.com/v1/projects/my-yurt/locations/global/builds": {
        "builds": [{"startTime": "2026-11-03T10:00:00Z", "finishTime": "2026-11-03T10:01:00Z"}]
    },
    "https://cloudscheduler.googleapis.com/v1/projects/my-yurt/locations/us-central1/jobs": {
        "jobs": [{"state": "ENABLED"}, {"state": "PAUSED"}]
    },
    "https://compute.googleapis.com/compute/v1/projects/my-yurt/aggregated/disks": {
        "items": {
            "zones/us-central1-a": {
                "disks": [
                    {"sizeGb": "10", "type": "https://compute/zones/a/diskTypes/pd-standard"},
                    {"sizeGb": "20", "type": "https://compute/zones/a/diskTypes/pd-ssd"},
                ]
            },
            "zones/us-central1-b": {"warning": {"code": "NO_RESULTS_ON_PAGE"}},
        }
    },
}


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("secrets.versions", 3),
        ("artifacts.stored", 0.3),
        ("build.minutes", 4),  # 2.5, none for what waits, half a minute so far, and 1 by hand
        ("scheduler.jobs", 2),
        ("compute.disk", 10),
    ],
)
def test_what_services_list(name: str, amount: float) -> None:
    assert used(LISTED, name) == pytest.approx(amount)


# What is asked


def test_a_day_is_asked_for_from_midnight_in_california() -> None:
    google = Google({})
    read(google)
    assert google.asked["firestore.googleapis.com/document/write_ops_count"] == [
        {
            "filter": 'metric.type="firestore.googleapis.com/document/write_ops_count" AND '
            'resource.type="firestore.googleapis.com/Database"',
            "interval.startTime": "2026-11-22T08:00:00Z",
            "interval.endTime": "2026-11-22T16:30:00Z",
            "aggregation.alignmentPeriod": "30600s",
            "aggregation.perSeriesAligner": "ALIGN_SUM",
            "aggregation.crossSeriesReducer": "REDUCE_SUM",
        }
    ]


def test_a_month_is_asked_for_from_its_first_midnight() -> None:
    google = Google({})
    read(google)
    (asked,) = google.asked["run.googleapis.com/request_count"]
    assert asked["interval.startTime"] == "2026-11-01T07:00:00Z"
    assert asked["aggregation.alignmentPeriod"] == f"{21 * 86_400 + 9.5 * 3_600:.0f}s"
    region = "https://cloudbuild.googleapis.com/v1/projects/my-yurt/locations/us-central1/builds"
    (asked,) = google.asked[region]
    assert asked["filter"] == 'create_time>="2026-11-01T07:00:00Z"'


def test_of_a_stock_the_newest_measure_is_asked_for() -> None:
    google = Google({})
    read(google)
    assert google.asked["storage.googleapis.com/storage/v2/total_bytes"] == [
        {
            "filter": 'metric.type="storage.googleapis.com/storage/v2/total_bytes"',
            "interval.startTime": "2026-11-20T16:30:00Z",
            "interval.endTime": "2026-11-22T16:30:00Z",
            "aggregation.alignmentPeriod": "172800s",
            "aggregation.perSeriesAligner": "ALIGN_NEXT_OLDER",
            "aggregation.crossSeriesReducer": "REDUCE_SUM",
        }
    ]


@pytest.mark.parametrize(
    ("now", "start", "period", "resets"),
    [
        # 23 hours, 25 hours, and the first minute of a day.
        ("2026-03-09T06:59:30Z", "2026-03-08T08:00:00Z", "82740s", "2026-03-09T07:00:00Z"),
        ("2026-11-02T07:59:30Z", "2026-11-01T07:00:00Z", "89940s", "2026-11-02T08:00:00Z"),
        ("2026-11-22T08:00:30Z", "2026-11-22T08:00:00Z", "60s", "2026-11-23T08:00:00Z"),
    ],
)
def test_days_when_clocks_change(now: str, start: str, period: str, resets: str) -> None:
    google = Google({})
    found = read(google, datetime.fromisoformat(now))
    (asked,) = google.asked["firestore.googleapis.com/document/read_ops_count"]
    assert asked["interval.startTime"] == start
    assert asked["aggregation.alignmentPeriod"] == period
    assert row(found, "firestore.reads").resets == datetime.fromisoformat(resets)


# What is not known


def test_no_series_is_nothing_used() -> None:
    found = read({})
    assert [each.name for each in found.rows] == list(allowances())
    assert {each.used for each in found.rows} == {0, None}
    # What no API tells stays unknown.
    assert [each.name for each in found.rows if each.used is None] == ["firestore.egress"]
    assert found.tightest is None


DISABLED = {
    "error": {
        "code": 403,
        "message": "Cloud Scheduler API has not been used in project 1 before or it is disabled.",
        "status": "PERMISSION_DENIED",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "SERVICE_DISABLED",
                "domain": "googleapis.com",
            }
        ],
    }
}
DENIED: dict[str, Any] = {
    "error": {
        "code": 403,
        "message": "Permission monitoring.timeSeries.list denied (or the resource may not exist).",
        "status": "PERMISSION_DENIED",
    }
}
JOBS = "https://cloudscheduler.googleapis.com/v1/projects/my-yurt/locations/us-central1/jobs"


@pytest.mark.parametrize(
    ("name", "where", "answer", "why"),
    [
        (
            "scheduler.jobs",
            JOBS,
            (403, DISABLED),
            "cloudscheduler.googleapis.com is not enabled in the project",
        ),
        (
            "run.requests",
            "run.googleapis.com/request_count",
            (403, DENIED),
            "monitoring.googleapis.com answers 403 PERMISSION_DENIED: "
            + DENIED["error"]["message"],
        ),
        # A metric that Monitoring does not know is none that was never used.
        (
            "tasks.operations",
            "cloudtasks.googleapis.com/queue/task_attempt_count",
            (404, {"error": {"code": 404, "message": "Cannot find metric", "status": "NOT_FOUND"}}),
            "monitoring.googleapis.com answers 404 NOT_FOUND: Cannot find metric",
        ),
        (
            "compute.disk",
            "https://compute.googleapis.com/compute/v1/projects/my-yurt/aggregated/disks",
            (404, {"error": {"code": 404, "message": "no such project"}}),
            "compute.googleapis.com answers 404: no such project",
        ),
        (
            "scheduler.jobs",
            JOBS,
            ConnectionError("refused"),
            "cloudscheduler.googleapis.com cannot be reached",
        ),
    ],
)
def test_what_cannot_be_asked_is_unknown(name: str, where: str, answer: Any, why: str) -> None:
    found = read({where: answer})
    each = row(found, name)
    assert (each.used, each.share, each.unknown) == (None, None, why)
    assert [other.name for other in found.rows if other.unknown is not None] == [
        given for given in allowances() if given in (name, "firestore.egress")
    ]
    assert f"  {name}: {why}" in usage_text(found).splitlines()


# What is shown


def a_usage(**readings: float | Unknown) -> Usage:
    """Of some allowances, whose names have a double underscore for their dot."""
    asked = {name.replace("__", "."): reading for name, reading in readings.items()}
    given = {name: allowances()[name] for name in asked}
    return usage_of("my-yurt", "us-central1", NOW, given, asked)


def test_a_text_for_a_terminal() -> None:
    found = a_usage(
        firestore__writes=4_312,
        firestore__stored=0.004,
        run__vcpu_seconds=198_000.4,
        run__requests=1,
        artifacts__stored=0.26,
        scheduler__jobs=Unknown("cloudscheduler.googleapis.com is not enabled in the project"),
    )
    assert usage_text(found) == TEXT


TEXT = """\
allowance         used     free                          share                all free again          beyond it
firestore.writes  4,312    20,000 documents a day        [##        ]   22 %  in 15 hours 29 minutes  $0.09 per 100,000 documents
firestore.stored  < 0.01   1 GiB                         [          ]  < 1 %  when some are deleted   $0.15 per GiB and month
run.vcpu_seconds  198,000  180,000 vCPU-seconds a month  [##########]  110 %  in 8 days 15 hours      $0.000024 per vCPU-second
run.requests      1        2,000,000 requests a month    [          ]  < 1 %  in 8 days 15 hours      $0.40 per 1,000,000 requests
artifacts.stored  0.26     0.50 GB                       [#####     ]   52 %  when some are deleted   $0.10 per GB and month
scheduler.jobs    unknown  3 jobs                                             when some are deleted   $0.10 per job and month

Tightest: run.vcpu_seconds (processors of functions at work), of which 110 % is used. What is beyond it is billed at $0.000024 per vCPU-second.
The project has allowances of its own for firestore. The others belong to the billing account,
whose other projects are not seen here.

Unknown:
  scheduler.jobs: cloudscheduler.googleapis.com is not enabled in the project"""


def test_nothing_is_used() -> None:
    text = usage_text(a_usage(firestore__writes=0))
    assert text.splitlines()[-1] == "Nothing is used."


def test_the_tightest_is_the_largest_share() -> None:
    found = a_usage(firestore__reads=20_000, firestore__writes=10_000, scheduler__jobs=1)
    assert found.tightest == "firestore.writes"


def test_as_json() -> None:
    told = msgspec.to_builtins(a_usage(firestore__writes=5_000, run__requests=Unknown("because")))
    assert told["at"] == "2026-11-22T16:30:42.000005Z"
    assert (told["project"], told["region"], told["tightest"]) == (
        "my-yurt",
        "us-central1",
        "firestore.writes",
    )
    assert told["rows"][0] == {
        "name": "firestore.writes",
        "title": "documents written",
        "used": 5_000,
        "amount": 20_000,
        "unit": "documents",
        "share": 0.25,
        "window": "day",
        "scope": "project",
        "resets": "2026-11-23T08:00:00Z",
        "beyond": "billed at $0.09 per 100,000 documents",
        "unknown": None,
    }
    assert (told["rows"][1]["used"], told["rows"][1]["unknown"]) == (None, "because")
