"""Waiting for what another thread or process does, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_S = 60.0


def wait_until(condition: Callable[[], bool], longest_s: float = LONGEST_S) -> None:
    """Look until it holds. Fails where it never comes to that, on a machine that is as slow as can be."""
    end = time.monotonic() + longest_s
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
