"""That an average of weights has the batch normalization statistics that it gives, not those of the last steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from artifact.card import NetworkInfo
from artifact.image_policy import ImagePolicy
from export.data.datasets import DataSet
from export.data.holdout import split_images
from export.data.preprocessing import preset
from export.data.samples import ArraySamples
from export.sources.run_folder import KERAS_FILE
from export.training.augmentation import Augmentation
from export.training.averaged import estimate_statistics, tell_short_average
from export.training.batches import Batches
from export.training.checkpoint import Checkpoint
from export.training.initial.initial_network import InitialNetwork
from export.training.recipes.recipe import Recipe
from export.training.train import train

POLICY = ImagePolicy(height=6, width=6, channels=1)
RECIPE = Recipe(
    "small",
    "noise",
    epochs=2,
    batch_size=10,
    optimizer="sgd",
    learning_rate=0.05,
    schedule="constant",
    ema=0.8,
    augmentation=Augmentation(random_erasing=1.0),
)


def build() -> keras.Model:
    """A convolution, and batch normalization inside a network inside the network, as keras.applications are begun."""
    inside = keras.Input((6, 6, 3))
    normalized = keras.Model(inside, keras.layers.BatchNormalization(name="norm")(inside), name="inner")
    image = keras.Input((6, 6, 1), name="image")
    x = normalized(keras.layers.Conv2D(3, 3, padding="same", name="conv")(image))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("relu")(x))
    return keras.Model(image, keras.layers.Dense(2, name="logits")(x))


INITIAL = InitialNetwork(
    NetworkInfo(name="small", origin="convserve", parameters=0, weights="trained"), POLICY, build, preset("tf", 1)
)


def noise(count: int, seed: int) -> ArraySamples:
    """Even images, but for noise, of two gray levels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = generator.normal(90 + 80 * labels[:, None, None], 30, (count, 6, 6)).clip(0, 255).astype(np.uint8)
    return ArraySamples(images, labels)


@pytest.fixture
def dataset() -> DataSet:
    return DataSet("noise", ("dark", "light"), POLICY, noise(80, 0), noise(20, 1), "none")


def norm(model: keras.Model) -> keras.layers.BatchNormalization:
    return model.get_layer("inner").get_layer("norm")


def statistics(model: keras.Model, batches: Batches) -> tuple[np.ndarray, np.ndarray]:
    """float [channels] each: means over all batches of the mean and variance of what the normalization is given."""
    seen = [keras.ops.convert_to_numpy(model.get_layer("conv")(batches[i][0])) for i in range(len(batches))]
    means = np.mean([x.mean(axis=(0, 1, 2)) for x in seen], axis=0)
    return means, np.mean([x.var(axis=(0, 1, 2)) for x in seen], axis=0)


def test_the_network_that_is_kept_has_the_statistics_of_its_own_weights(dataset: DataSet, tmp_path: Path) -> None:
    train(RECIPE, dataset, tmp_path, initial=INITIAL)
    kept = keras.models.load_model(tmp_path / KERAS_FILE)
    assert dataset.train is not None
    chosen, validation = split_images(dataset.train.labels, RECIPE.validation_share, 0)
    common = (dataset.train, chosen, 2, POLICY, preset("tf", 1), RECIPE.batch_size)
    mean, variance = statistics(kept, Batches(*common, augmentation=RECIPE.augmentation, seed=0))
    np.testing.assert_allclose(norm(kept).moving_mean, mean, atol=1e-5)
    np.testing.assert_allclose(norm(kept).moving_variance, variance, rtol=1e-4)
    plain, _ = statistics(kept, Batches(*common))
    assert np.abs(plain - mean).max() > 1e-3  # erased images are darker: it is those of training that count
    # And so had the network whose figures were written down.
    held_out = Batches(dataset.train, validation, 2, POLICY, preset("tf", 1), 64)
    state = Checkpoint(tmp_path / "checkpoint").read()
    logits = keras.ops.convert_to_numpy(kept(held_out[0][0])).astype(float)
    log_likelihood = np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    loss = -(log_likelihood * held_out[0][1]).sum(axis=1).mean()
    assert loss > 0.01
    assert state.history[state.best_epoch - 1]["val_loss"] == pytest.approx(loss, abs=1e-4)


def test_the_training_goes_on_as_if_nobody_had_looked_at_the_average(dataset: DataSet, tmp_path: Path) -> None:
    for name, ema in (("with", 0.8), ("without", 0.0)):
        train(replace(RECIPE, ema=ema), dataset, tmp_path / name, initial=INITIAL)
    last = [Checkpoint(tmp_path / name / "checkpoint").load(2, optimizer=False) for name in ("with", "without")]
    for ours, theirs in zip(*(model.get_weights() for model in last), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_frozen_layer_keeps_its_statistics_and_every_layer_its_momentum(dataset: DataSet) -> None:
    assert dataset.train is not None
    batches = Batches(dataset.train, np.arange(20), 2, POLICY, preset("tf", 1), 10)
    model = build()
    norm(model).trainable = False
    estimate_statistics(model, batches)
    np.testing.assert_array_equal(norm(model).moving_mean, np.zeros(3))
    norm(model).trainable = True
    estimate_statistics(model, batches)
    assert np.abs(norm(model).moving_mean).max() > 1e-3
    assert norm(model).momentum == 0.99


def test_an_average_over_too_few_steps_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    tell_short_average(0.999, 300)
    assert "the last 1,000 steps, this training has 300: what is kept will be 74% of" in capsys.readouterr().err
    tell_short_average(0.999, 40 * 383)
    tell_short_average(0.0, 1)
    assert capsys.readouterr().err == ""
