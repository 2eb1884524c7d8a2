"""Running a piece: its steps in turn, each kept as it ends, until all are done or the piece's time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench.gpu.plan import Piece, Plan
from bench.gpu.results import Results


def run_piece(name: str, piece: Piece, plan: Plan, minutes: float, clock: Callable[[], float] = time.monotonic) -> bool:
    """Whether the piece is finished; where not, the same call goes on. A step isn't begun where the longest so far
    would no longer fit.
    """
    results, start, longest = Results(plan.out, name), clock(), 0.0
    for step, measure in piece(plan):
        if results.is_done(step):
            continue
        begin = clock()
        if longest and begin - start + longest > minutes * 60:
            say(name, f"{minutes:g} minutes are over: the same command continues with {step}")
            return False
        results.begin(step)
        found = _try(measure)
        longest = max(longest, clock() - begin)
        results.keep(step, found)
        say(name, f"{step}: {found.get('error') or 'done'} ({clock() - begin:.1f} s)")
    return True


def _try(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A step that fails is a finding: it is kept, and the others go on."""
    try:
        return measure()
    except Exception as error:  # whatever a device, a driver or a server raises
        return {"error": f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0][:400]}"}


def say(piece: str, text: str) -> None:
    print(f"[{piece}] {text}", flush=True)
