"""Objects in a bucket: what is asked of the service, and what its answers become.

The emulator lets through what the real service refuses, so requests are looked at here; and a small
server stands in for a service that fails.
"""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests

from shared.blobs.gcs import MOST_JOINED, GcsObjects
from shared.blobs.protocol import BlobsError, BlobsUnavailable
from shared.meter import metered


class Service(HTTPServer):
    """Answers all requests with what is set. asked: their methods, paths and heads."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.statuses: list[int] = []
        self.body: dict[str, object] = {}


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        service = self.server
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service.asked.append((self.command, self.path, dict(self.headers)))
        body = json.dumps(service.body).encode()
        self.send_response(service.statuses.pop(0) if service.statuses else service.status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("Location", "https://storage.example/upload?upload_id=secret")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - so the server calls them

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    service = Service()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{service.server_port}")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "demo-storage")
    thread = threading.Thread(target=service.serve_forever, args=(0.01,))
    thread.start()
    yield service
    service.shutdown()
    thread.join()
    service.server_close()


@pytest.fixture
def objects(service: Service) -> Iterator[GcsObjects]:
    objects = GcsObjects("bucket", within=0.15)
    yield objects
    objects.close()


def failing(status: int, message: str) -> dict[str, object]:
    return {"error": {"code": status, "message": message}}


CALLS: dict[str, Callable[[GcsObjects], object]] = {
    "put": lambda objects: objects.put("a", b"x"),
    "join": lambda objects: objects.join("a", ["b"]),
    "size": lambda objects: objects.size("a"),
    "read": lambda objects: objects.read("a", 0, 1),
    "delete": lambda objects: objects.delete("a"),
    "names": lambda objects: list(objects.names("")),
    "open_upload": lambda objects: objects.open_upload("a", 1, None),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("status", "message", "passing", "text"),
    [
        (503, "try later", True, "gave no answer in time"),
        (500, "oops", True, "gave no answer in time"),
        (429, "slow down", True, "gave no answer in time"),
        (403, "no access", False, "roles/storage.objectUser"),
        (404, "The specified bucket does not exist.", False, "buckets create"),
        (400, "nonsense", False, "refused a request"),
    ],
)
def test_answers_become_the_ports_errors(
    service: Service,
    objects: GcsObjects,
    call: Callable[[GcsObjects], object],
    status: int,
    message: str,
    passing: bool,
    text: str,
) -> None:
    service.status, service.body = status, failing(status, message)
    with pytest.raises(BlobsError, match=text) as caught:
        call(objects)
    assert isinstance(caught.value, BlobsUnavailable) == passing


@pytest.mark.parametrize("status", [503, 429, 502])
def test_what_passes_is_tried_again(service: Service, status: int) -> None:
    objects = GcsObjects("bucket", within=10)
    service.statuses, service.body = [status, status], {"name": "a", "size": "7"}
    assert objects.size("a") == 7
    assert len(service.asked) == 3
    objects.close()


def test_a_listing_that_fails_in_the_middle_is_not_taken_for_whole(
    service: Service, objects: GcsObjects
) -> None:
    service.body = {"items": [{"name": "a"}], "nextPageToken": "more"}
    names = objects.names("")
    assert next(names) == "a"
    service.status, service.body = 503, failing(503, "try later")
    with pytest.raises(BlobsUnavailable):
        list(names)


def test_nobody_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "demo-storage")
    with pytest.raises(BlobsUnavailable, match="no answer"):
        GcsObjects("bucket", within=0.15).put("a", b"x")


def test_the_session_is_for_these_bytes_and_this_browser(service: Service) -> None:
    objects = GcsObjects("bucket", within=10)
    upload = objects.open_upload("up/load", 123, "https://yurt.example")
    objects.close()
    assert upload.url == "https://storage.example/upload?upload_id=secret"
    assert len(service.asked) == 1, service.asked
    [(method, path, head)] = service.asked
    assert method == "POST"
    assert "uploadType=resumable" in path
    assert {name.lower(): value for name, value in head.items()}.items() >= {
        ("x-upload-content-length", "123"),
        ("origin", "https://yurt.example"),
    }


def test_what_is_not_there_costs_one_request(service: Service) -> None:
    service.status, service.body = 404, failing(404, "No such object: bucket/a")
    objects = GcsObjects("bucket", within=10)
    assert [objects.size("a") for _ in range(5)] == [None] * 5
    objects.close()
    assert [path.partition("?")[0] for _, path, _ in service.asked] == [
        "/storage/v1/b/bucket/o/a"
    ] * 5


def test_many_parts_are_joined_by_a_few_at_a_time(storage_bucket: str) -> None:
    objects = GcsObjects(storage_bucket)
    for number in range(MOST_JOINED):
        objects.put(f"part/{number}", b"%d;" % number)
    parts = [f"part/{number % MOST_JOINED}" for number in range(1_100)]
    with metered() as meter:
        objects.join("whole", parts)
    # 35 of 32 parts at most, 2 of these, and the whole.
    assert meter.object_writes == 38
    expected = b"".join(b"%d;" % (number % MOST_JOINED) for number in range(1_100))
    assert objects.read("whole", 0, 10_000) == expected
    client = objects._opened()
    assert [b.name for b in client.list_blobs(storage_bucket, prefix="JOINING")] == []
    objects.close()


def test_what_a_killed_join_left_is_no_object(storage_bucket: str) -> None:
    objects = GcsObjects(storage_bucket)
    objects.put("a", b"")
    objects._blob("JOINING/whole/0-000000").upload_from_string(b"")
    assert list(objects.names("")) == ["a"]
    objects.close()


def test_a_session_takes_pieces_from_somebody_else(storage_bucket: str) -> None:
    objects = GcsObjects(storage_bucket)
    data = bytes(range(256)) * 3_000
    url = objects.open_upload("up/load", len(data), None).url
    for start in range(0, len(data), 262_144):
        piece = data[start : start + 262_144]
        head = {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{len(data)}"}
        answer = requests.put(url, piece, headers=head, timeout=10)
        if start + len(piece) < len(data):
            assert answer.status_code == 308
            head = {"Content-Range": f"bytes */{len(data)}"}
            asked = requests.put(url, headers=head, timeout=10)
            assert asked.headers["Range"] == f"bytes=0-{start + len(piece) - 1}"
        else:
            assert answer.status_code == 200
    assert objects.read("up/load", 0, len(data)) == data
    objects.close()


def test_without_credentials_it_is_said_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from google.auth.exceptions import DefaultCredentialsError

    def refuse(*_: object, **__: object) -> None:
        raise DefaultCredentialsError("none here")

    monkeypatch.setattr("google.cloud.storage.Client", refuse)
    with pytest.raises(BlobsError, match="gcloud auth application-default login"):
        GcsObjects("bucket").size("a")
