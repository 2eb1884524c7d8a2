"""That a batch is a function of seed, epoch and number, and what is in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from artifact.card import NetworkInfo
from artifact.image_policy import ImagePolicy
from export.data.datasets import DataSet
from export.data.preprocessing import preset
from export.data.samples import ArraySamples
from export.training.augmentation import Augmentation
from export.training.batches import Batches
from export.training.checkpoint import Checkpoint, State
from export.training.initial.initial_network import InitialNetwork
from export.training.recipes.recipe import Recipe
from export.training.train import train

POLICY = ImagePolicy(height=12, width=12, channels=3)
EVERY = Augmentation(
    flip=True,
    crop_padding=2,
    color=0.3,
    pca_noise=0.1,
    rotate=10,
    zoom=0.1,
    sharpness=True,
    random_resized_crop=0.3,
    rand_augment=2,
    rand_augment_magnitude=9,
    random_erasing=0.5,
    mixup=0.2,
    cutmix=1.0,
)


def noise(counts: list[int], seed: int = 0) -> ArraySamples:
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 12, 12, 3), dtype=np.uint8)
    return ArraySamples(images, labels)


def build() -> keras.Model:
    image = keras.Input(POLICY.shape, name="image")
    return keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(image)))


INITIAL = InitialNetwork(
    NetworkInfo(name="small", origin="convserve", parameters=0, weights="trained"), POLICY, build, preset("unit", 3)
)


class _Killed(BaseException):
    """Stands for kill -9."""


def record(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, int], Any]:
    """What training batches hold, by epoch and number, as they are made."""
    seen: dict[tuple[int, int], Any] = {}
    make = Batches.__getitem__

    def make_and_keep(self: Batches, batch: int) -> tuple[Any, ...]:
        found = make(self, batch)
        if self.seed is not None:
            seen[self.epoch, batch] = found
        return found

    monkeypatch.setattr(Batches, "__getitem__", make_and_keep)
    return seen


@pytest.mark.parametrize("balance", ["class_weights", "balanced_sampling"])
def test_a_resumed_training_sees_the_very_batches_of_an_uninterrupted_one(
    balance: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe("small", "noise", epochs=3, batch_size=8, augmentation=EVERY, **{balance: True})  # type: ignore[arg-type]
    dataset = DataSet("noise", tuple("abc"), POLICY, noise([20, 10, 5]), noise([5, 5, 5], seed=1), "none")
    seen = record(monkeypatch)
    train(recipe, dataset, tmp_path / "whole", initial=INITIAL, seed=5)
    whole = {key: seen.pop(key) for key in list(seen)}
    write = Checkpoint.write

    def write_and_die(self: Checkpoint, model: keras.Model, state: State) -> None:
        write(self, model, state)
        if state.epoch == 1:
            raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "write", write_and_die)
        with pytest.raises(_Killed):
            train(recipe, dataset, tmp_path / "killed", initial=INITIAL, seed=5)
    killed = {key: seen.pop(key) for key in list(seen)}
    train(recipe, dataset, tmp_path / "killed", initial=INITIAL, seed=5)
    steps = {(epoch, batch) for epoch in range(3) for batch in range(4)}
    assert list(whole) == sorted(whole)
    assert list(seen) == sorted(seen)
    assert steps <= whole.keys()
    assert {key for key in steps if key[0] > 0} <= seen.keys()
    for key in steps:
        for one, other in zip(whole[key], (killed | seen)[key], strict=True):
            np.testing.assert_array_equal(one, other)
    assert len({whole[key][0].tobytes() for key in steps}) == len(steps)


def test_every_choice_depends_on_the_seed_too() -> None:
    samples = noise([6, 6, 6])
    first, again, other = (
        Batches(samples, np.arange(18), 3, POLICY, preset("unit", 3), 18, augmentation=EVERY, seed=seed)[0]
        for seed in (1, 1, 2)
    )
    for one, same, another in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert (one != another).any()


def test_validation_and_prediction_are_neither_changed_nor_mixed() -> None:
    samples = noise([3, 3, 3])
    x, y = Batches(samples, np.arange(9), 3, POLICY, preset("unit", 3), 9, augmentation=EVERY)[0]
    np.testing.assert_allclose(x * 255, samples.images, rtol=1e-5)
    np.testing.assert_array_equal(y, np.eye(3)[samples.labels])


def test_the_weight_of_a_mixed_image_is_that_of_its_parts() -> None:
    samples = noise([4, 4, 4])
    weights = np.float32([1, 10, 100])
    mixed = Augmentation(mixup=1.0)
    _, y, weight = Batches(
        samples, np.arange(12), 3, POLICY, preset("unit", 3), 12, augmentation=mixed, seed=0, class_weights=weights
    )[0]
    np.testing.assert_allclose(weight, y[:, 0] + 10 * y[:, 1] + 100 * y[:, 2], rtol=1e-6)
    assert len(np.unique(weight)) > 3


def test_a_balanced_epoch_has_of_every_class_equally_many() -> None:
    samples = noise([70, 20, 1])
    indices = np.arange(1, 91)  # one of the first class is left out
    batches = Batches(samples, indices, 3, POLICY, preset("unit", 3), 90, seed=3, balanced=True)
    epochs = []
    for _ in range(12):
        order = batches.order
        assert len(order) == 90
        np.testing.assert_array_equal(np.bincount(samples.labels[order]), [30, 30, 30])
        times = np.bincount(order, minlength=91)
        assert times[0] == 0
        assert times[1:70].max() == 1  # of many images a part
        assert set(times[70:90]) == {1, 2}  # of few all of them before one comes again
        assert times[90] == 30
        epochs.append(times)
        batches.begin(batches.epoch + 1)
    assert np.sum(epochs, axis=0)[1:70].min() > 0
    later = Batches(samples, indices, 3, POLICY, preset("unit", 3), 90, seed=3, epoch=12, balanced=True)
    np.testing.assert_array_equal(later.order, batches.order)


def test_what_is_left_over_goes_to_some_classes_and_none_is_made_up() -> None:
    samples = noise([9, 0, 2])
    batches = Batches(samples, np.arange(11), 3, POLICY, preset("unit", 3), 11, seed=0, balanced=True)
    counts = np.bincount(samples.labels[batches.order], minlength=3)
    assert sorted(counts) == [0, 5, 6]
    assert counts[1] == 0


def test_a_summary_repeats_every_change() -> None:
    recipe = Recipe("small", "noise", epochs=3, augmentation=EVERY)
    assert {key for key in recipe.summary() if key.startswith("augmentation.")} == {
        f"augmentation.{name}" for name in Augmentation.__dataclass_fields__ if name != "scale_jitter"
    }
    assert replace(recipe, augmentation=Augmentation()).summary().keys().isdisjoint({"augmentation.mixup"})
