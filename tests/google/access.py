"""The routes by which the policy of a resource is read and written, the same in most services."""

from collections.abc import Callable

from tests.google.project import Project
from tests.google.service import Call, Json, Route

Named = Callable[[Call], str]


def access_routes(
    project: Project,
    path: str,
    kind: str,
    named: Named,
    *,
    get: str = "GET",
    get_body: str = "",
    set_body: str = "SetIamPolicyRequest",
    needs: str,
) -> list[Route]:
    """named: gives the resource's name, or refuses when there is none.

    get: the method by which the policy is read. needs: what permissions begin with, e.g.
    `run.services`.
    """

    def read(call: Call) -> Json:
        version = call.query.get("options.requestedPolicyVersion")
        version = version or call.body.get("options", {}).get("requestedPolicyVersion", 1)
        return project.policies.get(named(call), int(version))

    def write(call: Call) -> Json:
        return project.policies.replace(named(call), kind, call.body.get("policy") or {})

    return [
        Route(
            get,
            f"{path}:getIamPolicy",
            read,
            body=get_body,
            query="options.requestedPolicyVersion",
            reads=True,
        ),
        Route(
            "POST",
            f"{path}:setIamPolicy",
            write,
            body=set_body,
            needs=f"{needs}.setIamPolicy",
        ),
    ]
