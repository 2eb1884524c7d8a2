"""Images turned, sheared and scaled, a batch at a time: Pillow's calls cost more than the pixels of small images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from artifact.images.frame import Pixels

Floats = npt.NDArray[np.float32]

# Values of images that are transformed together: few enough for a core's cache.
_VALUES = 1 << 15


def transform(images: Pixels, matrices: npt.NDArray[np.float64]) -> Pixels:
    """uint8 [n, h, w, c], each image read where its row of `matrices` [n, 6] says, interpolated linearly.

    A row (a, b, c, d, e, f) gives the place (x, y) of the result what stands at (a x + b y + c, d x + e y + f), as
    Pillow's AFFINE does: pixel centers lie at halves, and what is read outside the image is black. Levels are rounded,
    where Pillow cuts them off.
    """
    together = max(1, _VALUES // images[0].size)
    parts = range(0, len(images), together)
    rows = matrices.astype(np.float32)
    return np.concatenate([_transform(images[i : i + together], rows[i : i + together]) for i in parts])


def _transform(images: Pixels, matrices: Floats) -> Pixels:
    count, height, width, channels = images.shape
    x, y = _places(matrices[:, :3], height, width), _places(matrices[:, 3:], height, width)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    left, across = _split(x + np.float32(0.5), width)
    top, down = _split(y + np.float32(0.5), height)
    row, image = width + 2, (width + 2) * (height + 2)
    place = top * row + left + np.arange(0, count * image, image)[:, None, None]
    changed = np.empty_like(images)
    for channel in range(channels):
        # With its edge once more around it, an image has four neighbors for each place inside.
        levels = np.pad(images[..., channel], ((0, 0), (1, 1), (1, 1)), "edge").astype(np.float32).ravel()
        upper, lower = levels.take(place), levels.take(place + row)
        upper += (levels.take(place + 1) - upper) * across
        lower += (levels.take(place + (row + 1)) - lower) * across
        upper += (lower - upper) * down
        changed[..., channel] = np.rint(upper * inside)
    return changed


def _places(coefficients: Floats, height: int, width: int) -> Floats:
    """One coordinate [n, h, w] of where each pixel is read, from the rows (for x, for y, constant) [n, 3]."""
    for_x, for_y, constant = coefficients.T[:, :, None, None]
    x, y = np.arange(width, dtype=np.float32) + np.float32(0.5), np.arange(height, dtype=np.float32) + np.float32(0.5)
    places: Floats = for_x * x + (for_y * y[:, None] + constant)
    return places


def _split(coordinate: Floats, most: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """The whole part, within 0..most, and the rest."""
    whole = np.clip(coordinate, 0, most).astype(np.intp)
    return whole, (coordinate - whole).astype(np.float32)
