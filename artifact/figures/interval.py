"""The confidence interval of a share that was counted on a number of images."""

from __future__ import annotations

_Z_95 = 1.96


def find_interval(share: float, images: int, z: float = _Z_95) -> tuple[float, float]:
    """The interval of a share of `images`, 95 % unless `z` standard deviations are asked for (Wilson 1927)."""
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    margin = z / (1 + z**2 / images) * (share * (1 - share) / images + z**2 / (4 * images**2)) ** 0.5
    return max(0.0, middle - margin), min(1.0, middle + margin)


def describe_share(share: float, images: int) -> str:
    """For people: `48 % (42 to 54 %, from 300 images)`, the 95 % interval, with no more digits than it allows."""
    return f"{describe_interval(share, images)[:-1]}, from {images:,} image{'s' * (images != 1)})"


def describe_interval(share: float, images: int) -> str:
    """`48 % (42 to 54 %)`: the same where the number of images stands elsewhere."""
    low, high = find_interval(share, images)
    digits = next(digits for digits, least in ((0, 0.04), (1, 0.002), (2, 0.0)) if high - low >= least)
    numbers = [f"{100 * value:.{digits}f}" for value in (share, low, high)]
    # Rounding must not make a perfect score of one that isn't: 99.996 % is 99.99 %.
    if share < 1 and float(numbers[0]) == 100:
        numbers[0] = f"{100 - 10.0**-digits:.{digits}f}"
    return f"{numbers[0]} % ({numbers[1]} to {numbers[2]} %)"
