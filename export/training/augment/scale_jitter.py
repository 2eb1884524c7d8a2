"""Scale jittering: a training sees another part of a photo, at another scale, than the service does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from artifact.image_policy import ImagePolicy
from artifact.images.fit import FindFrame
from artifact.images.frame import Frame, Opened


def jitter_scale(sides: Sequence[int], count: int, generator: np.random.Generator) -> list[FindFrame]:
    """For each of `count` images: its shorter side is resized to a length between the two of `sides`, in pixels, and
    the network's size cut out anywhere (Simonyan and Zisserman 2014, section 3.1). Resizing the cut alone is the same.

    The network's input must not be larger than the lesser of `sides`.
    """
    least, most = sides
    lengths = generator.integers(least, most + 1, count)
    places = generator.random((count, 2))
    return [partial(_cut_scaled, int(side), *place) for side, place in zip(lengths, places.tolist(), strict=True)]


def _cut_scaled(side: int, x: float, y: float, opened: Opened, policy: ImagePolicy) -> Frame:
    """`x` and `y` from 0 to 1 say where between the edges."""
    _, width, height = opened
    scale = side / min(width, height)
    across, down = policy.width / scale, policy.height / scale
    left, top = x * (width - across), y * (height - down)
    return Frame(left, top, min(left + across, width), min(top + down, height))  # the last bits might pass the edge
