"""The last layer of a pooled network, as the artifact keeps it beside the graph for class activation maps."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.card import ModelCard
from artifact.errors import ArtifactError
from artifact.layout import CLASSIFIER_FILE


@dataclass(frozen=True)
class Classifier:
    """logits = mean over positions of `features` @ weights + bias."""

    weights: npt.NDArray[np.float32]
    """[channels, classes]; [channels, 1] where one sigmoid decides between two classes."""
    bias: npt.NDArray[np.float32]
    """[classes] or [1]."""

    def column(self, index: int) -> npt.NDArray[np.float32]:
        """The weights [channels] with which the channels speak for class `index`."""
        if self.weights.shape[1] == 1:  # the sigmoid's logit speaks for the second class and against the first
            return self.weights[:, 0] * np.float32(1 if index == 1 else -1)
        return self.weights[:, index]


def write_classifier(folder: Path, classifier: Classifier) -> None:
    """Write classifier.npz into a version's folder."""
    np.savez(folder / CLASSIFIER_FILE, weights=classifier.weights, bias=classifier.bias)


def read_classifier(folder: Path, card: ModelCard) -> Classifier | None:
    """The classifier of a version's folder; None where the graph has no features.

    Raises ArtifactError for a file that is missing, damaged, or of another network.
    """
    if not card.features:
        return None
    try:
        with np.load(folder / CLASSIFIER_FILE, allow_pickle=False) as arrays:
            classifier = Classifier(arrays["weights"], arrays["bias"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{CLASSIFIER_FILE} can't be read ({error}): export the model again") from error
    classes = len(card.labels)
    shape, bias = classifier.weights.shape, classifier.bias.shape
    if len(shape) != 2 or bias != shape[1:] or not (shape[1] == classes or (shape[1] == 1 and classes == 2)):
        raise ArtifactError(
            f"{CLASSIFIER_FILE} has weights {list(shape)} and bias {list(bias)}, the card {classes} labels: "
            "export the model again"
        )
    return classifier
