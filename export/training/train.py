"""Training a network by a recipe into a run folder. Runs on any Keras backend; never imports TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from artifact.image_policy import ImagePolicy, Preprocessing
from export.data.datasets import DataSet
from export.data.holdout import split_images
from export.errors import TrainingError, UsageError
from export.graph.grouped_convolution import true_grouped_convolutions
from export.progress import say
from export.sources.run_folder import KERAS_FILE, RUN_FILE, Run, disk_in_a_line, half_written, read_run, write_run
from export.training.averaged import ValidateAverage, put_average, tell_short_average
from export.training.batches import Batches
from export.training.callbacks import Epochs, is_over
from export.training.checkpoint import Checkpoint, State
from export.training.compiled import compile_for, compile_network, inference_network
from export.training.finish import measure
from export.training.initial.initial_network import InitialNetwork, start_network
from export.training.logs.log import Log
from export.training.mixed_precision import precision_of
from export.training.plan import plan_run, refuse_another_training, refuse_other_images
from export.training.recipes.recipe import Recipe
from models.counts import count_parameters
from models.depth import deep_recursion


def train(
    recipe: Recipe,
    dataset: DataSet,
    folder: Path,
    *,
    initial: InitialNetwork | None = None,
    seed: int = 0,
    data_dir: Path | None = None,
    logs: Sequence[Log] = (),
) -> Run:
    """Train, keep the epoch that the recipe's best_by chooses, calibrate on validation images, measure on test images.

    Without `initial` the recipe's network begins with random weights. A folder that holds the checkpoint of the same
    recipe and seed is resumed at its next epoch. Raises UsageError where it holds another training, TrainingError
    where the loss is no number or memory runs out.
    """
    if dataset.train is None:
        raise UsageError(f"data set {dataset.name} has no training images: use it for evaluate and convert only")
    keras.utils.set_random_seed(seed)
    initial = initial or start_network(recipe, dataset)
    recipe.augmentation.check(initial.image)
    training, validation = split_images(dataset.train.labels, recipe.validation_share, seed)
    run = plan_run(recipe, dataset, initial, training, seed, data_dir)
    checkpoint = Checkpoint(folder / "checkpoint", initial.definitions, unsafe=initial.unsafe)
    refuse_another_training(folder, run)
    refuse_other_images(folder, checkpoint.read().images, dataset.images_digest, dataset.title)
    if (finished := folder / KERAS_FILE).exists():
        say(f"{folder} already has this training, finished: nothing to do")
        return read_run(folder)
    with (
        contextlib.ExitStack() as lock,
        true_grouped_convolutions(training=True),
        deep_recursion(),
        _memory_in_a_line(recipe),
    ):
        if resumes := (folder / RUN_FILE).exists():
            lock.enter_context(checkpoint.held())
        state = checkpoint.read().model_copy(update={"images": dataset.images_digest})
        model = None
        if not is_over(state, recipe):
            if state.epoch:
                model = checkpoint.load(state.epoch)
                compile_for(recipe, initial, model, model.optimizer)
            else:
                model = compile_network(recipe, initial)
        if not resumes:  # not before the weights were found to fit
            lock.enter_context(checkpoint.held())
            with disk_in_a_line(folder):
                write_run(folder, run)
        for log in logs:
            log.begin(run, state.history)
        if model is not None:
            _fit(model, recipe, dataset, run, training, validation, checkpoint, state, logs)
        best = inference_network(_load_best(checkpoint, state, recipe, dataset, run, training))
        run = measure(run, best, dataset, validation, recipe, state, folder / "report")
        for log in logs:
            log.finish(run, folder / "report")
        with disk_in_a_line(folder), half_written(folder / "part.keras") as part:
            best.save(part)
            write_run(folder, run)
            part.replace(finished)
    return run


def _fit(
    model: keras.Model,
    recipe: Recipe,
    dataset: DataSet,
    run: Run,
    training: npt.NDArray[np.intp],
    validation: npt.NDArray[np.intp],
    checkpoint: Checkpoint,
    state: State,
    logs: Sequence[Log],
) -> None:
    """Train from `state` on, epoch by epoch, into the checkpoint."""
    assert dataset.train is not None
    if state.epoch:
        say(f"resuming after epoch {state.epoch} of {recipe.epochs}")
    batches = _batches(recipe, dataset, run, training, model, state.epoch)
    held_out = Batches(
        dataset.train, validation, *_common(dataset, run), 2 * recipe.batch_size, outputs=_outputs(model)
    )
    say(
        f"training {recipe.network} ({count_parameters(model):,} trained parameters) on {len(training):,} images of "
        f"{dataset.name}; {len(validation):,} validate, {len(dataset.test):,} are kept to test ({dataset.split})"
        + (f"; computes in {precision_of(model)}" if recipe.mixed_precision else "")
    )
    tell_short_average(recipe.ema, recipe.epochs * len(batches))
    model.fit(
        batches,
        validation_data=held_out,
        epochs=recipe.epochs,
        initial_epoch=state.epoch,
        verbose=0,
        shuffle=False,  # the order is drawn already; Keras' own would be another one after a resume
        callbacks=[
            *([ValidateAverage(_batches(recipe, dataset, run, training, model))] if recipe.ema else []),
            Epochs(recipe, state, checkpoint, batches, logs),
        ],
    )


def _load_best(
    checkpoint: Checkpoint,
    state: State,
    recipe: Recipe,
    dataset: DataSet,
    run: Run,
    training: npt.NDArray[np.intp],
) -> keras.Model:
    if not recipe.ema:
        return checkpoint.load(state.best_epoch, optimizer=False)
    best = checkpoint.load(state.best_epoch)
    put_average(best, _batches(recipe, dataset, run, training, best))
    return best


def _batches(
    recipe: Recipe, dataset: DataSet, run: Run, training: npt.NDArray[np.intp], model: keras.Model, epoch: int = 0
) -> Batches:
    """What the recipe trains on, from `epoch` on."""
    assert dataset.train is not None
    weights = None
    if recipe.class_weights:
        weights = weigh_classes(dataset.train.labels[training], len(dataset.labels))
    return Batches(
        dataset.train,
        training,
        *_common(dataset, run),
        recipe.batch_size,
        augmentation=recipe.augmentation,
        seed=run.seed,
        epoch=epoch,
        outputs=_outputs(model),
        class_weights=weights,
        balanced=recipe.balanced_sampling,
    )


def _common(dataset: DataSet, run: Run) -> tuple[int, ImagePolicy, Preprocessing]:
    """What all batches of a run have in common."""
    return len(dataset.labels), run.image, run.preprocessing


def _outputs(model: keras.Model) -> list[str]:
    """Names of its outputs where it has several."""
    return list(model.output) if isinstance(model.output, dict) else []


def weigh_classes(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """float32 [classes], by the `labels` [n] of the training images: the inverse of each class's share, the mean over
    all images 1; 0 for a class without images.
    """
    count = np.bincount(labels, minlength=classes)
    shares = len(labels) / (np.count_nonzero(count) * np.maximum(count, 1))
    return np.where(count > 0, shares, 0).astype(np.float32)


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
            f"out of memory at a batch size of {recipe.batch_size}: use a smaller one with --batch-size; "
            "the earlier epochs are kept"
        ) from error
