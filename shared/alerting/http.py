"""Requests of channels: bounded, following nothing, and silent about their address."""

from collections.abc import Mapping
from typing import Any

import requests

from shared.alerting.protocol import WITHIN, BadChannel, CannotTell

_LONGEST = 300


def checked_url(url: str, what: str) -> str:
    """`BadChannel` for what is no address of HTTP."""
    if not url.startswith(("https://", "http://")) or len(url.split()) != 1:
        raise BadChannel(f"{what} must be a URL that begins with https:// or http://")
    return url


def post(url: str, data: bytes, headers: Mapping[str, str]) -> None:
    """Returns once it was taken. `CannotTell`, which does not name the URL: it is a secret."""
    _asked("POST", url, data=data, headers=dict(headers))


def get(url: str) -> None:
    _asked("GET", url)


def _asked(method: str, url: str, **more: Any) -> None:
    try:
        with requests.request(
            method, url, timeout=WITHIN, allow_redirects=False, stream=True, **more
        ) as answer:
            if 200 <= answer.status_code < 300:
                return
            said = answer.raw.read(_LONGEST, decode_content=True).decode("utf-8", "replace")
            status = answer.status_code
    except requests.exceptions.SSLError as error:
        raise CannotTell("its certificate is not accepted: see that its address is right") from (
            _nameless(error)
        )
    except requests.Timeout as error:
        raise CannotTell(f"it did not answer within {WITHIN:.0f} seconds") from _nameless(error)
    except (requests.RequestException, OSError) as error:
        raise CannotTell("it cannot be reached: see that its address is right and it runs") from (
            _nameless(error)
        )
    shown = " ".join(said.split())
    raise CannotTell(f"it answered {status}{f': {shown}' if shown else ''}")


def _nameless(error: Exception) -> Exception:
    """Of the same kind, without the address that its text has."""
    return ConnectionError(type(error).__name__)
