"""The graph that is published on damaged images: which images, how many, and what it costs."""

from __future__ import annotations

import time

import numpy as np

from artifact.figures.robustness import Robustness
from artifact.images.frame import Pixels
from export.data.samples import decode_samples
from export.progress import Progress, format_seconds, say
from export.proof import runtime
from export.proof.own_outputs import rows_at_once
from export.proof.prove import ProvedGraph
from export.report.calibration import Floats
from export.report.robustness import RUNS, measure_robustness
from export.sources.source import Source

MOST_IMAGES, MOST_LARGE, LARGE = 500, 100, 96 * 96
"""Of images with more pixels than LARGE fewer are taken: each is run 19 times, and networks of that size are slow."""


def judge_robustness(source: Source, proved: ProvedGraph) -> Robustness | None:
    """The robustness of the graph's file on some proof images, spread evenly over them; None where their classes aren't
    known.
    """
    images, policy = source.images, source.provenance.image
    if images.dataset is None:
        return None
    most = MOST_IMAGES if policy.height * policy.width <= LARGE else MOST_LARGE
    samples = images.samples
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(np.intp))
    rows = min(proved.max_batch, rows_at_once(policy))
    session = runtime.open_session(str(proved.file))

    def answer(pixels: Pixels) -> Floats:
        return runtime.run_graph(session, pixels, rows).probabilities

    began = time.monotonic()
    with Progress("robustness", RUNS, "runs") as progress:
        pixels = decode_samples(samples, chosen, policy)
        found = measure_robustness(pixels, samples.labels[chosen], answer, images.dataset, progress.advance)
    worst = min(found.corrupted, key=lambda row: row.top1)
    say(
        f"robustness, on {found.images:,} images in {format_seconds(time.monotonic() - began)}: {found.top1:.2%} right "
        f"as they are, at worst {worst.top1:.2%} ({worst.corruption}, {worst.amount})"
    )
    return found
