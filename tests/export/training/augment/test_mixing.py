"""By hand: a generator that is a script gives the share, the partners and the middle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from export.training.augment.mixing import cutmix, mixup
from export.training.augmentation import Augmentation


class Script:
    """What a np.random.Generator is asked here, answered with numbers that a reader can follow."""

    def __init__(self, share: float, partners: list[int], middle: tuple[int, ...] = (), chance: float = 0.0) -> None:
        self.share, self.partners, self.middle, self.chance = share, partners, list(middle), chance
        self.asked: list[float] = []

    def beta(self, a: float, b: float) -> float:
        self.asked += [a, b]
        return self.share

    def permutation(self, count: int) -> Any:
        assert count == len(self.partners)
        return np.array(self.partners)

    def integers(self, high: int) -> int:
        assert self.middle[0] < high
        return self.middle.pop(0)

    def random(self) -> float:
        return self.chance


def batch(height: int = 1, width: int = 1) -> tuple[Any, Any]:
    """Three images, all 0, 10 and 20, of the classes 0, 2 and 1."""
    x = np.float32([0, 10, 20])[:, None, None, None] * np.ones((1, height, width, 1), np.float32)
    return x, np.eye(3, dtype=np.float32)[[0, 2, 1]]


def test_mixup_is_one_sum_of_images_and_of_targets() -> None:
    script: Any = Script(0.75, [1, 2, 0])
    x, targets = mixup(*batch(), 0.2, script)
    assert script.asked == [0.2, 0.2]
    np.testing.assert_array_equal(x.ravel(), [2.5, 12.5, 15])
    np.testing.assert_array_equal(targets, [[0.75, 0, 0.25], [0, 0.25, 0.75], [0.25, 0.75, 0]])
    assert (x.dtype, targets.dtype) == (np.float32, np.float32)


def test_cutmix_takes_a_rectangle_of_the_partner_and_its_area_of_the_target() -> None:
    # Sides are the root of a quarter: 4 of 8 rows about row 3, 5 of 10 columns about column 5.
    script: Any = Script(0.75, [1, 2, 0], middle=(3, 5))
    before, labels = batch(8, 10)
    x, targets = cutmix(before, labels, 1.0, script)
    expected = np.zeros((8, 10))
    expected[1:5, 3:8] = 10
    np.testing.assert_array_equal(x[0, :, :, 0], expected)
    np.testing.assert_array_equal(x[1, :, :, 0], 10 + expected)
    np.testing.assert_array_equal(x[2, :, :, 0], 20 - 2 * expected)
    np.testing.assert_array_equal(targets, [[0.75, 0, 0.25], [0, 0.25, 0.75], [0.25, 0.75, 0]])
    np.testing.assert_array_equal(before, batch(8, 10)[0])


def test_what_cutmix_s_rectangle_loses_at_the_edge_is_not_counted() -> None:
    script: Any = Script(0.75, [1, 2, 0], middle=(0, 9))  # 2 rows and 3 columns are left within the image
    x, targets = cutmix(*batch(8, 10), 1.0, script)
    expected = np.zeros((8, 10))
    expected[:2, 7:] = 10
    np.testing.assert_array_equal(x[0, :, :, 0], expected)
    np.testing.assert_allclose(targets[0], [74 / 80, 0, 6 / 80], rtol=1e-6)


def test_an_image_of_its_own_class_keeps_its_target() -> None:
    script: Any = Script(0.3, [0, 1, 2])
    x, targets = mixup(*batch(), 0.2, script)
    np.testing.assert_allclose(targets, batch()[1])
    np.testing.assert_allclose(x, batch()[0], rtol=1e-6)


@pytest.mark.parametrize(("mixup", "cutmix", "chance", "cut"), [(1, 1, 0.4, 1), (1, 1, 0.6, 0), (0, 1, 0.9, 1)])
def test_of_both_a_batch_takes_one_by_even_chance(mixup: float, cutmix: float, chance: float, cut: bool) -> None:
    script: Any = Script(0.75, [1, 2, 0], middle=(3, 5), chance=chance)
    x, _ = Augmentation(mixup=mixup, cutmix=cutmix).mix(*batch(8, 10), script)
    assert (len(np.unique(x[0])) == 2) == cut


def test_without_either_nothing_is_mixed() -> None:
    x, targets = batch()
    assert Augmentation().mix(x, targets, np.random.default_rng(0)) == (x, targets)


def test_shares_are_beta_s() -> None:
    generator = np.random.default_rng(0)
    shares = [mixup(*batch(), 0.2, generator)[1].max() for _ in range(500)]
    assert np.mean(np.array(shares) > 0.9) > 0.55  # Beta(0.2, 0.2) is at its ends
