"""Progress: how far a long command is, on one line of a terminal that rewrites itself."""

from __future__ import annotations

import sys
import time

_EVERY_S = 0.1


class Progress:
    """Shows counts of `total` images with the time left; elsewhere than on a terminal a line every `elsewhere_s`, or
    nothing.
    """

    def __init__(self, total: int, elsewhere_s: float | None = None) -> None:
        self._total = total
        self.began = self._shown = time.monotonic()
        """When the first image was, by time.monotonic: speed and time left count from then."""
        self._is_shown = False
        self._terminal = sys.stderr.isatty()
        self._every_s = _EVERY_S if self._terminal else elsewhere_s

    def show(self, done: int, failed: int) -> None:
        """`done` of the images have an answer, the failed ones among them."""
        now = time.monotonic()
        if self._every_s is None or not done or (now - self._shown < self._every_s and done < self._total):
            return
        self._shown, self._is_shown, spent = now, True, now - self.began
        left = format_seconds(spent / done * (self._total - done))
        line = f"{done:,} of {self._total:,} images, {failed:,} failed, {done / max(spent, 1e-9):,.0f}/s, {left} left"
        print(f"\r\x1b[K{line}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr)
        sys.stderr.flush()

    def end(self) -> None:
        """Leave what was shown last, and begin a new line."""
        if self._terminal and self._is_shown:
            print(file=sys.stderr)


def format_seconds(seconds: float) -> str:
    """As 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
