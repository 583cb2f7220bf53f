"""What Cloud Storage tells: an object is whole. If it was uploaded, its import begins.

An event comes at least once, in no order, and again for a day if the function fails. So what may
pass raises; what would be wrong again ends well.
"""

import logging
import re

from shared.imports.beginning import UPLOADS
from shared.imports.uploads import NotThere, OtherSize, Uploads
from shared.node import Node
from shared.work.engine import Engine

FINALIZED = "google.cloud.storage.object.v1.finalized"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger(__name__)


def media(node: Node, engine: Engine, type: str, data: object) -> str | None:
    """Takes a CloudEvent of that type with that data; the id of the job it is about, if any.

    Raises `StoreError` or `BlobsError` when the event shall come again.
    """
    sha256 = _uploaded(node, type, data)
    if sha256 is None:
        return None
    try:
        return Uploads(node.store, node.objects, engine).sent(sha256).id
    except NotThere:
        _log.info("an uploaded object is gone: it was imported meanwhile, or deleted")
    except OtherSize as error:
        _log.error("an upload is left alone: %s", error)
    return None


def _uploaded(node: Node, type: str, data: object) -> str | None:
    """The hash that the object was uploaded under, if the event is about one."""
    if type != FINALIZED or not isinstance(data, dict):
        _log.error("an event of the type %.100r cannot be read", type)
        return None
    name, bucket = data.get("name"), data.get("bucket")
    if not isinstance(name, str) or bucket != node.settings.bucket:
        _log.error("an event names no object of this node's bucket")
        return None
    if not name.startswith(UPLOADS):
        return None
    sha256 = name.removeprefix(UPLOADS)
    if not _SHA256.fullmatch(sha256):
        _log.error("an object below %s is named by no hash", UPLOADS)
        return None
    return sha256
