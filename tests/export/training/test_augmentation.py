from __future__ import annotations

import numpy as np
import pytest

from export.training.augmentation import Augmentation


def test_no_augmentation_leaves_pixels_alone() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 9, 9, 1), dtype=np.uint8)
    np.testing.assert_array_equal(Augmentation().apply(images, np.random.default_rng(0)), images)


def test_shifts_move_whole_images_and_fill_with_black() -> None:
    images = np.full((50, 6, 6, 1), 9, dtype=np.uint8)
    shifted = Augmentation(crop_padding=2).apply(images, np.random.default_rng(0))
    assert shifted.shape == images.shape
    assert set(np.unique(shifted)) == {0, 9}
    assert (shifted[:, 2:4, 2:4] == 9).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_changes_depend_on_the_generator_alone_and_leave_the_originals(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 12, 10, channels), dtype=np.uint8)
    kept = images.copy()
    every = Augmentation(flip=True, crop_padding=2, color=0.3, rotate=10, zoom=0.1, sharpness=True)
    once, again, other = (every.apply(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()
    assert (once.shape, once.dtype) == (images.shape, np.uint8)
    np.testing.assert_array_equal(images, kept)


def test_a_turn_stays_within_its_degrees_and_goes_both_ways() -> None:
    line = np.zeros((200, 41, 41, 1), np.uint8)
    line[:, 20, :] = 255
    turned = Augmentation(rotate=20).apply(line, np.random.default_rng(0))
    heights = np.abs(turned[:, :, 35, 0].argmax(axis=1) - 20)  # 15 pixels from the middle
    assert heights.max() <= round(15 * (np.tan(np.radians(20)) + np.tan(np.radians(10)))) + 1
    ends = turned[:, :, 35, 0].argmax(axis=1)
    assert (ends < 20).any()
    assert (ends > 20).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_sharpness_maps_the_levels_of_all_channels_by_one_rising_curve(channels: int) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8), channels).reshape(16, 16, channels)
    found = Augmentation(sharpness=True).apply(np.stack([ramp] * 40), np.random.default_rng(0))
    plain = [image for image in found if (np.diff(image.reshape(256, channels).astype(int), axis=0) >= 0).all()]
    assert len(plain) >= 5  # those whose strokes were left as they are
    for image in plain:
        assert (image == image[..., :1]).all()
