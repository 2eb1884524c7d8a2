"""Runs the untouched network on every proof image and on a few extreme ones, with pixels prepared by NumPy.

Imports no Keras: any Network is called, so that an ONNX file is proved without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from artifact.image_policy import ImagePolicy, Preprocessing
from artifact.images.frame import Pixels
from export.data.preprocessing import reference
from export.data.samples import CHUNK, run_samples
from export.graph.network import Network, only_output
from export.report.calibration import Floats
from export.sources.source import Source


@dataclass(frozen=True)
class OwnOutputs:
    """The network's own outputs, float32."""

    proof: Floats
    """[n, outputs], for every proof image in order."""
    extremes: Floats
    """[up to 3, outputs], for black, white and noise; those that aren't finite are left out."""

    @property
    def all(self) -> Floats:
        """[n + extremes, outputs]."""
        return np.concatenate([self.proof, self.extremes])


def run_network(source: Source) -> OwnOutputs:
    """Run the untouched network on every proof image and on extreme ones."""
    known = source.provenance

    def run(pixels: Pixels) -> Floats:
        size = source.max_batch or rows_at_once(known.image)
        return network_outputs(source.model, pixels, known.preprocessing, size, source.prepare)

    proof = np.concatenate(run_samples(source.images.samples, known.image, run, title="your network"))
    extremes = run(extreme_images(known.image))
    return OwnOutputs(proof, extremes[np.isfinite(extremes).all(axis=1)])


def network_outputs(
    model: Network,
    pixels: Pixels,
    preprocessing: Preprocessing,
    batch_size: int = 32,
    prepare: Callable[[Pixels, Preprocessing], npt.NDArray[np.float32]] = reference,
) -> Floats:
    """What the untouched network gives: float32 [n, outputs], pixels prepared by NumPy."""
    parts = [
        np.asarray(only_output(model(prepare(pixels[start : start + batch_size], preprocessing), training=False)))
        for start in range(0, len(pixels), batch_size)
    ]
    return np.concatenate(parts).astype(np.float32).reshape(len(pixels), -1)  # as settle_boundary makes the graph


def extreme_images(policy: ImagePolicy) -> Pixels:
    """A black image, a white one and one of noise, the same each time: uint8 [3, height, width, channels]."""
    noise = np.random.default_rng(0).integers(0, 256, policy.shape, dtype=np.uint8)
    return np.stack([np.zeros_like(noise), np.full_like(noise, 255), noise])


def rows_at_once(policy: ImagePolicy) -> int:
    """Images a run of a network: 64 of up to 75x75 pixels, 7 of 224x224; the activations fill memory in between."""
    return max(1, min(CHUNK, CHUNK * 75 * 75 // (policy.height * policy.width)))
