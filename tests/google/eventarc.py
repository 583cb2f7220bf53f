"""Eventarc v1: the triggers that functions with an event trigger have."""

from tests.google.functions import Functions
from tests.google.project import Project
from tests.google.service import Call, Json, Route, Service, page, wants


class Eventarc(Service):
    host = "eventarc.googleapis.com"
    title = "Eventarc API"
    messages = "cloudfunctions"

    def __init__(self, project: Project, functions: Functions) -> None:
        super().__init__(project)
        self._functions = functions

    def routes(self) -> list[Route]:
        path = "v1/projects/{project}/locations/{location}/triggers"
        return [
            Route("GET", path, self._list, query="pageSize pageToken orderBy filter"),
            Route("GET", f"{path}/{{trigger}}", self._get),
        ]

    def _list(self, call: Call) -> Json:
        parent = f"{self.project.name}/locations/{call['location']}/triggers/"
        return page(
            "triggers", [t for n, t in sorted(self._triggers().items()) if n.startswith(parent)]
        )

    def _get(self, call: Call) -> Json:
        name = f"{self.project.name}/locations/{call['location']}/triggers/{call['trigger']}"
        return wants(self._triggers().get(name), f"Resource '{name}' was not found")

    def _triggers(self) -> dict[str, Json]:
        """Of the functions that are deployed."""
        return {
            function["eventTrigger"]["trigger"]: _trigger(function)
            for function in self._functions.functions.values()
            if function["state"] == "ACTIVE" and "eventTrigger" in function
        }


def _trigger(function: Json) -> Json:
    told = function["eventTrigger"]
    filters = [{"attribute": "type", "value": told["eventType"]}, *told["eventFilters"]]
    return {
        "name": told["trigger"],
        "eventFilters": filters,
        "serviceAccount": told["serviceAccountEmail"],
        "destination": {"cloudFunction": function["name"]},
        "transport": {"pubsub": {"topic": told["pubsubTopic"]}},
        "labels": {"goog-managed-by": "cloudfunctions"},
    }
