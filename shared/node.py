"""One deployment, opened from its settings: the only place that knows the adapters."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from shared.alerting.configured import ALERTING, Alerting
from shared.blobs.kept import Kept
from shared.blobs.protocol import Objects
from shared.copied import Copied
from shared.counters.protocol import Counters
from shared.counts import Counts
from shared.friends import Friends
from shared.ha.collectors import COLLECTORS, Collectors
from shared.keyring import Keyring
from shared.model.access import ACCESS, Access
from shared.model.profile import PROFILE, Profile
from shared.queue.protocol import Queue, QueueError
from shared.sealing import BadMasterKey, MasterKey
from shared.search.protocol import Search
from shared.settings import Settings, read_settings
from shared.store.changing import current
from shared.store.protocol import Damaged, PutsSoon, Store, StoreError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials


CONFIGURED_AGE = timedelta(minutes=2)
"""Each copy costs a read: that of each minute's tick, and that of the function which runs slots."""
PROFILE_AGE = timedelta(minutes=15)
"""Zones and units change seldom, and only what comes later needs to know."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Node:
    """What a handler or a command needs: the ports and the time."""

    settings: Settings
    store: Store
    clock: Callable[[], datetime] = utc_now
    open_objects: Callable[[], Objects] | None = None

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring(self.store, self.clock, self.settings.credentials_age)

    @cached_property
    def friends(self) -> Friends:
        return Friends(self.store, self.clock, self.settings.friends_age)

    @cached_property
    def configured(self) -> Copied[Collectors]:
        """What is configured of collectors, at most `CONFIGURED_AGE` old."""
        return Copied(self.store, COLLECTORS, Collectors(), self.clock, CONFIGURED_AGE)

    @cached_property
    def profile(self) -> Copied[Profile]:
        """The owner's, at most a few minutes old."""
        return Copied(self.store, PROFILE, Profile(), self.clock, PROFILE_AGE)

    @cached_property
    def puts_soon(self) -> PutsSoon | None:
        """The store, if it can put without a waiting thread."""
        return self.store if isinstance(self.store, PutsSoon) else None

    @cached_property
    def objects(self) -> Objects:
        """Where large bytes are. `BlobsError` when they cannot be opened."""
        return self.open_objects() if self.open_objects else _open_objects(self.settings)

    @cached_property
    def kept(self) -> Kept:
        return Kept(self.objects)

    @cached_property
    def queue(self) -> Queue:
        """Where calls wait. `QueueError` when it cannot be opened."""
        return _open_queue(self.settings, self.clock, "queue.db")

    @cached_property
    def slots_queue(self) -> Queue:
        """Where slots of collectors wait: at home beside the jobs, none of which they wait for."""
        if self.settings.firestore is not None or self.settings.tasks is not None:
            return self.queue
        return _open_queue(self.settings, self.clock, "slots.db")

    @cached_property
    def counters(self) -> Counters | None:
        """What the platform counts; nobody counts at home."""
        return _open_counters(self.settings)

    @cached_property
    def search(self) -> Search | None:
        """The store, if it can be searched."""
        return self.store if isinstance(self.store, Search) else None

    @cached_property
    def counts(self) -> Counts:
        return Counts(self.store, self.clock)

    @cached_property
    def master_key(self) -> MasterKey:
        """What sealed secrets are read with. `BadMasterKey` when it is missing or damaged."""
        return self._master_key(create=False)

    def sealing_key(self) -> MasterKey:
        """The same key, to seal with. The first time it is made.

        A lost one is not replaced, as long as something is sealed that it could still read.
        """
        try:
            is_sealed = self._holds_sealed()
        except Damaged:
            is_sealed = True  # what cannot be read may well hold some
        return self._master_key(create=not is_sealed)

    def _holds_sealed(self) -> bool:
        devices = current(self.store, ACCESS, Access()).devices.values()
        collectors = current(self.store, COLLECTORS, Collectors()).collectors.values()
        return (
            any(device.sealed_key or device.earlier_keys for device in devices)
            or any(collector.sealed for collector in collectors)
            or bool(current(self.store, ALERTING, Alerting()).sealed)
        )

    def _master_key(self, *, create: bool) -> MasterKey:
        if self.settings.master_key is not None:
            return MasterKey.from_hex(self.settings.master_key, "YURT_MASTER_KEY")
        if self.settings.firestore is not None:
            # One of this machine would seal what the functions, with theirs, could not open.
            raise BadMasterKey(
                "YURT_MASTER_KEY is not set, and a node in the cloud has no key in a file",
                "set it to the key that the functions have (as `yurt deploy` shows at its end)",
            )
        return MasterKey.from_file(self.settings.data / "master.key", create=create)

    def close(self) -> None:
        self.counts.flush()
        if "objects" in self.__dict__:
            self.objects.close()
        for name in ("queue", "slots_queue"):
            if name in self.__dict__:
                self.__dict__[name].close()
        self.store.close()


def open_node(
    settings: Settings,
    clock: Callable[[], datetime] = utc_now,
    credentials: "Credentials | None" = None,
) -> Node:
    """Opens the store the settings name. `StoreError` when that cannot be done.

    credentials: for the cloud, those of the environment if none are given.
    """
    # One, though two may ask for it.
    objects = cache(lambda: _open_objects(settings, credentials))
    return Node(settings, _open_store(settings, objects, credentials), clock, objects)


def problem_of(settings: Settings, credentials: "Credentials | None" = None) -> StoreError | None:
    """What is wrong with the node's store, found beside a running node and without a change.

    A home node's must be there; opening would make it.
    """
    if settings.firestore is None:
        from shared.store import sqlite

        return sqlite.problem_of(_database(settings))
    store = _open_store(settings, lambda: _open_objects(settings), credentials)
    try:
        current(store, ACCESS, Access())
    except StoreError as error:
        return error
    finally:
        store.close()
    return None


def _open_store(
    settings: Settings,
    objects: Callable[[], Objects],
    credentials: "Credentials | None" = None,
) -> Store:
    # Imported where they are needed: a home node never loads the cloud's client library.
    if settings.firestore is not None:
        from shared.store.firestore import FirestoreStore

        return FirestoreStore(
            settings.firestore.project,
            settings.firestore.database,
            objects if settings.bucket is not None else None,
            credentials,
        )
    from shared.store.sqlite import SqliteStore

    return SqliteStore(_database(settings))


def _open_objects(settings: Settings, credentials: "Credentials | None" = None) -> Objects:
    if settings.bucket is not None:
        from shared.blobs.gcs import GcsObjects

        project = settings.firestore.project if settings.firestore is not None else None
        return GcsObjects(settings.bucket, project=project, credentials=credentials)
    from shared.blobs.files import FileObjects

    return FileObjects(settings.data / "blobs", sessions_url="upload/session/")


def _open_queue(settings: Settings, clock: Callable[[], datetime], file: str) -> Queue:
    tasks = settings.tasks
    if tasks is not None:
        from shared.queue.cloudtasks import CloudTasksQueue

        return CloudTasksQueue(
            tasks.name,
            target=tasks.target,
            account=tasks.account,
            audience=tasks.audience,
            clock=clock,
            endpoint=tasks.endpoint,
        )
    if settings.firestore is not None:  # nobody would call what waits in a folder of the cloud's
        raise QueueError("there is no queue: set YURT_TASKS_QUEUE to that of this cloud node")
    from shared.queue.local import LocalQueue

    return LocalQueue(settings.data / file, clock)


def _open_counters(settings: Settings) -> Counters | None:
    if settings.firestore is None:
        return None
    from shared.counters.cloudmonitoring import CloudMonitoring

    return CloudMonitoring(settings.firestore.project, settings.monitoring_endpoint)


def _database(settings: Settings) -> Path:
    return settings.data / "yurt.db"


_this: Node | None = None
_opening = threading.Lock()


def this_node() -> Node:
    """The node of this process, opened from the environment by whoever asks first."""
    global _this
    if _this is None:
        with _opening:
            if _this is None:
                _this = open_node(read_settings(os.environ))
    return _this
