"""How long a forward pass takes: by turns, so that whatever else the machine does hits every candidate alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import onnxruntime

from app.images import Pixels


def compare_speed(
    sessions: Sequence[onnxruntime.InferenceSession], pixels: Pixels, runs: int = 11, warm_up: int = 2
) -> list[float]:
    """The median milliseconds of one batch in each session, run by turns."""
    seconds: list[list[float]] = [[] for _ in sessions]
    for run in range(warm_up + runs):
        for session, times in zip(sessions, seconds, strict=True):
            start = time.perf_counter()
            session.run(["probabilities"], {"image": pixels})
            if run >= warm_up:
                times.append(time.perf_counter() - start)
    return [1000 * statistics.median(times) for times in seconds]
