"""Evidence drawn over the posted image: what the network didn't see is darkened, evidence for the class is bright."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from app.explain.evidence import EvidenceMap

LONGEST_SIDE = 1024
# A 28 x 28 digit would be tiny on a screen: small images are enlarged to at least this.
_LEAST_SIDE = 256
# From no evidence to the strongest: dark violet over red to light yellow (as inferno), readable in gray and for
# those who don't tell red from green.
_COLORS = np.array([(20, 11, 52), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float32)
_OUTSIDE_BRIGHTNESS = 0.45
_OPACITY = 0.65  # of the strongest evidence


def fit_for_display(image: Image.Image) -> Image.Image:
    """RGB with the longest side between 256 and 1,024 pixels."""
    longest = max(image.size)
    scale = min(LONGEST_SIDE, max(_LEAST_SIDE, longest)) / longest
    if scale != 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR
        image = image.resize(size, method, reducing_gap=2.0 if scale < 1 else None)
    return image.convert("RGB")


def draw_evidence(
    image: Image.Image, evidence: EvidenceMap, rectangle: tuple[float, float, float, float]
) -> Image.Image:
    """`image` (RGB) with `evidence`, float32 [rows, columns] of 0..1, over its `rectangle` (left, top, right, bottom as
    fractions of width and height).
    """
    width, height = image.size
    left, top, right, bottom = (
        share * side for share, side in zip(rectangle, (width, height, width, height), strict=True)
    )
    # The visible part of the rectangle, in whole pixels: frames around ink reach past the edges.
    x0, y0 = max(0, round(left)), max(0, round(top))
    x1, y1 = max(x0 + 1, min(width, round(right))), max(y0 + 1, min(height, round(bottom)))
    rows, columns = evidence.shape
    across, down = columns / (right - left), rows / (bottom - top)
    box = (
        max(0.0, (x0 - left) * across),
        max(0.0, (y0 - top) * down),
        min(float(columns), (x1 - left) * across),
        min(float(rows), (y1 - top) * down),
    )
    enlarged = Image.fromarray(evidence).resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC, box=box)
    level = np.clip(np.asarray(enlarged), 0, 1)
    pixels = np.asarray(image, np.float32)
    drawn = pixels * _OUTSIDE_BRIGHTNESS
    opacity = (_OPACITY * np.sqrt(level))[..., None]
    drawn[y0:y1, x0:x1] = pixels[y0:y1, x0:x1] * (1 - opacity) + colorize(level) * opacity
    result = Image.fromarray(np.rint(drawn).astype(np.uint8))
    if (x0, y0, x1, y1) != (0, 0, width, height):
        ImageDraw.Draw(result).rectangle((x0, y0, x1 - 1, y1 - 1), outline="white")
    return result


def colorize(level: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Levels 0..1 of any shape to colors [..., 3] of 0..255."""
    stops = np.linspace(0, 1, len(_COLORS))
    return np.stack([np.interp(level, stops, _COLORS[:, channel]) for channel in range(3)], -1).astype(np.float32)


def encode_png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
