"""Intervals of shares, and the words for them."""

import pytest

from artifact.figures.interval import describe_share, find_interval


def test_the_interval_is_wilsons() -> None:
    assert find_interval(0.48, 300) == pytest.approx((0.4241, 0.5364), abs=1e-4)
    assert find_interval(1.0, 20) == pytest.approx((0.8389, 1.0), abs=1e-4)


@pytest.mark.parametrize(
    ("share", "images", "words"),
    [
        (0.48, 300, "48 % (42 to 54 %, from 300 images)"),
        (0.9912, 10_000, "99.1 % (98.9 to 99.3 %, from 10,000 images)"),
        (0.99996, 50_000, "99.99 % (99.99 to 100.00 %, from 50,000 images)"),
        (0.999, 1_000, "99.9 % (99.4 to 100.0 %, from 1,000 images)"),
        (0.0, 1, "0 % (0 to 79 %, from 1 image)"),
        (1.0, 360, "100.0 % (98.9 to 100.0 %, from 360 images)"),
    ],
)
def test_a_share_is_said_with_no_more_digits_than_its_images_allow(share: float, images: int, words: str) -> None:
    assert describe_share(share, images) == words
