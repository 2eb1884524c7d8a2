"""That each field of a recipe does to the training what its docstring says."""

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
from export.sources.run_folder import KERAS_FILE
from export.training import mixed_precision
from export.training import train as training
from export.training.batches import Batches
from export.training.callbacks import Epochs
from export.training.checkpoint import Checkpoint, State
from export.training.compiled import compile_network
from export.training.initial.initial_network import InitialNetwork
from export.training.recipes.recipe import Recipe

POLICY = ImagePolicy(height=4, width=4, channels=1)
RECIPE = Recipe("small", "gray", epochs=2, batch_size=16, optimizer="sgd", momentum=0.0, schedule="constant")


def build() -> keras.Model:
    image = keras.Input((4, 4, 1), name="image")
    hidden = keras.layers.Dense(5, activation="relu", name="hidden", bias_initializer="ones")
    logits = keras.layers.Dense(2, name="logits", bias_initializer="ones")
    return keras.Model(image, logits(hidden(keras.layers.Flatten()(image))))


INITIAL = InitialNetwork(
    NetworkInfo(name="small", origin="convserve", parameters=0, weights="trained"), POLICY, build, preset("tf", 1)
)


def gray(counts: tuple[int, int], seed: int = 0) -> ArraySamples:
    """Images of one gray level each; the two classes overlap."""
    generator = np.random.default_rng(seed)
    levels = np.concatenate([generator.normal(mean, 25, count) for mean, count in zip((110, 150), counts, strict=True)])
    images = np.broadcast_to(levels.clip(0, 255)[:, None, None], (sum(counts), 4, 4)).astype(np.uint8)
    return ArraySamples(images, np.repeat([0, 1], counts))


@pytest.fixture
def dataset() -> DataSet:
    return DataSet("gray", ("dark", "light"), POLICY, gray((60, 60)), gray((20, 20), seed=1), "none")


def pixels(samples: ArraySamples) -> tuple[np.ndarray, np.ndarray]:
    """What the network is fed with, and one-hot classes."""
    batches = Batches(samples, np.arange(len(samples)), 2, POLICY, preset("tf", 1), len(samples))
    return batches[0]


def step(recipe: Recipe, samples: ArraySamples) -> tuple[np.ndarray, np.ndarray]:
    """All weights, flat, before and after one step on all of `samples`."""
    keras.utils.set_random_seed(0)
    model = compile_network(recipe, INITIAL)
    before = flat(model.get_weights())
    model.train_on_batch(*pixels(samples))
    return before, flat(model.get_weights())


def flat(weights: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([weight.ravel() for weight in weights])


def test_gradients_are_scaled_down_to_the_norm_and_keep_their_direction() -> None:
    recipe = replace(RECIPE, learning_rate=1.0)
    before, after = step(recipe, gray((16, 0)))
    free = after - before
    assert np.linalg.norm(free) > 0.1
    before, after = step(replace(recipe, clip_norm=0.1), gray((16, 0)))
    np.testing.assert_allclose(after - before, free * (0.1 / np.linalg.norm(free)), atol=1e-6)
    before, after = step(replace(recipe, clip_norm=1e3), gray((16, 0)))
    np.testing.assert_allclose(after - before, free, atol=1e-6)


def test_decay_is_taken_off_the_weights_apart_from_adam_s_gradient() -> None:
    recipe = replace(RECIPE, optimizer="adam", learning_rate=0.01)
    before, plain = step(recipe, gray((8, 8)))
    for optimizer in ("adam", "adamw"):
        _, decayed = step(replace(recipe, optimizer=optimizer, weight_decay=0.5), gray((8, 8)))
        # Added to the gradient, Adam would divide it away.
        np.testing.assert_allclose(decayed, plain - 0.01 * 0.5 * before, atol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_looks_ahead_where_the_recipe_says_so(nesterov: bool) -> None:
    before, plain = step(replace(RECIPE, learning_rate=0.1), gray((8, 8)))
    _, after = step(replace(RECIPE, learning_rate=0.1, momentum=0.5, nesterov=nesterov), gray((8, 8)))
    np.testing.assert_allclose(after - before, (plain - before) * (1.5 if nesterov else 1), atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_l2_is_a_part_of_the_gradient_that_momentum_carries_on(optimizer: str) -> None:
    """Two steps on a network whose gradient is l2's alone: at logits that are all alike and targets that are even."""
    recipe = replace(RECIPE, optimizer=optimizer, l2=0.1, learning_rate=0.5, momentum=0.9, nesterov=False)
    model = compile_network(recipe, INITIAL)
    begin = [np.zeros_like(weight) for weight in model.get_weights()]
    begin[0] += 2.0
    model.set_weights(begin)
    x, y = np.zeros((1, 4, 4, 1), np.float32), np.full((1, 2), 0.5, np.float32)
    weight, velocity, moved = 2.0, 0.0, 0.0
    for _ in range(2):
        model.train_on_batch(x, y)
        gradient = 0.1 * weight
        if optimizer == "rmsprop":
            velocity = 0.9 * velocity + 0.1 * gradient**2
            gradient /= np.sqrt(velocity + 1.0)
        moved = 0.9 * moved + 0.5 * gradient
        weight -= moved
    after = model.get_weights()
    np.testing.assert_allclose(after[0], weight, rtol=1e-5)
    assert not any(other.any() for other in after[1:])


def test_the_state_of_l2_s_optimizer_is_resumed(tmp_path: Path) -> None:
    recipe = replace(RECIPE, l2=0.1, learning_rate=0.1, momentum=0.9)
    x, y = pixels(gray((8, 8)))
    model = compile_network(recipe, INITIAL)
    model.train_on_batch(x, y)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.write(model, State(epoch=1, best_epoch=1))
    again = checkpoint.load(1)
    for network in (model, again):
        network.train_on_batch(x, y)
    np.testing.assert_allclose(flat(again.get_weights()), flat(model.get_weights()), rtol=1e-6)


def test_the_rate_falls_after_a_plateau_also_of_a_resumed_training(
    dataset: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a learning rate of almost nothing accuracy never rises after the first epoch."""
    rates: list[float] = []
    recipe = replace(RECIPE, epochs=4, schedule="plateau", decay_epochs=2.0, learning_rate=1e-12)
    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "on_train_batch_end", watch(lambda model: rates.append(rate_of(model))))
        training.train(recipe, dataset, tmp_path / "whole", initial=INITIAL)
    steps = len(rates) // 4
    np.testing.assert_allclose(rates, [1e-12] * 3 * steps + [1e-13] * steps, rtol=1e-5)
    state = State(epoch=3, best_epoch=1, history=Checkpoint(tmp_path / "whole/checkpoint").read().history[:3])
    batches = Batches(gray((8, 8)), np.arange(16), 2, POLICY, preset("tf", 1), 4)
    epochs = Epochs(recipe, state, Checkpoint(tmp_path), batches)
    epochs.set_model(compile_network(recipe, INITIAL))
    epochs.on_epoch_begin(3)
    epochs.on_train_batch_begin(0)
    assert rate_of(epochs.model) == pytest.approx(1e-13)


def test_label_smoothing_divides_its_share_among_all_classes() -> None:
    model = compile_network(replace(RECIPE, label_smoothing=0.2), INITIAL)
    x, y = pixels(gray((3, 5)))
    logits = model.predict(x, verbose=0)
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    by_hand = -((0.8 * y + 0.1) * logarithms).sum(axis=1).mean()
    assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(by_hand, rel=1e-5)


def test_the_learning_rate_of_each_step_is_the_schedule_s(
    dataset: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr(Epochs, "on_train_batch_end", watch(lambda model: rates.append(rate_of(model))))
    recipe = replace(RECIPE, schedule="cosine", warmup_epochs=1.0, learning_rate=0.1)
    training.train(recipe, dataset, tmp_path, initial=INITIAL)
    steps = len(rates) // 2
    np.testing.assert_allclose(rates, [recipe.rate_at(step, 2 * steps) for step in range(2 * steps)], rtol=1e-5)
    assert np.argmax(rates) == steps


def rate_of(model: keras.Model) -> float:
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def watch(look: Any) -> Any:
    """Epochs.on_train_batch_end, and then `look` at the network."""
    ends = Epochs.on_train_batch_end

    def on_train_batch_end(self: Epochs, batch: int, logs: dict[str, float] | None = None) -> None:
        ends(self, batch, logs)
        look(self.model)

    return on_train_batch_end


class _Killed(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("killed", [False, True])
def test_what_is_kept_and_validated_is_the_average_of_the_weights_also_after_a_resume(
    killed: bool, dataset: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[np.ndarray]] = []
    monkeypatch.setattr(Epochs, "on_train_batch_end", watch(lambda model: seen.append(model.get_weights())))
    recipe = replace(RECIPE, ema=0.8, learning_rate=0.5)
    if killed:
        write = Checkpoint.write

        def write_and_die(self: Checkpoint, model: keras.Model, state: State) -> None:
            write(self, model, state)
            raise _Killed

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "write", write_and_die)
            with pytest.raises(_Killed):
                training.train(recipe, dataset, tmp_path, initial=INITIAL)
    training.train(recipe, dataset, tmp_path, initial=INITIAL)
    state = Checkpoint(tmp_path / "checkpoint").read()
    steps = len(seen) // state.epoch * state.best_epoch
    average = seen[0]
    for weights in seen[1:steps]:
        average = [0.8 * old + 0.2 * new for old, new in zip(average, weights, strict=True)]
    kept = keras.models.load_model(tmp_path / KERAS_FILE)
    np.testing.assert_allclose(flat(kept.get_weights()), flat(average), atol=1e-5)
    assert np.abs(flat(average) - flat(seen[steps - 1])).max() > 1e-3
    # The figures of an epoch are the average's: those of the network that is kept.
    assert dataset.train is not None
    _, validation = training.split_images(dataset.train.labels, recipe.validation_share, 0)
    held_out = Batches(dataset.train, validation, 2, POLICY, preset("tf", 1), 64)
    logits = keras.ops.convert_to_numpy(kept(held_out[0][0]))
    right = (logits.argmax(axis=1) == dataset.train.labels[validation]).mean()
    assert state.history[state.best_epoch - 1]["val_accuracy"] == pytest.approx(right, abs=1e-4)


def test_class_weights_make_every_class_count_the_same_in_the_loss() -> None:
    samples = gray((30, 10))
    weights = training.weigh_classes(samples.labels, 2)
    np.testing.assert_allclose(weights, [2 / 3, 2])
    assert weights[samples.labels].mean() == pytest.approx(1)
    model = compile_network(RECIPE, INITIAL)
    batches = Batches(samples, np.arange(40), 2, POLICY, preset("tf", 1), 40, class_weights=weights)
    x, y, _ = batches[0]
    one_by_one = [model.evaluate(x[i : i + 1], y[i : i + 1], verbose=0)[0] for i in range(40)]
    by_hand = (np.mean(one_by_one[:30]) + np.mean(one_by_one[30:])) / 2
    assert model.evaluate(batches, verbose=0)[0] == pytest.approx(by_hand, rel=1e-4)


def test_a_class_without_training_images_weighs_nothing() -> None:
    np.testing.assert_allclose(training.weigh_classes(np.int64([0, 0, 0, 2]), 3), [2 / 3, 0, 2], rtol=1e-6)


def test_a_rare_class_is_found_with_class_weights(tmp_path: Path) -> None:
    """20 to 1: the prior hides the rare class from a network that counts images, not from one that counts classes."""
    test = gray((200, 200), seed=1)
    rare = DataSet("gray", ("dark", "light"), POLICY, gray((600, 30)), test, "none")
    recall = {}
    for weighed in (False, True):
        recipe = replace(RECIPE, epochs=15, optimizer="adam", learning_rate=0.01, class_weights=weighed, patience=15)
        folder = tmp_path / str(weighed)
        training.train(recipe, rare, folder, initial=INITIAL)
        last = Checkpoint(folder / "checkpoint").load(15, optimizer=False)
        found = last.predict(pixels(test)[0], verbose=0).argmax(axis=1)
        recall[weighed] = [float((found[test.labels == label] == label).mean()) for label in (0, 1)]
    assert recall[False][1] < 0.4
    assert recall[True][1] > 0.6
    assert np.mean(recall[True]) > np.mean(recall[False]) + 0.1


def test_focal_loss_is_compiled_in_and_resumed(dataset: DataSet, tmp_path: Path) -> None:
    recipe = replace(RECIPE, focal_gamma=2.0, label_smoothing=0.1)
    model = compile_network(recipe, INITIAL)
    x, y = pixels(gray((3, 5)))
    logits = model.predict(x, verbose=0)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    by_hand = -((0.9 * y + 0.05) * (1 - p) ** 2 * np.log(p)).sum(axis=1).mean()
    assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(by_hand, rel=1e-5)
    training.train(recipe, dataset, tmp_path, initial=INITIAL)
    assert Checkpoint(tmp_path / "checkpoint").load(2).loss.gamma == 2.0


@pytest.mark.parametrize(
    ("gpu", "flags", "precision"),
    [
        (True, "fpu avx2", "float16"),
        (False, "fpu avx512_bf16 avx2", "bfloat16"),
        (False, "fpu avx2", "float32"),
    ],
)
def test_mixed_precision_is_what_the_machine_is_fast_in_and_leaves_a_network_of_float32(
    dataset: DataSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    gpu: bool,
    flags: str,
    precision: str,
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: avx512_bf16\nflags\t\t: {flags}\n")
    monkeypatch.setattr(mixed_precision, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(mixed_precision, "runs_on_gpu", lambda: gpu)
    recipe = replace(RECIPE, mixed_precision=True, ema=0.5, clip_norm=1.0, optimizer="adam", learning_rate=0.01)
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(
        Epochs, "on_train_batch_end", watch(lambda model: seen.append({x.name: x.compute_dtype for x in model.layers}))
    )
    training.train(recipe, dataset, tmp_path, initial=INITIAL)
    assert f"; computes in {precision}\n" in capsys.readouterr().err
    assert seen[0]["hidden"] == precision
    assert seen[0]["logits"] == "float32"
    resumed = Checkpoint(tmp_path / "checkpoint").load(2)
    assert {layer.name: layer.compute_dtype for layer in resumed.layers} == seen[0]
    assert isinstance(resumed.optimizer, keras.optimizers.LossScaleOptimizer) == (precision == "float16")
    kept = keras.models.load_model(tmp_path / KERAS_FILE)
    assert {layer.compute_dtype for layer in kept.layers} | {kept.compute_dtype} == {"float32"}
    assert {weight.dtype for weight in kept.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    x = pixels(gray((8, 8)))[0]
    lowered = keras.ops.convert_to_numpy(resumed(x))
    assert np.abs(lowered - kept.predict(x, verbose=0)).max() < 0.5  # the average beside the last weights
    model = compile_network(replace(recipe, ema=0.0), INITIAL)
    before = flat(model.get_weights())
    for _ in range(4):  # the first scales of the loss may be beyond float16: such a step changes nothing but the scale
        model.train_on_batch(*pixels(gray((8, 8))))
    assert 1e-4 < np.abs(flat(model.get_weights()) - before).max() < 0.1
