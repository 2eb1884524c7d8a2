"""An evidence map: how strongly each part of the network's input speaks for one class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

EvidenceMap = npt.NDArray[np.float32]
"""[rows, columns] over the network's input, 0 (none) to 1 (the strongest of this image)."""


def scale_evidence(raw: npt.NDArray[np.float32]) -> EvidenceMap:
    """What speaks for the class, as a share of its strongest place; all 0 where nothing does.

    Negative evidence is dropped, as in Grad-CAM: it speaks for other classes.
    """
    positive: EvidenceMap = np.maximum(raw, np.float32(0))
    strongest = positive.max()
    if strongest > 0:
        positive /= strongest
    return positive
