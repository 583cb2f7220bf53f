"""The services that collectors may ask, by name."""

from collections.abc import Mapping

from shared.services import imap
from shared.services.protocol import Service

SERVICES: Mapping[str, Service] = {service.NAME: service for service in (imap,)}
