from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from artifact.image_policy import ImagePolicy
from artifact.images.frame import Frame, Opened
from export.data.preprocessing import preset
from export.data.samples import ArraySamples
from export.errors import UsageError
from export.training.augment.crops import draw_crops
from export.training.augmentation import Augmentation
from export.training.batches import Batches

POLICY = ImagePolicy(height=12, width=16, channels=3, fit="crop")


def crop(width: int, height: int, least: float, count: int = 500) -> list[Frame]:
    opened = Opened(Image.new("RGB", (width, height)), width, height)
    return [find(opened, POLICY) for find in draw_crops(count, least, np.random.default_rng(0))]


@pytest.mark.parametrize("least", [0.08, 0.5])
def test_crops_lie_inside_and_are_of_at_least_their_share_and_shape(least: float) -> None:
    frames = crop(120, 90, least)
    wide = np.array([frame.right - frame.left for frame in frames])
    high = np.array([frame.bottom - frame.top for frame in frames])
    assert all(frame.left >= 0 and frame.top >= 0 and frame.right <= 120 and frame.bottom <= 90 for frame in frames)
    shares = wide * high / (120 * 90)
    assert least - 0.01 <= shares.min() <= least + 0.01
    assert shares.max() > 0.85
    assert wide / high == pytest.approx(1, abs=0.4)
    assert np.ptp([frame.left for frame in frames]) > 40


def test_where_no_crop_fits_it_is_the_largest_in_the_middle() -> None:
    assert crop(100, 10, 0.9, 3) == [Frame(43, 0, 56, 10)] * 3
    assert crop(10, 100, 0.9, 3) == [Frame(0, 43, 10, 56)] * 3


def test_a_training_sees_the_crop_of_the_whole_image_resized_as_the_service_resizes() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 60, 80, 3), dtype=np.uint8)
    augmentation = Augmentation(random_resized_crop=0.3)
    batches = Batches(
        ArraySamples(images, np.arange(4)),
        np.arange(4),
        4,
        POLICY,
        preset("unit", 3),
        4,
        augmentation=augmentation,
        seed=5,
    )
    x, y = batches[0]
    generator = np.random.default_rng((5, 0, 0))
    for row, target, find in zip(x, y, draw_crops(4, 0.3, generator), strict=True):
        image = Image.fromarray(images[target.argmax()])
        box = find(Opened(image, 80, 60), POLICY)[:4]
        expected = np.asarray(image.resize((16, 12), Image.Resampling.BILINEAR, box=box))
        assert np.abs(row * 255 - expected).max() <= 1


def test_two_ways_to_choose_the_part_that_is_shown_are_refused() -> None:
    with pytest.raises(UsageError, match="both choose the part of an image"):
        Augmentation(random_resized_crop=0.08, scale_jitter=(16, 32)).check(POLICY)
