"""fp16 and int8 as models of their own: made from the proved fp32 graph, and held to a budget of accuracy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx

from artifact.card import Precision, PrecisionReport, Proof, Replay
from artifact.images.frame import Pixels
from export.data.samples import decode_samples, run_samples
from export.errors import ProofError
from export.graph.precision.fp16 import to_fp16
from export.graph.precision.int8 import to_int8
from export.progress import say
from export.proof import compare, runtime
from export.proof.prove import Made
from export.proof.timing import compare_speed
from export.sources.source import Source

BUDGET = 0.005
# The server may differ by this factor from what was measured here.
SLACK = 3
TIMED_BATCH = 8


def lower_precision(source: Source, made: Made, precision: Precision) -> onnx.ModelProto:
    """The same network in fp16 or int8; input stays uint8, outputs stay float32."""
    say(f"lowering the precision to {precision}")
    model = onnx.load(made.file)
    if precision == "fp16":
        return to_fp16(model)
    assert source.images.calibration is not None  # export.publish.pipeline.convert has seen to it
    return to_int8(model, source.images.calibration, source.provenance.image)


def judge_precision(source: Source, made: Made, file: Path, precision: Precision) -> Made:
    """The lowered graph in `file`, held to the budget beside the fp32 graph that it was made from.

    Raises ProofError where top-1 falls by more than 0.5 points, on the evaluation set where classes are known, else in
    agreement with fp32.
    """
    policy, samples = source.provenance.image, source.images.samples
    session = runtime.open_session(str(file))

    def run(pixels: Pixels) -> npt.NDArray[np.float32]:
        return runtime.run_graph(session, pixels, made.max_batch).probabilities

    probabilities = np.concatenate(run_samples(samples, policy, run, title="lower precision"))
    report = _judge(source, made, probabilities, precision)
    pixels = decode_samples(samples, range(min(TIMED_BATCH, len(samples))), policy)
    pixels = np.resize(pixels, (min(TIMED_BATCH, made.max_batch), *policy.shape))
    fp32_ms, ms = compare_speed([runtime.open_session(str(made.file)), session], pixels)
    report = report.model_copy(update={"batch_size": len(pixels), "fp32_ms": fp32_ms, "ms": ms})
    say(
        f"{precision}: top-1 {report.measure} {report.top1:.2%} (fp32 {report.fp32_top1:.2%}) on {report.images:,} "
        f"images, {ms:.1f} ms a batch of {len(pixels)} (fp32 {fp32_ms:.1f} ms) on this CPU"
    )
    if ms > fp32_ms:
        say(f"note: {precision} is slower than fp32 here" + (", it is meant for CUDA" if precision == "fp16" else ""))
    return replace(
        made,
        file=file,
        proof=_prove(made, probabilities),
        probabilities=probabilities,
        precision=precision,
        report=report,
        replay=_tolerate(report.max_abs_difference),
    )


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
    return made.proof.model_copy(
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
