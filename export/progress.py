"""How far long work is: one line that rewrites itself on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

WIDTH = 24


class Progress:
    """Counts steps of known number and shows the time left. Use as a context manager; `advance` as work is done."""

    def __init__(self, title: str, total: int, unit: str = "images") -> None:
        self.title, self.total, self.unit = title, max(total, 1), unit
        self.done = 0
        self.started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._every = 0.1 if self._terminal else 10.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._show(f"{format_seconds(time.monotonic() - self.started)}", last=True)
        elif self._terminal:
            print(file=sys.stderr)

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps
        now = time.monotonic()
        if now - self._shown >= self._every:
            self._shown = now
            left = (now - self.started) / self.done * (self.total - self.done)
            self._show(f"{note} {format_seconds(left)} left".strip())

    def _show(self, text: str, *, last: bool = False) -> None:
        filled = WIDTH * self.done // self.total
        bar = "#" * filled + "." * (WIDTH - filled)
        line = f"  {self.title} [{bar}] {self.done:,}/{self.total:,} {self.unit}, {text}"
        if self._terminal:
            print(f"\r\x1b[K{line}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)


def say(text: str) -> None:
    """A line for the person at the terminal; results that a program may read go to standard output instead."""
    print(text, file=sys.stderr, flush=True)


def format_seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
