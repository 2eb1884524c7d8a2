"""What can be converted, whatever it came from: a Keras model with all that its artifact's card will say of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import keras

from app.card import (
    Calibration,
    Distribution,
    ImagePolicy,
    NetworkInfo,
    Preprocessing,
    ScoreQuantiles,
    Training,
)
from export.graph import Head
from export.samples import Samples


@dataclass(frozen=True)
class ProofImages:
    """The images that the proof runs on; accuracy is measured where their classes are known."""

    samples: Samples
    source: str
    """For people: `mnist test set`."""
    dataset: str | None
    """The data set's name where labels are known."""


@dataclass(frozen=True)
class Source:
    """A network on its way to an artifact."""

    name: str
    model: keras.Model
    network: NetworkInfo
    labels: tuple[str, ...]
    image: ImagePolicy
    preprocessing: Preprocessing
    head: Head | None
    """None: read it from the last activation."""
    images: ProofImages
    license: str
    training: Training | None = None
    calibration: Calibration | None = None
    score_quantiles: ScoreQuantiles | None = None
    distribution: Distribution | None = None
    report: Path | None = None
    """A training's report folder, whose curves the artifact takes along."""
    notes: list[str] = field(default_factory=list)

    @property
    def temperature(self) -> float:
        return self.calibration.temperature if self.calibration is not None else 1.0
