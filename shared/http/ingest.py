"""A phone's report: from request to durable records, and the answer its app waits for.

The contract with the apps: 200 only after everything is durable; 5xx, within eight seconds, for
anything temporary, so that the phone keeps its report; never a 4xx for a body, because one app
deletes what is refused and another sends it again for ever. What cannot be read is kept as a reject
and acknowledged.

Some apps write the report into the URL, with any method: of a request without a body, the
parameters that are not the credential's are the body.
"""

import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import cast
from urllib.parse import unquote_plus

from werkzeug.wrappers import Request, Response

from shared.http.credentials import URL_PARAMETERS, tokens_in
from shared.http.errors import Problem, places, unauthorized, unavailable
from shared.http.later import Later
from shared.http.responses import json_response, path_within, read_body
from shared.model.access import Access, Device
from shared.node import Node
from shared.sealing import CannotUnseal
from shared.sources import overland, owntracks, plain
from shared.sources.push import (
    Decoded,
    Fault,
    Outbox,
    Push,
    PushSource,
    with_rejects,
)
from shared.store.protocol import PutsSoon, Settle, StoreError

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes. The largest report apps make is a batch of 1,000 points of about 600 bytes."""

SOURCES: Mapping[str, PushSource] = MappingProxyType(
    {
        "/pub": owntracks,
        "/api/v1/owntracks/points": owntracks,
        "/api/v1/overland/batches": overland,
        "/report": plain,
    }
)
"""Where apps deliver. The longer paths are those of servers that phones may point at already."""

_METHODS = ("GET", "HEAD", "PATCH", "POST", "PUT")
# u and d are how OwnTracks and its likes name user and device.
_OF_NO_REPORT = (*URL_PARAMETERS, "u", "d")
_NOTHING = Outbox()
_UNWRITABLE = (OverflowError, RecursionError, TypeError, ValueError)
_log = logging.getLogger(__name__)


def ingest(node: Node, request: Request) -> Response:
    """Answers one request of an app, after everything it brought is durable."""
    return cast("Response", _answered(node, request, None))


def ingest_soon(node: Node, request: Request) -> Response | Later:
    """As `ingest`, but without waiting for the disk where the store need not be waited for."""
    return _answered(node, request, node.puts_soon)


def _answered(node: Node, request: Request, store: PutsSoon | None) -> Response | Later:
    try:
        return _answer(node, request, store)
    except Problem as problem:
        return problem.response()
    except StoreError as error:
        return _not_stored(error)


def _answer(node: Node, request: Request, store: PutsSoon | None) -> Response | Later:
    asked = _asked(node, request)
    if isinstance(asked, Response):
        return asked
    source, device, push = asked
    decoded = _decoded(source, push)
    if store is None or device.sees or device.commands or not decoded.records:
        # What waits for the device is read, or taken out of its box, only once all is durable.
        decoded = _kept(node, source, push, decoded)
        return json_response(source.reply(push, _outbox(node, device), decoded))
    return Later(
        begin=lambda settle: _put_soon(store, source, push, decoded, settle),
        done=json_response(source.reply(push, _NOTHING, decoded)),
        failed=_not_stored,
    )


def _not_stored(error: Exception) -> Response:
    _log.error("a report could not be stored: %s", error)
    return unavailable("the store is unavailable; keep the report and send it again").response()


def _asked(node: Node, request: Request) -> Response | tuple[PushSource, Device, Push]:
    path = path_within(request, "ingest")
    source = SOURCES.get(path)
    if source is None:
        raise _nothing_there(request, path)
    device = _device(node, request)
    if request.method not in _METHODS:
        raise Problem(405, "reports are sent with POST", headers={"Allow": ", ".join(_METHODS)})
    if request.method != "HEAD":
        push = _push(node, request, device)
        if push.body or request.method != "GET":
            return source, device, push
    # Overland shows this name as the account its user is connected to.
    return json_response({"name": device.name})


def _nothing_there(request: Request, path: str) -> Problem:
    there = f"nothing is delivered at {path}; apps post to {', '.join(SOURCES)}"
    if path == "/" and request.method not in ("GET", "HEAD"):
        # A phone with half a URL: until its user has seen to it, it must keep its reports.
        return unavailable(there)
    return Problem(404, there)


def _device(node: Node, request: Request) -> Device:
    offered = False
    for token in tokens_in(request):
        offered = True
        device = node.keyring.device(token)
        if device is not None:
            return device
    node.counts.add("ingest.unauthorized")
    if offered:
        raise unauthorized("this credential is not known; pair the device again: yurt pair NAME")
    raise unauthorized("no credential was sent; `yurt pair NAME` makes one for a device")


def _push(node: Node, request: Request, device: Device) -> Push:
    body, truncated = read_body(request, BODY_LIMIT)
    key, earlier_keys = _keys(node, device)
    return Push(
        body=body or _parameters(request),
        device=device.id,
        received=node.clock(),
        key=key,
        earlier_keys=earlier_keys,
        renewing=device.pending is not None,
        user_agent=request.environ.get("HTTP_USER_AGENT", ""),
        truncated=truncated,
    )


def _parameters(request: Request) -> bytes:
    """The parameters in the URL that may be a report, as they were sent."""
    parameters = filter(None, request.query_string.split(b"&"))
    return b"&".join(p for p in parameters if _name(p) not in _OF_NO_REPORT)


def _name(parameter: bytes) -> str:
    return unquote_plus(parameter.partition(b"=")[0].decode("latin-1")).lower()


def _keys(node: Node, device: Device) -> tuple[bytes | None, tuple[bytes, ...]]:
    """The passphrase the device encrypts with, and those it had before."""
    sealed = device.sealed_key
    try:
        key = node.master_key.unseal(sealed) if sealed is not None else None
    except (CannotUnseal, ValueError, OSError) as error:
        _log.error("the key of device %s: %s", device.id, error)
        raise unavailable(
            "this node's master key is missing or damaged; run `yurt doctor`"
        ) from error
    earlier: list[bytes] = []
    for sealed in device.earlier_keys:
        # One from before the master key was lost will never be had again: it must not jam a phone.
        with suppress(CannotUnseal, ValueError, OSError):
            earlier.append(node.master_key.unseal(sealed))
    return key, tuple(earlier)


def _decoded(source: PushSource, push: Push) -> Decoded:
    if push.truncated:
        return _rejected(source, push, f"the body is longer than {BODY_LIMIT} bytes")
    try:
        return with_rejects(source, push, source.decode(push))
    except Exception as error:  # noqa: BLE001
        # A fault of ours must not cost the owner a report: keep it for a version that can read it.
        _log.error("%s cannot decode a body: %s", source.NAME, places(error))
        return _rejected(source, push, f"cannot be decoded: {type(error).__name__}")


def _kept(node: Node, source: PushSource, push: Push, decoded: Decoded) -> Decoded:
    """What is durable now: what was decoded, or else the reject of the whole."""
    if not decoded.records:
        return decoded
    try:
        node.store.put(decoded.records, decoded.raws)
    except _UNWRITABLE as error:
        decoded = _unwritable(source, push, error)
        node.store.put(decoded.records, decoded.raws)
    return decoded


def _put_soon(
    store: PutsSoon, source: PushSource, push: Push, decoded: Decoded, settle: Settle
) -> None:
    try:
        store.put_soon(decoded.records, decoded.raws, settle)
    except _UNWRITABLE as error:
        decoded = _unwritable(source, push, error)
        store.put_soon(decoded.records, decoded.raws, settle)


def _unwritable(source: PushSource, push: Push, error: Exception) -> Decoded:
    _log.error("a record of %s cannot be written: %s", source.NAME, places(error))
    return _rejected(source, push, f"cannot be written: {type(error).__name__}")


def _rejected(source: PushSource, push: Push, reason: str) -> Decoded:
    return with_rejects(source, push, Decoded(faults=[Fault(reason)]))


def _outbox(node: Node, device: Device) -> Outbox:
    if not device.sees and not device.commands:
        return _NOTHING
    try:
        access = node.keyring.access
        seen = (access.devices[id] for id in device.sees if id in access.devices)
        friends = [node.friends.friend(friend) for friend in seen]
        commands = _take_commands(node, device) if device.commands else ()
    except StoreError as error:
        # The report is durable by now: the phone need not send it again for the sake of these.
        _log.warning("a device hears nothing of its friends and commands: %s", error)
        return _NOTHING
    return Outbox(friends, commands, secrets.token_bytes(24))


def _take_commands(node: Node, device: Device) -> tuple[dict[str, object], ...]:
    """Hands commands out once: one that asks for a report would otherwise ask for ever."""
    taken: tuple[dict[str, object], ...] = ()

    def decide(access: Access) -> Access:
        nonlocal taken
        current = access.devices.get(device.id)
        taken = current.commands if current is not None else ()
        return access.with_commands(device.id, ()) if taken else access

    node.keyring.change(decide)
    return taken
