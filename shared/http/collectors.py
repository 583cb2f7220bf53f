"""Collectors and the plan: `/collector`, `/plan`, `/what-if`. They are only shown here."""

from typing import Annotated

from msgspec import Meta, Struct
from werkzeug.wrappers import Request, Response

from shared.commands.collectors import collector_states, plan_state
from shared.commands.collectors import what_if as hypothesis
from shared.commands.errors import Refused
from shared.http.errors import Problem
from shared.http.responses import json_response
from shared.node import Node


class WhatIfParameters(Struct, frozen=True, kw_only=True):
    changes: Annotated[
        str,
        Meta(
            description="changes with `;` between them, such as `mail every 1m;photos best-effort` "
            "or `quota firestore.writes=10000`",
            max_length=2_000,
        ),
    ]


def collectors(node: Node, _request: Request, _asked: Struct) -> Response:
    return json_response(collector_states(node))


def plan(node: Node, _request: Request, _asked: Struct) -> Response:
    return json_response(plan_state(node))


def what_if(node: Node, _request: Request, asked: WhatIfParameters) -> Response:
    texts = [text.strip() for text in asked.changes.split(";")]
    try:
        return json_response(hypothesis(node, texts))
    except Refused as error:
        raise Problem(400, str(error)) from error
