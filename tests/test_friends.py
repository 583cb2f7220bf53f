"""What a phone is shown of others is looked up once in a while, not with each report."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.friends import Friends
from shared.meter import metered
from shared.model.access import Device
from shared.model.records import Fix
from shared.store.sqlite import SqliteStore

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ADA = Device(id="ada1", name="Ada", app="owntracks", created=NOON)


def fix(lat: float, minutes: int) -> Fix:
    time = NOON + timedelta(minutes=minutes)
    return Fix(source="plain", source_version=1, device="ada1", time=time, lat=lat, lon=0.0)


def test_a_friend_is_looked_up_again_when_the_copy_is_too_old(tmp_path: Path) -> None:
    now = NOON
    store = SqliteStore(tmp_path / "yurt.db")
    friends = Friends(store, lambda: now, timedelta(seconds=60))
    store.put([fix(1.0, 0)])
    first = friends.friend(ADA)
    assert first.fix is not None
    assert first.fix.lat == 1.0
    store.put([fix(2.0, 1)])
    now += timedelta(seconds=59)
    with metered() as spent:
        assert friends.friend(ADA) == first
    assert spent.reads == 0
    now += timedelta(seconds=1)
    later = friends.friend(ADA).fix
    assert later is not None
    assert later.lat == 2.0
    store.close()


def test_a_copy_from_the_future_is_not_trusted(tmp_path: Path) -> None:
    now = NOON
    store = SqliteStore(tmp_path / "yurt.db")
    friends = Friends(store, lambda: now, timedelta(seconds=60))
    assert friends.friend(ADA).fix is None
    store.put([fix(1.0, 0)])
    now -= timedelta(hours=1)
    assert friends.friend(ADA).fix is not None
    store.close()
