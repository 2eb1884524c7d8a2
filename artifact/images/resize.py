"""One part of an image to a given size: one implementation of each method, whoever asks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from artifact.card import ImagePolicy
from artifact.images.frame import Frame, Pixels


def resize(image: Image.Image, frame: Frame, policy: ImagePolicy) -> Pixels:
    """The `frame` of an image, mode L or RGB, as uint8 [policy.height, policy.width(, 3)]."""
    width, height = image.size
    left, top, right, bottom, fill = frame
    if left < 0 or top < 0 or right > width or bottom > height:  # only `content` reaches past the edges
        padded = Image.new(image.mode, (int(right - left), int(bottom - top)), (fill,) * len(image.getbands()))
        padded.paste(image, (-int(left), -int(top)))
        image, (left, top, right, bottom) = padded, (0, 0, *padded.size)
    box = (left, top, right, bottom)
    size = (policy.width, policy.height)
    if policy.resize == "bilinear":
        return _bilinear(np.asarray(image), box, size)
    method = Image.Resampling.BILINEAR if policy.resize == "antialias" else Image.Resampling.NEAREST
    return np.asarray(image.resize(size, method, box=box))


def _bilinear(source: Pixels, box: tuple[float, float, float, float], size: tuple[int, int]) -> Pixels:
    """tf.image.resize's bilinear without antialiasing: half-pixel centers, edges clamped, rounded to a level."""
    left, top, right, bottom = box
    (up, down, y), (west, east, x) = (
        _taps(top, bottom, size[1], source.shape[0]),
        _taps(left, right, size[0], source.shape[1]),
    )
    if source.ndim == 3:
        y, x = y[:, None, None], x[None, :, None]
    else:
        y, x = y[:, None], x[None, :]
    upper = source[up][:, west] * (1 - x) + source[up][:, east] * x
    lower = source[down][:, west] * (1 - x) + source[down][:, east] * x
    return np.rint(upper * (1 - y) + lower * y).astype(np.uint8)


def _taps(
    start: float, stop: float, count: int, length: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """For each of `count` outputs its two neighbors along one axis and the weight of the second."""
    center = start + (np.arange(count) + 0.5) * (stop - start) / count - 0.5
    floor = np.floor(center)
    first = np.clip(floor, 0, length - 1).astype(np.intp)
    second = np.clip(floor + 1, 0, length - 1).astype(np.intp)
    return first, second, (center - floor).astype(np.float32)
