from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from export.training.augment import affine
from export.training.augmentation import Augmentation


@pytest.mark.parametrize("shape", [(28, 28, 1), (17, 30, 3), (200, 240, 3)])
def test_every_pixel_is_pillows_within_the_level_that_it_cuts_off(shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (9, *shape), dtype=np.uint8)
    matrices = Augmentation(rotate=60, zoom=0.4)._draw_matrices(images, random)
    matrices[0] = (1, 0, 0.25, 0, 1, -3.5)
    transformed = affine.transform(images, matrices)
    for image, matrix, found in zip(images, matrices, transformed, strict=True):
        pillow = Image.fromarray(image.squeeze()).transform(
            shape[1::-1], Image.Transform.AFFINE, tuple(matrix), Image.Resampling.BILINEAR
        )
        difference = found.astype(int) - np.asarray(pillow).reshape(shape)
        # A place on the very edge of the image is inside for the one and outside for the other.
        off = (difference < 0) | (difference > 1)
        assert off.sum() <= 3 * shape[2], matrix


def test_the_identity_leaves_images_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(affine.transform(images, np.tile([1.0, 0, 0, 0, 1, 0], (300, 1))), images)


def test_each_image_is_transformed_by_its_own_row_however_many_are_taken_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (7, 6, 6, 1), dtype=np.uint8)
    matrices = Augmentation(rotate=90)._draw_matrices(images, random)
    whole = affine.transform(images, matrices)
    for together in (1, 100):
        monkeypatch.setattr(affine, "_VALUES", together)
        np.testing.assert_array_equal(affine.transform(images, matrices), whole)


def test_what_is_read_outside_the_image_is_black() -> None:
    images = np.full((1, 4, 4, 1), 200, np.uint8)
    found = affine.transform(images, np.float64([[1, 0, 2, 0, 1, 0]]))
    assert found[0, :, :, 0].tolist() == [[200, 200, 0, 0]] * 4
