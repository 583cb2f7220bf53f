"""What goes wrong on purpose, and that it leaves what it says."""

import json
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.google.faults import Kind
from tests.google.listener import Listener
from tests.google.requests import AUTHORIZED, ask, opened
from tests.google.scenes import P

LIST = f"GET iam/v1/{P}/serviceAccounts"
CREATE = f"POST iam/v1/{P}/serviceAccounts"
BODY = {"accountId": "yurt-ingest"}


@pytest.mark.parametrize(("kind", "status"), [("refused", 503), ("quota", 429), ("denied", 403)])
def test_the_third_request_is_refused_once(kind: Kind, status: int) -> None:
    fake = opened()
    fake.faults.after(3, kind)
    assert [ask(fake, LIST).status for _ in range(4)] == [200, 200, status, 200]


@pytest.mark.parametrize(("kind", "there"), [("lost before", False), ("lost after", True)])
def test_a_connection_breaks_before_or_after_the_effect(kind: Kind, there: bool) -> None:
    fake = opened()
    fake.faults.after(1, kind, mutating=True)
    assert ask(fake, LIST).json == {}
    with pytest.raises(ConnectionError):
        ask(fake, CREATE, BODY)
    assert ("accounts" in ask(fake, LIST).json) is there
    assert [seen.status for seen in fake.requests] == [200, 200 if there else 0, 200]
    assert [seen.mutating for seen in fake.requests] == [False, True, False]


def test_a_listener_closes_the_connection_and_leads_nowhere_else() -> None:
    fake = opened()
    fake.faults.after(1, "lost after", mutating=True)
    with Listener(fake) as listener:
        connection = HTTPConnection(urlsplit(listener.address).netloc)
        path = f"/iam/v1/{P}/serviceAccounts"
        connection.request("POST", path, json.dumps(BODY), AUTHORIZED)
        with pytest.raises(ConnectionError):
            connection.getresponse()
        connection.request("GET", path, headers=AUTHORIZED)
        assert b"yurt-ingest" in connection.getresponse().read()
        connection.request("CONNECT", "iam.googleapis.com:443")
        assert connection.getresponse().status == 403
        connection.close()


def test_there_is_no_other_host() -> None:
    with pytest.raises(ConnectionError, match="no host"):
        ask(opened(), "GET example/v1/projects/p-yurt")
