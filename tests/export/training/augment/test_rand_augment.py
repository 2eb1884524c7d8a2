from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from export.training.augment.rand_augment import OPERATIONS, rand_augment

# torchvision.transforms.RandAugment's.
NAMES = """Identity ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness Posterize Solarize
AutoContrast Equalize"""


def run(name: str, pixels: Any, magnitude: int) -> Any:
    return np.asarray(OPERATIONS[name](Image.fromarray(np.uint8(pixels)), magnitude))


def test_the_operations_are_torchvision_s_in_its_order() -> None:
    assert [name.replace("-", "") for name in OPERATIONS] == NAMES.lower().split()


def test_what_magnitude_9_of_torchvision_does() -> None:
    levels = np.arange(256).reshape(16, 16)
    bright = run("brightness", levels, 9)
    np.testing.assert_allclose(bright, np.minimum(levels * 1.27, 255), atol=1)
    np.testing.assert_allclose(run("brightness", levels, -9), levels * 0.73, atol=1)
    np.testing.assert_allclose(run("contrast", levels, -9), 128 + (levels - 128) * 0.73, atol=1)
    np.testing.assert_array_equal(run("posterize", levels, 9), levels & 0b11111110)
    np.testing.assert_array_equal(run("posterize", levels, 30), levels & 0b11110000)
    # Its threshold there is 178.5.
    np.testing.assert_array_equal(run("solarize", levels, -9), np.where(levels < 178.5, levels, 255 - levels))
    np.testing.assert_array_equal(run("solarize", levels, 30), 255 - levels)
    np.testing.assert_array_equal(run("identity", levels, 9), levels)
    np.testing.assert_array_equal(run("auto-contrast", levels // 2, 9), np.uint8(levels // 2 * 255 / 127))


def test_moves_read_from_where_torchvision_reads() -> None:
    image = np.random.default_rng(0).integers(1, 256, (40, 60))
    # 150/331 of 60 and 40 pixels, times 9/30: 8.2 and 5.4.
    right, up = run("translate-x", image, 9), run("translate-y", image, -9)
    np.testing.assert_array_equal(right[:, 8:], image[:, :-8])
    np.testing.assert_array_equal(up[:-5], image[5:])
    assert (right[:, :8] == 0).all()
    assert (up[-5:] == 0).all()
    # A row at y is read 0.09 (y + 0.5) to the right.
    sheared = run("shear-x", image, 9)
    np.testing.assert_array_equal(sheared[0, :-1], image[0, :-1])
    np.testing.assert_array_equal(sheared[39, :-4], image[39, 4:])
    np.testing.assert_array_equal(run("shear-y", image.T, 9), sheared.T)
    np.testing.assert_array_equal(run("rotate", image, 9), np.asarray(Image.fromarray(np.uint8(image)).rotate(9)))


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_takes_operations_of_its_own(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 12, 16, channels), dtype=np.uint8)
    found = rand_augment(image.repeat(300, axis=0), 1, 9, np.random.default_rng(0))
    assert (found.shape, found.dtype) == ((300, 12, 16, channels), np.uint8)
    kinds = len({one.tobytes() for one in found})
    # 9 of 14 have two directions; of gray images color changes nothing.
    assert 18 <= kinds <= 23
    untouched = (found == image).all(axis=(1, 2, 3)).mean()
    assert 0.03 < untouched < 0.25
