"""Importing an mbox beside `notmuch new` on the same mails; at the end of both their text is found.

notmuch keeps its index and leaves the mails where they are; Yurt keeps them, too.
"""

import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from email import message_from_bytes
from pathlib import Path
from typing import NamedTuple

from tests.bench import mail_corpus
from tests.bench.importing import imported, into
from tests.bench.spending import Spent, spent
from tests.bench.table import print_table

ROUNDS = 3
_CONFIG = """
[database]
path={path}
[user]
name=Bench
primary_email=bench@example.org
[new]
tags=new
"""


class _Run(NamedTuple):
    spent: Spent
    found: int
    size: int


def main(mails: int = mail_corpus.MAILS, rounds: int = ROUNDS) -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        _compare(Path(folder).resolve(), mails, rounds)


def _compare(folder: Path, mails: int, rounds: int) -> None:
    mbox = folder / "mail.mbox"
    size = mail_corpus.write_mbox(mbox, mails)
    word = _common_word()
    runs: dict[str, Callable[[], _Run]] = {"yurt": lambda: _import(folder, mbox, mails, word)}
    if shutil.which("notmuch"):
        mail_corpus.write_maildir(folder / "mail", mails)
        runs["notmuch new"] = lambda: _notmuch(folder, word)
    else:
        print("notmuch is not there: apt-get install notmuch")
    taken: dict[str, list[_Run]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    rows = []
    for name, some in taken.items():
        cpu = statistics.median(run.spent.cpu for run in some)
        wall = statistics.median(run.spent.wall for run in some)
        ours = zip(some, taken["yurt"], strict=True)
        ratio = statistics.median(run.spent.cpu / own.spent.cpu for run, own in ours)
        peak = statistics.median(run.spent.peak for run in some)
        row = [name, f"{1e6 * cpu / mails:,.0f}", f"{1e6 * wall / mails:,.0f}", f"{ratio:.1f}"]
        rows.append([*row, f"{peak / 1e6:.0f}", f"{some[0].size / 1e6:.0f}", f"{some[0].found:,}"])
    columns = ["", "CPU µs/mail", "µs/mail", "CPU ÷ yurt", "peak MB", "MB kept", "mails found"]
    print_table(f"mbox of {mails:,} mails, {size / 1e6:,.0f} MB", columns, rows)


def _import(folder: Path, mbox: Path, mails: int, word: str) -> _Run:
    data = folder / "data"
    run = imported(mbox, into(data), find=word)
    if run.told.new.get("message") != mails:
        raise SystemExit(f"yurt imported {run.told.new} of {mails} mails")
    size = _size(data)
    shutil.rmtree(data)
    return _Run(run.spent, run.told.found, size)


def _notmuch(folder: Path, word: str) -> _Run:
    config = folder / "notmuch.conf"
    config.write_text(_CONFIG.format(path=folder / "mail"))
    env: Mapping[str, str] = {"NOTMUCH_CONFIG": str(config)}
    run = spent(["notmuch", "new", "--quiet"], env)
    found = int(spent(["notmuch", "count", word], env).out)
    index = folder / "mail" / ".notmuch"
    size = _size(index)
    shutil.rmtree(index)
    return _Run(run, found, size)


def _common_word() -> str:
    """One that is in many mails: the longest of the first mail's subject."""
    _, mail = next(mail_corpus.mails(1))
    words = str(message_from_bytes(mail)["subject"]).split()
    return max((word for word in words if word.isascii()), key=len)


def _size(folder: Path) -> int:
    done = subprocess.run(["du", "-sb", folder], check=True, stdout=subprocess.PIPE)
    return int(done.stdout.split()[0])


if __name__ == "__main__":
    main()
