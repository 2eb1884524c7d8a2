"""The result of parsing an image's container (artifact/images/containers), and the checks of its limits."""

from __future__ import annotations

from typing import NamedTuple

from artifact.errors import TooManyParts, TooManyPixels, UndecodableImage
from artifact.images.limits import Limits
from artifact.images.metadata import UPRIGHT


class Contents(NamedTuple):
    """An encoded image without its metadata."""

    format: str
    """A key of FORMATS."""
    data: bytes
    """The same image, or the first one of an animation, as a file without metadata."""
    orientation: int = UPRIGHT
    """The EXIF orientation, 1 to 8, that is still to be applied."""
    width: int = 0
    """Pixels as stored, before the orientation is applied; known for JPEG and PNG, otherwise 0."""
    height: int = 0
    channels: int = 0
    scans: int = 1
    """Scans of a JPEG."""
    is_plain: bool = False
    """Whether the stored pixels are what a policy asks for: 8 bits, gray or RGB, upright."""
    inner: tuple[Contents, ...] = ()
    """The JPEGs in the strips or tiles of a TIFF."""


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Raises TooManyPixels."""
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"the image has {width}x{height} = {width * height:,} pixels, the limit (max_pixels) is "
            f"{limits.max_pixels:,}: scale it down or raise the limit"
        )


def check_parts(parts: int, kind: str, limits: Limits) -> None:
    """Raises TooManyParts, naming the `kind` of parts, a plural."""
    if parts > limits.max_parts:
        raise TooManyParts(
            f"the image has more than {limits.max_parts:,} {kind}, the limit (max_parts): "
            "save it again without metadata, or raise the limit"
        )


def damaged(format: str, size: int, why: object) -> UndecodableImage:
    """The error for an image of `size` bytes whose pixels aren't all there."""
    return UndecodableImage(
        f"the {format} of {size:,} bytes can't be decoded ({why}): "
        "it is truncated or damaged, send the file again, whole"
    )
