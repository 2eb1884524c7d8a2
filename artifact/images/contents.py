"""What the header walk finds in an encoded image, and how it counts."""

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
    """The same picture (of an animation the first one) in a file that holds nothing else."""
    orientation: int = UPRIGHT
    """1..8, still to be applied."""
    width: int = 0
    """As stored, before it is turned; known of JPEG and PNG, where it is also what will be decoded."""
    height: int = 0
    channels: int = 0
    scans: int = 1
    """Of a JPEG."""
    is_plain: bool = False
    """Whether what is stored are the pixels that the policy asks for: 8 bits, gray or color, upright."""
    inner: tuple[Contents, ...] = ()
    """The JPEGs that a TIFF's strips are."""


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
