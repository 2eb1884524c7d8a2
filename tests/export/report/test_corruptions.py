from __future__ import annotations

import numpy as np
import pytest

from artifact.figures.robustness import Corruption
from export.report.corruptions import DAMAGES, corrupt


def draw_squares(channels: int, size: int = 40) -> np.ndarray:
    """Four black images with a bright square in the middle."""
    images = np.zeros((4, size, size, channels), np.uint8)
    images[:, 12:28, 12:28] = 150
    return images


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", DAMAGES)
def test_each_strength_changes_more_and_the_same_way_every_time(name: Corruption, channels: int) -> None:
    images = draw_squares(channels)
    moved = []
    for amount in DAMAGES[name].amounts:
        changed = corrupt(images, name, amount)
        assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
        assert (changed == corrupt(images, name, amount)).all()
        moved.append(np.abs(changed.astype(int) - images).mean())
    assert 0 < moved[0] < moved[1] < moved[2]


def test_every_second_image_goes_the_other_way() -> None:
    images = draw_squares(1)
    dark, bright = corrupt(images, "brightness", 0.4)[:2, 20, 20, 0]
    assert (dark, bright) == (90, 210)
    small, large = (corrupt(images, "scale", 0.25)[:2] > 75).sum(axis=(1, 2, 3))
    assert (small, large) == (12 * 12, 20 * 20)
    left, right = corrupt(images, "rotation", 15)[:2].astype(int)
    assert np.abs(left - right[:, ::-1]).max() <= 1


def test_corners_take_the_color_of_the_edge() -> None:
    images = np.full((2, 20, 20, 3), (10, 20, 30), np.uint8)
    assert (corrupt(images, "rotation", 30) == images).all()
    assert (corrupt(images, "scale", 0.4) == images).all()


def test_noise_and_blur_are_as_strong_as_they_say() -> None:
    gray = np.full((3, 64, 64, 1), 128, np.uint8)
    assert corrupt(gray, "noise", 0.1).std() == pytest.approx(25.5, rel=0.03)
    edge = np.zeros((1, 100, 100, 1), np.uint8)
    edge[:, :, 50:] = 255
    # A blurred edge rises like the normal distribution: 16 to 84 % within one sigma on each side.
    row = corrupt(edge, "blur", 0.04)[0, 50, :, 0]
    assert np.count_nonzero((row > 0.16 * 255) & (row < 0.84 * 255)) == pytest.approx(8, abs=1)
