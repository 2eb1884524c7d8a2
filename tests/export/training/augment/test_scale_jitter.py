from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifact.image_policy import ImagePolicy
from artifact.images.frame import Opened
from export.data.preprocessing import preset
from export.data.samples import ArraySamples, FileSamples, Samples, cut_samples
from export.training.augment.scale_jitter import jitter_scale
from export.training.augmentation import Augmentation
from export.training.batches import Batches

POLICY = ImagePolicy(height=20, width=20, channels=3, fit="crop")


def ramp(width: int, height: int) -> np.ndarray:
    """RGB: red rises by 2 a pixel to the right, green by 2 a pixel downwards."""
    x, y = np.meshgrid(2 * np.arange(width), 2 * np.arange(height))
    return np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)


def test_a_cut_has_the_drawn_scale_and_lies_anywhere_in_the_image() -> None:
    whole = Opened(Image.fromarray(ramp(100, 50)), 100, 50)
    frames = [find(whole, POLICY) for find in jitter_scale((25, 50), 4000, np.random.default_rng(0))]
    sides = np.array([frame.right - frame.left for frame in frames])
    np.testing.assert_allclose([frame.bottom - frame.top for frame in frames], sides)
    # A shorter side of 50 resized to S leaves 20 of S pixels: 20 to 40 of the image's own.
    lengths = np.round(20 * 50 / sides, 9)
    assert set(lengths) == set(range(25, 51))
    for low, high, extent in (("left", "right", 100), ("top", "bottom", 50)):
        begins, ends = (np.array([getattr(frame, name) for frame in frames]) for name in (low, high))
        assert begins.min() >= 0
        assert ends.max() <= extent
        places = begins / (extent - sides)
        assert np.quantile(places, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.05)


@pytest.mark.parametrize("kind", ["array", "files"])
def test_a_cut_shows_the_image_s_own_pixels_where_the_scale_is_one(kind: str, tmp_path: Path) -> None:
    images = np.stack([ramp(60, 40)] * 30)
    samples: Samples = ArraySamples(images, np.zeros(30))
    if kind == "files":
        Image.fromarray(images[0]).save(tmp_path / "ramp.png")
        samples = FileSamples([tmp_path / "ramp.png"] * 30, np.zeros(30))
    cuts = cut_samples(samples, np.arange(30), POLICY, jitter_scale((40, 40), 30, np.random.default_rng(0)))
    assert (cuts.shape, cuts.dtype) == ((30, 20, 20, 3), np.uint8)
    slopes = np.diff(cuts.astype(int), axis=2)[..., 0]
    assert (abs(slopes - 2) <= 1).all()  # whole levels between two pixels
    assert np.ptp(cuts[:, 0, 0, 0]) > 40


def test_batches_are_cut_by_seed_epoch_and_batch_and_validation_is_not() -> None:
    samples = ArraySamples(np.stack([ramp(60, 40)] * 8), np.zeros(8))

    def batch(seed: int | None, epoch: int = 0) -> np.ndarray:
        augmentation = Augmentation(scale_jitter=(30, 40))
        common = (samples, np.arange(8), 1, POLICY, preset("unit", 3), 8)
        return Batches(*common, augmentation=augmentation, seed=seed, epoch=epoch)[0][0]

    np.testing.assert_array_equal(batch(0), batch(0))
    assert (batch(0) != batch(1)).any()
    assert (batch(0) != batch(0, epoch=1)).any()
    np.testing.assert_array_equal(batch(None)[0], batch(None)[1])
