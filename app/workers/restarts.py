"""How long a worker that ended is waited for before another takes its place."""

from __future__ import annotations

# A worker that ends sooner than this after its start may end so again: each time it is waited for longer.
_SOON_S = 10.0
_LONGEST_PAUSE_S = 30.0


class Restarts:
    """Those of one worker."""

    def __init__(self) -> None:
        self._in_vain = 0  # in a row

    def find_pause(self, lasted_s: float) -> float:
        """Seconds to wait after a worker that lasted so long: none, unless the one before ended soon, too."""
        self._in_vain = self._in_vain + 1 if lasted_s < _SOON_S else 0
        return min(_LONGEST_PAUSE_S, 0.5 * 2**self._in_vain) if self._in_vain > 1 else 0.0
