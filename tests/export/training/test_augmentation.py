from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from artifact.image_policy import ImagePolicy
from export.errors import UsageError
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


def test_pca_noise_shifts_all_pixels_of_an_image_alike_mostly_in_brightness() -> None:
    images = np.full((500, 2, 3, 3), 128, dtype=np.uint8)
    shifts = Augmentation(pca_noise=0.1).apply(images, np.random.default_rng(0)).astype(float) - 128
    assert (shifts == shifts[:, :1, :1]).all()
    # The largest component is gray light, of 0.1 x 55.46 levels over all channels; whole levels add their rounding.
    variances, directions = np.linalg.eigh(np.cov(shifts[:, 0, 0].T))
    assert np.sqrt(variances[2]) == pytest.approx(5.546, rel=0.1)
    np.testing.assert_allclose(np.abs(directions[:, 2]), [0.5675, 0.5808, 0.5836], atol=0.02)


@pytest.mark.parametrize(
    ("augmentation", "channels", "complaint"),
    [
        (Augmentation(pca_noise=0.1), 1, r"augmentation.pca_noise = 0.1 is for RGB images, these are gray: set"),
        (Augmentation(scale_jitter=(19, 40)), 3, r"= \[19, 40\]: .* 10x20 .* from a side of 19: use 20 or more"),
    ],
)
def test_what_cannot_be_done_to_the_images_is_refused(
    augmentation: Augmentation, channels: Literal[1, 3], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        augmentation.check(ImagePolicy(height=10, width=20, channels=channels))
    Augmentation(pca_noise=0.1, scale_jitter=(20, 20)).check(ImagePolicy(height=10, width=20, channels=3))


@pytest.mark.parametrize("channels", [1, 3])
def test_changes_depend_on_the_generator_alone_and_leave_the_originals(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 12, 10, channels), dtype=np.uint8)
    kept = images.copy()
    every = Augmentation(
        flip=True,
        crop_padding=2,
        color=0.3,
        rotate=10,
        zoom=0.1,
        sharpness=True,
        random_resized_crop=0.5,
        rand_augment=2,
        rand_augment_magnitude=9,
        random_erasing=0.5,
    )
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
