"""Source: a network to convert, whatever it came from, with all that its card will say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.card import Head, Provenance
from artifact.image_policy import Preprocessing
from artifact.images.frame import Pixels
from artifact.layout import NAME_FORM, NAME_PATTERN
from export.data.preprocessing import reference
from export.data.samples import Samples
from export.errors import ConversionError, UsageError
from export.graph.network import Network

POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class ProofImages:
    """The images that the proof runs on; accuracy is measured where their classes are known."""

    samples: Samples
    source: str
    """For people: `mnist test set`."""
    dataset: str | None
    """The data set's name where labels are known."""
    calibration: Samples | None = None
    """Images to calibrate int8 with: the data set's training images, or the user's own; None if there are none."""
    unproven: str = "no labeled images were given (--dataset)"
    """Why accuracy can't be measured, where `dataset` is None."""


@dataclass(frozen=True)
class Source:
    """A network on its way to an artifact."""

    name: str
    model: Network
    provenance: Provenance
    """Copied into the card."""
    head: Head | None
    """What the outputs are; None: judged by the outputs' values (export/proof/head.py)."""
    images: ProofImages
    computes_in_float16: bool = False
    """Whether the network computes in float16 itself, whose rounding the proof allows for."""
    fitted_random_weights: bool = False
    """Whether the weights are random and were fitted to the proof images (export/sources/named/random_weights.py)."""
    report: Path | None = None
    """A training's report folder, whose curves the artifact takes along."""
    max_batch: int | None = None
    """The one batch size that the network can run, where it is fixed."""
    prepare: Callable[[Pixels, Preprocessing], npt.NDArray[np.float32]] = reference
    """uint8 pixels [n, h, w, c] to the network's float32 input, computed by NumPy, independent of the graph."""

    def __post_init__(self) -> None:
        if re.fullmatch(NAME_PATTERN, self.name) is None:
            raise UsageError(
                f"--name {self.name!r}: a model's name is part of an address, /predict/NAME, and has {NAME_FORM}"
            )


def refuse_pointer(file: Path) -> None:
    """Raise ConversionError where `file` is what Git LFS leaves in its place."""
    with file.open("rb") as opened:
        if opened.read(len(POINTER)) == POINTER:
            raise ConversionError(f"{file} is a Git LFS pointer, not the file itself: `git lfs pull` downloads it")
