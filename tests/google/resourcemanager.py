"""Resource Manager v1: the project and its policy."""

from tests.google.access import access_routes
from tests.google.service import Call, Json, Route, Service


class ResourceManager(Service):
    host = "cloudresourcemanager.googleapis.com"
    title = "Cloud Resource Manager API"
    messages = "cloudresourcemanager"
    free = True
    always = True

    def routes(self) -> list[Route]:
        path = "v1/projects/{project}"
        return [
            Route("GET", path, self._get),
            Route(
                "POST",
                f"{path}:testIamPermissions",
                self._test,
                body="TestIamPermissionsRequest",
                reads=True,
            ),
            *access_routes(
                self.project,
                path,
                "project",
                lambda _: self.project.name,
                get="POST",
                get_body="GetIamPolicyRequest",
                needs="resourcemanager.projects",
            ),
        ]

    def _get(self, _: Call) -> Json:
        return {
            "projectNumber": str(self.project.number),
            "projectId": self.project.id,
            "lifecycleState": "ACTIVE",
            "name": self.project.id,
            "createTime": "2026-01-02T03:04:05.678Z",
        }

    def _test(self, call: Call) -> Json:
        asked: list[str] = call.body.get("permissions") or []
        held = [permission for permission in asked if permission not in self.project.denied]
        return {"permissions": held} if held else {}
