"""One part of an image to a given size: one implementation of each method, whoever asks."""

from __future__ import annotations

import numpy as np
from PIL import Image

from artifact.card import ImagePolicy, Resize
from artifact.images.frame import Frame, Opened, Pixels
from artifact.images.interpolation import METHODS, interpolate

_PILLOW = {
    "antialias": Image.Resampling.BILINEAR,
    "antialias-bicubic": Image.Resampling.BICUBIC,
    "antialias-lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}

# A scaled image of more than so many times the network's pixels isn't made: the box alone is resized.
_MOST_SCALED = 64

Box = tuple[float, float, float, float]


def resize(opened: Opened, frame: Frame, policy: ImagePolicy) -> Pixels:
    """The `frame` of an image, mode L or RGB, as uint8 [policy.height, policy.width(, 3)]."""
    image, size = opened.image, (policy.width, policy.height)
    if frame.place is not None:
        return _resize_into_place(opened, frame, policy)
    if policy.fit == "crop" and policy.resize in _PILLOW and (cropped := _crop_scaled(opened, frame, policy)):
        return np.asarray(cropped)
    left, top, right, bottom, fill, _ = frame
    if left < 0 or top < 0 or right > image.width or bottom > image.height:  # only `content` reaches past the edges
        padded = Image.new(image.mode, (int(right - left), int(bottom - top)), (fill,) * len(image.getbands()))
        padded.paste(image, (-int(left), -int(top)))
        image, (left, top, right, bottom) = padded, (0, 0, *padded.size)
    return _resample(image, (left, top, right, bottom), size, policy.resize)


def _resize_into_place(opened: Opened, frame: Frame, policy: ImagePolicy) -> Pixels:
    """The whole image where `frame` places it, on the policy's color."""
    assert frame.place is not None
    left, top, width, height = frame.place
    scaled = _resample(opened.image, (0, 0, opened.width, opened.height), (width, height), policy.resize)
    filled: Pixels = np.empty((policy.height, policy.width, *scaled.shape[2:]), np.uint8)
    filled[:] = policy.pad_color
    filled[top : top + height, left : left + width] = scaled
    return filled


def _crop_scaled(opened: Opened, frame: Frame, policy: ImagePolicy) -> Image.Image | None:
    """The frame as libraries make it, out of the whole scaled image; None where that would be too large, and for cards
    of formats 1 and 2, whose proofs are of the box alone resized. Rounding between Pillow's two passes makes up to 15
    levels of difference, and which pixel is the nearest depends on where the grid begins.
    """
    if policy.crop_rule == "rounded":
        return None
    across, down = (frame.right - frame.left) / policy.width, (frame.bottom - frame.top) / policy.height
    size = round(opened.width / across), round(opened.height / down)
    if size[0] * size[1] > _MOST_SCALED * policy.width * policy.height:
        return None
    scaled = opened.image.resize(size, _PILLOW[policy.resize], box=(0, 0, opened.width, opened.height))
    left, top = round(frame.left / across), round(frame.top / down)
    return scaled.crop((left, top, left + policy.width, top + policy.height))


def _resample(image: Image.Image, box: Box, size: tuple[int, int], method: Resize) -> Pixels:
    if method in METHODS:
        return interpolate(np.asarray(image), box, size, method)
    return np.asarray(image.resize(size, _PILLOW[method], box=box))
