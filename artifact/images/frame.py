"""The values between decoding, fitting and resizing: an image with its extent, and the part that the network sees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


class Opened(NamedTuple):
    """A decoded image and its true extent in its own pixels.

    The extent has fractions where a JPEG of odd size was decoded at 1/2, 1/4 or 1/8: the last column or row is then
    only partly image.
    """

    image: Image.Image
    width: float
    height: float


class Place(NamedTuple):
    """The position and size of a whole image in the network's input, in pixels of the input: what is outside is cut
    off, what the image doesn't cover is filled.
    """

    left: int
    top: int
    width: int
    height: int


class Frame(NamedTuple):
    """The part of an image that the network sees: a box in pixels, which may reach past the edges.

    Beyond the edges is `fill` (a gray level 0 to 255) if `place` is None, so that the box is resized; otherwise the
    whole image is resized into `place`, and the rest is the policy's pad_color.
    """

    left: float
    top: float
    right: float
    bottom: float
    fill: int = 0
    place: Place | None = None
