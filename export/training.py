"""Training a network by a recipe into a run folder. Runs on any Keras backend; never imports TensorFlow."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from app.card import ImagePolicy, NetworkInfo, Preprocessing, Training
from export import plots
from export.batches import Batches
from export.calibration import calibrate, describe_distribution, log_sum_exp, score_quantiles, softmax
from export.checkpoint import Checkpoint, State
from export.datasets import DataSet
from export.errors import TrainingError, UsageError
from export.evaluation import evaluate, write_report
from export.preprocessing import custom
from export.progress import Progress, format_seconds, say
from export.recipes import Recipe
from export.run import KERAS_FILE, Run, read_run, write_run
from export.samples import Samples
from models import NETWORKS


def train(recipe: Recipe, dataset: DataSet, folder: Path, *, seed: int = 0, data_dir: Path | None = None) -> Run:
    """Train, keep the epoch of best validation accuracy, calibrate on validation images, measure on test images.

    A folder that holds the checkpoint of the same recipe and seed is resumed at its next epoch. Raises UsageError
    where it holds another training, TrainingError where the loss is no number.
    """
    if dataset.train is None:
        raise UsageError(
            f"data set {dataset.name} has no training images: it is only for --dataset of evaluate and convert"
        )
    keras.utils.set_random_seed(seed)
    run, training, validation = _plan(recipe, dataset, seed, data_dir)
    checkpoint = Checkpoint(folder / "checkpoint")
    state = _open_folder(folder, run, checkpoint)
    if (finished := folder / KERAS_FILE).exists():
        say(f"{folder} holds this training already, finished: nothing to do")
        return read_run(folder)
    if state.epoch:
        say(f"resuming after epoch {state.epoch} of {recipe.epochs}")
        model = checkpoint.load(state.epoch)
    else:
        model = _build(recipe, run)
    outputs = list(model.output) if isinstance(model.output, dict) else ()
    batches = Batches(
        dataset.train,
        training,
        len(dataset.labels),
        run.image,
        run.preprocessing,
        recipe.batch_size,
        augmentation=recipe.augmentation,
        seed=seed,
        epoch=state.epoch,
        outputs=outputs,
        workers=2,
    )
    held_out = Batches(
        dataset.train, validation, len(dataset.labels), run.image, run.preprocessing, 256, outputs=outputs
    )
    say(
        f"training {recipe.network} ({count_parameters(model):,} parameters) on {len(training):,} images of "
        f"{dataset.name}, validating on {len(validation):,}"
    )
    if not _is_over(state, recipe):
        model.fit(
            batches,
            validation_data=held_out,
            epochs=recipe.epochs,
            initial_epoch=state.epoch,
            verbose=0,
            callbacks=[_Epochs(recipe, state, checkpoint, len(batches))],
        )
    best = _inference_model(checkpoint.load(state.best_epoch))
    run = _measure(run, best, dataset, validation, recipe, state, folder)
    part = folder / "part.keras"
    best.save(part)
    write_run(folder, run)
    part.replace(finished)
    return run


def _plan(
    recipe: Recipe, dataset: DataSet, seed: int, data_dir: Path | None
) -> tuple[Run, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The run as it is known before training, and the indices to train and to validate on."""
    assert dataset.train is not None
    order = np.random.default_rng(seed).permutation(len(dataset.train))
    held_out = max(1, round(len(order) * recipe.validation_share))
    validation, training = np.sort(order[:held_out]), np.sort(order[held_out:])
    network = NETWORKS[recipe.network]
    policy = dataset.policy
    info = NetworkInfo(
        name=recipe.network,
        origin="convserve",
        paper=network.paper,
        year=network.year,
        parameters=0,
        weights="trained",
    )
    run = Run(
        model_name=recipe.model_name,
        network=info,
        labels=dataset.labels,
        image=policy,
        preprocessing=_measure_pixels(dataset.train, training, policy),
        dataset=dataset.name,
        data_dir=str(data_dir.resolve()) if data_dir is not None else None,
        license=dataset.license,
        seed=seed,
        recipe=recipe.summary(),
    )
    return run, training, validation


def _measure_pixels(samples: Samples, indices: npt.NDArray[np.intp], policy: ImagePolicy) -> Preprocessing:
    """Mean and deviation per channel of (at most 5,000) training images."""
    some = indices[:: max(1, len(indices) // 5000)]
    values = samples.pixels(some, policy).reshape(-1, policy.channels).astype(np.float64)
    mean, std = values.mean(axis=0), np.maximum(values.std(axis=0), 1)
    return custom(tuple(np.round(mean, 3).tolist()), tuple(np.round(std, 3).tolist()))


def _open_folder(folder: Path, run: Run, checkpoint: Checkpoint) -> State:
    """Make the run folder, or find the state of the same training in it."""
    state = checkpoint.read()
    if not (folder / "run.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_run(folder, run)
        return state
    there = read_run(folder)
    same = (there.network.name, there.dataset, there.recipe, there.seed) == (
        run.network.name,
        run.dataset,
        run.recipe,
        run.seed,
    )
    if not same:
        raise UsageError(
            f"{folder} holds the training of {there.model_name} with seed {there.seed} or other settings: "
            "name another folder with --out, or remove it"
        )
    return state


def _build(recipe: Recipe, run: Run) -> keras.Model:
    """The compiled network of a recipe."""
    network = NETWORKS[recipe.network]
    options: dict[str, Any] = dict(recipe.options)
    if network.auxiliary:
        options.setdefault("auxiliary", True)
    try:
        model = network.build(input_shape=run.image.shape, classes=len(run.labels), **options)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    loss: Any = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    weights = None
    metrics: Any = ["accuracy"]
    if isinstance(model.output, dict):
        loss, metrics = {name: loss for name in model.output}, {"logits": metrics}
        weights = {name: network.auxiliary.get(name, 1.0) for name in model.output}
    # XLA gains nothing on a CPU under TensorFlow, and compiles for long.
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    model.compile(_optimizer(recipe), loss, loss_weights=weights, metrics=metrics, jit_compile=jit)
    return model


def _optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    decay = recipe.weight_decay or None
    match recipe.optimizer:
        case "adam":
            return keras.optimizers.Adam(recipe.learning_rate, weight_decay=decay)
        case "sgd":
            return keras.optimizers.SGD(recipe.learning_rate, recipe.momentum, nesterov=True, weight_decay=decay)
        case "rmsprop":
            return keras.optimizers.RMSprop(
                recipe.learning_rate, rho=0.9, momentum=recipe.momentum, epsilon=1.0, weight_decay=decay
            )


def _inference_model(model: keras.Model) -> keras.Model:
    """The network without auxiliary heads."""
    return keras.Model(model.input, model.output["logits"]) if isinstance(model.output, dict) else model


def _is_over(state: State, recipe: Recipe) -> bool:
    return state.epoch >= recipe.epochs or state.epoch - state.best_epoch >= recipe.patience


class _Epochs(keras.callbacks.Callback):
    """What happens around Keras' own steps: learning rate, progress, checkpoint, early stop, watch on the loss."""

    def __init__(self, recipe: Recipe, state: State, checkpoint: Checkpoint, steps: int) -> None:
        super().__init__()
        self.recipe, self.state, self.checkpoint, self.steps = recipe, state, checkpoint, steps
        self._progress: Progress | None = None
        self._began = self._first = time.monotonic()
        self._resumed_at = state.epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch, self._began = epoch, time.monotonic()
        self._progress = Progress(f"epoch {epoch + 1}/{self.recipe.epochs}", self.steps, "batches")

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        step = self._epoch * self.steps + batch
        self.model.optimizer.learning_rate = self.recipe.rate_at(step, self.recipe.epochs * self.steps)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} in epoch {self._epoch + 1}: lower the learning rate "
                f"(it is {self.recipe.learning_rate:g}); the epochs before are kept"
            )
        assert self._progress is not None
        self._progress.advance(note=f"loss {loss:.4f},")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        row = _row(epoch + 1, logs or {})
        state = self.state
        state.epoch, state.seconds = epoch + 1, state.seconds + time.monotonic() - self._began
        state.history.append(row)
        # Few validation images often tie in accuracy; the loss decides then.
        better = (row["val_accuracy"], -row["val_loss"]) > (state.best_accuracy, -state.best_loss)
        if better:
            state.best_epoch, state.best_accuracy, state.best_loss = state.epoch, row["val_accuracy"], row["val_loss"]
        self.checkpoint.write(self.model, state)
        done = state.epoch - self._resumed_at
        left = (time.monotonic() - self._first) / done * (self.recipe.epochs - state.epoch)
        say(
            f"  epoch {state.epoch}/{self.recipe.epochs}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.2%}, "
            f"validation loss {row['val_loss']:.4f}, accuracy {row['val_accuracy']:.2%}{' *' if better else ''}, "
            f"{format_seconds(left)} left"
        )
        if _is_over(state, self.recipe) and state.epoch < self.recipe.epochs:
            say(f"  stopped: no better validation accuracy for {self.recipe.patience} epochs")
            self.model.stop_training = True


def _row(epoch: int, logs: dict[str, float]) -> dict[str, float]:
    """Keras' names for several outputs (logits_accuracy) under those for one."""
    values = {key.replace("logits_", ""): float(value) for key, value in logs.items() if "auxiliary" not in key}
    kept = ("loss", "accuracy", "val_loss", "val_accuracy")
    return {"epoch": epoch, **{key: round(values[key], 5) for key in kept}}


def _measure(
    run: Run,
    model: keras.Model,
    dataset: DataSet,
    validation: npt.NDArray[np.intp],
    recipe: Recipe,
    state: State,
    folder: Path,
) -> Run:
    """Calibrate on validation images, measure on test images, write the report."""
    assert dataset.train is not None
    everything = np.arange(len(dataset.test))

    def logits(samples: Samples, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        batches = Batches(samples, indices, len(dataset.labels), run.image, run.preprocessing, 256)
        return np.asarray(model.predict(batches, verbose=0))

    seen, seen_labels = logits(dataset.train, validation), dataset.train.labels[validation]
    calibration = calibrate(seen, seen_labels, f"{dataset.name} validation")
    temperature = calibration.temperature
    probabilities = softmax(logits(dataset.test, everything), temperature)
    evaluation = evaluate(probabilities, dataset.test.labels, dataset.name)
    report = folder / "report"
    write_report(report, probabilities, dataset.test.labels, dataset.labels, evaluation)
    plots.draw_curves(state.history, report / "curves.png")
    say(
        f"best epoch {state.best_epoch}: {evaluation.top1:.2%} of {evaluation.images:,} test images right, "
        f"calibration error {evaluation.ece:.4f} (temperature {temperature:g})"
    )
    tempered = softmax(seen, temperature)
    return run.model_copy(
        update={
            "network": run.network.model_copy(update={"parameters": count_parameters(model)}),
            "training": Training(
                dataset=dataset.name,
                images=len(dataset.train) - len(validation),
                validation_images=len(validation),
                epochs=state.epoch,
                seed=run.seed,
                recipe=recipe.summary(),
                seconds=round(state.seconds, 1),
                backend=f"keras {keras.__version__} on {keras.backend.backend()}",
            ),
            "evaluation": evaluation,
            "calibration": calibration,
            "score_quantiles": score_quantiles(tempered, seen_labels),
            "distribution": describe_distribution(tempered, log_sum_exp(seen, temperature)),
        }
    )


def count_parameters(model: keras.Model) -> int:
    """Trainable ones."""
    return int(sum(math.prod(weight.shape) for weight in model.trainable_weights))
