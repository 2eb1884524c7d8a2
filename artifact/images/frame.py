"""What decoding hands to fitting, and fitting to resizing: an image with its extent, and the part that is wanted."""

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
    """Where a whole image lies in the network's input, in its pixels: what reaches past that is cut off, and what it
    doesn't cover is filled.
    """

    left: int
    top: int
    width: int
    height: int


class Frame(NamedTuple):
    """The part of an image that the network sees: a box in pixels, which may reach past the edges.

    What lies there is `fill` (a gray level) where the box is resized, and the policy's pad_color where the whole image
    is, into `place`.
    """

    left: float
    top: float
    right: float
    bottom: float
    fill: int = 0
    place: Place | None = None
