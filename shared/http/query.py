"""The owner's questions: where the devices were and are, what was recorded, what was rejected, how
far the work on it is.

Every question needs the owner's credential. `ROUTES` is the table of them, from which requests are
answered and `schemas/openapi.json` is made.
"""

import logging
from typing import Any

from msgspec import Struct
from werkzeug.wrappers import Request, Response

from shared.blobs.protocol import BlobsError, BlobsUnavailable
from shared.commands.answers import (
    CollectorState,
    DeviceState,
    JobState,
    PlanState,
    StatusState,
    WhatIf,
)
from shared.commands.devices import device_states
from shared.formats import csv, geojson, gpx, json, owntracks
from shared.http import blobs, collectors, jobs, locations, openapi, records
from shared.http.compressing import compressed
from shared.http.credentials import check_owner
from shared.http.errors import Problem, unavailable
from shared.http.parameters import parameters
from shared.http.responses import JSON, json_response, path_within
from shared.http.routes import ERRORS, Route
from shared.node import Node
from shared.store.protocol import NewerData, StoreError, StoreUnavailable

_READING = ("GET", "HEAD")
_log = logging.getLogger(__name__)


def query(node: Node, request: Request) -> Response:
    """Answers one question of the owner."""
    try:
        response = compressed(request, _answer(node, request))
    except Problem as problem:
        response = problem.response()
    except StoreError as error:
        _log.error("the store cannot be read: %s", error)
        response = _cannot_be_read(error).response()
    except BlobsError as error:
        _log.error("what is kept cannot be read: %s", error)
        response = _cannot_be_read(error).response()
    response.headers["Cache-Control"] = "no-store"
    return response


def _answer(node: Node, request: Request) -> Response:
    check_owner(node, request, "query")
    path = path_within(request, "query")
    for route in ROUTES:
        parts = route.match(path)
        if parts is not None:
            if request.method not in _READING:
                allow = {"Allow": ", ".join(_READING)}
                raise Problem(405, "this can only be read; ask with GET", headers=allow)
            return route.answer(node, request, parameters(route.parameters, request, parts))
    there = ", ".join(route.path for route in ROUTES)
    raise Problem(404, f"there is nothing at {path}; ask at {there}")


def _cannot_be_read(error: StoreError | BlobsError) -> Problem:
    if isinstance(error, StoreUnavailable | BlobsUnavailable):
        return unavailable("the store is unavailable; ask again later")
    if isinstance(error, NewerData):
        return Problem(503, f"the store cannot be read: {error}")
    # Asking again would not help: the owner has to know what is wrong.
    return Problem(500, str(error))


class NoParameters(Struct, frozen=True, kw_only=True):
    pass


def _device(node: Node, _request: Request, _asked: NoParameters) -> Response:
    return json_response(device_states(node))


def _openapi(_node: Node, _request: Request, _asked: NoParameters) -> Response:
    # The readers of all apps, and what imports are made of, for their paths alone.
    from shared.http.ingest import SOURCES
    from shared.http.upload import ACTS

    return json_response(openapi.document(ROUTES, SOURCES, ACTS))


ROUTES: tuple[Route[Any], ...] = (
    Route(
        name="locations",
        path="/loc",
        summary="The last known position of each device; with `from` or `to`, its track",
        parameters=locations.Parameters,
        answers={
            JSON: list[locations.LastKnown] | json.FixPage,
            geojson.MEDIA_TYPE: geojson.FeatureCollection,
            gpx.MEDIA_TYPE: str,
            csv.MEDIA_TYPE: str,
            owntracks.MEDIA_TYPE: str,
        },
        answer=locations.locations,
        errors=(*ERRORS, 404),
        paged=True,
    ),
    Route(
        name="devices",
        path="/device",
        summary="The devices, and what was last heard of each",
        parameters=NoParameters,
        answers={JSON: list[DeviceState]},
        answer=_device,
    ),
    Route(
        name="records",
        path="/record",
        summary="Records of one kind that have a time, oldest first",
        parameters=records.RecordParameters,
        answers={JSON: records.RecordPage},
        answer=records.records,
        paged=True,
    ),
    Route(
        name="search",
        path="/search",
        summary="Records that say some words, newest first; only a home node can search",
        parameters=records.SearchParameters,
        answers={JSON: records.SearchPage},
        answer=records.search,
        errors=(*ERRORS, 501),
        paged=True,
    ),
    Route(
        name="rejects",
        path="/reject",
        summary="What could not be read, newest first",
        parameters=records.RejectParameters,
        answers={JSON: records.RejectPage},
        answer=records.rejects,
        paged=True,
    ),
    Route(
        name="reject_raw",
        path="/reject/{id}/raw",
        summary="The bytes that could not be read",
        parameters=records.RawParameters,
        answers={"application/octet-stream": bytes},
        answer=records.raw,
        errors=(*ERRORS, 404),
    ),
    Route(
        name="blob",
        path="/blob/{sha256}",
        summary="Bytes that are kept: a photo, a movie, a thumbnail, an attachment",
        parameters=blobs.BlobParameters,
        answers={blobs.OCTETS: bytes, **dict.fromkeys(sorted(blobs.SHOWN), bytes)},
        answer=blobs.blob,
        errors=(*ERRORS, 404, 416),
        ranges=True,
    ),
    Route(
        name="jobs",
        path="/job",
        summary="Long pieces of work, such as imports, the newest first",
        parameters=NoParameters,
        answers={JSON: list[JobState]},
        answer=jobs.jobs,
    ),
    Route(
        name="job",
        path="/job/{id}",
        summary="How far a long piece of work is",
        parameters=jobs.JobParameters,
        answers={JSON: JobState},
        answer=jobs.job,
        errors=(*ERRORS, 404),
    ),
    Route(
        name="collectors",
        path="/collector",
        summary="What is fetched from services on a schedule, and how it goes",
        parameters=NoParameters,
        answers={JSON: list[CollectorState]},
        answer=collectors.collectors,
    ),
    Route(
        name="status",
        path="/status",
        summary="How all is at a glance: collectors, the plan, phones, jobs, quotas",
        parameters=NoParameters,
        answers={JSON: StatusState},
        answer=collectors.status,
    ),
    Route(
        name="plan",
        path="/plan",
        summary="Whether the quotas hold what is protected, and how many failures besides",
        parameters=NoParameters,
        answers={JSON: PlanState},
        answer=collectors.plan,
    ),
    Route(
        name="what_if",
        path="/what-if",
        summary="What changes would do to the plan; nothing is changed",
        parameters=collectors.WhatIfParameters,
        answers={JSON: WhatIf},
        answer=collectors.what_if,
        errors=(*ERRORS, 409),
    ),
    Route(
        name="openapi",
        path="/openapi.json",
        summary="This description",
        parameters=NoParameters,
        answers={JSON: dict[str, Any]},
        answer=_openapi,
    ),
)
"""What can be asked."""
