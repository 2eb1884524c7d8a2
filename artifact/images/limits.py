"""Limits of one encoded image. Apart from its decoding, whose libraries take a while to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one encoded image may cost: its bytes, its pixels, and the work that is neither.

    Encoders stay far below the last two: a 10 MB GIF has 40,000 blocks, a progressive JPEG of 50 million pixels goes
    over 700 million samples.
    """

    max_image_bytes: int = 10_000_000
    max_pixels: int = 50_000_000
    max_parts: int = 100_000
    """Segments, chunks, blocks, strips, boxes and frames of the file."""
    max_scanned: int = 1_000_000_000
    """Samples that the scans of a JPEG go over, all together."""
