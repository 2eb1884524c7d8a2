"""Random erasing (Zhong et al. 2017): rectangles of noise, as large as torchvision's and timm's defaults."""

from __future__ import annotations

import numpy as np

from artifact.images.frame import Pixels
from export.training.augment.boxes import cover, draw_boxes

AREAS, RATIOS = (0.02, 0.33), (0.3, 3.3)


def erase(images: Pixels, probability: float, generator: np.random.Generator) -> Pixels:
    """uint8 [n, h, w, c] with a rectangle of each image, by `probability`, filled with levels drawn for every pixel."""
    size = images.shape[1:3]
    boxes = draw_boxes(len(images), size, AREAS, RATIOS, generator)
    erased = cover(boxes, size) & (generator.random(len(images)) < probability)[:, None, None]
    noise = generator.integers(0, 256, images.shape, np.uint8)
    return np.where(erased[..., None], noise, images)
