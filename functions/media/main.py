"""`media`: what was uploaded is whole, and its import begins."""

from typing import TYPE_CHECKING

import functions_framework

from shared.http.media import media as taken
from shared.node import this_node
from shared.workshop import engine_of

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent


@functions_framework.cloud_event
def media(event: "CloudEvent") -> None:
    node = this_node()
    taken(node, engine_of(node), event["type"], event.data)
