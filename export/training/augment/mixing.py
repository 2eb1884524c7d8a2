"""Images of a batch mixed with one another, and their targets in the same proportion: mixup and cutmix.

As in the papers' code, one share is drawn for a batch, and each image's partner is that of a permutation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def mixup(x: Floats, targets: Floats, alpha: float, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Zhang et al. 2018: sums of x float32 [n, h, w, c] and of targets float32 [n, classes], by a share of
    Beta(alpha, alpha)."""
    share = np.float32(generator.beta(alpha, alpha))
    partners = generator.permutation(len(x))
    return _blend(x, x[partners], share), _blend(targets, targets[partners], share)


def cutmix(x: Floats, targets: Floats, alpha: float, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Yun et al. 2019: in x float32 [n, h, w, c] a rectangle of 1 - Beta(alpha, alpha) of the image's area is the
    partner's; targets float32 [n, classes] are mixed by the area that is left of it within the image."""
    height, width = x.shape[1:3]
    side = np.sqrt(1 - generator.beta(alpha, alpha))
    partners = generator.permutation(len(x))
    top, bottom = _cut(height, side, generator)
    left, right = _cut(width, side, generator)
    mixed = x.copy()
    mixed[:, top:bottom, left:right] = x[partners, top:bottom, left:right]
    share = np.float32(1 - (bottom - top) * (right - left) / (height * width))
    return mixed, _blend(targets, targets[partners], share)


def _cut(length: int, side: float, generator: np.random.Generator) -> tuple[int, int]:
    """Where a rectangle about a random middle begins and ends, cut off at the image's edges."""
    extent, middle = int(length * side), int(generator.integers(length))
    begin = middle - extent // 2
    return max(begin, 0), min(begin + extent, length)


def _blend(one: Floats, other: Floats, share: np.float32) -> Floats:
    return share * one + (1 - share) * other
