"""Encoded bytes to the uint8 array that a network expects: limits, color, and the declared image policy.

Training, proof, evaluation and serving all come through here, so that every one of them sees the same pixels.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Pillow registers these formats only when their plugins are imported.
from PIL import AvifImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401  # isort: skip

from artifact.card import ImagePolicy
from artifact.errors import EmptyBody, ImageTooLarge, TooManyPixels, UndecodableImage, UnsupportedType
from artifact.images.fit import fit_image
from artifact.images.formats import FORMATS, SUPPORTED
from artifact.images.frame import Opened, Pixels
from artifact.images.limits import Limits
from artifact.images.plain import decode_plain, find_plain

# Pillow's own guard warns at one limit and raises at another; ours is checked from the header, before any decoding.
Image.MAX_IMAGE_PIXELS = None

_ORIENTATION = 0x0112  # the EXIF tag
_EXCHANGED = 5  # from this orientation on, width and height are

# Up to here an image is decoded sooner than a thread has woken up.
SMALL_PIXELS = 64 * 64
SMALL_BYTES = 65_536  # it may hold other things than pixels


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
        image: Image.Image = Image.open(io.BytesIO(data), formats=list(FORMATS))
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
