"""The owner's questions about collectors and the plan."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from shared.ha.collectors import COLLECTORS, Collector, Collectors
from tests.http.asking import NOON, Asker, asker


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asker]:
    with asker(tmp_path) as asked:
        mail = Collector(service="imap", schedule="every 1h", created=NOON, sealed="secret")
        asked.node.store.write(COLLECTORS, Collectors(collectors={"mail": mail}), over=None)
        yield asked


def test_collectors_are_shown_without_their_secrets(ask: Asker) -> None:
    answer = ask("/collector")
    (state,) = answer.json or []
    assert (state["collector"], state["state"], state["schedule"]) == ("mail", "new", "every 1h")
    assert "secret" not in answer.get_data(as_text=True)


def test_the_plan_is_shown(ask: Asker) -> None:
    state = ask("/plan").json or {}
    assert (state["state"], state["failures_tolerated"], state["protected"]) == ("arming", 1, 1)


def test_what_if_writes_nothing(ask: Asker) -> None:
    before = ask.node.store.read(Collectors, COLLECTORS)
    changes = quote("mail every 1m; tolerate 2")
    answer = ask(f"/what-if?changes={changes}").json or {}
    assert answer["before"]["failures_tolerated"] == 1
    assert answer["after"]["failures_tolerated"] is None
    assert answer["refused"].startswith("that would leave no plan")
    assert ask.node.store.read(Collectors, COLLECTORS) == before


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 400, "the parameter changes is missing"),
        ("?changes=", 400, "which cannot be meant: it is changes with `;` between them"),
        ("?changes=mail%20sometimes", 400, "which cannot be meant"),
        (f"?changes={quote(';'.join(['tolerate 2'] * 21))}", 400, "which cannot be meant"),
        ("?changes=post%20removed", 409, "there is no collector 'post'; there is mail"),
        ("?changes=mail%20every%200m", 409, "cannot be met: from a minute"),
        ("?changes=quota%20a.b=5", 409, "no allowance is called a.b"),
        (f"?changes={quote('mail 0 7 * * 1-5; mail paused')}", 200, "before"),
    ],
)
def test_what_if_of_words_that_say_nothing(ask: Asker, query: str, status: int, said: str) -> None:
    answer = ask(f"/what-if{query}")
    assert answer.status_code == status
    assert said in answer.get_data(as_text=True)
