"""Digits as people draw them: dark ink on white paper, any size, any margin. For measuring what visitors will see."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from artifact.images.frame import Pixels


def redraw(digits: Pixels, seed: int) -> list[tuple[bytes, str]]:
    """Each light-on-dark uint8 [n, h, w] digit as a PNG of 20 to 600 pixels, pasted somewhere on a white page.

    Every second one is drawn with hard edges, as with a mouse; the others with soft ones, as scanned.
    """
    generator = np.random.default_rng(seed)
    return [(_page(digit, generator, hard=index % 2 == 1), ".png") for index, digit in enumerate(digits)]


def _page(digit: Pixels, generator: np.random.Generator, *, hard: bool) -> bytes:
    size = int(generator.integers(20, 401))
    ink = Image.fromarray(255 - digit).resize((size, size), Image.Resampling.BICUBIC)
    if hard:
        ink = ink.point([255 * (level > 127) for level in range(256)])
    left, top, right, bottom = (int(margin) for margin in generator.integers(0, 101, 4))
    page = Image.new("L", (left + size + right, top + size + bottom), 255)
    page.paste(ink, (left, top))
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()
