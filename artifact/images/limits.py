"""Limits of one encoded image. A module of its own, since the decoders take long to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of one encoded image: bytes, pixels, and work that depends on neither.

    Encoders stay far below the last two: a 10 MB GIF has 40,000 blocks, a progressive JPEG of 50 million pixels goes
    over 700 million samples.
    """

    max_image_bytes: int = 10_000_000
    max_pixels: int = 50_000_000
    max_parts: int = 100_000
    """Segments, chunks, blocks, strips, boxes and frames of the file."""
    max_scanned: int = 1_000_000_000
    """Samples that the scans of a JPEG go over, all together."""
