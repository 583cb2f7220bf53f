"""The whole of it: requests go in, answers come out, and what lasts can be looked at."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import RLock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.google import schema
from tests.google.billing import Billing, Budgets
from tests.google.builds import Builds
from tests.google.compute import Compute
from tests.google.eventarc import Eventarc
from tests.google.faults import Faults, Lost, refusal
from tests.google.firestore import Firestore
from tests.google.functions import Functions
from tests.google.iam import Iam
from tests.google.monitoring import Monitoring
from tests.google.project import REGIONS, Project, billing_disabled, service_disabled
from tests.google.refusal import Refusal, bad_field, denied, error_info, invalid, no_path
from tests.google.registry import Registry
from tests.google.resourcemanager import ResourceManager
from tests.google.rules import Rules
from tests.google.run import Run
from tests.google.scheduler import Scheduler
from tests.google.secretmanager import SecretManager
from tests.google.service import Answer, Call, Json, Route, Service
from tests.google.serviceusage import ServiceUsage
from tests.google.storage import Storage
from tests.google.tasks import Tasks

# Query parameters that every API knows.
_COMMON = frozenset({"alt", "prettyPrint", "fields", "key", "quotaUser", "$.xgafv", "$alt"})


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Seen:
    """A request, and what came of it. status: 0 when the connection broke before an answer."""

    method: str
    service: str
    path: str
    query: Mapping[str, list[str]]
    body: Any
    status: int
    mutating: bool


@dataclass
class _Request:
    method: str
    service: Service
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


class FakeGoogle:
    """One project of Google Cloud.

    number: the project's. clock: what its times come from. caller: the member whose token it is.
    billing: whether a billing account is linked. polls: how often an operation, or what it is
    about, is seen unfinished before it is done.
    """

    def __init__(
        self,
        *,
        project: str = "p-yurt",
        number: int = 123456789012,
        clock: Callable[[], datetime] = utc_now,
        caller: str = "user:owner@example.org",
        billing: bool = True,
        polls: int = 1,
    ) -> None:
        self.project = Project(project, number, clock, caller, billing, polls)
        self.requests: list[Seen] = []
        self.faults = Faults()
        self.storage = Storage(self.project)
        self.secrets = SecretManager(self.project)
        self.registry = Registry(self.project)
        self.run = Run(self.project)
        self.usage = ServiceUsage(self.project)
        self.builds = Builds(self.project)
        self.monitoring = Monitoring(self.project)
        self.functions = Functions(
            self.project, self.storage, self.secrets, self.registry, self.run
        )
        self._lock = RLock()
        self._services: dict[str, Service] = {
            service.host: service
            for service in (
                self.storage,
                self.secrets,
                self.registry,
                self.run,
                self.usage,
                self.builds,
                self.monitoring,
                self.functions,
                Eventarc(self.project, self.functions),
                ResourceManager(self.project),
                Billing(self.project),
                Budgets(self.project),
                Iam(self.project),
                Tasks(self.project),
                Scheduler(self.project),
                Firestore(self.project),
                Rules(self.project),
                Compute(self.project),
            )
        }
        self._routes = {host: service.routes() for host, service in self._services.items()}
        self._routes[self.storage.host] += self.functions.upload_routes()

    # For tests

    @property
    def denied(self) -> set[str]:
        """Permissions that the caller lacks; a test may change it."""
        return self.project.denied

    @property
    def taken_buckets(self) -> set[str]:
        """Names of buckets that other projects have; a test may change it."""
        return self.storage.taken

    @property
    def slow_accounts(self) -> int:
        """How many writes of a policy find a new service account missing still."""
        return self.project.policies.slow_accounts

    @slow_accounts.setter
    def slow_accounts(self, writes: int) -> None:
        self.project.policies.slow_accounts = writes

    @property
    def origin(self) -> str | None:
        """Where functions answer, `/NAME` following; None for the platform's own addresses."""
        return self.functions.origin

    @origin.setter
    def origin(self, url: str | None) -> None:
        self.functions.origin = url

    @property
    def on_deployed(self) -> Callable[[Json], None] | None:
        """Called with each function that has been made or updated."""
        return self.functions.on_deployed

    @on_deployed.setter
    def on_deployed(self, call: Callable[[Json], None] | None) -> None:
        self.functions.on_deployed = call

    def enable(self, *services: str) -> None:
        """Switches services on without a request, by their full names."""
        self.usage.enable(*services)

    def settle(self) -> None:
        """Time passes until nothing is under way."""
        with self._lock:
            self.project.operations.settle()

    def state(self) -> dict[str, Any]:
        """All that lasts, once everything under way has ended, without what is volatile.

        By service; `policies` has {resource: {role: members}}.
        """
        self.settle()
        pictures = {host: service.picture() for host, service in sorted(self._services.items())}
        state = {**pictures, "policies": self.project.policies.picture()}
        copied: dict[str, Any] = json.loads(json.dumps(state))
        return copied

    def roles_of(self, member: str) -> dict[str, set[str]]:
        """By the resource's name, e.g. `projects/p-yurt`, `buckets/b`, `projects/p-yurt/secrets/s`."""
        policies = self.project.policies
        roles = {resource: policies.roles(resource, member) for resource in policies.resources()}
        return {resource: held for resource, held in roles.items() if held}

    def publicly_invocable(self) -> set[str]:
        """Names of the functions that everybody may call."""
        return {
            name.rpartition("/")[2]
            for name, function in self.functions.functions.items()
            if self.project.policies.is_public(function["serviceConfig"]["service"])
        }

    def uploaded(self, function: str) -> bytes:
        """The zip last deployed for it."""
        return self.functions.uploaded(function)

    # Answering

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """To a request to an absolute URL. Raises ConnectionError when the connection breaks."""
        parts = urlsplit(url)
        service = self._service(parts.hostname or "")
        query = parse_qs(parts.query, keep_blank_values=True)
        lowered = {name.lower(): value for name, value in headers.items()}
        request = _Request(method, service, parts.path.removeprefix("/"), query, lowered, body)
        with self._lock:
            return self._answer(request)

    def _service(self, host: str) -> Service:
        """A region before the name leads to the same service: us-central1-run.googleapis.com."""
        name, _, domain = host.partition(".")
        for region in REGIONS:
            name = name.removeprefix(f"{region}-")
        service = self._services.get(f"{name}.{domain}")
        if service is None:
            raise Lost(f"there is no host {host}")
        return service

    def _answer(self, request: _Request) -> Answer:
        route = self._route(request)
        mutates = route[0].mutates if route else request.method != "GET"
        fault = self.faults.due(mutates)
        if fault == "lost before":
            self._note(request, 0, mutates)
            raise Lost("the connection broke before the request")
        try:
            if fault and fault != "lost after":
                raise refusal(fault)
            answer = self._done(request, route)
        except Refusal as refused:
            answer = _json(refused.status, refused.error())
        self._note(request, answer.status, mutates)
        if fault == "lost after":
            raise Lost("the connection broke before the answer")
        return answer

    def _note(self, request: _Request, status: int, mutates: bool) -> None:
        try:
            body = json.loads(request.body) if request.body else None
        except ValueError:
            body = request.body
        seen = (request.method, request.service.host, request.path, request.query, body)
        self.requests.append(Seen(*seen, status, mutates))

    def _route(self, request: _Request) -> tuple[Route, dict[str, str]] | None:
        for route in self._routes[request.service.host]:
            path = route.match(request.method, request.path)
            if path is not None:
                return route, path
        return None

    def _done(self, request: _Request, found: tuple[Route, dict[str, str]] | None) -> Answer:
        if found is None:
            raise no_path(f"/{request.path}")
        route, path = found
        if not (route.unsigned or request.service.open):
            _check_token(request.headers)
        _check_query(route, request.query)
        body = _parsed(route, request)
        self._check_project(request, path)
        if not route.unsigned:
            self._check_service(request)
        if route.needs in self.project.denied:
            raise denied(route.needs, self.project.name, request.service.host)
        first = {name: values[0] for name, values in request.query.items()}
        call = Call(request.method, path, first, request.query, request.headers, body, request.body)
        answer = route.handler(call)
        return answer if isinstance(answer, Answer) else _json(200, answer)

    def _check_project(self, request: _Request, path: Mapping[str, str]) -> None:
        """Another project, or a place that is none, is one that the caller may not see."""
        project, location = path.get("project"), path.get("location")
        if project is not None and not self.project.is_me(project) and project != "-":
            info = error_info("IAM_PERMISSION_DENIED", request.service.host, resource=project)
            raise Refusal("PERMISSION_DENIED", "The caller does not have permission", [info])
        if location is not None and location not in REGIONS and location not in ("-", "global"):
            text = f"Permission denied on 'locations/{location}' (or it may not exist)."
            raise Refusal("PERMISSION_DENIED", text)
        user = request.headers.get("x-goog-user-project")
        if user is None and request.service.quota:
            raise _no_quota_project(request.service)
        if user is not None and not self.project.is_me(user):
            text = (
                f"Caller does not have required permission to use project {user}. Grant the caller "
                "the roles/serviceusage.serviceUsageConsumer role, or a custom role with the "
                "serviceusage.services.use permission."
            )
            info = error_info("USER_PROJECT_DENIED", "googleapis.com", consumer=f"projects/{user}")
            raise Refusal("PERMISSION_DENIED", text, [info])

    def _check_service(self, request: _Request) -> None:
        service, number = request.service, self.project.number
        always = service.always and not self.project.caller.startswith("serviceAccount:")
        if not always and service.host not in self.project.enabled:
            raise service_disabled(service.host, service.title, number)
        if not service.free and not self.project.billing:
            raise billing_disabled(service.host, number)


def _json(status: int, value: Any) -> Answer:
    body = json.dumps(value).encode()  # indented it would be written by slow Python code
    return Answer(status, body, {"Content-Type": "application/json; charset=UTF-8"})


def _check_token(headers: Mapping[str, str]) -> None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not token.strip():
        text = (
            "Request is missing required authentication credential. Expected OAuth 2 access token, "
            "login cookie or other valid authentication credential. See "
            "https://developers.google.com/identity/sign-in/web/devconsole-project."
        )
        info = error_info("CREDENTIALS_MISSING", "googleapis.com")
        raise Refusal("UNAUTHENTICATED", text, [info])


def _check_query(route: Route, query: Mapping[str, list[str]]) -> None:
    for name in query:
        if name not in _COMMON and name not in route.query.split():
            text = (
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                f"Field '{name}' could not be found in request message."
            )
            raise bad_field("", text)


def _parsed(route: Route, request: _Request) -> Json:
    if route.body == "*":
        return {}
    if not request.body.strip():
        return {}
    if not route.body:
        if request.body.strip() == b"{}":
            return {}
        raise invalid("Request body must be empty for this method.")
    try:
        body = json.loads(request.body)
    except ValueError:
        raise invalid("Invalid JSON payload received. Unexpected token.") from None
    schema.check(request.service.messages, route.body, body, route.root)
    if not isinstance(body, dict):
        raise invalid("Invalid JSON payload received. The body must be an object.")
    if request.service.older:
        return body
    return schema.cleaned(request.service.messages, route.body, body)


def _no_quota_project(service: Service) -> Refusal:
    text = (
        "Your application is authenticating by using local Application Default Credentials. The "
        f"{service.host} API requires a quota project, which is not set by default. To learn how "
        "to set your quota project, see https://cloud.google.com/docs/authentication/"
        "adc-troubleshooting/user-creds ."
    )
    info = error_info("SERVICE_DISABLED", "googleapis.com", service=service.host)
    return Refusal("PERMISSION_DENIED", text, [info])
