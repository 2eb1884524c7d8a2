"""Encoded bytes to the uint8 array that a network expects: limits, color, and the declared image policy.

Training, proof, evaluation and serving all come through here, so that every one of them sees the same pixels.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, UnidentifiedImageError

# Pillow registers these formats only when their plugins are imported.
from PIL import AvifImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401  # isort: skip

from artifact.errors import ConvserveError, EmptyBody, ImageTooLarge, UnsupportedType
from artifact.image_policy import ImagePolicy
from artifact.images.containers.avif import read_avif
from artifact.images.containers.bmp import read_bmp
from artifact.images.containers.gif import read_gif
from artifact.images.containers.jpeg import read_jpeg
from artifact.images.containers.png import holds_every_row, read_png
from artifact.images.containers.tiff import read_tiff
from artifact.images.containers.webp import read_webp
from artifact.images.contents import Contents, check_pixels, damaged
from artifact.images.fit import fit_image, fit_pixels
from artifact.images.foreign import name_foreign
from artifact.images.formats import find_format
from artifact.images.frame import Opened, Pixels
from artifact.images.limits import Limits
from artifact.images.metadata import UPRIGHT, find_orientation, read_exif
from artifact.images.plain import SMALL_PIXELS, decode_jpeg, decode_plain, is_fast

# Pillow's own guard warns at one limit and raises at another; ours is checked from the header, before any decoding.
Image.MAX_IMAGE_PIXELS = None

_READERS: dict[str, Callable[[bytes, Limits], Contents]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "WEBP": read_webp,
    "GIF": read_gif,
    "BMP": read_bmp,
    "TIFF": read_tiff,
    "AVIF": read_avif,
}
_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_DEFAULTS = Limits()

# Limits for images that are decoded on the event loop: bytes, metadata included, and scans of a JPEG.
SMALL_BYTES = 4 * SMALL_PIXELS
SMALL_SCANS = 16


def decode_image(data: bytes, policy: ImagePolicy, limits: Limits | None = None) -> Pixels:
    """Decode one encoded image into uint8 [height, width, channels] as `policy` declares.

    Raises EmptyBody, ImageTooLarge, TooManyPixels, TooManyParts, UnsupportedType or UndecodableImage; each names the
    remedy.
    """
    limits = limits or _DEFAULTS
    contents = read_contents(data, limits)
    if is_fast(contents) and not policy.reduced_decode:
        return fit_pixels(decode_plain(contents, policy.decode), policy)
    return fit_image(_decode(contents, limits, policy), policy)[0]


def is_small(policy: ImagePolicy) -> bool:
    """Whether a network's input is so small that `decode_small` may give it."""
    return policy.width * policy.height <= SMALL_PIXELS


def decode_small(data: bytes, policy: ImagePolicy, limits: Limits) -> Pixels | None:
    """Decode an image as `decode_image` does, uint8 [height, width, channels], if that takes a few hundred microseconds
    at most, which is less than handing it to a thread; None for any other image, including a damaged one.
    """
    if len(data) > min(SMALL_BYTES, limits.max_image_bytes) or not is_small(policy):
        return None
    try:
        contents = read_contents(data, limits)
        if not is_fast(contents) or contents.height * contents.width > SMALL_PIXELS or contents.scans > SMALL_SCANS:
            return None
        return fit_pixels(decode_plain(contents, policy.decode), policy)
    except ConvserveError:
        return None


def open_image(data: bytes, limits: Limits | None = None, policy: ImagePolicy | None = None) -> Opened:
    """Decode one encoded image to mode L or RGB with EXIF orientation applied, alpha on white, 16 bits scaled to 8.

    Raises what decode_image raises. `policy` says how JPEGs are decoded, and whether large ones at 1/2, 1/4 or 1/8.
    """
    limits = limits or _DEFAULTS
    return _decode(read_contents(data, limits), limits, policy)


def read_contents(data: bytes, limits: Limits) -> Contents:
    """Parse the container: the image without metadata, still encoded. Raises what decode_image raises."""
    if not data:
        raise EmptyBody("the image is empty (0 bytes): send the bytes of an image file")
    if len(data) > limits.max_image_bytes:
        raise ImageTooLarge(
            f"the image has {len(data):,} bytes, the limit (max_image_bytes) is {limits.max_image_bytes:,}: "
            "send a smaller one or raise the limit"
        )
    format = find_format(data)
    if format is None:
        raise name_foreign(data)
    return _READERS[format](data, limits)


def _decode(contents: Contents, limits: Limits, policy: ImagePolicy | None) -> Opened:
    if contents.format == "JPEG":
        return _decode_jpeg(contents, policy)
    if is_fast(contents):
        image, orientation = Image.fromarray(decode_plain(contents)), contents.orientation
    else:
        image, orientation = _load(contents, limits)
    image = _turn(image, orientation)
    return Opened(image, *image.size)


def _decode_jpeg(contents: Contents, policy: ImagePolicy | None) -> Opened:
    factor = 1 if policy is None or not policy.reduced_decode else _find_factor(contents, policy)
    pixels = decode_jpeg(contents, factor, "accurate" if policy is None else policy.decode)
    pixels = pixels[..., 0] if contents.channels == 1 else pixels
    image = _turn(_to_plain(Image.fromarray(pixels, _JPEG_MODES[contents.channels])), contents.orientation)
    if factor == 1:
        return Opened(image, *image.size)
    sides = contents.width / factor, contents.height / factor
    return Opened(image, *(sides if image.size == pixels.shape[1::-1] else sides[::-1]))


def _find_factor(contents: Contents, policy: ImagePolicy) -> int:
    """By how much a JPEG is decoded smaller (DCT scaling): its shorter side stays at least twice the target.

    An image that will be turned is only divided evenly: its partial pixels would come to lie at the left or on top,
    where an extent can't tell.
    """
    width, height = contents.width, contents.height
    least = 2 * max(policy.width, policy.height)
    for factor in (8, 4, 2):
        even = width % factor == height % factor == 0
        if min(width, height) // factor >= least and (even or contents.orientation == UPRIGHT):
            return factor
    return 1


def _load(contents: Contents, limits: Limits) -> tuple[Image.Image, int]:
    """What Pillow gives for any other format, as L or RGB, and the orientation that is still to be applied."""
    size = len(contents.data)
    try:
        image: Image.Image = Image.open(io.BytesIO(contents.data), formats=[contents.format])
    except UnidentifiedImageError as error:  # its text names an object of ours
        raise damaged(contents.format, size, "its header can't be read") from error
    except Exception as error:  # Pillow's parsers raise errors of many kinds on damaged headers
        raise damaged(contents.format, size, error) from error
    check_pixels(*image.size, limits)
    orientation = contents.orientation
    if contents.format == "AVIF":  # Pillow states what the picture's properties say
        orientation = find_orientation(read_exif(image.info.get("exif", b"")))
    for jpeg in contents.inner:
        decode_jpeg(jpeg)  # for its verdict: libtiff only warns
    try:
        image.load()
        if contents.format == "PNG" and not np.asarray(image)[-1].any() and not holds_every_row(contents.data):
            raise damaged("PNG", size, "rows are missing")
        return _to_plain(image, is_bmp=contents.format == "BMP"), orientation
    except ConvserveError:
        raise
    except Exception as error:
        raise damaged(contents.format, size, error) from error


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _to_plain(image: Image.Image, *, is_bmp: bool = False) -> Image.Image:
    """Any mode to L or RGB: alpha is composited on white, 16 bits are scaled to 8 (Pillow's convert clips them)."""
    mode = image.mode
    if mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    if mode in ("I", "F"):
        raise UnsupportedType(
            f"the image has 32 bits a pixel (mode {mode}); 8 and 16 are supported: save it with 8 bits a channel"
        )
    if mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        gray = mode in ("L", "LA", "La", "1")
        image = image.convert("RGBA")
        if is_bmp and image.getchannel("A").getextrema() == (0, 0):
            return image.convert("RGB")  # nobody means a picture that is nowhere: the fourth byte says nothing
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("L" if gray else "RGB")
    return image.convert("L" if mode == "1" else "RGB")
