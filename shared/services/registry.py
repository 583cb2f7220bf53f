"""The services that collectors may ask, by name."""

from collections.abc import Mapping

from shared.services import caldav, carddav, imap
from shared.services.protocol import Service

_ALL: tuple[Service, ...] = (imap, carddav, caldav)
SERVICES: Mapping[str, Service] = {service.NAME: service for service in _ALL}
