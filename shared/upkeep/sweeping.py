"""The sweep: what a node looks after now and then, whether or not anybody asks."""

from msgspec import Struct

from shared.imports.uploads import Uploads
from shared.node import Node
from shared.upkeep import sealing
from shared.work.engine import Engine
from shared.work.jobs import FAMILY, Job


class Swept(Struct, frozen=True, kw_only=True):
    """Ids of jobs. revived: nobody moved them. begun: imports of what had come without a word."""

    revived: list[str]
    begun: list[str]


def sweep(node: Node, engine: Engine) -> Swept:
    """Raises `StoreError`, `BlobsError` or `QueueError` if something is left for the next one."""
    revived = engine.sweep()
    _seal(node, engine)
    return Swept(
        revived=revived,
        begun=Uploads(node.store, node.objects, engine).sweep(engine.clock()),
    )


def _seal(node: Node, engine: Engine) -> None:
    held, now = node.store.control(Job, FAMILY, sealing.JOB), engine.clock()
    if sealing.is_due(held.document if held else None, now):
        title = "sealing of old reports"
        engine.submit(sealing.JOB, "seal", sealing.spec(now), title, again=True)
