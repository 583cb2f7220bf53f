"""The contacts of a CardDAV server; see `dav` for how it is asked."""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.model.steps import Step
from shared.services import dav
from shared.services.protocol import Asked
from shared.sources import vcard

NAME = "carddav"
VERSION = vcard.VERSION

_KIND = dav.Kind(
    name=NAME,
    what="address book",
    namespace="urn:ietf:params:xml:ns:carddav",
    collection="addressbook",
    home="addressbook-home-set",
    data="address-data",
    multiget="addressbook-multiget",
    component=None,
    read=vcard.read,
)


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    return dav.checked(options)


def steps(asked: Asked) -> Iterator[Step]:
    return dav.steps(_KIND, asked)
