"""Asking a WebDAV server: one host, with a password, and answers that are bounded.

The password goes to the host that the owner named and to no other: a redirect elsewhere is not
followed, and the text says what to write instead. Over plain HTTP it goes only to this machine.
"""

import base64
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from shared.services.multistatus import NoAnswer, Reading, Refused, Response
from shared.services.protocol import ANSWER_WITHIN, CannotBeAsked, NotLetIn

if TYPE_CHECKING:
    import requests
    from requests import PreparedRequest

ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of one answer. They are read as they come and not held."""

_CHUNK = 64 * 1024
_MOST_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}


class Refusal(CannotBeAsked):
    """The server answers with a status that says no."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Answer:
    """What a server says of some resources. url: which answered, after redirects.

    Iterating reads it, once, and lets go of the connection. sync_token: known after that.
    """

    def __init__(self, url: str, chunks: Iterator[bytes], close: Callable[[], None]) -> None:
        self.url = url
        self._chunks = chunks
        self._close = close
        self._reading = Reading()

    @property
    def sync_token(self) -> str | None:
        return self._reading.sync_token

    def __iter__(self) -> Iterator[Response]:
        """Raises `OSError`, `CannotBeAsked`."""
        try:
            for chunk in self._chunks:
                yield from self._reading.feed(chunk)
            self._reading.close()
        except NoAnswer as error:
            raise OSError(f"{self.url} gives a broken answer: {error}") from error
        except Refused as error:
            raise CannotBeAsked(
                f"the answer of {self.url} is not read: {error}; see that it is the right server"
            ) from error
        finally:
            self._close()


class Client:
    """collector: for texts. url: of the server.

    `rested` is called where a lease is renewed: from then on, at most about twice `ANSWER_WITHIN`
    are spent on asking, which fits in half of a lease.
    """

    def __init__(self, collector: str, url: str, user: str, password: str) -> None:
        self._collector = collector
        self._origin = origin(url)
        self._session = _session()
        self._session.auth = _basic(user, password)
        self._session.headers["User-Agent"] = "Yurt"
        self._since = time.monotonic()

    def rested(self) -> None:
        self._since = time.monotonic()

    def is_ours(self, url: str) -> bool:
        return origin(url) == self._origin

    def close(self) -> None:
        self._session.close()

    def ask(self, method: str, url: str, body: str, depth: str) -> Answer:
        """Raises `Refusal`, `NotLetIn`, `CannotBeAsked`, `OSError`."""
        for _ in range(_MOST_REDIRECTS):
            response = self._sent(method, url, body, depth)
            status, place = response.status_code, response.headers.get("Location")
            if status not in (301, 302, 303, 307, 308) or not place:
                self._judge(response, url)
                return Answer(url, self._chunks(response), response.close)
            response.close()
            url = self._redirected(url, place)
        raise CannotBeAsked(f"{url} redirects again and again; see which URL your server tells")

    def _sent(self, method: str, url: str, body: str, depth: str) -> "requests.Response":
        import requests

        self._hurry(url)
        headers = {"Depth": depth, "Content-Type": 'application/xml; charset="utf-8"'}
        try:
            return self._session.request(
                method,
                url,
                data=body.encode(),
                headers=headers,
                stream=True,
                timeout=ANSWER_WITHIN,
            )
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise CannotBeAsked(
                    f"the certificate of {url} is not valid for it: {error}; "
                    "see that the URL is right, or have the server's certificate renewed"
                ) from error
            raise _unreached(url, error) from error
        except requests.exceptions.RequestException as error:
            raise _unreached(url, error) from error

    def _redirected(self, url: str, place: str) -> str:
        found = joined(url, place)
        if found is None or not self.is_ours(found):
            raise CannotBeAsked(
                f"{url} redirects to {place[:200]}, and your password goes only to the server that "
                "you named; if you trust that one, make it the `url`"
            )
        return found

    def _judge(self, response: "requests.Response", url: str) -> None:
        """Raises for any status but that of an answer."""
        status = response.status_code
        if status == 207:
            return
        schemes = response.headers.get("WWW-Authenticate", "").lower()
        response.close()
        if status == 401 and schemes and "basic" not in schemes:
            raise CannotBeAsked(
                f"{url} lets in with {schemes.split()[0]}; only Basic is spoken here"
            )
        if status == 401:
            raise NotLetIn(
                f"{url} refuses the user or the password; give the right one, which may be a kind "
                f"made for apps: yurt collectors change {self._collector} --secret"
            )
        if status in (408, 423, 425, 429) or (status >= 500 and status not in (501, 507)):
            raise OSError(f"{url} cannot answer just now (status {status})")
        raise Refusal(_no(url, status), status)

    def _chunks(self, response: "requests.Response") -> Iterator[bytes]:
        """What has arrived, as soon as it has: requests' own reading waits for whole chunks, for as
        long as they trickle in."""
        from urllib3.exceptions import HTTPError

        url, size = response.url, 0
        try:
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                size += len(chunk)
                if size > ANSWER_LIMIT:
                    raise CannotBeAsked(
                        f"{url} answers with more than {ANSWER_LIMIT >> 20} MiB, which no server "
                        "needs; see that it is the right one"
                    )
                yield chunk
                self._hurry(url)
        except HTTPError as error:
            raise OSError(f"the answer of {url} broke off: {error}") from error

    def _hurry(self, url: str) -> None:
        if time.monotonic() - self._since > ANSWER_WITHIN:
            raise OSError(f"{url} answers too slowly")


def _session() -> "requests.Session":
    """Without redirects: even where it does not follow one, requests reads all of its body."""
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
            return None

    return Session()


def _basic(user: str, password: str) -> "Callable[[PreparedRequest], PreparedRequest]":
    """Beats what a .netrc says. In UTF-8 as servers read it: requests would write Latin 1."""
    said = base64.b64encode(f"{user}:{password}".encode()).decode()

    def signed(request: "PreparedRequest") -> "PreparedRequest":
        request.headers["Authorization"] = f"Basic {said}"
        return request

    return signed


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port; `ValueError` for what is no URL."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), _port(parts)


def _port(parts: SplitResult) -> int:
    return parts.port if parts.port is not None else _PORTS.get(parts.scheme, 0)


def joined(url: str, place: str) -> str | None:
    """The URL of a place as a page at `url` says it; None if it is none."""
    try:
        found = urljoin(url, place)
        origin(found)
    except ValueError:
        return None
    return found


def _no(url: str, status: int) -> str:
    if status == 403:
        return f"{url} is not for this user (status 403); see what the user may do there"
    if status in (404, 410):
        return f"there is nothing at {url} (status {status}); see that the `url` is right"
    return f"{url} does not do what is asked (status {status}); see that it is a DAV server"


def _unreached(url: str, error: Exception) -> OSError:
    """In the words of the system: those of the library are about its pools."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    why = getattr(cause, "strerror", None) or type(cause).__name__
    return OSError(
        f"{url} cannot be reached ({why}); see that the URL is right, and that the server runs"
    )
