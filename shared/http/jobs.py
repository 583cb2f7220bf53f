"""Long pieces of work, such as imports, and how far each is: `/job`."""

from typing import Annotated

from msgspec import Meta, Struct
from werkzeug.wrappers import Request, Response

from shared.commands.jobs import job_state, job_states
from shared.http.errors import Problem
from shared.http.responses import json_response
from shared.node import Node


class JobParameters(Struct, frozen=True, kw_only=True):
    id: Annotated[str, Meta(description="the id of the job")]


def jobs(node: Node, _request: Request, _asked: Struct) -> Response:
    return json_response(job_states(node))


def job(node: Node, _request: Request, asked: JobParameters) -> Response:
    state = job_state(node, asked.id)
    if state is None:
        raise Problem(404, f"there is no job {asked.id!r}; /job lists those that are there")
    return json_response(state)
