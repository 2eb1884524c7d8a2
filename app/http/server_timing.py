"""The Server-Timing header: what the stages of a prediction took."""

from __future__ import annotations

from collections.abc import Sequence

from app.inference.attempt import Prediction, Timing
from artifact.errors import ConvserveError


def longest_timing(results: Sequence[Prediction | ConvserveError]) -> Timing:
    """The longest time of several images in each stage; at least one of them has succeeded."""
    timings = [result.timing for result in results if isinstance(result, Prediction)]
    return Timing(
        max(timing.decode_ms for timing in timings),
        max(timing.queue_ms for timing in timings),
        max(timing.infer_ms for timing in timings),
        max(timing.batch_size for timing in timings),
    )


def name_stages(timing: Timing) -> str:
    """The Server-Timing header of a prediction, but for the total, which is known last."""
    return f"decode;dur={timing.decode_ms:.2f}, queue;dur={timing.queue_ms:.2f}, infer;dur={timing.infer_ms:.2f}"
