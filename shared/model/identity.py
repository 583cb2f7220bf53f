"""Identity keys: (kind, normalised value). Records point to keys; people are claims over keys."""

import unicodedata
from typing import Literal

from msgspec import Struct

KeyKind = Literal["email", "phone", "im", "handle", "device"]


class IdentityKey(Struct, frozen=True, order=True):
    """One way to reach or recognise somebody, e.g. `("email", "ada@example.org")`."""

    kind: KeyKind
    value: str


def email_key(address: str) -> IdentityKey:
    """The key of a mail address, without display name.

    Lower-cased as a whole: RFC 5321 lets a local part tell cases apart, no provider in use does.
    `ValueError` when it has no local part or no domain.
    """
    local, at, domain = unicodedata.normalize("NFC", address.strip()).rpartition("@")
    if not (local and at and domain) or any(c.isspace() for c in local + domain):
        raise ValueError(f"{address!r} is not an e-mail address")
    return IdentityKey("email", f"{local.lower()}@{_ascii_domain(domain)}")


def phone_key(number: str, home_region: str | None) -> IdentityKey:
    """The key of a phone number, in E.164.

    `home_region` (ISO 3166 alpha-2, from the owner's profile) reads numbers without a country
    code. `ValueError` when it is no possible number there.
    """
    import phonenumbers  # its metadata is slow to load, and most processes never meet a number

    try:
        parsed = phonenumbers.parse(number, home_region)
    except phonenumbers.NumberParseException as error:
        raise ValueError(f"{number!r} is not a phone number: {error}") from error
    if not phonenumbers.is_possible_number(parsed):
        raise ValueError(f"{number!r} is not a possible phone number")
    text = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return IdentityKey("phone", text)


def handle_key(service: str, handle: str) -> IdentityKey:
    """The key of a name at a service, e.g. `github:ada`; a leading `@` is decoration."""
    name = unicodedata.normalize("NFC", handle.strip()).removeprefix("@").lower()
    if not name:
        raise ValueError("a handle cannot be empty")
    return IdentityKey("handle", f"{service.lower()}:{name}")


def device_key(device: str) -> IdentityKey:
    """The key of whoever carries a device of ours."""
    return IdentityKey("device", device)


def _ascii_domain(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return domain.lower()
