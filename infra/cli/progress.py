"""How far something is, in one line of the terminal; elsewhere in a line now and then."""

import contextlib
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

import click

from infra.cli.words import shown, size_text, span_text

DRAWN_EACH = 0.1
SAID_EACH = 10.0
"""Seconds: where nobody looks at a terminal, a log is not to be filled."""

_RATED_OVER = 15.0
_BAR = 20


@dataclass(slots=True)
class Progress:
    """One line about one file, on stderr. A context manager: at its end the line is gone."""

    title: str
    monotonic: Callable[[], float] = time.monotonic
    output: TextIO = field(default_factory=lambda: sys.stderr)
    _seen: deque[tuple[float, int]] = field(default_factory=deque)
    _said: float | None = None

    def __post_init__(self) -> None:
        self._said = None if self._is_drawn() else self.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_drawn():
            self._write("\r\x1b[K")

    def look(self, said: str) -> None:
        """Shows only what is being looked at."""
        self._say(f"{shown(self.title)}: {shown(said)}")

    def show(
        self, doing: str, done: int, total: int | None, *, records: int = 0, said: str = ""
    ) -> None:
        """doing: a verb. done, total: bytes. said: what is of interest besides, cut off first."""
        self._rate_at(self.monotonic(), done)
        line = f"{shown(self.title)}: {doing} {self._numbers(done, total, self._is_drawn())}"
        if records:
            line += f", {records:,} records"
        self._say(f"{line}  {shown(said)}" if said else line)

    def _say(self, line: str) -> None:
        now, drawn = self.monotonic(), self._is_drawn()
        if self._said is not None and now - self._said < (DRAWN_EACH if drawn else SAID_EACH):
            return
        self._said = now
        if drawn:
            columns = shutil.get_terminal_size().columns
            self._write(f"\r\x1b[K{line[: columns - 1]}")
        else:
            self._write(f"{line}\n")

    def _numbers(self, done: int, total: int | None, drawn: bool) -> str:
        rate = self._rate()
        per_second = f", {rate / 1e6:,.1f} MB/s" if rate else ""
        if not total:
            return f"{size_text(done)}{per_second}"
        share = min(1.0, done / total)
        filled = round(_BAR * share)
        bar = f"[{'#' * filled}{'-' * (_BAR - filled)}] " if drawn else ""
        left = f", {span_text((total - done) / rate)} left" if rate and total > done else ""
        return f"{bar}{share:.0%} of {size_text(total)}{per_second}{left}"

    def _rate_at(self, now: float, done: int) -> None:
        if not self._seen or now - self._seen[-1][0] >= DRAWN_EACH:
            self._seen.append((now, done))
        while now - self._seen[0][0] > _RATED_OVER and len(self._seen) > 2:
            self._seen.popleft()

    def _rate(self) -> float | None:
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        return (now - before) / (last - first) if last > first and now > before else None

    def _is_drawn(self) -> bool:
        return self.output.isatty() and os.environ.get("TERM") != "dumb"

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone, which ends nothing by itself
            click.echo(text, file=self.output, nl=False)
