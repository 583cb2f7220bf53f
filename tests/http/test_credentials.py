"""Where a token may stand in a request."""

import base64

import pytest
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from shared.http.credentials import tokens_in
from tests.http.phones import basic


def bare(scheme: str, value: str) -> dict[str, str]:
    return {"Authorization": f"{scheme} {value}"}


@pytest.mark.parametrize(
    ("headers", "query", "tokens"),
    [
        (basic("me", "secret"), "", ["secret"]),
        (basic("me", "se:cret"), "", ["se:cret"]),
        (basic("secret", ""), "", ["secret"]),
        (bare("Basic", base64.b64encode(b"secret").decode()), "", ["secret"]),
        (bare("basic", base64.b64encode(b":secret").decode()), "", ["secret"]),
        (bare("Basic", "secret:"), "", ["secret"]),
        (bare("Basic", base64.b64encode(b"\xff\xff").decode()), "", ["//8="]),
        (bare("Basic", ""), "", []),
        (bare("Bearer", "secret"), "", ["secret"]),
        (bare("bearer", " secret "), "", ["secret"]),
        ({"Authorization": "Bearer\tsecret"}, "", ["secret"]),
        ({"Authorization": " Bearer \t secret"}, "", ["secret"]),
        ({"Authorization": " "}, "", []),
        (
            bare("Basic", base64.b64encode(b"me:secre").decode().rstrip("=")),
            "",
            ["secre", "bWU6c2VjcmU"],
        ),
        (bare("Basic", "c2VjcmV"), "", ["secre", "c2VjcmV"]),
        (bare("Bearer", ""), "", []),
        (bare("Digest", "secret"), "", []),
        ({}, "token=secret", ["secret"]),
        ({}, "api_key=secret", ["secret"]),
        ({}, "u=me&d=phone&token=%73ecret", ["secret"]),
        ({}, "token=&api_key=secret", ["secret"]),
        ({}, "token=one&token=&token=two&api_key=three", ["one", "two", "three"]),
        ({}, "token=%ff%fe", ["%FF%FE"]),
        (basic("me", "one"), "token=two", ["one", "two"]),
        ({}, "", []),
    ],
    ids=str,
)
def test_where_a_token_may_stand(headers: dict[str, str], query: str, tokens: list[str]) -> None:
    environ = EnvironBuilder("/pub", query_string=query, headers=Headers(headers)).get_environ()
    assert list(tokens_in(Request(environ))) == tokens
