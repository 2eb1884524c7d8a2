"""fp16 and int8 as models of their own: made from the proved fp32 graph, and held to a budget of accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx

from artifact.card import ModelCard, Precision, PrecisionReport, Proof, Replay
from export.data.samples import decode_samples
from export.errors import ProofError
from export.graph.finish import FinishedGraph
from export.graph.fp16 import to_fp16
from export.graph.int8 import to_int8
from export.progress import Progress, say
from export.proof import compare, runtime
from export.proof.timing import compare_speed
from export.sources.source import Source

BUDGET = 0.005
# The server may differ by this factor from what was measured here.
SLACK = 3
TIMED_BATCH = 8
CHUNK = 64


@dataclass(frozen=True)
class Made:
    """A graph that was proved, before it is published."""

    card: ModelCard
    graph: FinishedGraph
    expected: npt.NDArray[np.float64]  # [n, classes]: the untouched network's, for every proof image
    probabilities: npt.NDArray[np.float32]  # [n, classes]: the graph's


def lower_precision(source: Source, made: Made, precision: Precision) -> Made:
    """The same network in fp16 or int8, as `<name>-<precision>`; input stays uint8, outputs stay float32.

    Raises ProofError where top-1 falls by more than 0.5 points, on the evaluation set where classes are known, else in
    agreement with fp32.
    """
    say(f"lowering the precision to {precision}")
    model = made.graph.model
    lowered = _lower(source, model, precision)
    session = runtime.open_session(lowered.SerializeToString())
    probabilities = _run(session, source, made.card.max_batch)
    report = _judge(source, made, probabilities, precision)
    pixels = decode_samples(source.images.samples, range(min(TIMED_BATCH, len(probabilities))), source.image)
    pixels = np.resize(pixels, (min(TIMED_BATCH, made.card.max_batch), *source.image.shape))
    fp32_ms, ms = compare_speed([runtime.open_session(model.SerializeToString()), session], pixels)
    report = report.model_copy(update={"batch_size": len(pixels), "fp32_ms": fp32_ms, "ms": ms})
    say(
        f"{precision}: top-1 {report.measure} {report.top1:.2%} (fp32 {report.fp32_top1:.2%}) on {report.images:,} "
        f"images, {ms:.1f} ms a batch of {len(pixels)} (fp32 {fp32_ms:.1f} ms) on this CPU"
    )
    if ms > fp32_ms:
        say(f"note: {precision} is slower than fp32 here" + (", it is meant for CUDA" if precision == "fp16" else ""))
    card = made.card.model_copy(
        update={
            "name": f"{made.card.name}-{precision}",
            "precision": precision,
            "precision_report": report,
            "proof": _prove(made, probabilities),
            "replay": _tolerate(report.max_abs_difference),
        }
    )
    return Made(card, FinishedGraph(lowered, made.graph.energy, made.graph.classifier), made.expected, probabilities)


def _lower(source: Source, model: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    if precision == "fp16":
        return to_fp16(model)
    assert source.images.calibration is not None  # export.publish.pipeline.convert has seen to it
    return to_int8(model, source.images.calibration, source.image)


def _run(session: runtime.Session, source: Source, max_batch: int) -> npt.NDArray[np.float32]:
    samples, parts = source.images.samples, []
    with Progress("lower precision", len(samples)) as progress:
        for start in range(0, len(samples), CHUNK):
            indices = range(start, min(start + CHUNK, len(samples)))
            pixels = decode_samples(samples, indices, source.image)
            parts.append(runtime.run_graph(session, pixels, max_batch).probabilities)
            progress.advance(len(indices))
    return np.concatenate(parts)


def _judge(source: Source, made: Made, probabilities: npt.NDArray[np.float32], precision: Precision) -> PrecisionReport:
    """How accurate the lower precision is. Raises ProofError where that is beyond the budget."""
    known = source.images.dataset is not None
    before, after = made.probabilities.argmax(axis=1), probabilities.argmax(axis=1)
    truth = source.images.samples.labels if known else before
    fp32_top1, top1 = float((before == truth).mean()), float((after == truth).mean())
    measure: Literal["accuracy", "agreement"] = "accuracy" if known else "agreement"
    if not np.isfinite(probabilities).all() or fp32_top1 - top1 > BUDGET:
        raise ProofError(
            f"{precision} falls from {fp32_top1:.2%} to {top1:.2%} top-1 {measure} on {len(truth):,} images, "
            f"the budget is {100 * BUDGET:g} points: nothing was published"
        )
    return PrecisionReport(
        budget=BUDGET,
        measure=measure,
        images=len(truth),
        fp32_top1=fp32_top1,
        top1=top1,
        max_abs_difference=float(np.abs(probabilities - made.probabilities).max()),
        batch_size=1,
        fp32_ms=0,
        ms=0,
    )


def _prove(made: Made, probabilities: npt.NDArray[np.float32]) -> Proof:
    """The differences to the untouched network as they are, and three times them as tolerances."""
    difference, log_difference = compare.measure_differences(made.expected, np.asarray(probabilities, np.float64))
    equal = made.expected.argmax(axis=1) == probabilities.argmax(axis=1)
    return made.card.proof.model_copy(
        update={
            "max_abs_difference": float(difference.max()),
            "max_log_difference": float(log_difference.max()),
            "top1_agreement": float(equal.mean()),
            "abs_tolerance": max(compare.ABS_TOLERANCE, SLACK * float(difference.max())),
            "log_tolerance": max(compare.LOG_TOLERANCE, SLACK * float(log_difference.max())),
        }
    )


def _tolerate(difference: float) -> Replay:
    least = Replay()
    return Replay(cpu=max(least.cpu, SLACK * difference), cuda=max(least.cuda, SLACK * difference))
