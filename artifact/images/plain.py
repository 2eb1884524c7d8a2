"""Fast decoders: JPEG by simplejpeg (libjpeg-turbo), small plain PNG by pyspng (libspng), in a third to a tenth of
Pillow's time. The pixels are Pillow's, bit for bit (tests/artifact/images/test_plain.py).

simplejpeg is also the strict one: whatever pixels it finds missing are refused, so every JPEG goes through it.
"""

from __future__ import annotations

import io
import re

import numpy as np
import pyspng
import simplejpeg
from PIL import Image

from artifact.errors import UnsupportedType
from artifact.image_policy import Decode
from artifact.images.containers.jpeg import pad_scans
from artifact.images.contents import Contents, damaged
from artifact.images.frame import Pixels

# Up to here an image is decoded on the event loop, in about the time of waking a thread; and a PNG by libspng, which
# runs with the GIL held: a larger one would stop the event loop from any thread, and Pillow is nearly as fast there.
SMALL_PIXELS = 128 * 128

_COLORS = {1: "GRAY", 3: "RGB", 4: "CMYK"}
# All pixels are there, and some bytes behind them, which cameras pad with.
_PADDED = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_MOST_PADDING = 32
# turbojpeg has names for the usual samplings alone.
_UNUSUAL = "subsampling"


def is_fast(contents: Contents) -> bool:
    """Whether `decode_plain` takes it: its pixels are what the policy wants of them."""
    return contents.is_plain and (contents.format == "JPEG" or contents.width * contents.height <= SMALL_PIXELS)


def decode_plain(contents: Contents, decode: Decode = "accurate") -> Pixels:
    """uint8 [height, width] of a gray image, [height, width, 3] of another. `decode` is of JPEGs.

    Raises UndecodableImage where pixels are missing or damaged.
    """
    if contents.format == "JPEG":
        pixels = decode_jpeg(contents, decode=decode)
        return pixels if contents.channels == 3 else pixels[..., 0]
    try:
        return np.asarray(pyspng.load(contents.data))
    except (RuntimeError, ValueError) as error:  # what pyspng raises for whatever it can't decode
        raise damaged("PNG", len(contents.data), error) from error


def decode_jpeg(contents: Contents, factor: int = 1, decode: Decode = "accurate") -> Pixels:
    """uint8 [height, width, channels] of any JPEG; at 1/`factor` (1, 2, 4, 8) of its size where that is asked for.

    `tensorflow` is libjpeg's fast DCT, as tf.io.decode_image has it; samplings without a name are decoded accurately.

    CMYK comes as Pillow gives it, inverted. Raises UndecodableImage, UnsupportedType.
    """
    if contents.channels not in _COLORS:
        raise UnsupportedType(f"the JPEG has {contents.channels} channels; 1, 3 and 4 are supported: save it as PNG")
    data, color = contents.data, _COLORS[contents.channels]
    height, width = -(-contents.height // factor), -(-contents.width // factor)
    how = {"min_height": height, "min_width": width, "min_factor": factor, "fastdct": decode == "tensorflow"}
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, color, **how)
    except (RuntimeError, ValueError) as error:  # what simplejpeg raises for whatever it can't decode
        reason = str(error)
        padded = _PADDED.search(reason)
        if padded is not None and int(padded[1]) < _MOST_PADDING:  # nothing else went before: it is the first warning
            pixels = simplejpeg.decode_jpeg(data, color, strict=False, **how)
        elif _UNUSUAL in reason:
            return _decode_unusual(contents, factor)
        else:
            raise damaged("JPEG", len(data), reason) from error
    return np.bitwise_not(pixels) if contents.channels == 4 else pixels


def _decode_unusual(contents: Contents, factor: int) -> Pixels:
    """By Pillow, which fills with gray what is missing: but the pixels of whole scans don't depend on what follows."""
    noise = np.random.default_rng(0).integers(0, 255, 4096, np.uint8).tobytes()
    data = contents.data
    one, other = (_load(whole, contents, factor) for whole in (data, pad_scans(data, noise)))
    if not np.array_equal(one, other):
        raise damaged("JPEG", len(data), "a scan ends early")
    return one


def _load(data: bytes, contents: Contents, factor: int) -> Pixels:
    try:
        image = Image.open(io.BytesIO(data), formats=["JPEG"])
        if factor > 1:
            image.draft(None, (contents.width // factor, contents.height // factor))
        return np.asarray(image).reshape(*image.size[::-1], contents.channels)
    except Exception as error:  # Pillow's parsers raise errors of many kinds on damaged files
        raise damaged("JPEG", len(data), error) from error
