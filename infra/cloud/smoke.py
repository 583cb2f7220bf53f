"""The smoke test of a node that was deployed: a fix goes in as from a phone, and comes out again.

Through the public URL, with credentials that are made for it and taken back. What it leaves is
nothing, also after one that was killed: the next begins by taking that away.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from urllib.parse import urlencode

from infra.cloud.api import Response, Send, silence
from shared.model.access import ACCESS, Access, Device, OwnerToken, token_hash
from shared.node import Node
from shared.store.changing import change

DEVICE = "deployment-test"
"""The id of the device, and the name of the owner's token; no device of an owner has such an id."""

_PAUSES = (1.0, 2.0, 5.0, 5.0, 5.0, 10.0, 10.0, 20.0, 20.0)
"""Seconds between attempts, not quite a minute and a half. Who may call a function is mostly known
within one, and a function that knew other credentials looks for new ones every five seconds."""

_NOT_YET = (401, 403, 404, 429, 500, 502, 503, 504)
_LAT, _LON = 0.0, 0.0  # in the sea, where nobody takes it for a place of theirs


class SmokeTestFailed(Exception):
    """The node does not do what it was deployed for; the text says what was seen, what to do."""


def smoke_test(
    node: Node,
    base: str,
    private: Sequence[str],
    send: Send,
    wait: Callable[[float], None],
) -> None:
    """`SmokeTestFailed` unless a fix goes in and comes out, and nobody gets into `private`.

    base: where the functions are. private: names of functions. wait: sleeps so many seconds.
    """
    moment = node.clock()  # to the microsecond: at that of an earlier test nothing is kept any more
    with _let_in(node, moment) as (phone, owner):
        asker = _Asker(base, send, wait)
        report = {"time": moment.isoformat(), "lat": _LAT, "lon": _LON}
        asker.ask("POST", "/ingest/report", phone, json.dumps(report).encode())
        span = {
            "device": DEVICE,
            "from": moment.isoformat(),
            "to": (moment + timedelta(seconds=1)).isoformat(),
            "format": "geojson",
        }
        answer = asker.ask("GET", f"/query/loc?{urlencode(span)}", owner)
        if not _has_the_fix(answer):
            raise SmokeTestFailed(
                f"{base}/ingest took a report that {base}/query does not give back; see the logs "
                "of both in the console (Cloud Run), and run the same command again"
            )
        for function in private:
            asker.ask_in_vain(f"/{function}")


class _Asker:
    def __init__(self, base: str, send: Send, wait: Callable[[float], None]) -> None:
        self._base = base
        self._send = send
        self._wait = wait

    def ask(self, method: str, path: str, token: str, body: bytes = b"") -> bytes:
        """What is answered with 200. `SmokeTestFailed`."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        pauses = iter(_PAUSES)
        while True:
            answer = self._answer(method, path, headers, body)
            if isinstance(answer, Response) and answer.status == 200:
                return answer.body
            pause = next(pauses, None)
            if pause is None or (isinstance(answer, Response) and answer.status not in _NOT_YET):
                break
            self._wait(pause)
        what, _, _ = path.partition("?")
        raise SmokeTestFailed(f"{self._base}{what} {_said(answer)}; {_LOOK}")

    def ask_in_vain(self, path: str) -> None:
        """As a stranger, who is to be refused. `SmokeTestFailed` if not."""
        pauses = iter(_PAUSES)
        while not _is_refusal(answer := self._answer("GET", path, {}, b"")):
            pause = next(pauses, None)
            if pause is None:
                raise SmokeTestFailed(
                    f"{self._base}{path} is private, but {_said(answer)} to a stranger; run the "
                    "same command again, which sets who may call it"
                )
            self._wait(pause)

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Response | OSError:
        try:
            return self._send(method, self._base + path, headers, body)
        except OSError as error:
            return error


_LOOK = (
    "see the function's log in the console (Cloud Run, the service of that name, Logs), and run "
    "the same command again"
)


def _is_refusal(answer: Response | OSError) -> bool:
    return isinstance(answer, Response) and answer.status in (401, 403, 404)


def _said(answer: Response | OSError) -> str:
    if isinstance(answer, OSError):
        return silence(answer)
    text = " ".join(answer.body.decode("utf-8", "replace").split())[:200]
    return f"answers {answer.status} {text}".rstrip()


def _has_the_fix(answer: bytes) -> bool:
    try:
        features = json.loads(answer)["features"]
        return any(f["geometry"]["coordinates"][:2] == [_LON, _LAT] for f in features)
    except (ValueError, KeyError, TypeError):
        return False


@contextmanager
def _let_in(node: Node, moment: datetime) -> Iterator[tuple[str, str]]:
    """The tokens of a device and of an owner, for as long as it takes."""
    phone, owner = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    device = Device(id=DEVICE, name=DEVICE, app="other", created=moment, current=token_hash(phone))
    token = OwnerToken(name=DEVICE, hash=token_hash(owner), created=moment)
    _change(node, lambda access: access.with_device(device).with_token(token))
    try:
        yield phone, owner
    finally:
        node.store.erase(DEVICE, [moment])
        _change(node, lambda access: access.without_device(DEVICE).without_token(DEVICE))


def _change(node: Node, decide: Callable[[Access], Access]) -> None:
    change(node.store, ACCESS, Access(), decide)
