"""fp16 and int8 versions of a proved fp32 graph, published as models of their own if accuracy falls within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx

from artifact.card import Proof, Replay
from artifact.figures.precision import Int8Search, Precision, PrecisionReport, Ranges
from artifact.images.frame import Pixels
from export.data.samples import decode_samples, run_samples
from export.errors import ProofError
from export.graph.precision.fp16 import to_fp16
from export.progress import say
from export.proof import compare, runtime
from export.proof.precision.int8_search import Candidate, SearchImages, keeps_budget, search_int8
from export.proof.prove import ProvedGraph
from export.proof.timing import compare_speed
from export.sources.source import Source

SLACK = 3
"""Tolerances are this many times the difference to the untouched network that was measured here: other CPUs and GPUs
round otherwise.
"""
TIMED_BATCH = 8


@dataclass(frozen=True)
class Lowering:
    """The requirements on an fp16 or int8 graph."""

    budget: float = 0.005
    """By how much top-1 accuracy (0 to 1) may fall: 0.005 is half a point."""
    ranges: Ranges | None = None
    """How int8 activation ranges are calibrated; None: the first way that keeps the budget."""
    allow_slower: bool = False
    """Whether an int8 graph may be published that is slower than fp32 on this CPU."""


USUAL = Lowering()


def lower_precision(
    source: Source,
    proved: ProvedGraph,
    precision: Precision,
    lowering: Lowering,
    write: Callable[[onnx.ModelProto], Path],
) -> ProvedGraph:
    """Make the same network in fp16 or int8, have `write` store it, and compare its accuracy with the fp32 graph's.

    Input stays uint8, outputs stay float32. int8 leaves layers in float as far as the budget asks for it. Raises
    ProofError where top-1 falls too far, on the evaluation set where classes are known, else in agreement with fp32,
    and where int8 is slower than fp32 here and that isn't allowed.
    """
    say(f"lowering the precision to {precision}")
    model = onnx.load(proved.file)
    if precision == "fp16":
        return _judge_file(source, proved, write(to_fp16(model)), precision, lowering)
    refused: ProofError | None = None
    for candidate in _search(source, proved, model, lowering):
        try:
            lowered = _judge_file(source, proved, write(candidate.model), precision, lowering, candidate.search)
        except OverBudget as error:
            refused = error
            say(f"  rejected on the proof images: {error}; trying the next candidate")
            continue
        _tell_choice(candidate.search)
        return lowered
    assert refused is not None  # a search without a candidate has raised
    raise refused


class OverBudget(ProofError):
    """Top-1 fell by more than the budget; another int8 graph of the search may keep it."""


def _search(source: Source, proved: ProvedGraph, model: onnx.ModelProto, lowering: Lowering) -> Iterator[Candidate]:
    samples = source.images.calibration
    assert samples is not None  # export.publish.pipeline.convert has seen to it
    known = source.images.dataset is not None
    fp32 = runtime.open_session(str(proved.file))
    images = SearchImages.take(samples, source.provenance.image, fp32, proved.max_batch, known=known)
    return search_int8(model, images, lowering.budget, lowering.ranges, proved.max_batch)


def _tell_choice(search: Int8Search) -> None:
    kept = f": {', '.join(search.in_float)}" if search.in_float else ""
    say(f"int8 by {search.ranges} ranges, {len(search.in_float)} of {search.layers} layers in float{kept}")


def _judge_file(
    source: Source,
    proved: ProvedGraph,
    file: Path,
    precision: Precision,
    lowering: Lowering,
    search: Int8Search | None = None,
) -> ProvedGraph:
    """The lowered graph in `file` beside the fp32 graph that it was made from."""
    policy, samples = source.provenance.image, source.images.samples
    session = runtime.open_session(str(file))

    def run(pixels: Pixels) -> npt.NDArray[np.float32]:
        return runtime.run_graph(session, pixels, proved.max_batch).probabilities

    probabilities = np.concatenate(run_samples(samples, policy, run, title="lower precision"))
    report = _judge(source, proved, probabilities, precision, lowering.budget)
    pixels = decode_samples(samples, range(min(TIMED_BATCH, len(samples))), policy)
    pixels = np.resize(pixels, (min(TIMED_BATCH, proved.max_batch), *policy.shape))
    fp32_ms, ms = compare_speed([runtime.open_session(str(proved.file)), session], pixels)
    report = report.model_copy(update={"batch_size": len(pixels), "fp32_ms": fp32_ms, "ms": ms, "int8": search})
    say(
        f"{precision}: top-1 {report.measure} {report.top1:.2%} (fp32 {report.fp32_top1:.2%}) on {report.images:,} "
        f"images, {ms:.1f} ms a batch of {len(pixels)} (fp32 {fp32_ms:.1f} ms, {fp32_ms / ms:.2f} times as fast) on "
        "this CPU"
    )
    if ms > fp32_ms and precision == "int8" and not lowering.allow_slower:
        raise ProofError(
            f"int8 is slower than fp32 on this CPU, {ms:.2f} ms a batch of {len(pixels)} beside {fp32_ms:.2f}: nothing "
            "was published; --allow-slower publishes it anyway"
        )
    if ms > fp32_ms:
        say(f"NOTE: {precision} IS SLOWER than fp32 here" + (", it is meant for CUDA" if precision == "fp16" else ""))
    return replace(
        proved,
        file=file,
        proof=_prove(proved, probabilities),
        probabilities=probabilities,
        precision=precision,
        report=report,
        replay=_tolerate(report.max_abs_difference),
    )


def _judge(
    source: Source, proved: ProvedGraph, probabilities: npt.NDArray[np.float32], precision: Precision, budget: float
) -> PrecisionReport:
    """How accurate the lower precision is. Raises OverBudget where that is beyond the budget."""
    known = source.images.dataset is not None
    before, after = proved.probabilities.argmax(axis=1), probabilities.argmax(axis=1)
    truth = source.images.samples.labels if known else before
    fp32_top1, top1 = float((before == truth).mean()), float((after == truth).mean())
    measure: Literal["accuracy", "agreement"] = "accuracy" if known else "agreement"
    if not np.isfinite(probabilities).all() or not keeps_budget(fp32_top1, top1, budget):
        raise OverBudget(
            f"{precision} falls from {fp32_top1:.2%} to {top1:.2%} top-1 {measure} on {len(truth):,} images, "
            f"the budget is {100 * budget:g} points: nothing was published; --budget POINTS allows more"
        )
    return PrecisionReport(
        budget=budget,
        measure=measure,
        images=len(truth),
        fp32_top1=fp32_top1,
        top1=top1,
        max_abs_difference=float(np.abs(probabilities - proved.probabilities).max()),
        batch_size=1,
        fp32_ms=0,
        ms=0,
    )


def _prove(proved: ProvedGraph, probabilities: npt.NDArray[np.float32]) -> Proof:
    """The differences to the untouched network as they are, and three times them as tolerances."""
    difference, log_difference = compare.measure_differences(proved.expected, np.asarray(probabilities, np.float64))
    equal = proved.expected.argmax(axis=1) == probabilities.argmax(axis=1)
    return proved.proof.model_copy(
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
