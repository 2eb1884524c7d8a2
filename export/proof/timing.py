"""Times forward passes of several candidates alternately, so that other load on the machine affects all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import onnxruntime

from artifact.images.frame import Pixels

BURN_IN = 10


def time_by_turns(
    candidates: Mapping[str, Callable[[], object]],
    batches: int,
    burn_in: int = BURN_IN,
    after_each: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Milliseconds of each of `batches` calls of every candidate, after `burn_in` that don't count."""
    milliseconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(burn_in + batches):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            if turn >= burn_in:
                milliseconds[name].append(1000 * (time.perf_counter() - start))
        after_each()
    return milliseconds


def compare_speed(sessions: Sequence[onnxruntime.InferenceSession], pixels: Pixels) -> list[float]:
    """The median milliseconds of one batch of uint8 [n, h, w, c] in each session."""
    candidates = {
        str(index): lambda session=session: session.run(["probabilities"], {"image": pixels})
        for index, session in enumerate(sessions)
    }
    return [statistics.median(times) for times in time_by_turns(candidates, batches=11, burn_in=2).values()]
