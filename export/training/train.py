"""Training a network by a recipe into a run folder. Runs on any Keras backend; never imports TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from artifact.card import ImagePolicy, Preprocessing
from export.data.datasets import DataSet
from export.data.holdout import hold_out
from export.data.preprocessing import custom
from export.data.samples import Samples
from export.errors import TrainingError, UsageError
from export.graph.grouped_convolution import true_grouped_convolutions
from export.progress import say
from export.sources.run_folder import KERAS_FILE, RUN_FILE, Run, disk_in_a_line, half_written, read_run, write_run
from export.training.batches import Batches
from export.training.callbacks import Epochs, is_over
from export.training.checkpoint import Checkpoint, State
from export.training.finish import measure
from export.training.initial_network import Start, start_network
from export.training.recipes import Recipe
from models.counts import count_parameters
from models.depth import deep_recursion
from models.walk import walk_layers


def train(
    recipe: Recipe,
    dataset: DataSet,
    folder: Path,
    *,
    start: Start | None = None,
    seed: int = 0,
    data_dir: Path | None = None,
) -> Run:
    """Train, keep the epoch of best validation accuracy, calibrate on validation images, measure on test images.

    Without `start` the recipe's network begins with random weights. A folder that holds the checkpoint of the same
    recipe and seed is resumed at its next epoch. Raises UsageError where it holds another training, TrainingError
    where the loss is no number or memory runs out.
    """
    if dataset.train is None:
        raise UsageError(
            f"data set {dataset.name} has no training images: it is only for --dataset of evaluate and convert"
        )
    keras.utils.set_random_seed(seed)
    start = start or start_network(recipe, dataset)
    training, validation = _split(dataset.train.labels, recipe.validation_share, seed)
    run = _plan(recipe, dataset, start, training, seed, data_dir)
    checkpoint = Checkpoint(folder / "checkpoint", start.definitions)
    _refuse_another_training(folder, run)
    if (finished := folder / KERAS_FILE).exists():
        say(f"{folder} holds this training already, finished: nothing to do")
        return read_run(folder)
    state = checkpoint.read()
    with true_grouped_convolutions(), deep_recursion(), _memory_in_a_line(recipe):
        if not is_over(state, recipe):
            model = checkpoint.load(state.epoch) if state.epoch else _compile(recipe, start)
            _open_folder(folder, run)  # not before the weights were found to fit
            _fit(model, recipe, dataset, run, training, validation, checkpoint, state)
        best = _inference_model(checkpoint.load(state.best_epoch, optimizer=False), start)
        run = measure(run, best, dataset, validation, recipe, state, folder / "report")
    with disk_in_a_line(folder), half_written(folder / "part.keras") as part:
        best.save(part)
        write_run(folder, run)
        part.replace(finished)
    return run


def _split(
    labels: npt.NDArray[np.int64], validation_share: float, seed: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Indices to train and to validate on: a random share, of each class in proportion."""
    images = len(labels)
    draws = np.empty(images)
    draws[np.random.default_rng(seed).permutation(images)] = np.arange(images) / images
    held_out = hold_out(draws, labels, max(1, round(images * validation_share)) / images, leave=1)
    if not held_out.any():
        held_out[draws.argmin()] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _plan(
    recipe: Recipe,
    dataset: DataSet,
    start: Start,
    training: npt.NDArray[np.intp],
    seed: int,
    data_dir: Path | None,
) -> Run:
    """The run as it is known before training."""
    assert dataset.train is not None
    return Run(
        model_name=recipe.model_name,
        network=start.info,
        labels=dataset.labels,
        image=start.image,
        preprocessing=start.preprocessing or _measure_pixels(dataset.train, training, start.image),
        dataset=dataset.name,
        data_dir=str(data_dir.resolve()) if data_dir is not None else None,
        split=dataset.split,
        license=dataset.license,
        seed=seed,
        recipe=recipe.summary(),
    )


def _measure_pixels(samples: Samples, indices: npt.NDArray[np.intp], policy: ImagePolicy) -> Preprocessing:
    """Mean and deviation per channel of (at most 2,000) training images."""
    some = indices[:: max(1, len(indices) // 2000)]
    total, squares, count = np.zeros(policy.channels), np.zeros(policy.channels), 0
    for chunk in np.array_split(some, max(1, len(some) // 64)):
        values = samples.pixels(chunk, policy).reshape(-1, policy.channels).astype(np.float64)
        total, squares, count = total + values.sum(axis=0), squares + (values**2).sum(axis=0), count + len(values)
    mean = total / count
    std = np.maximum(np.sqrt(np.maximum(squares / count - mean**2, 0)), 1)
    return custom(tuple(np.round(mean, 3).tolist()), tuple(np.round(std, 3).tolist()))


def _refuse_another_training(folder: Path, run: Run) -> None:
    """Raise UsageError, naming what differs, where the folder holds a training with other settings."""
    if not (folder / RUN_FILE).exists():
        return
    there = read_run(folder)
    old, new = _settings(there), _settings(run)
    other = [
        f"{key} {old.get(key)} there, {new.get(key)} now" for key in {**old, **new} if old.get(key) != new.get(key)
    ]
    other += [key for key in ("labels", "image") if getattr(there, key) != getattr(run, key)]
    if other:
        raise UsageError(
            f"{folder} holds a training of {there.model_name} with other settings ({'; '.join(other)}): say the same, "
            "name another folder with --out, or remove it"
        )


def _settings(run: Run) -> dict[str, Any]:
    named = {"network": run.network.name, "weights": run.network.weights, "dataset": run.dataset, "seed": run.seed}
    return {**run.recipe, **named}


def _open_folder(folder: Path, run: Run) -> None:
    """Make the run folder, unless it is there."""
    if (folder / RUN_FILE).exists():
        return
    with disk_in_a_line(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_run(folder, run)


def _fit(
    model: keras.Model,
    recipe: Recipe,
    dataset: DataSet,
    run: Run,
    training: npt.NDArray[np.intp],
    validation: npt.NDArray[np.intp],
    checkpoint: Checkpoint,
    state: State,
) -> None:
    """Train from `state` on, epoch by epoch, into the checkpoint."""
    assert dataset.train is not None
    if state.epoch:
        say(f"resuming after epoch {state.epoch} of {recipe.epochs}")
    outputs = list(model.output) if isinstance(model.output, dict) else ()
    common = (len(dataset.labels), run.image, run.preprocessing)
    batches = Batches(
        dataset.train,
        training,
        *common,
        recipe.batch_size,
        augmentation=recipe.augmentation,
        seed=run.seed,
        epoch=state.epoch,
        outputs=outputs,
        workers=2,
    )
    held_out = Batches(dataset.train, validation, *common, 2 * recipe.batch_size, outputs=outputs)
    say(
        f"training {recipe.network} ({count_parameters(model):,} trained parameters) on {len(training):,} images of "
        f"{dataset.name}, validating on {len(validation):,}"
    )
    model.fit(
        batches,
        validation_data=held_out,
        epochs=recipe.epochs,
        initial_epoch=state.epoch,
        verbose=0,
        callbacks=[Epochs(recipe, state, checkpoint, len(batches))],
    )


def _compile(recipe: Recipe, start: Start) -> keras.Model:
    with _precision(recipe):
        model = start.build()
    loss: Any = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    weights = None
    metrics: Any = ["accuracy"]
    if isinstance(model.output, dict):
        loss, metrics = {name: loss for name in model.output}, {"logits": metrics}
        weights = {name: start.auxiliary.get(name, 1.0) for name in model.output}
    # XLA gains nothing on a CPU under TensorFlow, and compiles for long.
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    model.compile(_optimizer(recipe), loss, loss_weights=weights, metrics=metrics, jit_compile=jit)
    return model


def _optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay or None
    match recipe.optimizer:
        case "adam":
            return keras.optimizers.Adam(rate, weight_decay=decay)
        case "sgd":
            return keras.optimizers.SGD(rate, recipe.momentum, nesterov=True, weight_decay=decay)
        case "rmsprop":
            return keras.optimizers.RMSprop(rate, 0.9, recipe.momentum, epsilon=1.0, weight_decay=decay)


def _inference_model(trained: keras.Model, start: Start) -> keras.Model:
    """The trained network in float32, without auxiliary heads and optimizer."""
    model = trained
    if any(layer.compute_dtype == "float16" for layer in trained.layers):
        model = start.build()
        model.set_weights(trained.get_weights())
    for layer in walk_layers(model):
        layer.trainable = True  # what was frozen is a matter of this training alone
    return keras.Model(model.input, model.output["logits"]) if isinstance(model.output, dict) else model


@contextlib.contextmanager
def _precision(recipe: Recipe) -> Iterator[None]:
    """Networks built inside compute in float16 and keep float32 weights where the recipe says so."""
    before = keras.config.dtype_policy()
    if recipe.mixed_precision:
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def _memory_in_a_line(recipe: Recipe) -> Iterator[None]:
    """Each backend has an error of its own for full memory; all become one line."""
    try:
        yield
    except Exception as error:
        text = f"{type(error).__name__} {error}".lower()
        if not any(
            sign in text for sign in ("resource_exhausted", "resourceexhausted", "out of memory", "memoryerror")
        ):
            raise
        raise TrainingError(
            f"memory ran out at a batch size of {recipe.batch_size}: take a smaller one with --batch-size; "
            "the epochs before are kept"
        ) from error
