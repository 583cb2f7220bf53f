"""Cloud Run v1 and v2: the services behind functions, and who may call them."""

from tests.google.access import access_routes
from tests.google.project import Project
from tests.google.service import Call, Json, Route, Service, page, wants


class Run(Service):
    host = "run.googleapis.com"
    title = "Cloud Run Admin API"
    messages = "run"

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._services: dict[str, Json] = {}

    def routes(self) -> list[Route]:
        path = "projects/{project}/locations/{location}/services"
        one = f"{path}/{{service}}"
        return [
            Route("GET", f"v2/{path}", self._list, query="pageSize pageToken showDeleted"),
            Route("GET", f"v2/{one}", self._get),
            Route(
                "GET",
                "apis/serving.knative.dev/v1/namespaces/{project}/services/{service}",
                self._get_v1,
            ),
            *access_routes(
                self.project,
                f"v2/{one}",
                "service",
                self._named,
                set_body="GoogleIamV1SetIamPolicyRequest",
                needs="run.services",
            ),
            *access_routes(self.project, f"v1/{one}", "service", self._named, needs="run.services"),
        ]

    def picture(self) -> Json:
        return {"services": sorted(self._services)}

    def deploy(self, name: str, config: Json, uri: str) -> str:
        """Makes or updates the service of a function; the name of the new revision."""
        number = self._services.get(name, {}).get("generation", 0) + 1
        id = name.rpartition("/")[2]
        revision = f"{id}-{number:05d}-abc"
        self._services[name] = {
            "name": name,
            "generation": number,
            "uri": uri,
            "ingress": "INGRESS_TRAFFIC_ALL",
            "latestReadyRevision": f"{name}/revisions/{revision}",
            "account": config["serviceAccountEmail"],
        }
        return revision

    def has(self, name: str) -> bool:
        return name in self._services

    def make(self, name: str) -> None:
        """One that is no function's, which everybody may call."""
        config = {"serviceAccountEmail": "mine@example.org"}
        self.deploy(name, config, f"https://{name.rpartition('/')[2]}.example.org")
        self.project.policies.bind(name, "roles/run.invoker", "allUsers")

    def remove(self, name: str) -> None:
        self._services.pop(name, None)
        self.project.policies.remove(name)

    def _list(self, call: Call) -> Json:
        parent = f"{self.project.name}/locations/{call['location']}/services/"
        return page(
            "services",
            [_shown(s) for n, s in sorted(self._services.items()) if n.startswith(parent)],
        )

    def _get(self, call: Call) -> Json:
        return _shown(self._found(call))

    def _get_v1(self, call: Call) -> Json:
        """In the shape of Knative, which has no region in the name."""
        wanted = f"/services/{call['service']}"
        found = [s for name, s in self._services.items() if name.endswith(wanted)]
        service = wants(
            found[0] if found else None,
            f"Resource '{call['service']}' of kind 'SERVICE' in region does not exist",
        )
        return {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Service",
            "metadata": {"name": call["service"], "namespace": str(self.project.number)},
            "status": {"url": service["uri"]},
        }

    def _named(self, call: Call) -> str:
        return str(self._found(call)["name"])

    def _found(self, call: Call) -> Json:
        name = f"{self.project.name}/locations/{call['location']}/services/{call['service']}"
        text = f"Resource '{call['service']}' of kind 'SERVICE' in region '{call['location']}' in project '{self.project.id}' does not exist."
        return wants(self._services.get(name), text)


def _shown(service: Json) -> Json:
    shown = {key: value for key, value in service.items() if key != "account"}
    template = {"serviceAccount": service["account"]}
    return {**shown, "generation": str(service["generation"]), "template": template}
