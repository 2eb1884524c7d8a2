"""Rectangles of random size and place within an image: what is cropped out, and what is erased."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.int64]
Drawn = npt.NDArray[np.float64]

TRIES = 10
"""A rectangle is drawn at most this many times until it fits into the image, as in torchvision."""


def draw_boxes(
    count: int,
    size: tuple[int, int],
    areas: tuple[float, float],
    ratios: tuple[float, float],
    generator: np.random.Generator,
) -> Boxes:
    """int64 [count, 4], as `fit_boxes`: the share of the image's area is uniform in `areas`, the logarithm of width /
    height in those of `ratios`, the place uniform among all that there are.
    """
    shares = generator.uniform(*areas, (count, TRIES))
    shapes = draw_ratios(ratios, (count, TRIES), generator)
    return fit_boxes(size, shares, shapes, generator.random((count, 2)))


def draw_ratios(ratios: tuple[float, float], shape: tuple[int, ...], generator: np.random.Generator) -> Drawn:
    """float64 of `shape` between the two, the logarithm uniform."""
    least, most = np.log(ratios).tolist()
    return np.exp(generator.uniform(least, most, shape))


def fit_boxes(size: tuple[int, int], shares: Drawn, ratios: Drawn, places: Drawn) -> Boxes:
    """int64 [n, 4]: left, top, width, height in images of `size` (height, width); width 0 where none fits.

    Of each row of `shares` of the area and `ratios` of width to height [n, TRIES] the first that fits; `places` [n, 2]
    say from 0 to 1 where between the edges.
    """
    height, width = size
    areas = shares * (height * width)
    widths = np.rint(np.sqrt(areas * ratios)).astype(np.int64)
    heights = np.rint(np.sqrt(areas / ratios)).astype(np.int64)
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    chosen = np.arange(len(shares)), fits.argmax(axis=1)
    wide, high = np.where(fits.any(axis=1), (widths[chosen], heights[chosen]), 0)
    lefts, tops = (places.T * [width + 1 - wide, height + 1 - high]).astype(np.int64)
    return np.stack([lefts, tops, wide, high], axis=1)


def cover(boxes: Boxes, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """bool [n, height, width]: the pixels that each image's box covers."""
    left, top, width, height = boxes.T[:, :, None]
    rows, columns = np.arange(size[0]), np.arange(size[1])
    down = (rows >= top) & (rows < top + height)
    across = (columns >= left) & (columns < left + width)
    covered: npt.NDArray[np.bool_] = down[:, :, None] & across[:, None, :]
    return covered
