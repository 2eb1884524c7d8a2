"""Encoded bytes to the uint8 array that a network expects: limits, color, and the declared image policy.

Training, proof, evaluation and serving all come through here, so that every one of them sees the same pixels.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

# Pillow registers these formats only when their plugins are imported.
from PIL import AvifImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401  # isort: skip

from app.card import ImagePolicy
from app.errors import EmptyBody, ImageTooLarge, TooManyPixels, UndecodableImage, UnsupportedType
from app.limits import Limits
from app.plain_images import decode_plain, find_plain

# Pillow's own guard warns at one limit and raises at another; ours is checked from the header, before any decoding.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # a phone's two-picture MPO opens as JPEG
SUPPORTED = "JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF"

Pixels = npt.NDArray[np.uint8]

_ORIENTATION = 0x0112  # the EXIF tag
_EXCHANGED = 5  # from this orientation on, width and height are

# Up to here an image is decoded sooner than a thread has woken up.
SMALL_PIXELS = 64 * 64
SMALL_BYTES = 65_536  # it may hold other things than pixels

# An image whose gray levels lie closer together than this holds no ink.
LEAST_CONTRAST = 32
# Ink is what departs from the background by more than this share of the largest departure.
INK_SHARE = 0.2


class Opened(NamedTuple):
    """A decoded image and its true extent in its own pixels.

    The extent has fractions where a JPEG of odd size was decoded at 1/2, 1/4 or 1/8: the last column or row is then
    only partly image.
    """

    image: Image.Image
    width: float
    height: float


class Frame(NamedTuple):
    """The part of an image that the network sees: a box in pixels, which may reach past the edges into `fill`."""

    left: float
    top: float
    right: float
    bottom: float
    fill: int = 0


def decode_image(data: bytes, policy: ImagePolicy, limits: Limits | None = None) -> Pixels:
    """Decode one encoded image into uint8 [height, width, channels] as `policy` declares.

    Raises EmptyBody, ImageTooLarge, TooManyPixels, UnsupportedType or UndecodableImage; each names the remedy.
    """
    if (pixels := decode_small(data, policy, limits or Limits())) is not None:
        return pixels
    return fit_image(open_image(data, limits, policy), policy)[0]


def decode_small(data: bytes, policy: ImagePolicy, limits: Limits) -> Pixels | None:
    """What `decode_image` gives, where that takes so little (tens of microseconds) that handing it to a thread would
    take longer; None for any other image, a damaged one included.
    """
    if len(data) > min(SMALL_BYTES, limits.max_image_bytes) or policy.width * policy.height > SMALL_PIXELS:
        return None
    plain = find_plain(data)
    if plain is None or plain.height * plain.width > min(SMALL_PIXELS, limits.max_pixels):
        return None
    if (pixels := decode_plain(data, plain)) is None:
        return None
    shape, as_it_is = policy.shape, policy.fit == "stretch" and policy.polarity == "any"
    if as_it_is and (plain.height, plain.width, plain.channels) == shape:
        return pixels.reshape(shape)
    return fit_image(Opened(Image.fromarray(pixels), plain.width, plain.height), policy)[0]


def open_image(data: bytes, limits: Limits | None = None, reduce_for: ImagePolicy | None = None) -> Opened:
    """Decode one encoded image to mode L or RGB with EXIF orientation applied, alpha on white, 16 bits scaled to 8.

    Raises what decode_image raises. `reduce_for` lets a large JPEG be decoded at 1/2, 1/4 or 1/8 where that policy
    allows it.
    """
    limits = limits or Limits()
    if not data:
        raise EmptyBody("the image is empty (0 bytes): send the bytes of an image file")
    if len(data) > limits.max_image_bytes:
        raise ImageTooLarge(
            f"the image has {len(data):,} bytes, the limit (max_image_bytes) is {limits.max_image_bytes:,}: "
            "send a smaller one or raise the limit"
        )
    plain = find_plain(data)
    if plain is not None and not (reduce_for is not None and reduce_for.reduced_decode):
        _check_pixels(plain.width, plain.height, limits)
        if (pixels := decode_plain(data, plain)) is not None:
            return Opened(Image.fromarray(pixels), plain.width, plain.height)
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Exception as error:  # Pillow's parsers raise errors of many kinds on damaged headers
        raise UndecodableImage(f"the header of the image is damaged ({error}): send the file again, whole") from error
    width, height = image.size
    _check_pixels(width, height, limits)
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
        factor = 1
        if reduce_for is not None and reduce_for.reduced_decode:
            factor = _reduce(image, reduce_for, turned=orientation != 1)
        image.load()
        if orientation != 1:
            image = ImageOps.exif_transpose(image)
        if orientation >= _EXCHANGED:
            width, height = height, width
        return Opened(_to_plain(image), width / factor, height / factor)
    except UnsupportedType:
        raise
    except Exception as error:
        raise UndecodableImage(
            f"the {image.format or 'image'} of {len(data):,} bytes can't be decoded ({error}): "
            "it is truncated or damaged, send the file again, whole"
        ) from error


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise TooManyPixels(
            f"the image has {width}x{height} = {width * height:,} pixels, the limit (max_pixels) is "
            f"{limits.max_pixels:,}: scale it down or raise the limit"
        )


def apply_policy(image: Image.Image, policy: ImagePolicy) -> Pixels:
    """Fit a plain (L or RGB) image to the network: uint8 [height, width, channels]."""
    return fit_image(Opened(image, *image.size), policy)[0]


def fit_image(opened: Opened, policy: ImagePolicy) -> tuple[Pixels, Frame]:
    """What `apply_policy` gives, and the part of the image that it shows."""
    image = opened.image.convert("L" if policy.channels == 1 else "RGB")
    if policy.polarity != "any" and _is_light(_background(_gray_levels(image))) != (policy.polarity == "dark-on-light"):
        image = ImageOps.invert(image)
    frame = find_frame(Opened(image, opened.width, opened.height), policy)
    return _resize(image, frame, policy).reshape(policy.shape), frame


def find_frame(opened: Opened, policy: ImagePolicy) -> Frame:
    """The part of an image (of the polarity that the network expects) that `policy.fit` selects."""
    image, width, height = opened
    if policy.fit == "stretch":
        return Frame(0, 0, width, height)
    if policy.fit == "crop":
        return _crop_frame(width, height, policy)
    return _content_frame(image, policy)


def _crop_frame(width: float, height: float, policy: ImagePolicy) -> Frame:
    """The center of the image after its shorter side was scaled to size / crop_fraction, in the image's own pixels.

    In whole pixels of the scaled image, as resizing and then cropping has them: half a pixel decides close calls.
    """
    scale = max(policy.width / width, policy.height / height) / policy.crop_fraction
    scaled_width, scaled_height = round(width * scale), round(height * scale)
    left, top = round((scaled_width - policy.width) / 2), round((scaled_height - policy.height) / 2)
    across, down = width / scaled_width, height / scaled_height
    return Frame(left * across, top * down, (left + policy.width) * across, (top + policy.height) * down)


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


def _resize(image: Image.Image, frame: Frame, policy: ImagePolicy) -> Pixels:
    width, height = image.size
    left, top, right, bottom, fill = frame
    if left < 0 or top < 0 or right > width or bottom > height:  # only `content` reaches past the edges
        padded = Image.new(image.mode, (int(right - left), int(bottom - top)), (fill,) * len(image.getbands()))
        padded.paste(image, (-int(left), -int(top)))
        image, (left, top, right, bottom) = padded, (0, 0, *padded.size)
    box = (left, top, right, bottom)
    size = (policy.width, policy.height)
    if policy.resize == "bilinear":
        return _bilinear(np.asarray(image), box, size)
    method = Image.Resampling.BILINEAR if policy.resize == "antialias" else Image.Resampling.NEAREST
    return np.asarray(image.resize(size, method, box=box))


def _bilinear(source: Pixels, box: tuple[float, float, float, float], size: tuple[int, int]) -> Pixels:
    """tf.image.resize's bilinear without antialiasing: half-pixel centers, edges clamped, rounded to a level."""
    left, top, right, bottom = box
    (up, down, y), (west, east, x) = (
        _taps(top, bottom, size[1], source.shape[0]),
        _taps(left, right, size[0], source.shape[1]),
    )
    if source.ndim == 3:
        y, x = y[:, None, None], x[None, :, None]
    else:
        y, x = y[:, None], x[None, :]
    upper = source[up][:, west] * (1 - x) + source[up][:, east] * x
    lower = source[down][:, west] * (1 - x) + source[down][:, east] * x
    return np.rint(upper * (1 - y) + lower * y).astype(np.uint8)


def _taps(
    start: float, stop: float, count: int, length: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """For each of `count` outputs its two neighbors along one axis and the weight of the second."""
    center = start + (np.arange(count) + 0.5) * (stop - start) / count - 0.5
    floor = np.floor(center)
    first = np.clip(floor, 0, length - 1).astype(np.intp)
    second = np.clip(floor + 1, 0, length - 1).astype(np.intp)
    return first, second, (center - floor).astype(np.float32)


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


def _is_light(level: int) -> bool:
    return level > 127


def _reduce(image: Image.Image, policy: ImagePolicy, *, turned: bool) -> int:
    """Ask the JPEG decoder for a smaller image (DCT scaling) while its shorter side stays at least twice the target.

    Returns the factor; 1 where the image is too small for it or no JPEG. An image that will be turned is only divided
    evenly: its partial pixels would come to lie at the left or on top, where an extent can't tell.
    """
    width, height = image.size
    least = 2 * max(policy.width, policy.height)
    for factor in (8, 4, 2):
        even = width % factor == height % factor == 0
        if min(width, height) // factor >= least and (even or not turned):
            return factor if image.draft(None, (width // factor, height // factor)) is not None else 1
    return 1


def _to_plain(image: Image.Image) -> Image.Image:
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
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("L" if gray else "RGB")
    return image.convert("L" if mode == "1" else "RGB")


def _unidentified(data: bytes) -> UndecodableImage | UnsupportedType:
    """Name what the bytes are, where that tells the sender what to do."""
    head = data[:512].lstrip()
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis"):
        return UnsupportedType(
            f"HEIC images are not supported, only {SUPPORTED}: save it as JPEG "
            "(on an iPhone: Settings, Camera, Formats, Most Compatible)"
        )
    if head.startswith((b"<svg", b"<?xml")):
        return UnsupportedType(f"SVG drawings are not supported, only {SUPPORTED}: save it as PNG")
    if head.startswith(b"%PDF"):
        return UnsupportedType(f"PDF documents are not supported, only {SUPPORTED}: save the page as PNG")
    shown = data[:8].hex(" ")
    return UndecodableImage(
        f"{len(data):,} bytes beginning {shown} are no image of a supported type: send {SUPPORTED} files"
    )
