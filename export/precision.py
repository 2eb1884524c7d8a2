"""fp16 and int8 as models of their own: made from the proved fp32 graph, and held to a budget of accuracy."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx

from app.card import ImagePolicy, ModelCard, PrecisionReport, Proof, Replay
from app.images import Pixels
from export import verify
from export.errors import ConversionError, ProofError
from export.graph import FinishedGraph, our_nodes
from export.graph_edits import sort_nodes
from export.progress import Progress, say
from export.samples import Samples, decode_samples
from export.source import Source
from export.timing import compare_speed

Precision = Literal["fp32", "fp16", "int8"]

BUDGET = 0.005
# The server may differ by this factor from what was measured here.
SLACK = 3
CALIBRATION_IMAGES = 256
CALIBRATION_BATCH = 16
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
    lowered = to_fp16(model) if precision == "fp16" else to_int8(model, source)
    session = verify.open_session(lowered.SerializeToString())
    probabilities = _run(session, source, made.card.max_batch)
    report = _judge(source, made, probabilities, precision)
    pixels = decode_samples(source.images.samples, range(min(TIMED_BATCH, len(probabilities))), source.image)
    pixels = np.resize(pixels, (min(TIMED_BATCH, made.card.max_batch), *source.image.shape))
    fp32_ms, ms = compare_speed([verify.open_session(model.SerializeToString()), session], pixels)
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


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network's own nodes in float16; pixel arithmetic and head, where fp16 would cost accuracy, in float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights below 6e-8 become that
        lowered: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True, node_block_list=our_nodes(model))
    del lowered.graph.value_info[:]
    sort_nodes(lowered.graph)
    onnx.checker.check_model(lowered, full_check=True)
    return lowered


def to_int8(model: onnx.ModelProto, source: Source) -> onnx.ModelProto:
    """Quantize and dequantize around the network's nodes: uint8 activations, int8 weights a channel (U8S8).

    Ranges are those of up to 256 of the source's calibration images. Raises ConversionError where ONNX Runtime can't.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    assert source.images.calibration is not None
    with tempfile.TemporaryDirectory() as folder:
        whole, folded, quantized = (Path(folder) / name for name in ("fp32.onnx", "folded.onnx", "int8.onnx"))
        onnx.save(model, whole)
        try:
            quant_pre_process(str(whole), str(folded), skip_symbolic_shape=True)  # folds batch normalization
            quantize_static(
                folded,
                quantized,
                _CalibrationImages(source.images.calibration, source.image),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=our_nodes(onnx.load(folded)),
            )
        except Exception as error:  # the tools raise errors of many kinds for nodes that they don't know
            raise ConversionError(f"{source.name} can't be quantized: {error}") from error
        return onnx.load(quantized)


class _CalibrationImages:
    """Batches of uint8 images, evenly taken from all: onnxruntime.quantization's CalibrationDataReader."""

    def __init__(self, samples: Samples, policy: ImagePolicy) -> None:
        count = min(len(samples), CALIBRATION_IMAGES)
        self._indices = np.linspace(0, len(samples) - 1, count).astype(int)
        self._batches = self._decode(samples, policy)

    def get_next(self) -> dict[str, Pixels] | None:
        return next(self._batches, None)

    def _decode(self, samples: Samples, policy: ImagePolicy) -> Iterator[dict[str, Pixels]]:
        with Progress("calibration", len(self._indices)) as progress:
            for start in range(0, len(self._indices), CALIBRATION_BATCH):
                chosen = self._indices[start : start + CALIBRATION_BATCH]
                yield {"image": decode_samples(samples, chosen, policy)}
                progress.advance(len(chosen))


def _run(session: verify.Session, source: Source, max_batch: int) -> npt.NDArray[np.float32]:
    samples, parts = source.images.samples, []
    with Progress("lower precision", len(samples)) as progress:
        for start in range(0, len(samples), CHUNK):
            indices = range(start, min(start + CHUNK, len(samples)))
            pixels = decode_samples(samples, indices, source.image)
            parts.append(verify.run_graph(session, pixels, max_batch).probabilities)
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
    difference, log_difference = verify.measure_differences(made.expected, np.asarray(probabilities, np.float64))
    equal = made.expected.argmax(axis=1) == probabilities.argmax(axis=1)
    return made.card.proof.model_copy(
        update={
            "max_abs_difference": float(difference.max()),
            "max_log_difference": float(log_difference.max()),
            "top1_agreement": float(equal.mean()),
            "abs_tolerance": max(verify.ABS_TOLERANCE, SLACK * float(difference.max())),
            "log_tolerance": max(verify.LOG_TOLERANCE, SLACK * float(log_difference.max())),
        }
    )


def _tolerate(difference: float) -> Replay:
    least = Replay()
    return Replay(cpu=max(least.cpu, SLACK * difference), cuda=max(least.cuda, SLACK * difference))
