"""tf.image.resize's methods that don't antialias: each output pixel is a weighted sum of a few pixels along each axis.

Written out, since the serving stage has no TensorFlow, and since no other library's bicubic or area has these pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from artifact.image_policy import Resize
from artifact.images.frame import Pixels

Floats = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]
"""left, top, right, bottom, in pixels of the image."""

# TensorFlow takes the weights of `bicubic` from a table with this many steps per pixel.
_CUBIC_STEPS = 1024


class Taps(NamedTuple):
    """For each of n outputs along one axis the k pixels that it reads, and their weights; each [k, n]."""

    pixels: npt.NDArray[np.intp]
    weights: Floats


def interpolate(source: Pixels, box: Box, size: tuple[int, int], method: Resize) -> Pixels:
    """The `box` of an image [h, w(, 3)] as uint8 [size[1], size[0](, 3)].

    Pixels next to the box take part in its edges, as they do where the whole is resized and then cropped. Levels are
    rounded, and clipped to 0..255: beyond an edge `bicubic` itself leaves that range.
    """
    left, top, right, bottom = box
    take = METHODS[method]
    rows, columns = take(top, bottom, size[1], source.shape[0]), take(left, right, size[0], source.shape[1])
    first, last = columns.pixels.min(), columns.pixels.max() + 1
    pixels = source[:, first:last]
    tall = _sum_taps(rows, lambda places, weights: pixels[places] * _spread(weights, source.ndim - 1))
    wide = _sum_taps(columns, lambda places, weights: tall[:, places - first] * _spread(weights, source.ndim - 2))
    return np.rint(np.clip(wide, 0, 255, out=wide), out=wide).astype(np.uint8)


def _sum_taps(taps: Taps, term: Callable[[npt.NDArray[np.intp], Floats], Floats]) -> Floats:
    """The sum of what `term` gives for each of the k pixels, in their order: the same on every machine."""
    total = term(taps.pixels[0], taps.weights[0])
    for places, weights in zip(taps.pixels[1:], taps.weights[1:], strict=True):
        total += term(places, weights)
    return total


def _spread(weights: Floats, axes: int) -> Floats:
    """[n] as [n, 1, ..., 1] with `axes` axes of size 1."""
    return weights.reshape(-1, *(1,) * axes)


def _bilinear(start: float, stop: float, count: int, length: int) -> Taps:
    """Half-pixel centers; beyond the edges the last pixel goes on."""
    first, offset = _neighbors(start, stop, count)
    pixels = np.clip([first, first + 1], 0, length - 1).astype(np.intp)
    return Taps(pixels, np.array([1 - offset, offset], np.float32))


def _bicubic(start: float, stop: float, count: int, length: int) -> Taps:
    """Keys' cubic (1981, a = -1/2) at half-pixel centers; pixels beyond the edges count nothing."""
    first, offset = _neighbors(start, stop, count)
    offset = np.rint(offset * _CUBIC_STEPS) / _CUBIC_STEPS
    reached = first + np.arange(-1, 3)[:, None]
    pixels = np.clip(reached, 0, length - 1).astype(np.intp)
    weights = np.array([_far(1 + offset), _near(offset), _near(1 - offset), _far(2 - offset)]) * (pixels == reached)
    return Taps(pixels, (weights / weights.sum(axis=0)).astype(np.float32))


def _area(start: float, stop: float, count: int, length: int) -> Taps:
    """The mean of what an output pixel covers, pixels at its edges by the share of them that it covers."""
    edges = start + np.arange(count + 1) * (stop - start) / count
    before, behind = edges[:-1], edges[1:]
    first = np.floor(before)
    reached = first + np.arange(int((np.ceil(behind) - first).max()))[:, None]
    covered = np.clip(np.minimum(behind, reached + 1) - np.maximum(before, reached), 0, None)
    pixels = np.clip(reached, 0, length - 1).astype(np.intp)
    return Taps(pixels, (covered / (behind - before)).astype(np.float32))


METHODS: dict[Resize, Callable[[float, float, int, int], Taps]] = {
    "bilinear": _bilinear,
    "bicubic": _bicubic,
    "area": _area,
}
"""Each gives the taps of `count` outputs that cover start..stop of an axis of `length` pixels."""


def _neighbors(start: float, stop: float, count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """For each output the pixel whose center lies before its own, and how far behind that its own lies."""
    center = start + (np.arange(count) + 0.5) * (stop - start) / count - 0.5
    first = np.floor(center)
    return first, center - first


def _near(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic at distances 0..1."""
    return (1.5 * x - 2.5) * x * x + 1


def _far(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic at distances 1..2."""
    return ((-0.5 * x + 2.5) * x - 4) * x + 2
