"""Resize a part of an image to a given size: one implementation of each method, for training, proof and serving."""

from __future__ import annotations

import numpy as np
from PIL import Image

from artifact.image_policy import ImagePolicy, Resize
from artifact.images.frame import Frame, Opened, Pixels, Place
from artifact.images.interpolation import METHODS, Box, interpolate

_PILLOW = {
    "antialias": Image.Resampling.BILINEAR,
    "antialias-bicubic": Image.Resampling.BICUBIC,
    "antialias-lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


def resize(opened: Opened, frame: Frame, policy: ImagePolicy) -> Pixels:
    """The `frame` of an image, mode L or RGB, as uint8 [policy.height, policy.width(, 3)]."""
    if frame.place is not None:
        return _resize_into(frame.place, opened, policy)
    image, size = opened.image, (policy.width, policy.height)
    left, top, right, bottom, fill, _ = frame
    if left < 0 or top < 0 or right > image.width or bottom > image.height:  # only `content` reaches past the edges
        padded = Image.new(image.mode, (int(right - left), int(bottom - top)), (fill,) * len(image.getbands()))
        padded.paste(image, (-int(left), -int(top)))
        image, (left, top, right, bottom) = padded, (0, 0, *padded.size)
    return _resample(image, (left, top, right, bottom), size, policy.resize)


def _resize_into(place: Place, opened: Opened, policy: ImagePolicy) -> Pixels:
    """The whole image at its place, on the policy's color."""
    left, top, width, height = place
    scaled = _resample(opened.image, (0, 0, opened.width, opened.height), (width, height), policy.resize)
    filled: Pixels = np.empty((policy.height, policy.width, *scaled.shape[2:]), np.uint8)
    filled[:] = policy.pad_color
    seen = scaled[max(0, -top) : policy.height - top, max(0, -left) : policy.width - left]
    top, left = max(0, top), max(0, left)
    filled[top : top + seen.shape[0], left : left + seen.shape[1]] = seen
    return filled


def _resample(image: Image.Image, box: Box, size: tuple[int, int], method: Resize) -> Pixels:
    if method in METHODS:
        return interpolate(np.asarray(image), box, size, method)
    return np.asarray(image.resize(size, _PILLOW[method], box=box))
