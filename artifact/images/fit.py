"""Which part of an image the network sees, by the card's `fit` and `polarity`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from artifact.image_policy import ImagePolicy
from artifact.images.frame import Frame, Opened, Pixels, Place
from artifact.images.interpolation import METHODS
from artifact.images.resize import resize

FindFrame = Callable[[Opened, ImagePolicy], Frame]
"""Chooses the part of an image that the network sees, in the image's own pixels."""

# If the whole scaled image had more than this many times the network's pixels, only the crop box is resized.
_MOST_SCALED = 64
# An image whose gray levels lie closer together than this holds no ink.
LEAST_CONTRAST = 32
# Ink is what departs from the background by more than this share of the largest departure.
INK_SHARE = 0.2


def apply_policy(image: Image.Image, policy: ImagePolicy) -> Pixels:
    """Fit a plain (L or RGB) image to the network: uint8 [height, width, channels]."""
    return fit_image(Opened(image, *image.size), policy)[0]


def fit_pixels(pixels: Pixels, policy: ImagePolicy) -> Pixels:
    """`apply_policy` for uint8 [h, w] (gray) or [h, w, 3] (RGB); pixels that are already right pass as they are."""
    if policy.fit == "stretch" and policy.polarity == "any":
        shape = policy.shape
        if pixels.shape == (shape[:2] if shape[2] == 1 else shape):
            return pixels.reshape(shape)
    return apply_policy(Image.fromarray(pixels), policy)


def fit_image(opened: Opened, policy: ImagePolicy, find: FindFrame | None = None) -> tuple[Pixels, Frame]:
    """What `apply_policy` gives, uint8 [height, width, channels], and the part of the image that it shows; `find`
    chooses another part.
    """
    image = opened.image.convert("L" if policy.channels == 1 else "RGB")
    if policy.polarity != "any" and (_background(_gray_levels(image)) > 127) != (policy.polarity == "dark-on-light"):
        image = ImageOps.invert(image)
    opened = Opened(image, opened.width, opened.height)
    frame = (find or find_frame)(opened, policy)
    return resize(opened, frame, policy).reshape(policy.shape), frame


def find_frame(opened: Opened, policy: ImagePolicy) -> Frame:
    """The part of an image (of the polarity that the network expects) that `policy.fit` selects."""
    image, width, height = opened
    if policy.fit == "stretch":
        return Frame(0, 0, width, height)
    if policy.fit == "crop":
        return _crop_frame(width, height, policy)
    if policy.fit == "pad":
        return _pad_frame(width, height, policy)
    return _content_frame(image, policy)


def _crop_frame(width: float, height: float, policy: ImagePolicy) -> Frame:
    """The center of the image after its shorter side was scaled to size / crop_fraction, in the image's own pixels.

    In whole pixels of the scaled image, as resizing and then cropping has them: half a pixel decides close calls.
    """
    scaled_width, scaled_height = _scale_to_cover(width, height, policy)
    margins = (scaled_width - policy.width) / 2, (scaled_height - policy.height) / 2
    left, top = (int(side) if policy.crop_rule == "transformers" else round(side) for side in margins)
    place = Place(-left, -top, scaled_width, scaled_height)
    return _frame_of(place, width, height, policy, is_made=_is_made_whole(place, policy))


def _is_made_whole(place: Place, policy: ImagePolicy) -> bool:
    """Whether the whole image is scaled before the crop, as Pillow's users do. Rounding between its two passes makes up
    to 15 levels of difference to the box alone, and which pixel is the nearest depends on where the grid begins. Cards
    of formats 1 and 2 keep the box, which their proofs are of.
    """
    is_small = place.width * place.height <= _MOST_SCALED * policy.width * policy.height
    return policy.crop_rule != "rounded" and policy.resize not in METHODS and is_small


def _scale_to_cover(width: float, height: float, policy: ImagePolicy) -> tuple[int, int]:
    """Width and height of the scaled image, out of which the center is cut."""
    if policy.crop_rule == "rounded":
        scale = max(policy.width / width, policy.height / height) / policy.crop_fraction
        return round(width * scale), round(height * scale)
    if policy.width * height >= policy.height * width:  # the width is the side that counts
        scaled = _cut(policy.width / policy.crop_fraction)
        return scaled, int(scaled * height / width)
    scaled = _cut(policy.height / policy.crop_fraction)
    return int(scaled * width / height), scaled


def _cut(side: float) -> int:
    """The whole pixels of a side; 224 / (224 / 248) are 248, whatever binary fractions make of it."""
    return int(side + 1e-6)


def _pad_frame(width: float, height: float, policy: ImagePolicy) -> Frame:
    """The whole image, its longer side scaled to the network's, in the middle of a frame of the network's shape."""
    place = _place_like_tensorflow if policy.resize in METHODS else _place_like_pillow
    return _frame_of(place(width, height, policy), width, height, policy, is_made=True)


def _frame_of(place: Place, width: float, height: float, policy: ImagePolicy, *, is_made: bool) -> Frame:
    """What the network sees of an image of which `place` says where it lies; resized into it where that `is_made`."""
    across, down = width / place.width, height / place.height
    return Frame(
        -place.left * across,
        -place.top * down,
        (policy.width - place.left) * across,
        (policy.height - place.top) * down,
        place=place if is_made else None,
    )


def _place_like_pillow(width: float, height: float, policy: ImagePolicy) -> Place:
    """As ImageOps.pad has it: whole pixels are rounded."""
    if width / height > policy.width / policy.height:
        inner = policy.width, max(1, round(height / width * policy.width))
    else:
        inner = max(1, round(width / height * policy.height)), policy.height
    return Place(round((policy.width - inner[0]) / 2), round((policy.height - inner[1]) / 2), *inner)


def _place_like_tensorflow(width: float, height: float, policy: ImagePolicy) -> Place:
    """As tf.image.resize_with_pad has it: whole pixels are cut, in float32."""
    sides = np.array([width, height], np.float32)
    target = np.array([policy.width, policy.height], np.float32)
    inner = sides / (sides / target).max()
    left, top = ((target - inner) / 2).astype(int)
    inner_width, inner_height = np.maximum(1, inner.astype(int))
    return Place(int(left), int(top), int(inner_width), int(inner_height))


def _content_frame(image: Image.Image, policy: ImagePolicy) -> Frame:
    """The bounding box of the ink with the data set's own margin around it; the whole frame where there is no ink.

    Whole pixels, so that an image that already has its place is left alone instead of being blurred.
    """
    width, height = image.size
    levels = _gray_levels(image)
    background = _background(levels)
    low, high = int(levels.min()), int(levels.max())
    departure = max(background - low, high - background)
    if departure < LEAST_CONTRAST:
        return Frame(0, 0, width, height)
    ink = _ink_levels(background, INK_SHARE * departure)[levels]  # never nowhere: the extreme level itself is ink
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    used = 1 - 2 * policy.margin
    scale = max((right - left) / (used * policy.width), (bottom - top) / (used * policy.height))
    across, down = max(1, round(scale * policy.width)), max(1, round(scale * policy.height))
    left, top = round((left + right - across) / 2), round((top + bottom - down) / 2)
    return Frame(left, top, left + across, top + down, background)


def _gray_levels(image: Image.Image) -> Pixels:
    """[height, width]"""
    return np.asarray(image if image.mode == "L" else image.convert("L"))


@lru_cache(maxsize=1024)
def _ink_levels(background: int, threshold: float) -> npt.NDArray[np.bool_]:
    """For each of the 256 gray levels whether it is ink."""
    return np.abs(np.arange(256) - background) > threshold


def _background(levels: Pixels) -> int:
    """The median gray level of the border pixels of [height, width]."""
    edges = (levels[0], levels[-1], levels[1:-1, 0], levels[1:-1, -1])
    border = sorted(b"".join([edge.tobytes() for edge in edges]))  # for so few values sooner than np.median
    middle = len(border) // 2
    return border[middle] if len(border) % 2 else (border[middle - 1] + border[middle]) // 2
