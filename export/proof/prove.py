"""The proof of one graph file: every proof image through the untouched network and through that very file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.card import Head, Proof, Replay
from artifact.figures.precision import Precision, PrecisionReport
from artifact.images.frame import Pixels
from export.data.samples import decode_samples, run_samples
from export.progress import say
from export.proof import compare, runtime
from export.proof.own_outputs import rows_at_once
from export.report.calibration import Floats
from export.sources.source import Source

MAX_BATCH = 32


@dataclass(frozen=True)
class ProvedGraph:
    """A graph file that was proved, before it is published, and what the card will say of the proof."""

    file: Path
    proof: Proof
    max_batch: int
    expected: Floats  # [n, classes]: the untouched network's, for every proof image
    probabilities: npt.NDArray[np.float32]  # [n, classes]: the graph's
    precision: Precision = "fp32"
    report: PrecisionReport | None = None
    replay: Replay = field(default_factory=Replay)


def prove(source: Source, own: Floats, file: Path, head: Head, batch: int | None) -> ProvedGraph:
    """Run the graph on every proof image beside `own`, what the untouched network gave for them [n, outputs].

    `batch` is the only one that the graph takes, if any. Raises ProofError where they differ, or where the graph's
    answers depend on the batch.
    """
    known, samples = source.provenance, source.images.samples
    session = runtime.open_session(str(file))

    def run(pixels: Pixels) -> npt.NDArray[np.float32]:
        return runtime.run_graph(session, pixels, batch or rows_at_once(known.image)).probabilities

    probabilities = np.concatenate(run_samples(samples, known.image, run, title="proof"))
    expected = compare.probabilities_from(own, head, known.temperature)
    sizes = runtime.batch_sizes(batch)
    some = decode_samples(samples, range(min(max(sizes), len(samples))), known.image)
    runtime.check_batches(session, some, sizes)
    proof = compare.compare(
        expected,
        probabilities,
        source=source.images.source,
        batch_sizes=sizes,
        abs_tolerance=compare.FLOAT16_ABS_TOLERANCE if source.computes_in_float16 else compare.ABS_TOLERANCE,
        log_tolerance=compare.FLOAT16_LOG_TOLERANCE if source.computes_in_float16 else compare.LOG_TOLERANCE,
        fitted_random_weights=source.fitted_random_weights,
    )
    say(
        f"proved on {proof.images:,} images ({proof.source}): max |p - p'| {proof.max_abs_difference:.1e}, "
        f"relative log difference {proof.max_log_difference:.1e}, equal top-1 {proof.top1_agreement:.2%}"
    )
    return ProvedGraph(file, proof, batch or MAX_BATCH, expected, probabilities)
