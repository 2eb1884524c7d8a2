"""Searches for an int8 graph that keeps its accuracy: how activation ranges are calibrated, which layers stay in float.

Bounded: at most three kinds of ranges, one measurement of each of at most 64 layers, and eight counts of float layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import onnx

from artifact.figures.precision import Int8Search, Int8Step, LayerEffect, Ranges
from artifact.image_policy import ImagePolicy
from artifact.images.frame import Pixels
from export.data.samples import Samples, decode_samples
from export.errors import ProofError
from export.graph.precision.int8 import Int8Graph, Layer, join_layers
from export.progress import Progress, say
from export.proof import runtime

IMAGES = 256
"""At most this many images for calibration, and as many others for judging accuracy; the same ones serve for both if
there are fewer than twice as many.
"""
HISTOGRAM_IMAGES = 64
"""Percentile and entropy count every activation of these: 0.3 s an image of a ResNet-50."""
SENSED_IMAGES = 16
MOST_LAYERS = 64
BISECTIONS = 2


@dataclass(frozen=True)
class Candidate:
    """An int8 graph that holds the budget on the search's images."""

    model: onnx.ModelProto
    search: Int8Search


@dataclass
class SearchImages:
    """The images that a search calibrates with and those that it judges by, uint8 [n, height, width, channels].

    `labels` are the true classes of the judged images, or those that the fp32 graph gives where the true ones aren't
    known.
    """

    calibration: Pixels
    judged: Pixels
    labels: npt.NDArray[np.int64]
    fp32: npt.NDArray[np.float32]  # [n, classes]: probabilities of the judged ones

    @classmethod
    def take(
        cls, samples: Samples, policy: ImagePolicy, fp32: runtime.Session, batch: int, *, known: bool
    ) -> SearchImages:
        """Take up to IMAGES images to calibrate with and as many others to judge by, evenly from all of `samples`;
        where there are few, the same images serve for both. `batch` is in images; `known` says whether the samples'
        labels are the network's classes.
        """
        apart = len(samples) >= 2 * IMAGES
        places = np.linspace(0, len(samples) - 1, 2 * IMAGES if apart else min(len(samples), IMAGES)).astype(int)
        calibrating, judging = (places[::2], places[1::2]) if apart else (places, places)
        calibration = decode_samples(samples, calibrating, policy)
        judged = decode_samples(samples, judging, policy) if apart else calibration
        probabilities = runtime.run_graph(fp32, judged, batch).probabilities
        labels = samples.labels[judging] if known else probabilities.argmax(axis=1)
        return cls(calibration, judged, labels, probabilities)


@dataclass
class _Search:
    graph: Int8Graph
    layers: Sequence[Layer]
    images: SearchImages
    batch: int
    steps: list[Int8Step] = field(default_factory=list)

    def top1(self, probabilities: npt.NDArray[np.float32]) -> float:
        return float((probabilities.argmax(axis=1) == self.images.labels).mean())

    def run(self, model: onnx.ModelProto, pixels: Pixels) -> npt.NDArray[np.float32]:
        session = runtime.open_session(model.SerializeToString())
        return runtime.run_graph(session, pixels, self.batch).probabilities

    def calibrate(self, ranges: Ranges) -> Any:
        pixels = self.images.calibration
        if ranges != "minmax" and len(pixels) > HISTOGRAM_IMAGES:
            pixels = pixels[np.linspace(0, len(pixels) - 1, HISTOGRAM_IMAGES).astype(int)]
        return self.graph.calibrate(pixels, ranges)

    def attempt(
        self, ranges: Ranges, measured: Any, in_float: Sequence[Layer] = ()
    ) -> tuple[onnx.ModelProto, Int8Step]:
        model = self.graph.quantize(measured, in_float)
        probabilities = self.run(model, self.images.judged)
        step = Int8Step(
            ranges=ranges,
            float_layers=len(in_float),
            top1=self.top1(probabilities),
            moved=_moved(self.images.fp32, probabilities),
        )
        say(f"  {step.ranges:<12}{step.float_layers:>4} of {len(self.layers):<6}{step.top1:>9.2%}{step.moved:>11.4f}")
        self.steps.append(step)
        return model, step

    def rank(self, measured: Any) -> list[tuple[float, Layer]]:
        """How much probability each layer moves where only it is quantized, the most first."""
        few = np.linspace(0, len(self.images.judged) - 1, min(SENSED_IMAGES, len(self.images.judged))).astype(int)
        pixels, before = self.images.judged[few], self.images.fp32[few]
        effects = []
        with Progress("only one layer in int8", len(self.layers), "layers") as progress:
            for layer in self.layers:
                others = [other for other in self.layers if other is not layer]
                effects.append((_moved(before, self.run(self.graph.quantize(measured, others), pixels)), layer))
                progress.advance()
        return sorted(effects, key=lambda effect: -effect[0])


def search_int8(
    model: onnx.ModelProto, images: SearchImages, budget: float, calibration: Ranges | None, batch: int
) -> Iterator[Candidate]:
    """Yield int8 graphs of a finished graph that keep the budget on the search's images, the fastest first.

    First the whole network in int8, with each kind of ranges (or only `calibration`). Then, with the ranges that kept
    most accuracy, the layers stay in float that changed the probabilities most when quantized alone: 1, 2, 4, ... up to
    half of all, refined by bisection. Each further candidate has more layers in float. `budget` is by how much top-1 (0
    to 1) may fall: 0.005 is half a point. Raises ProofError if no graph keeps it, ConversionError if ONNX Runtime's
    tools fail.
    """
    graph = Int8Graph(model, batch)
    search = _Search(graph, join_layers(graph.layers, MOST_LAYERS), images, batch)
    fp32_top1 = search.top1(images.fp32)
    effects: list[tuple[float, Layer]] = []
    offered = False

    def holds(step: Int8Step) -> bool:
        return keeps_budget(fp32_top1, step.top1, budget)

    def offer(candidate: onnx.ModelProto, step: Int8Step) -> Candidate:
        nonlocal offered
        offered = True
        return Candidate(
            candidate,
            Int8Search(
                ranges=step.ranges,
                calibration_images=len(images.calibration),
                judged_images=len(images.judged),
                fp32_top1=fp32_top1,
                layers=len(search.layers),
                in_float=tuple(layer.name for _, layer in effects[: step.float_layers]),
                steps=tuple(search.steps),
                effects=tuple(LayerEffect(layer=layer.name, moved=moved) for moved, layer in effects),
            ),
        )

    say(
        f"int8, judged on {len(images.judged):,} images: top-1 may fall from {fp32_top1:.2%} by {100 * budget:g} points"
    )
    say(f"  {'ranges':<12}{'layers in float':<14}{'top-1':>8}{'p moved':>11}")
    best: tuple[Int8Step, Any] | None = None
    for ranges in get_args(Ranges) if calibration is None else (calibration,):
        measured = search.calibrate(ranges)
        candidate, step = search.attempt(ranges, measured)
        if holds(step):
            yield offer(candidate, step)
        if best is None or (step.top1, -step.moved) > (best[0].top1, -best[0].moved):
            best = step, measured
    assert best is not None  # Ranges isn't empty
    ranges, measured = best[0].ranges, best[1]
    effects = search.rank(measured)
    ranked = [layer for _, layer in effects]
    for count in _double(len(ranked) // 2):
        candidate, step = search.attempt(ranges, measured, ranked[:count])
        if not holds(step):
            continue
        too_few, enough = count // 2, count
        for _ in range(BISECTIONS):
            if enough - too_few < 2:
                break
            middle = (too_few + enough) // 2
            fewer, tried = search.attempt(ranges, measured, ranked[:middle])
            if holds(tried):
                enough, candidate, step = middle, fewer, tried
            else:
                too_few = middle
        yield offer(candidate, step)
    if not offered:
        nearest = max(search.steps, key=lambda step: step.top1)
        raise ProofError(
            f"int8 falls from {fp32_top1:.2%} to {nearest.top1:.2%} top-1 on the {len(images.judged):,} images of the "
            f"search at best, with {nearest.float_layers} of {len(search.layers)} layers in float; the budget is "
            f"{100 * budget:g} points: nothing was published; --budget POINTS allows more"
        )


def keeps_budget(before: float, after: float, budget: float) -> bool:
    """Whether top-1 falls by `budget` at most, both of 0..1."""
    return before - after <= budget + 1e-9


def _double(most: int) -> Iterator[int]:
    """1, 2, 4, ... and `most` itself."""
    count = 1
    while count < most:
        yield count
        count *= 2
    if most:
        yield most


def _moved(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> float:
    """The share of probability that an image's classes give to others, on average."""
    return float(np.abs(after - before).sum(axis=1).mean() / 2)
