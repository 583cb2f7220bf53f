"""The door to Google's APIs: what it makes of their answers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import requests

from infra.cloud.api import Api, ApiError, Call, Response, Token, Unreachable

GET = Call("GET", "run", "v2/projects/p/locations/r/services/s")


class Google:
    """Answers what a test says, in turn; the last again and again."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.answers = list(answers)
        self.urls: list[str] = []
        self.tokens: list[str] = []

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.urls.append(url)
        self.tokens.append(headers["Authorization"].removeprefix("Bearer "))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def api(self, environ: Mapping[str, str] | None = None) -> Api:
        tokens = iter(("first", "second", "third"))
        return Api("p", Token(lambda: next(tokens)), environ or {}, self.send, lambda _: None)


def answer(status: int, value: Any) -> Response:
    return Response(status, json.dumps(value).encode())


EXPIRED = answer(401, {"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "expired"}})


def test_a_token_that_expired_is_asked_for_anew() -> None:
    google = Google(EXPIRED, answer(200, {"name": "s"}))
    api = google.api()
    assert api.call(GET) == {"name": "s"}
    assert api.call(GET) == {"name": "s"}
    assert google.tokens == ["first", "second", "second"]


def test_one_that_is_refused_again_is_an_error() -> None:
    google = Google(EXPIRED)
    with pytest.raises(ApiError, match="expired"):
        google.api().call(GET)
    assert google.tokens == ["first", "second"]


@pytest.mark.parametrize(
    ("given", "status", "reason", "message"),
    [
        (
            answer(
                403,
                {
                    "error": {
                        "code": 403,
                        "status": "PERMISSION_DENIED",
                        "message": "not enabled",
                        "details": [{"reason": "SERVICE_DISABLED"}],
                    }
                },
            ),
            403,
            "SERVICE_DISABLED",
            "not enabled",
        ),
        (
            answer(
                409, {"error": {"code": 409, "errors": [{"reason": "conflict", "message": "x"}]}}
            ),
            409,
            "conflict",
            "x",
        ),
        (Response(502, b"<html>Bad gateway</html>"), 502, "", "<html>Bad gateway</html>"),
        (Response(500, b""), 500, "", "it answered with status 500"),
        (answer(400, ["nonsense"]), 400, "", '["nonsense"]'),
    ],
)
def test_a_refusal_says_why(given: Response, status: int, reason: str, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        Google(given).api().call(GET)
    assert (refused.value.status, refused.value.reason) == (status, reason)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (requests.ConnectionError("HTTPSConnectionPool"), "run.googleapis.com cannot be reached"),
        (requests.Timeout("read"), "run.googleapis.com gave no answer within 60 seconds"),
    ],
)
def test_silence_is_said_shortly(failure: Exception, said: str) -> None:
    with pytest.raises(Unreachable) as silent:
        Google(failure).api().call(GET)
    assert str(silent.value) == said


ENDPOINTS = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"


@pytest.mark.parametrize(
    ("call", "environ", "url"),
    [
        (GET, {}, "https://run.googleapis.com/v2/projects/p/locations/r/services/s"),
        (
            Call("GET", "storage", "storage/v1/b/x", {"a": ["1", "2"]}),
            {f"{ENDPOINTS}STORAGE": "http://127.0.0.1:1/storage/v1/"},
            "http://127.0.0.1:1/storage/v1/b/x?a=1&a=2",
        ),
    ],
)
def test_services_are_where_gcloud_finds_them(
    call: Call, environ: Mapping[str, str], url: str
) -> None:
    google = Google(answer(200, {}))
    google.api(environ).call(call)
    assert google.urls == [url]


@pytest.mark.parametrize(
    ("begun", "done", "asked"),
    [
        (
            {"name": "projects/p/locations/r/operations/o"},
            {"done": True, "response": {"x": 1}},
            "https://run.googleapis.com/v2/projects/p/locations/r/operations/o",
        ),
        (
            {
                "kind": "compute#operation",
                "name": "o",
                "status": "RUNNING",
                "selfLink": "https://www.googleapis.com/compute/v1/projects/p/zones/z/operations/o",
            },
            {"kind": "compute#operation", "status": "DONE"},
            "https://run.googleapis.com/compute/v1/projects/p/zones/z/operations/o",
        ),
    ],
)
def test_an_operation_is_waited_for(begun: Any, done: Any, asked: str) -> None:
    google = Google(answer(200, begun), answer(200, begun), answer(200, {**begun, **done}))
    google.api().finish(Call("POST", "run", "v2/x"))
    assert google.urls[1:] == [asked, asked]


@pytest.mark.parametrize(
    "error",
    [
        {"code": 9, "message": "the build failed"},
        {"errors": [{"code": "QUOTA", "message": "the build failed"}]},
    ],
)
def test_an_operation_that_fails_is_an_error(error: Any) -> None:
    done = {"name": "operations/o", "done": True, "error": error}
    with pytest.raises(ApiError, match="the build failed"):
        Google(answer(200, done)).api().finish(Call("POST", "run", "v2/x"))


@pytest.mark.parametrize(("code", "status"), [(8, 429), (10, 409), (13, 500), (14, 503), (7, 403)])
def test_an_operation_that_fails_has_the_status_of_its_code(code: int, status: int) -> None:
    done = {"name": "operations/o", "done": True, "error": {"code": code, "message": "no"}}
    with pytest.raises(ApiError) as failed:
        Google(answer(200, done)).api().finish(Call("POST", "run", "v2/x"))
    assert failed.value.status == status
