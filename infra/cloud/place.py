"""Where the node of a project is, which holds for good: neither database nor bucket can be moved.

The bucket says it: it is among the first that a deployment makes, and stays when the node is taken
down.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from infra.cloud.api import Api, ApiError, part
from infra.cloud.deployment import FREE_REGIONS
from infra.cloud.functions import deployed, is_ours
from infra.cloud.steps import Blocked

MARK = ("yurt", "node")
"""The label, and its value, of the bucket that is a node's."""


class Place(NamedTuple):
    """bucket: its name."""

    region: str
    bucket: str


def place_of_node(api: Api) -> Place | None:
    """None if nothing was deployed yet. `Blocked` if it cannot be told."""
    marked = [
        Place(str(bucket["location"]).lower(), str(bucket["name"]))
        for bucket in _buckets(api)
        if is_marked(bucket)
    ]
    if len(marked) > 1:
        names = ", ".join(place.bucket for place in marked)
        raise Blocked(
            f"{api.project} has more than one bucket with the label {MARK[0]}={MARK[1]}: {names}; "
            "take it from those that are not the node's: gcloud storage buckets update gs://NAME "
            f"--remove-labels={MARK[0]}"
        )
    if marked and marked[0].region not in FREE_REGIONS:
        raise Blocked(
            f"the bucket {marked[0].bucket} has the label {MARK[0]}={MARK[1]}, so it would be the "
            f"node's, but it is in {marked[0].region}, which is not free; take the label from it: "
            f"gcloud storage buckets update gs://{marked[0].bucket} --remove-labels={MARK[0]}"
        )
    # Without a bucket, which somebody then deleted, the functions still know.
    return marked[0] if marked else _place_of_functions(api)


def is_marked(bucket: Any) -> bool:
    label, value = MARK
    return bool(bucket.get("labels", {}).get(label) == value)


def _buckets(api: Api) -> Iterable[Any]:
    query = {"project": api.project, "fields": "items(name,location,labels),nextPageToken"}
    try:
        return list(api.pages("storage", "storage/v1/b", "items", query))
    except ApiError as error:
        if error.reason in ("SERVICE_DISABLED", "accessNotConfigured"):
            return ()
        raise


def _place_of_functions(api: Api) -> Place | None:
    for function in deployed(api, f"projects/{part(api.project)}/locations/-"):
        variables = function.get("serviceConfig", {}).get("environmentVariables", {})
        if is_ours(function) and "YURT_BUCKET" in variables:
            return Place(str(function["name"].split("/")[3]), str(variables["YURT_BUCKET"]))
    return None
