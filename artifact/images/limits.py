"""Limits of one encoded image. Apart from its decoding, whose libraries take a while to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one encoded image may cost."""

    max_image_bytes: int = 10_000_000
    max_pixels: int = 50_000_000
