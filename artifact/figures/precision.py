"""A card's figures of an fp16 or int8 graph: the search for it, and its accuracy and speed compared with fp32."""

from __future__ import annotations

from typing import Literal

from artifact.documents import Part, Probability

Precision = Literal["fp32", "fp16", "int8"]
Ranges = Literal["minmax", "percentile", "entropy"]


class Int8Step(Part):
    """One int8 graph that was tried, and its accuracy on the search's images."""

    ranges: Ranges
    float_layers: int
    top1: Probability
    moved: float
    """Half the sum of |p - p'| over the classes, compared with the fp32 graph, averaged over the images: 0 to 1."""


class LayerEffect(Part):
    """How much one layer changes the probabilities if only it is in int8."""

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
    """An fp16 or int8 model compared with the fp32 graph that it was made from: accuracy and speed."""

    budget: Probability
    """By how much `measure` was allowed to fall: 0.005 is half a point."""
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
    """Median milliseconds of a batch on the CPU that made the artifact, measured alternately with fp32."""
    int8: Int8Search | None = None
