"""How sure a share is that was counted on so many images."""

from __future__ import annotations

_Z_95 = 1.96


def find_interval(share: float, images: int, z: float = _Z_95) -> tuple[float, float]:
    """The interval of a share of `images`, 95 % unless `z` standard deviations are asked for (Wilson 1927)."""
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * (share * (1 - share) / images + z**2 / (4 * images**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
