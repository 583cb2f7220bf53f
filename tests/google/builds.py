"""Cloud Build v1: the builds that there were, as a test says."""

from tests.google.project import Project
from tests.google.service import Call, Json, Route, Service, page


class Builds(Service):
    """builds: newest first, each in the shape of the API's `Build`."""

    host = "cloudbuild.googleapis.com"
    title = "Cloud Build API"
    messages = "cloudfunctions"

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self.builds: list[Json] = []

    def routes(self) -> list[Route]:
        query = "filter pageSize pageToken projectId parent"
        regional = "v1/projects/{project}/locations/{location}"
        return [
            Route("GET", "v1/projects/{project}/builds", self._list, query=query),
            Route("GET", f"{regional}/builds", self._list, query=query),
            Route("GET", f"{regional}/defaultServiceAccount", self._account),
        ]

    def _list(self, _: Call) -> Json:
        return page("builds", self.builds)

    def _account(self, call: Call) -> Json:
        email = f"{self.project.number}-compute@developer.gserviceaccount.com"
        return {
            "name": f"{self.project.name}/locations/{call['location']}/defaultServiceAccount",
            "serviceAccountEmail": f"projects/{self.project.id}/serviceAccounts/{email}",
        }
