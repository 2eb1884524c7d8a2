"""How long to wait before a worker that ended is replaced."""

from __future__ import annotations

# Seconds. A worker that ends sooner after its start may do so again: each time in a row the pause is longer.
_SOON_S = 10.0
_LONGEST_PAUSE_S = 30.0


class Restarts:
    """The restarts of one worker."""

    def __init__(self) -> None:
        self._in_vain = 0  # processes in a row that ended soon

    def find_pause(self, lasted_s: float) -> float:
        """Seconds to wait after a process that ran for `lasted_s` seconds: 0, unless the one before ended soon, too."""
        self._in_vain = self._in_vain + 1 if lasted_s < _SOON_S else 0
        return min(_LONGEST_PAUSE_S, 0.5 * 2**self._in_vain) if self._in_vain > 1 else 0.0
