"""Changes as an owner says them, and what would come of them."""

import random
from collections.abc import Sequence

import pytest

from infra.cloud.allowances import allowances
from shared.ha.changes import BadChange, read_change, what_if
from shared.ha.collectors import BadCollector, Collectors
from shared.ha.planner import Overcommitted, check_change, plan
from tests.ha.plans import NOW, caps, collector, config, pool
from tests.ha.test_planner import random_pool

HELD = config(mail=collector("every 1h"), photos=collector("every 1d", level="best-effort"))


def changed(*texts: str, held: Collectors = HELD) -> Collectors:
    for text in texts:
        held = read_change(text, allowances())(held)
    return held


def test_what_an_owner_says() -> None:
    after = changed(
        "mail every 5m", "photos protected", "photos writes=500", "mail paused",
        "quota firestore.writes=10000", "tolerate 2",
    )  # fmt: skip
    assert after.collectors["mail"] == collector("every 5m", paused=True)
    assert after.collectors["photos"] == collector("every 1d", caps=caps(writes=500))
    assert (after.quotas, after.tolerate) == ({"firestore.writes": 10_000.0}, 2)
    assert changed("mail paused", "mail resumed") == HELD
    assert list(changed("mail removed").collectors) == ["photos"]
    assert changed("mail 0 7 * * *").collectors["mail"].schedule == "0 7 * * *"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no change: write it like"),
        ("mail", "is no change: write it like"),
        ("mail sometimes", "'sometimes' says nothing about mail"),
        ("mail every 0m", "cannot be met"),
        ("tolerate many", "there is no collector 'tolerate'"),
        ("quota writes=5", "is no quota"),
        ("quota firestore.wishes=5", "no allowance is called firestore.wishes; there is "),
        ("quota firestore.writes=0", "leaves nothing"),
        ("post every 1h", "there is no collector 'post'; there is mail, photos"),
        ("mail wishes=5", "a run cannot be capped by wishes=5"),
        ("mail writes=1", "a run cannot be capped by writes=1"),
        ("mail seconds=90", "its run_limit"),
        ("mail every 1m", ""),
    ],
)
def test_what_is_no_change(text: str, said: str) -> None:
    if text == "mail every 1m":
        assert changed(text).collectors["mail"].schedule == "every 1m"
        return
    held = config(mail=collector("every 1h", run_limit=60), photos=collector())
    with pytest.raises((BadChange, BadCollector)) as refused:
        changed(text, held=held)
    assert said in str(refused.value)


def test_a_slot_shorter_than_its_run_cannot_be_met() -> None:
    with pytest.raises(BadCollector, match="may work 90 seconds, but has a slot every 1m"):
        changed("mail seconds=90", "mail every 1m")


def test_what_if_and_a_change_for_real_say_the_same() -> None:
    """On thousands of pairs of configurations."""
    chance, refusals = random.Random(3), 0
    for _ in range(500):
        before, given, now = random_pool(chance)
        after, _, _ = random_pool(chance)
        found = what_if(before, [lambda _, after=after: after], given, now)  # type: ignore[misc]
        try:
            check_change(plan(before, given, now), plan(after, given, now))
            refused = None
        except Overcommitted as error:
            refused = error
        assert (found.refused is None) == (refused is None)
        if refused is not None and found.refused is not None:
            refusals += 1
            assert (found.refused.dimension, found.refused.need) == (
                refused.dimension,
                refused.need,
            )
        assert found.before == plan(before, given, now)
        assert found.after == plan(after, given, now)
    assert refusals > 50


def test_the_order_of_changes_counts() -> None:
    words: Sequence[str] = ["photos protected", "photos every 1m", "photos removed"]
    changes = [read_change(text, allowances()) for text in words]
    assert what_if(HELD, changes[:2], pool(), NOW).refused is not None
    assert what_if(HELD, changes, pool(), NOW).refused is None
