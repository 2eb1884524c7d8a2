from __future__ import annotations

import numpy as np
import pytest

from artifact.card import Training
from export.data.holdout import hold_out, split_folds, split_images, validation_images
from export.errors import DataError


@pytest.mark.parametrize("seed", range(20))
def test_three_images_of_a_class_go_one_each_way(seed: int) -> None:
    labels = np.repeat(np.arange(30), 3)
    draws = np.random.default_rng(seed).random(len(labels))
    tested = hold_out(draws, labels, 0.2, leave=2)
    assert (np.bincount(labels[tested], minlength=30) == 1).all()
    rest = labels[~tested]
    training, validation = split_images(rest, 0.1, seed)
    assert (np.bincount(rest[training], minlength=30) == 1).all()
    assert (np.bincount(rest[validation], minlength=30) == 1).all()


@pytest.mark.parametrize(("count", "least", "most"), [(1, 0, 0), (2, 1, 1), (4, 1, 2), (10, 1, 3), (100, 10, 30)])
def test_a_class_holds_out_about_its_share(count: int, least: int, most: int) -> None:
    for seed in range(50):
        draws = np.random.default_rng(seed).random(count)
        assert least <= hold_out(draws, np.zeros(count, np.int64), 0.2, leave=2).sum() <= most


def test_large_classes_are_split_by_their_draws_alone() -> None:
    draws = np.random.default_rng(0).random(2000)
    np.testing.assert_array_equal(hold_out(draws, np.arange(2000) % 4, 0.1, leave=1), draws < 0.1)


def test_the_seed_makes_the_validation_images() -> None:
    labels = np.arange(60) % 6
    one, same, other = (split_images(labels, 0.1, seed)[1].tolist() for seed in (1, 1, 2))
    assert one == same != other


def test_folds_hold_every_image_once_and_of_each_class_equally_many() -> None:
    labels = np.repeat(np.arange(3), [4, 11, 30])
    folds = split_folds(labels, 4, seed=1)
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(45))
    counts = np.stack([np.bincount(labels[fold], minlength=3) for fold in folds])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
    assert [fold.tolist() for fold in split_folds(labels, 4, seed=1)] == [fold.tolist() for fold in folds]


def test_a_record_says_which_images_its_training_held_back_unless_the_set_has_changed() -> None:
    labels = np.arange(600) % 6
    kept, held_back = split_images(labels, 0.2, seed=3)
    training = Training(
        dataset="shapes",
        images=len(kept),
        validation_images=len(held_back),
        epochs=1,
        seed=3,
        recipe={"validation_share": 0.2},
        seconds=1,
        backend="none",
    )
    np.testing.assert_array_equal(validation_images(labels, training, "first"), held_back)
    with pytest.raises(DataError, match=r"changed since first was trained \(594 training images now, 600 then"):
        validation_images(labels[:-6], training, "first")
