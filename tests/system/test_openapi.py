"""`schemas/openapi.json` says what `query` does: schemathesis asks by it and checks every answer."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from infra.generate import ROOT
from shared.model.records import Event, Person, Place, Reject, Status, Visit
from shared.store import cursors
from tests.http.asking import AUTH, MADE, NOON, Asker, asker, fix

schemathesis.openapi.format(
    "cursor",
    st.builds(
        cursors.encode,
        st.integers(-(10**15), 4 * 10**15),
        st.sampled_from(["p1", "t1", "reject:p1:cafe", "gone"]),
    ),
)
schemathesis.openapi.format(
    "date-time", st.integers(-900, 900).map(lambda n: (NOON + timedelta(seconds=n)).isoformat())
)

_asked: Asker | None = None


def application(environ: dict[str, Any], start_response: Any) -> Any:
    # The description is read when tests are collected, before there is a node.
    assert _asked is not None
    return _asked.app(environ, start_response)


def described() -> dict[str, Any]:
    """The description, knowing what is there: a made-up name finds nothing but a 404."""
    document: dict[str, Any] = json.loads((ROOT / "schemas/openapi.json").read_text())
    there = {"device": ["Phone", "t1"], "id": ["1"]}
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in there:
                    parameter["schema"]["enum"] = there[parameter["name"]]
    return document


whole = schemathesis.openapi.from_dict(described())
whole.app = application
whole.config.update(base_url="http://127.0.0.1/")
api = whole.include(tag="query")


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    global _asked
    there: dict[str, Any] = {"device": "p1", "time": NOON, "lat": 51.5, "lon": -0.125}
    with asker(tmp_path_factory.mktemp("node")) as _asked:
        _asked.put(*(fix(10 * n, speed=1.5, battery=0.5) for n in range(50)))
        _asked.put(fix(5, device="t1", altitude=20.5, motion=("walking",), trigger="timer"))
        _asked.put(
            Status(device="p1", time=NOON, **MADE),
            Visit(id="visit:1", **there, **MADE),
            Event(id="event:1", type="trip", time=NOON, **MADE),
            Place(id="place:1", name="home", time=NOON, **MADE),
            Person(id="person:1", names=("Ada",), time=NOON, **MADE),
            Reject(id="1", reason="not JSON", time=NOON, raw="cafe", size=3, **MADE),
            raws={"cafe": b"{]}"},
        )
        yield _asked


# In this process nobody unpacks an answer before it is looked at.
_PLAIN = {**AUTH, "Accept-Encoding": "identity"}


@api.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: schemathesis.Case[Any], ask: Asker) -> None:
    if cannot_be_meant(case):
        case.call_and_validate(headers=_PLAIN, excluded_checks=[positive_data_acceptance])
    else:
        case.call_and_validate(headers=_PLAIN)


def cannot_be_meant(case: schemathesis.Case[Any]) -> bool:
    """Whether its parameters are wrong only together, which OpenAPI has no words for."""
    asked = set(case.query or ())
    if {"from", "to"} <= asked:
        return True  # the one may be later than the other
    unbounded = case.operation.path == "/query/loc" and not {"from", "to"} & asked
    return unbounded and bool({"every", "limit", "cursor"} & asked)
