"""How soon a change of the credentials is felt, and what asking costs."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.keyring import Keyring
from shared.meter import metered
from shared.model.access import Access, OwnerToken, renewed, token_hash
from shared.store.protocol import StoreUnavailable
from shared.store.sqlite import SqliteStore
from tests.eventually import eventually
from tests.http.phones import NOW, TOKEN, a_device


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Any:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class FarAway(SqliteStore):
    """A store that cannot tell for nothing whether a document changed, as in the cloud."""

    def stamp(self) -> bytes:
        return b""


@pytest.fixture(params=[SqliteStore, FarAway], ids=["home", "cloud"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteStore]:
    store: SqliteStore = request.param(tmp_path / "yurt.db")
    yield store
    store.close()


@pytest.fixture
def at_home(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "home.db")
    yield store
    store.close()


@pytest.fixture
def far_away(tmp_path: Path) -> Iterator[SqliteStore]:
    store = FarAway(tmp_path / "far.db")
    yield store
    store.close()


def paired(store: SqliteStore, clock: Clock) -> Keyring:
    """The keyring of another process, which pairs and unpairs."""
    owner = Keyring(store, clock, timedelta(0))
    owner.change(lambda access: access.with_device(a_device()))
    return owner


def test_a_revoked_credential_is_out_at_once_at_home(at_home: SqliteStore, clock: Clock) -> None:
    owner, keyring = paired(at_home, clock), Keyring(at_home, clock, timedelta(seconds=60))
    assert keyring.device(TOKEN) == a_device()
    with metered() as meter:
        assert keyring.device(TOKEN) == a_device()
    assert meter.calls == 0
    owner.change(lambda access: access.without_device("phone1"))
    assert keyring.device(TOKEN) is None


def test_a_revoked_credential_is_out_within_the_age_of_the_copy(
    far_away: SqliteStore, clock: Clock
) -> None:
    owner, keyring = paired(far_away, clock), Keyring(far_away, clock, timedelta(seconds=60))
    assert keyring.device(TOKEN) is not None
    owner.change(lambda access: access.without_device("phone1"))
    clock.now += timedelta(seconds=59)
    with metered() as meter:
        assert keyring.device(TOKEN) is not None
    assert meter.calls == 0
    clock.now += timedelta(seconds=1)
    assert keyring.device(TOKEN) is None


def test_a_new_device_is_in_within_five_seconds(far_away: SqliteStore, clock: Clock) -> None:
    keyring = Keyring(far_away, clock, timedelta(seconds=60))
    assert keyring.device(TOKEN) is None
    paired(far_away, clock)
    clock.now += timedelta(seconds=4)
    with metered() as meter:
        assert keyring.device(TOKEN) is None
    assert meter.calls == 0, "a flood of wrong tokens must not reach the store"
    clock.now += timedelta(seconds=1)
    assert keyring.device(TOKEN) == a_device()


def test_a_clock_set_back_does_not_keep_an_old_copy(store: SqliteStore, clock: Clock) -> None:
    owner, keyring = paired(store, clock), Keyring(store, clock, timedelta(seconds=60))
    assert keyring.device(TOKEN) is not None
    owner.change(lambda access: access.without_device("phone1"))
    clock.now -= timedelta(days=1)
    assert keyring.device(TOKEN) is None


def test_a_renewed_credential_works_beside_the_old_until_it_is_used(
    store: SqliteStore, clock: Clock
) -> None:
    owner, keyring = paired(store, clock), Keyring(store, clock, timedelta(0))
    owner.change(lambda access: access.with_device(renewed(access.devices["phone1"], "new")))
    for _ in range(2):
        assert keyring.device(TOKEN) is not None
    for _ in range(2):
        device = keyring.device("new")
        assert device == a_device(current=token_hash("new"))
    assert keyring.device(TOKEN) is None
    assert Keyring(store, clock, timedelta(0)).device(TOKEN) is None


def test_a_renewal_that_was_replaced_meanwhile_is_not_promoted(
    store: SqliteStore, clock: Clock
) -> None:
    owner, keyring = paired(store, clock), Keyring(store, clock, timedelta(seconds=60))
    owner.change(lambda access: access.with_device(renewed(access.devices["phone1"], "first")))
    keyring.device(TOKEN)
    owner.change(lambda access: access.with_device(renewed(access.devices["phone1"], "second")))
    assert keyring.device("first") is None
    assert keyring.device(TOKEN) is not None


def test_owners_and_devices_do_not_mix(store: SqliteStore, clock: Clock) -> None:
    owner = paired(store, clock)
    token = OwnerToken(name="laptop", hash=token_hash("owner"), created=NOW)
    owner.change(lambda access: access.with_token(token))
    keyring = Keyring(store, clock, timedelta(0))
    assert keyring.owner("owner") == token
    assert keyring.owner(TOKEN) is None
    assert keyring.device("owner") is None
    owner.change(lambda access: access.without_token("laptop"))
    assert keyring.owner("owner") is None


def test_a_change_is_decided_anew_when_somebody_else_was_faster(
    store: SqliteStore, clock: Clock
) -> None:
    one, other = paired(store, clock), Keyring(store, clock, timedelta(0))
    asked: list[Access] = []

    def decide(access: Access) -> Access:
        asked.append(access)
        if len(asked) == 1:
            other.change(lambda now: now.with_device(a_device(id="tablet1", current=None)))
        return access.with_device(a_device(id="watch1", current=None))

    assert one.change(decide).devices.keys() == {"phone1", "tablet1", "watch1"}
    assert len(asked) == 2


def test_requests_that_wait_for_a_store_that_is_away_share_one_attempt(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "yurt.db")
    asked, away = threading.Event(), threading.Event()
    attempts = []

    def unavailable(*_: object) -> None:
        attempts.append(1)
        asked.set()
        assert away.wait(timeout=30)
        raise StoreUnavailable("away")

    store.read = unavailable  # type: ignore[assignment, method-assign]
    looks = []

    def clock() -> datetime:
        looks.append(1)
        return NOW

    keyring = Keyring(store, clock, timedelta(seconds=60))
    outcomes: list[str] = []

    def ask() -> None:
        try:
            keyring.device("some token")
        except StoreUnavailable as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    threads[0].start()
    assert asked.wait(timeout=30)
    for thread in threads[1:]:
        thread.start()
    eventually(lambda: len(looks) == 2 * len(threads))  # the last thing before they wait
    away.set()
    for thread in threads:
        thread.join()
    assert outcomes == ["away"] * 8
    assert len(attempts) == 1
    store.close()
