"""How Google's services say no: `google.rpc.Status` in JSON, or the older list of errors."""

from collections.abc import Mapping, Sequence
from typing import Any

# HTTP status and number of each canonical code: google/rpc/code.proto
CODES = {
    "INVALID_ARGUMENT": (400, 3),
    "FAILED_PRECONDITION": (400, 9),
    "UNAUTHENTICATED": (401, 16),
    "PERMISSION_DENIED": (403, 7),
    "NOT_FOUND": (404, 5),
    "ALREADY_EXISTS": (409, 6),
    "ABORTED": (409, 10),
    "RESOURCE_EXHAUSTED": (429, 8),
    "INTERNAL": (500, 13),
    "UNAVAILABLE": (503, 14),
}

Details = Sequence[Mapping[str, Any]]


class Refusal(Exception):
    """A request that is refused. details: messages in JSON, each with its `@type`."""

    def __init__(self, code: str, message: str, details: Details = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = [dict(detail) for detail in details]

    @property
    def status(self) -> int:
        """Of HTTP."""
        return CODES[self.code][0]

    def error(self) -> dict[str, Any]:
        """The body of the answer."""
        error: dict[str, Any] = {
            "code": self.status,
            "message": self.message,
            "status": self.code,
        }
        if self.details:
            error["details"] = self.details
        return {"error": error}

    def rpc(self) -> dict[str, Any]:
        """The `error` of an operation, a `google.rpc.Status`."""
        return {"code": CODES[self.code][1], "message": self.message}


class Listed(Refusal):
    """A refusal of Cloud Storage or Compute Engine: {"error": {code, message, errors}}."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__("INTERNAL", message)
        self._status = status
        self.reason = reason

    @property
    def status(self) -> int:
        return self._status

    def error(self) -> dict[str, Any]:
        one = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.status, "message": self.message, "errors": [one]}}


def invalid(message: str) -> Refusal:
    return Refusal("INVALID_ARGUMENT", message)


def bad_field(field: str, description: str, message: str | None = None) -> Refusal:
    """A field that is refused, with the details that tell which: google.rpc.BadRequest."""
    violations = [{"field": field, "description": description}]
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
    return Refusal("INVALID_ARGUMENT", message or description, [detail])


def error_info(reason: str, domain: str, **metadata: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    }


def denied(permission: str, resource: str, service: str) -> Refusal:
    """The caller lacks a permission."""
    info = error_info("IAM_PERMISSION_DENIED", service, permission=permission, resource=resource)
    return Refusal(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '//{service}/{resource}' (or it may not exist).",
        [info],
    )


def no_path(path: str) -> Refusal:
    return Refusal("NOT_FOUND", f"The requested URL {path} was not found on this server.")
