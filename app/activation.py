"""Class activation maps (Zhou et al. 2016, Learning Deep Features for Discriminative Localization).

A network that ends in global average pooling and one dense layer sums, over positions, what each position says of a
class. Before that sum stands the map: no gradients, no second pass. It equals Grad-CAM at the same layer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from app.evidence import EvidenceMap, scale_evidence
from artifact.classifier import Classifier


def map_activation(features: npt.NDArray[np.float32], classifier: Classifier, index: int) -> EvidenceMap:
    """The evidence [h, w] in `features` [channels, h, w] for class `index`."""
    return scale_evidence(np.tensordot(classifier.column(index), features, axes=1).astype(np.float32))
