"""BusyPoll: an event loop that stays awake for a client whose next request is about to come.

A process that sleeps costs both sides time: whoever sends to it has to wake a processor, which takes a while. Where one
client sends tiny requests one after another, that is an eighth of each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

# Seconds. A request that comes within this time of the last answer was worth staying awake for; the loop stays awake no
# longer.
SOON_S = 2e-4
# After this many such requests in a row the next one is expected.
_ENOUGH = 3


class BusyPoll:
    """Between an answer and the request that is expected next, the loop's turns don't sleep.

    It learns from the requests themselves: a client that lets SOON_S pass, as any does behind a real network, is
    waited for asleep until it has been quick again. So at most one wait in vain follows quick requests, and the time
    awake is never more than a core's while a client keeps the server busy anyway.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._answered = float("-inf")
        self._quick = 0  # requests in a row that came within SOON_S
        self._is_awake = False

    def note_request(self, now: float) -> None:
        """A request came at `now`, in seconds by the clock."""
        self._quick = self._quick + 1 if now - self._answered < SOON_S else 0

    def note_answer(self, loop: asyncio.AbstractEventLoop) -> None:
        """The request's answer was sent just now."""
        self._answered = self._clock()
        if self._quick >= _ENOUGH and not self._is_awake:
            self._is_awake = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called again in each turn: a call that is ready keeps the loop from sleeping."""
        self._is_awake = self._clock() - self._answered < SOON_S
        if self._is_awake:
            loop.call_soon(self._turn, loop)
