"""The header of a BMP: run-length coding is bounded."""

from __future__ import annotations

import struct

from artifact.errors import TooManyPixels
from artifact.images.contents import Contents
from artifact.images.limits import Limits

_RUN_LENGTHS = (1, 2)  # RLE8, RLE4
# Pillow decodes them in Python, some sixteen times slower than anything else.
_SLOWER = 16


def read_bmp(data: bytes, limits: Limits) -> Contents:
    """The contents of a BMP file, without decoding it. Raises TooManyPixels."""
    if len(data) >= 34 and int.from_bytes(data[30:34], "little") in _RUN_LENGTHS and data[14] != 12:
        width, height = map(abs, struct.unpack_from("<ii", data, 18))
        if width * height > limits.max_pixels // _SLOWER:
            raise TooManyPixels(
                f"the run-length coded BMP has {width}x{height} = {width * height:,} pixels, the limit (max_pixels / "
                f"{_SLOWER}) is {limits.max_pixels // _SLOWER:,}: save it as PNG or raise the limit"
            )
        start = min(int.from_bytes(data[10:14], "little"), len(data))
        # Two bytes a pixel and two a row are the longest way to say it.
        data = data[: start + 2 * width * height + 2 * height + 1024]
    return Contents("BMP", data)
