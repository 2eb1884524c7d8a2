"""What a card says of a graph of fewer bits: what was searched for, what it costs in accuracy and gives in speed."""

from __future__ import annotations

from typing import Literal

from artifact.documents import Part, Probability

Precision = Literal["fp32", "fp16", "int8"]
Ranges = Literal["minmax", "percentile", "entropy"]


class Int8Step(Part):
    """One int8 graph that was tried, and what became of the search's images."""

    ranges: Ranges
    float_layers: int
    top1: Probability
    moved: float
    """Half the sum of |p - p'| over the classes, to the fp32 graph: an image's share of probability, on average."""


class LayerEffect(Part):
    """How much one layer, alone in int8, moves."""

    layer: str
    moved: float


class Int8Search(Part):
    """How an int8 graph was chosen: which ranges its activations have, and which layers it leaves in float."""

    ranges: Ranges
    calibration_images: int
    judged_images: int
    """Other ones than those of the calibration where there are enough."""
    fp32_top1: Probability
    layers: int
    in_float: tuple[str, ...] = ()
    steps: tuple[Int8Step, ...]
    effects: tuple[LayerEffect, ...] = ()
    """The most first; empty where the whole network in int8 kept its accuracy."""


class PrecisionReport(Part):
    """A model of fewer bits beside its fp32 parent: what it costs in accuracy and gives in speed."""

    budget: Probability
    """How far `measure` was allowed to fall: 0.005 is half a point."""
    measure: Literal["accuracy", "agreement"]
    """Top-1 accuracy on the evaluation set; where classes aren't known, the share of equal top-1 with fp32."""
    images: int
    fp32_top1: Probability
    top1: Probability
    max_abs_difference: float
    """Largest |p - p'| to the fp32 graph."""
    batch_size: int
    fp32_ms: float
    ms: float
    """Median time of one batch on the CPU that made the artifact, measured by turns with fp32."""
    int8: Int8Search | None = None
