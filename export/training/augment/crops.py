"""Random resized crops (Szegedy et al. 2015, Inception), with torchvision's limits and defaults."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from artifact.image_policy import ImagePolicy
from artifact.images.fit import FindFrame
from artifact.images.frame import Frame, Opened
from export.training.augment.boxes import TRIES, draw_ratios, fit_boxes

# Width by height of a crop.
RATIOS = (3 / 4, 4 / 3)


def draw_crops(count: int, least: float, generator: np.random.Generator) -> list[FindFrame]:
    """For each of `count` images a part of at least the share `least` of it, in whole pixels; where none of the drawn
    ones fits, the largest rectangle in the middle that keeps RATIOS."""
    shares = generator.uniform(least, 1, (count, 1, TRIES))
    ratios = draw_ratios(RATIOS, (count, 1, TRIES), generator)
    places = generator.random((count, 1, 2))
    return [partial(_cut, *drawn) for drawn in zip(shares, ratios, places, strict=True)]


def _cut(
    shares: npt.NDArray[np.float64],
    ratios: npt.NDArray[np.float64],
    places: npt.NDArray[np.float64],
    opened: Opened,
    policy: ImagePolicy,
) -> Frame:
    width, height = opened.width, opened.height
    ((left, top, wide, high),) = fit_boxes((int(height), int(width)), shares, ratios, places).tolist()
    if not wide:
        wide, high = min(width, round(height * RATIOS[1])), min(height, round(width / RATIOS[0]))
        left, top = (width - wide) // 2, (height - high) // 2
    return Frame(left, top, left + wide, top + high)
