"""Collectors and the plan: `/collector`, `/plan`, `/what-if`. They are only shown here."""

from typing import Annotated

from msgspec import Meta, Struct
from werkzeug.wrappers import Request, Response

from shared.commands.collectors import collector_states, plan_state
from shared.commands.collectors import what_if as hypothesis
from shared.commands.errors import Refused
from shared.commands.status import status as glance
from shared.http.errors import Problem
from shared.http.responses import json_response
from shared.node import Node

_SCHEDULE = r"every [0-9]{1,4} ?[a-z]{1,7}|[0-9*/,-]{1,40}( [0-9A-Za-z*/,#-]{1,40}){4}"
_STATE = (
    "protected|best-effort|unprotected|paused|resumed|removed"
    "|fails( at ([01][0-9]|2[0-3]):[0-5][0-9])?"
)
_CHANGE = (
    "(tolerate [0-9]{1,4}"
    r"|quota [a-z]{1,20}\.[a-z_]{1,30}=[0-9]{1,12}"
    rf"|[a-z][a-z0-9-]{{0,39}} ({_STATE}|[a-z_]{{1,20}}=[0-9]{{1,9}}|{_SCHEDULE}))"
)


class WhatIfParameters(Struct, frozen=True, kw_only=True):
    changes: Annotated[
        str,
        Meta(
            description="changes with `;` between them, such as `mail every 1m;photos best-effort` "
            "or `quota firestore.writes=10000`; `mail fails at 18:00` for what would then run",
            pattern=f"^{_CHANGE}( ?; ?{_CHANGE}){{0,19}}$",
        ),
    ]


def collectors(node: Node, _request: Request, _asked: Struct) -> Response:
    return json_response(collector_states(node))


def status(node: Node, _request: Request, _asked: Struct) -> Response:
    return json_response(glance(node))


def plan(node: Node, _request: Request, _asked: Struct) -> Response:
    return json_response(plan_state(node))


def what_if(node: Node, _request: Request, asked: WhatIfParameters) -> Response:
    texts = [text.strip() for text in asked.changes.split(";")]
    try:
        return json_response(hypothesis(node, texts))
    except Refused as error:
        # It is well said, but not of what is configured here.
        raise Problem(409, str(error)) from error
