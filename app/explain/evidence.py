"""An evidence map: how strongly each part of the network's input speaks for one class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from artifact.classifier import Classifier

EvidenceMap = npt.NDArray[np.float32]
"""[rows, columns] over the network's input, 0 (none) to 1 (the strongest of this image)."""


def scale_evidence(raw: npt.NDArray[np.float32]) -> EvidenceMap:
    """The evidence [h, w] as shares of its strongest place, 0 to 1; all 0 where nothing speaks for the class.

    Negative evidence is dropped, as in Grad-CAM: it speaks for other classes.
    """
    positive: EvidenceMap = np.maximum(raw, np.float32(0))
    strongest = positive.max()
    if strongest > 0:
        positive /= strongest
    return positive


def map_activation(features: npt.NDArray[np.float32], classifier: Classifier, index: int) -> EvidenceMap:
    """The evidence [h, w] in `features` [channels, h, w] for class `index`: a class activation map (Zhou et al. 2016,
    Learning Deep Features for Discriminative Localization).

    A network that ends in global average pooling and one dense layer sums, over positions, what each position says of
    a class. Before that sum stands the map: no gradients, no second pass. It equals Grad-CAM at the same layer.
    """
    return scale_evidence(np.tensordot(classifier.column(index), features, axes=1).astype(np.float32))
