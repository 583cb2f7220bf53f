"""Requests of channels: bounded, following nothing, and silent about their address."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.alerting.deadline import Deadline
from shared.alerting.protocol import SILENT, WITHIN, BadChannel, CannotTell
from shared.model.address import is_readable_on_the_way

if TYPE_CHECKING:
    import requests

_AWAY = "it cannot be reached: see that its address is right and that its server runs"


def checked_url(url: str, what: str) -> str:
    """`BadChannel` for what is no address of HTTP, or one whose secrets others would read."""
    if not _is_url(url):
        raise BadChannel(f"{what} must be a URL that begins with https:// or http://")
    if "@" in urlsplit(url).netloc:
        raise BadChannel(f"{what} must be a URL without a user and a password in it")
    if is_readable_on_the_way(url):
        raise BadChannel(f"{what} must begin with https://: others could read it on the way")
    return url


def _is_url(url: str) -> bool:
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and parts.scheme in ("https", "http")
    except ValueError:
        return False


def checked_token(token: str, what: str) -> str:
    """`BadChannel` for what cannot be sent as a bearer token."""
    if not re.fullmatch(r"[!-~]+", token):
        raise BadChannel(f"{what} has no spaces, and only letters, digits and signs of ASCII")
    return token


def post(url: str, data: bytes, headers: Mapping[str, str], token: str | None = None) -> None:
    """Returns once it was taken. token: sent as bearer. `CannotTell`, which does not name the URL:
    it is a secret."""
    _asked("POST", url, token, data=data, headers=dict(headers))


def get(url: str) -> None:
    _asked("GET", url, None)


def _asked(method: str, url: str, token: str | None, **more: Any) -> None:
    import requests

    try:
        with (
            Deadline(WITHIN) as deadline,
            _session(deadline) as session,
            session.request(
                method, url, timeout=SILENT, stream=True, auth=_bearer(token), **more
            ) as answer,
        ):
            if deadline.is_over:
                raise TimeoutError  # headers that end in the middle are an answer to requests
            status = answer.status_code
    except requests.exceptions.SSLError as error:
        raise CannotTell(
            "no encrypted connection, or its certificate is not accepted: see that its address is "
            "right"
        ) from _nameless(error)
    except requests.Timeout as error:
        raise CannotTell(
            f"it did not answer within {SILENT:.0f} seconds: see that its server is well"
        ) from _nameless(error)
    except (requests.RequestException, OSError, ValueError) as error:
        raise CannotTell(_AWAY) from _nameless(error)
    if not 200 <= status < 300:
        raise CannotTell(_refused(status))


def _session(deadline: Deadline) -> "requests.Session":
    """Without redirects: even where it does not follow one, requests reads all of its body."""
    import requests
    from requests.adapters import HTTPAdapter

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
            return None

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *arguments: Any, **more: Any) -> Any:
            pool: Any = super().get_connection_with_tls_context(*arguments, **more)
            kind = pool.ConnectionCls

            def opened(**how: Any) -> Any:
                connection = kind(**how)
                deadline.connection = lambda: connection.sock
                return connection

            pool.ConnectionCls = opened
            return pool

    session = Session()
    session.headers["User-Agent"] = "Yurt"
    session.mount("https://", Adapter())
    session.mount("http://", Adapter())
    return session


def _bearer(
    token: str | None,
) -> "Callable[[requests.PreparedRequest], requests.PreparedRequest]":
    """Beats what a .netrc says."""

    def signed(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    return signed


def _refused(status: int) -> str:
    """Without what the server says: it may well repeat the address."""
    if status in (401, 403):
        return f"it does not let us in (status {status}): give it the right secret"
    if status in (404, 410):
        return f"there is nothing at its address (status {status}): give it the right one"
    if 300 <= status < 400:
        return f"it redirects elsewhere (status {status}): give it the address it redirects to"
    if status == 429 or status >= 500:
        return f"it cannot take it just now (status {status}): if that stays, see to its server"
    return f"it does not take it (status {status}): see that its address and options are right"


def _nameless(error: Exception) -> Exception:
    """Of the same kind, without the address that its text has."""
    return ConnectionError(type(error).__name__)
