"""The fake on loopback, and the environment in which the real gcloud talks to it alone."""

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.google.fake import FakeGoogle
from tests.google.service import Answer

HOST = "127.0.0.1"

# gcloud's names of the services whose addresses are replaced (for budgets it has none), and what its
# clients want after the host: a path in an override replaces that of the client.
_PATHS = {"storage": "storage/v1/", "compute": "compute/v1/"}
_SERVICES = [
    "artifactregistry",
    "cloudbilling",
    "cloudbuild",
    "cloudfunctions",
    "cloudresourcemanager",
    "cloudscheduler",
    "cloudtasks",
    "compute",
    "eventarc",
    "firestore",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "orgpolicy",
    "pubsub",
    "run",
    "secretmanager",
    "servicemanagement",
    "serviceusage",
    "storage",
]
# The same for services of which gcloud knows no such variable, and the deployer does.
_OURS = ["billingbudgets", "firebaserules"]
# Below these paths a client forgets what came before them in the override.
_BARE = ("upload/storage/", "download/storage/", "storage/v1/", "resumable/upload/storage/")


class Listener:
    """Serves a fake at `address` while the context lasts: `<address>/<service>/<path>`."""

    def __init__(self, fake: FakeGoogle) -> None:
        self.fake = fake
        self._http = _Http((HOST, 0), _handler(fake))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self._http.server_port}"

    def __enter__(self) -> Self:
        self.fake.storage.objects.address = f"{self.address}/storage"
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def environ(self, folder: Path) -> dict[str, str]:
        """The complete environment of a gcloud that keeps its files in the folder."""
        token = folder / "token"
        token.write_text("a-token", "utf-8")
        kept = {
            name: os.environ[name]
            for name in ("PATH", "LANG", "CLOUDSDK_PYTHON")
            if name in os.environ
        }
        return {
            **kept,
            "HOME": str(folder),
            # Whatever is not replaced goes to the listener as well, which refuses it.
            "HTTP_PROXY": self.address,
            "HTTPS_PROXY": self.address,
            "NO_PROXY": HOST,
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_CORE_PROJECT": self.fake.project.id,
            "CLOUDSDK_CORE_ACCOUNT": self.fake.project.caller.partition(":")[2],
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_CORE_DISABLE_FILE_LOGGING": "true",
            "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
            "CLOUDSDK_SURVEY_DISABLE_PROMPTS": "true",
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
            **{
                f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name.upper()}": self._override(name)
                for name in [*_SERVICES, *_OURS]
            },
        }

    def _override(self, service: str) -> str:
        if service == "run":
            # gcloud puts `REGION-` before this host, so it must be a name. Without TLS it asks the
            # proxy, which is the listener.
            return "http://run.googleapis.com/"
        return f"{self.address}/{service}/{_PATHS.get(service, '')}"


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(fake: FakeGoogle) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                answer = fake.answer(self.command, _url(self.path), dict(self.headers), body)
            except ConnectionError:
                self.close_connection = True
                return
            self._send(answer)

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def do_CONNECT(self) -> None:
            self.close_connection = True
            self.send_error(403, f"{self.path} is not to be talked to")

        def log_message(self, format: str, *args: object) -> None:
            """The fake keeps its own list of requests."""

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    return Handler


def _url(path: str) -> str:
    """As it would be in the cloud."""
    if path.startswith("http://"):
        return path.replace("http://", "https://", 1)
    path = path.removeprefix("/")
    if path.startswith(_BARE):
        return f"https://storage.googleapis.com/{path}"
    service, _, rest = path.partition("/")
    return f"https://{service}.googleapis.com/{rest}"
