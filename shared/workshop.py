"""What drives a node: its engines with every kind of work there is, and what looks after them."""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from shared.collecting.books import Books
from shared.collecting.collecting import Collecting, kind
from shared.collecting.configuring import note_measured
from shared.collecting.monitor import Monitor, Tell
from shared.collecting.pacing import Pacing
from shared.collecting.periods import IN_CLOUD_EACH
from shared.collecting.reports import paired, reports
from shared.collecting.slots import WORK
from shared.collecting.work import CollectWork
from shared.counters.protocol import Counters
from shared.node import Node
from shared.queue.protocol import Queue
from shared.services.protocol import Service
from shared.upkeep.sealing import SealWork
from shared.work.engine import Engine, unpaced
from shared.work.runs import Budget

if TYPE_CHECKING:
    from shared.alerting.telling import Telling

CLOUD = Budget(seconds=240.0, memory=240_000_000, reads=10_000, writes=4_000)
"""Of a function with a timeout of ten minutes, whose memory what comes next may double; reads and
writes are a fifth of a free day."""

HOME = Budget(reads=1_000_000_000, writes=1_000_000_000)
"""Rows of one's own disk cost nothing."""


def engine_of(
    node: Node, queue: Queue | None = None, stopping: Callable[[], bool] = lambda: False
) -> Engine:
    """queue: where the next chunks go; the node's own if none is given. stopping: as `Engine`."""
    # Functions that only look after collectors start without what reads files.
    from shared.imports.importing import ImportWork

    at_home = node.settings.firestore is None
    return Engine(
        store=node.store,
        queue=node.queue if queue is None else queue,
        keeps=node.kept,
        works={
            "import": ImportWork(
                node.store, node.objects, local=at_home, threads=os.cpu_count() or 1
            ),
            "seal": SealWork(node.store),
        },
        budget=HOME if at_home else CLOUD,
        pace=unpaced if at_home else Pacing(node.store, node.clock),
        clock=node.clock,
        stopping=stopping,
    )


def telling_of(node: Node, stopping: Callable[[], bool] = lambda: False) -> "Telling":
    """Who is told of alerts. stopping: as `Telling`."""
    # Functions that tell nobody start without what it takes.
    from shared.alerting.registry import CHANNELS
    from shared.alerting.telling import Telling

    return Telling(node.store, CHANNELS, lambda: node.master_key, node.clock, stopping)


def monitor_of(
    node: Node,
    collecting: Collecting,
    every: timedelta,
    tell: Tell | None = None,
    counters: Counters | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Monitor:
    """What looks after the collectors. every: how often it sweeps. tell: who is told; who is
    configured if nobody is given. counters: the platform's; where nobody counts nothing is held
    back. stopping: as `Telling`."""
    telling = telling_of(node, stopping)
    return Monitor(
        store=node.store,
        collecting=collecting,
        clock=node.clock,
        every=every,
        tell=telling.tell if tell is None else tell,
        books=Books(node.store, lambda: paired(node.store), counters),
        reports=lambda: reports(node.store),
        spares=counters is not None,
        completed=telling.ping,
    )


def collecting_of(
    node: Node,
    stopping: Callable[[], bool] = lambda: False,
    services: Mapping[str, Service] | None = None,
) -> Collecting:
    """The collectors of a node. stopping: as `engine_of`. services: that may be asked; all there
    are if none are given."""
    if services is None:
        # Functions that run no slots start without them.
        from shared.services.registry import SERVICES

        services = SERVICES
    engine = Engine(
        store=node.store,
        queue=node.slots_queue,
        keeps=_Kept(node),
        works={
            WORK: CollectWork(
                node.configured,
                node.profile,
                lambda: node.master_key,
                services,
                node.clock,
            )
        },
        budget=HOME if node.settings.firestore is None else CLOUD,
        kind=kind(
            node.configured, lambda id, took: note_measured(node.store, id, took), node.clock
        ),
        clock=node.clock,
        stopping=stopping,
    )
    return Collecting(node.store, engine, node.configured, node.clock, node.configured.forget)


def lone_monitor_of(node: Node) -> Monitor:
    """The one of the cloud: it lets others run slots, so it asks no services."""
    collecting = collecting_of(node, services={})
    return monitor_of(node, collecting, IN_CLOUD_EACH, counters=node.counters)


class _Kept(NamedTuple):
    """Where the node keeps large bytes, opened by the first: who runs no slots may have no key."""

    node: Node

    def put(self, data: bytes) -> str:
        return self.node.kept.put(data)
