from __future__ import annotations

import numpy as np

from export.training.augment.erasing import erase


def test_a_share_of_the_images_loses_a_rectangle_of_noise() -> None:
    images = np.full((400, 30, 30, 3), 7, np.uint8)
    found = erase(images, 0.25, np.random.default_rng(0))
    assert (images == 7).all()
    changed = (found != 7).any(axis=3)
    hit = np.flatnonzero(changed.any(axis=(1, 2)))
    assert 70 < len(hit) < 130
    shares = []
    for image in changed[hit]:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        inside = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert inside.mean() > 0.98  # noise may be the level that was there
        shares.append(inside.size / 900)
    assert 0.01 < min(shares) < 0.06
    assert 0.28 < max(shares) < 0.35
    levels = found[changed]
    assert abs(levels.mean() - 127.5) < 3
    assert abs(levels.std() - 73.9) < 2
    assert (levels[:, 0] != levels[:, 1]).mean() > 0.98


def test_none_and_all() -> None:
    images = np.zeros((20, 16, 16, 1), np.uint8)
    assert not erase(images, 0, np.random.default_rng(0)).any()
    assert erase(images, 1, np.random.default_rng(0)).any(axis=(1, 2, 3)).all()
