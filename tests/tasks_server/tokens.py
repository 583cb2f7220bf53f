"""Identity tokens as the platform's: a JSON Web Token signed with a key that lives with the test."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

ISSUER = "https://accounts.google.com"
LIFE = timedelta(hours=1)
REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"


class Refused(Exception):
    """A token that lets nobody in; the text says why."""


@cache
def platform_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def signed(
    account: str, audience: str, now: datetime, key: RSAPrivateKey | None = None, **claims: Any
) -> str:
    """A token that says who calls (`email`) and whom (`aud`), good for an hour."""
    payload = {
        "iss": ISSUER,
        "aud": audience,
        "azp": account,
        "sub": account,
        "email": account,
        "email_verified": True,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFE).timestamp()),
        **claims,
    }
    parts = [{"alg": "RS256", "kid": "test", "typ": "JWT"}, payload]
    text = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
    signature = (key or platform_key()).sign(text.encode(), PKCS1v15(), SHA256())
    return f"{text}.{_encoded(signature)}"


def checked(token: str, audience: str, now: datetime) -> Mapping[str, Any]:
    """What the token says. `Refused` unless we signed it, for this audience, and it is still good."""
    try:
        header, payload, signature = token.split(".")
        platform_key().public_key().verify(
            _decoded(signature), f"{header}.{payload}".encode(), PKCS1v15(), SHA256()
        )
        claims: dict[str, Any] = json.loads(_decoded(payload))
    except (ValueError, InvalidSignature) as error:
        raise Refused("the token is not signed by the platform") from error
    if claims["iss"] != ISSUER or claims["aud"] != audience:
        raise Refused(f"the token is for {claims['aud']}, not for {audience}")
    if not claims["iat"] - 60 <= now.timestamp() < claims["exp"]:
        raise Refused("the token is not good at this time")
    return claims


def without_signature(token: str) -> str:
    """As the function behind the door gets it."""
    return ".".join([*token.split(".")[:2], REMOVED])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
